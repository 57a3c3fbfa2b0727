// SPDX-License-Identifier: Apache-2.0
/*
 * vCPUs that are made to wait, on a real guest that writes as fast as it can. Needs /dev/kvm and
 * build/guest/micro.elf.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/lib/quiet.h"
#include "tests/lib/vm_fixture.h"
#include "vmm/vm/dirty.h"
#include "vmm/migrate/throttle.h"
#include "vmm/vm/vcpu.h"

#define MEMORY (64 * MiB)
#define WHILE  300 /* ms */
#define WRITER "job=access pattern=random write=100 size=16M stop=1 cpus="

/* What is seen of the vCPUs in a while, in which the dirty log is kept as a migration keeps it. */
struct seen {
	u64 pages;	 /* written */
	u64 looks, naps; /* of all looks at a vCPU, those at one that naps */
};

static void watch(struct runner *r, struct seen *seen)
{
	u64 *bits = calloc(dirty_words(r->vm), sizeof(u64)), before = runner_all_writes(r);

	for (int ms = 0; ms < WHILE; ms++) {
		if (ms % 50 == 0)
			assert_int_equal(dirty_harvest(r->vm, bits, NULL), 0);
		for (unsigned int i = 0; i < r->vm->nr_vcpus; i++)
			seen->naps += atomic_load(&r->vm->vcpus[i]->napping);
		seen->looks += r->vm->nr_vcpus;
		usleep(1000);
	}
	free(bits);
	seen->pages += runner_all_writes(r) - before;
}

static void begin(struct runner *r, unsigned int nr_cpus, const char *append)
{
	runner_need_kvm();
	runner_make(r, MEMORY, nr_cpus, append);
	runner_run(r);
	assert_int_equal(dirty_start(r->vm, NULL), 0);
}

static bool anybody_naps(const struct vm *vm)
{
	bool any = false;

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		any |= atomic_load(&vm->vcpus[i]->napping);
	return any;
}

/*
 * They nap for @least per cent of the time, and do less. It is measured in turn with and without,
 * so that whatever else the host does is part of both.
 */
static void expect_naps(unsigned int nr_cpus, const char *append, u64 least)
{
	struct seen freely = {.pages = 0}, held = {.pages = 0};
	u64 since = now_ns(), quiet = quiet_ns();
	struct throttle *t;
	struct runner r;

	begin(&r, nr_cpus, append);
	t = throttle_create(r.vm);
	for (int i = 0; i < 4 && t; i++) {
		throttle_set(t, 0);
		usleep(50000);
		watch(&r, &freely);
		throttle_set(t, 80);
		usleep(50000); /* until it is known who writes */
		watch(&r, &held);
	}
	throttle_destroy(t);
	runner_destroy(&r);
	print_message("%llu pages freely, %llu at 80 per cent, napping %llu of %llu times\n",
		      (unsigned long long)freely.pages, (unsigned long long)held.pages,
		      (unsigned long long)held.naps, (unsigned long long)held.looks);
	assert_int_equal(freely.naps, 0);
	assert_true(held.naps > 0 && held.pages > 0);
	/* how much it comes to is only to be seen where nobody else keeps vCPUs waiting */
	if ((quiet_ns() - quiet) * 2 < now_ns() - since)
		return;
	assert_true(held.naps * 100 > held.looks * least);
	assert_true(held.pages * 100 < freely.pages * 90);
}

static void a_writer_waits(void **state)
{
	(void)state;
	expect_naps(1, WRITER "1", 65);
}

static void all_writers_wait(void **state)
{
	(void)state;
	/* who waits writes less, and is made to wait less: together they nap less than 80 */
	expect_naps(2, WRITER "2", 35);
}

/* With nearly no time for the guest, it is free as soon as the throttle is gone. */
static void the_end_sets_all_free(void **state)
{
	struct runner r;

	(void)state;
	begin(&r, 2, WRITER "2");
	for (int i = 0; i < 20; i++) {
		struct throttle *t = throttle_create(r.vm);
		u64 since;

		assert_int_equal(throttle_set(t, 99), 0);
		usleep((unsigned int)(i % 7) * 3000 + 1000);
		since = quiet_ns();
		throttle_destroy(t);
		assert_true(quiet_ns() - since < 1000000000);
		assert_false(anybody_naps(r.vm));
		runner_expect_alive(&r);
	}
	runner_destroy(&r);
}

/* Stopping and ending a VM does not wait for those who nap. */
static void a_napper_can_be_stopped(void **state)
{
	struct throttle *t;
	struct runner r;

	(void)state;
	begin(&r, 2, WRITER "2");
	t = throttle_create(r.vm);
	assert_int_equal(throttle_set(t, 99), 0);
	for (int i = 0; i < 20; i++) {
		u64 since = quiet_ns();

		vm_freeze(r.vm);
		assert_true(quiet_ns() - since < 2000000000);
		vm_thaw(r.vm);
		usleep(2000);
	}
	throttle_destroy(t);
	runner_expect_alive(&r);
	runner_destroy(&r);
}

static void one_that_never_began_ends(void **state)
{
	struct runner r;

	(void)state;
	begin(&r, 1, WRITER "1");
	throttle_destroy(throttle_create(r.vm));
	throttle_destroy(NULL);
	runner_expect_alive(&r);
	runner_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writer_waits),
		cmocka_unit_test(all_writers_wait),
		cmocka_unit_test(the_end_sets_all_free),
		cmocka_unit_test(a_napper_can_be_stopped),
		cmocka_unit_test(one_that_never_began_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
