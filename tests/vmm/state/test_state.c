// SPDX-License-Identifier: Apache-2.0
/*
 * A machine's state on the KVM of this host: the microguest is stopped in the midst of its work,
 * its state and its memory go to another VM (or back to the same), and that one brings the work to
 * its end. Needs /dev/kvm and build/guest/micro.elf.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mm/base/clock.h"
#include "mm/x86/regs.h"
#include "tests/lib/quiet.h"
#include "tests/vmm/state/state_fixture.h"
#include "tests/lib/vm_fixture.h"
#include "vmm/vm/vcpu.h"
#include "vmm/vm/vm.h"

#define MEMORY (32 * MiB)

/* Far more than it gets done before it is stopped, and less than it takes patience for. */
#define JOB "job=verify size=8M passes=4000"

static void make(struct runner *g, unsigned int nr_cpus, u64 memory, const char *append)
{
	runner_need_kvm();
	runner_make_plain(g, memory, nr_cpus, append);
}

static void sleep_ms(unsigned int ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* Run it until it has filled its memory and checks it, then stop it. */
static void run_into_work(struct runner *g)
{
	struct err err = {""};

	if (vm_start(g->vm, VM_RUN, &err))
		fail_msg("%s", err.text);
	vm_freeze(g->vm);
	for (int i = 0; !strstr(g->out, "micro: fill") && i < HUNG_MS / 10; i++) {
		vm_thaw(g->vm);
		sleep_ms(10);
		vm_freeze(g->vm);
	}
	assert_false(vm_ended(g->vm, NULL));
}

static void expect_pass(struct runner *g)
{
	u64 until = now_ns() + HUNG_NS;
	struct vm_end end;

	while (!vm_ended(g->vm, &end)) {
		if (now_ns() > until)
			fail_msg("it does not end; its output: %s", g->out);
		sleep_ms(1);
	}
	vm_pause(g->vm);
	if (end.status)
		fail_msg("status %d: %s; its output: %s", end.status, end.why.text, g->out);
	assert_non_null(strstr(g->out, "micro: pass"));
}

static void save(struct runner *g, struct state_buf *buf)
{
	struct err err = {""};

	if (state_save(g->vm, buf, &err))
		fail_msg("%s", err.text);
}

static void load(struct runner *g, const struct state_buf *buf, enum state_clock clock)
{
	struct err err = {""};

	if (state_load(g->vm, buf->data, buf->size, clock, &err))
		fail_msg("%s", err.text);
}

static void copy_memory(u8 *copy, struct runner *g, bool back)
{
	for (unsigned int i = 0; i < space_nr_slots(g->vm->space); i++) {
		const struct space_slot *s = space_slot(g->vm->space, i);

		if (back)
			memcpy(space_ptr_mut(g->vm->space, s->start, s->size), copy + s->offset,
			       s->size);
		else
			memcpy(copy + s->offset, space_ptr(g->vm->space, s->start, s->size),
			       s->size);
	}
}

static u64 tsc_of(struct runner *g, unsigned int cpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head = {.nmsrs = 1}, .entry = {.index = MSR_TSC}};

	assert_int_equal(kvm_ioctl(g->vm->vcpus[cpu]->fd, KVM_GET_MSRS, &m.head), 1);
	return m.entry.data;
}

static u64 clock_of(struct runner *g)
{
	struct kvm_clock_data clock = {0};

	assert_int_equal(kvm_ioctl(g->vm->fd, KVM_GET_CLOCK, &clock), 0);
	return clock.clock;
}

/* Where KVM runs user code without hardware help, the TSC that it reads is the host's. */
static bool has_own_tsc(void)
{
	return kvm_kind() != KVM_PVM;
}

/* ---- Moving ---- */

static void move(unsigned int nr_cpus)
{
	struct state_buf buf = {NULL, 0, 0};
	u8 *copy;
	struct runner from, to;
	char append[80];

	snprintf(append, sizeof(append), JOB " cpus=%u", nr_cpus);
	make(&from, nr_cpus, MEMORY, append);
	run_into_work(&from);
	save(&from, &buf);
	copy = malloc(MEMORY);
	copy_memory(copy, &from, false);
	vm_thaw(from.vm);
	expect_pass(&from); /* saving does it no harm */
	runner_destroy(&from);

	make(&to, nr_cpus, MEMORY, "job=none");
	copy_memory(copy, &to, true);
	load(&to, &buf, STATE_CLOCK_CONTINUE);
	assert_int_equal(vm_start(to.vm, VM_RUN, NULL), 0);
	expect_pass(&to);
	assert_non_null(strstr(to.out, "micro: verify 8192000 pages"));
	assert_null(strstr(to.out, "micro: fill")); /* that was before */
	runner_destroy(&to);
	free(copy);
	free(buf.data);
}

static void one_processor_moves(void **state)
{
	(void)state;
	move(1);
}

static void two_processors_move(void **state)
{
	(void)state;
	move(2);
}

/* Before its first instruction, when the registers are not in KVM yet. */
static void one_that_never_ran_moves(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	u8 *copy;
	struct runner from, to;

	(void)state;
	make(&from, 2, MEMORY, "job=verify size=4M cpus=2");
	save(&from, &buf);
	copy = malloc(MEMORY);
	copy_memory(copy, &from, false);
	make(&to, 2, MEMORY, "job=none");
	copy_memory(copy, &to, true);
	load(&to, &buf, STATE_CLOCK_CONTINUE);
	assert_int_equal(vm_start(to.vm, VM_RUN, NULL), 0);
	expect_pass(&to);
	assert_non_null(strstr(to.out, "micro: verify 1024 pages"));
	assert_int_equal(vm_start(from.vm, VM_RUN, NULL), 0);
	expect_pass(&from);
	runner_destroy(&to);
	runner_destroy(&from);
	free(copy);
	free(buf.data);
}

/* The same VM, soon after: within the second in which KVM would leave the TSC as it is. */
static void one_goes_back(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	u8 *copy;
	struct runner g;
	u64 tsc[2], khz;

	(void)state;
	make(&g, 2, MEMORY, JOB " cpus=2");
	run_into_work(&g);
	tsc[0] = tsc_of(&g, 0);
	tsc[1] = tsc_of(&g, 1);
	khz = vcpu_tsc_khz(g.vm->vcpus[0]);
	save(&g, &buf);
	copy = malloc(MEMORY);
	copy_memory(copy, &g, false);
	for (int i = 0; i < 2; i++) {
		vm_thaw(g.vm);
		sleep_ms(100);
		vm_freeze(g.vm);
		copy_memory(copy, &g, true);
		load(&g, &buf, STATE_CLOCK_CONTINUE);
		for (unsigned int cpu = 0; cpu < 2; cpu++) {
			u64 is = tsc_of(&g, cpu);

			assert_true(is >= tsc[cpu]);
			if (has_own_tsc())
				assert_true(is - tsc[cpu] < 200 * khz);
		}
		if (vm_ended(g.vm, NULL))
			fail_msg("it ended before it could go back");
	}
	vm_thaw(g.vm);
	expect_pass(&g);
	runner_destroy(&g);
	free(copy);
	free(buf.data);
}

/* ---- What is in it ---- */

static bool ticks(const struct state_section *s, u32 k)
{
	const struct kvm_msrs *msrs = s->data;

	switch (s->tag) {
	case STATE_MACHINE:
		return k >= offsetof(struct state_machine, wall_ns) &&
		       k < offsetof(struct state_machine, nr_cpus);
	case STATE_CLOCK:
		return true;
	case STATE_PIT: /* when each of the three counters was loaded */
		return k < 72 && k % 24 >= 16;
	case STATE_LAPIC:
		return k / 4 == 0x390 / 4; /* its timer's current count */
	case STATE_MSRS:
		k -= (u32)sizeof(*msrs);
		return k < s->size && (msrs->entries[k / 16].index == MSR_TSC ||
				       msrs->entries[k / 16].index >> 8 == 0x400000);
	}
	return false;
}

static void compare(const struct state_buf *a, const struct state_buf *b)
{
	struct state_section x, y;
	u32 at = 0, at_b = 0;

	assert_int_equal(a->size, b->size);
	while (state_next(a->data, a->size, &at, &x)) {
		assert_true(state_next(b->data, b->size, &at_b, &y));
		assert_int_equal(x.tag, y.tag);
		assert_int_equal(x.instance, y.instance);
		assert_int_equal(x.size, y.size);
		for (u32 k = 0; k < x.size; k++)
			if (!ticks(&x, k) && ((const u8 *)x.data)[k] != ((const u8 *)y.data)[k])
				fail_msg("section %.4s %u differs at byte %u", (const char *)&x.tag,
					 x.instance, k);
	}
}

static void saved_twice_it_is_the_same(void **state)
{
	struct state_buf a = {NULL, 0, 0}, b = {NULL, 0, 0};
	struct runner g, to;

	(void)state;
	make(&g, 2, MEMORY, JOB " cpus=2");
	run_into_work(&g);
	save(&g, &a);
	sleep_ms(5);
	save(&g, &b);
	compare(&a, &b);
	/* and what another VM was given is what it has */
	make(&to, 2, MEMORY, "job=none");
	load(&to, &a, STATE_CLOCK_CONTINUE);
	save(&to, &b);
	compare(&a, &b);
	vm_thaw(g.vm);
	runner_destroy(&to);
	runner_destroy(&g);
	free(a.data);
	free(b.data);
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void saving_is_quick(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	u64 took[101];
	u8 *first;
	struct runner g;

	(void)state;
	make(&g, 1, MEMORY, JOB);
	run_into_work(&g);
	save(&g, &buf);
	first = buf.data;
	for (size_t i = 0; i < ARRAY_SIZE(took); i++) {
		u64 since = quiet_ns();

		save(&g, &buf);
		took[i] = quiet_ns() - since;
	}
	qsort(took, ARRAY_SIZE(took), sizeof(took[0]), compare_u64);
	print_message("state of one vCPU, %u bytes: %llu us at best, %llu us in the middle\n",
		      buf.size, (unsigned long long)took[0] / 1000,
		      (unsigned long long)took[ARRAY_SIZE(took) / 2] / 1000);
	assert_ptr_equal(buf.data, first); /* without new memory */
	assert_true(took[0] < 20000000);
	vm_thaw(g.vm);
	runner_destroy(&g);
	free(buf.data);
}

/* ---- Clocks ---- */

static u64 ms_since(u64 ns)
{
	return (now_ns() - ns) / 1000000;
}

static void clocks_go_on(void **state)
{
	const u64 away = 600; /* ms */
	struct state_buf buf = {NULL, 0, 0};
	struct runner g, to;
	u64 clock, tsc, khz, passed, left, came, saved; /* by the guest's clocks; by the host's */

	(void)state;
	make(&g, 1, MEMORY, JOB);
	run_into_work(&g);
	left = now_ns();
	clock = clock_of(&g);
	tsc = tsc_of(&g, 0);
	khz = vcpu_tsc_khz(g.vm->vcpus[0]);
	save(&g, &buf);
	saved = ms_since(left);
	vm_thaw(g.vm);
	runner_destroy(&g);
	sleep_ms((unsigned int)away);

	make(&to, 1, MEMORY, "job=none");
	/* no more than since it came, and what reading and saving took */
	came = now_ns();
	load(&to, &buf, STATE_CLOCK_CONTINUE);
	passed = (clock_of(&to) - clock) / 1000000;
	assert_true(passed <= ms_since(came) + saved + 2);
	passed = (tsc_of(&to, 0) - tsc) / khz;
	if (has_own_tsc())
		assert_true(passed <= ms_since(came) + saved + 2);

	/* no more than since it left */
	load(&to, &buf, STATE_CLOCK_JUMP);
	passed = (clock_of(&to) - clock) / 1000000;
	assert_in_range(passed, away, ms_since(left) + 2);
	passed = (tsc_of(&to, 0) - tsc) / khz;
	assert_in_range(passed, away, ms_since(left) + 2);
	runner_destroy(&to);
	free(buf.data);
}

/* ---- What is refused ---- */

static void expect_refusal(struct runner *g, const struct state_buf *buf, int ret,
			   const char *words)
{
	struct err err = {""};

	assert_int_equal(state_load(g->vm, buf->data, buf->size, STATE_CLOCK_CONTINUE, &err), ret);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" without \"%s\"", err.text, words);
}

static void another_shape_is_refused(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct runner g, cpus, memory;

	(void)state;
	make(&g, 1, MEMORY, "job=none");
	save(&g, &buf);
	make(&cpus, 2, MEMORY, "job=none");
	expect_refusal(&cpus, &buf, -EINVAL, "another shape");
	make(&memory, 1, 2 * MEMORY, "job=none");
	expect_refusal(&memory, &buf, -EINVAL, "another shape");
	load(&g, &buf, STATE_CLOCK_CONTINUE);
	runner_destroy(&memory);
	runner_destroy(&cpus);
	runner_destroy(&g);
	free(buf.data);
}

static u8 *inside(const struct state_buf *buf, u32 tag)
{
	struct state_section s;

	assert_true(state_find(buf->data, buf->size, tag, 0, &s));
	return buf->data + ((const u8 *)s.data - buf->data);
}

static void what_kvm_refuses(void **state)
{
	const u32 index = 0x12345;
	struct state_buf buf = {NULL, 0, 0};
	struct kvm_msrs *msrs;
	struct runner g;

	(void)state;
	make(&g, 1, MEMORY, "job=none");
	save(&g, &buf);
	msrs = (void *)inside(&buf, STATE_MSRS);
	for (u32 i = 0; i < msrs->nmsrs; i++)
		msrs->entries[i] = (struct kvm_msr_entry){.index = index};
	state_end(&buf);
	load(&g, &buf, STATE_CLOCK_CONTINUE); /* zeros that are nowhere do not matter */
	msrs->entries[msrs->nmsrs - 1].data = 7;
	state_end(&buf);
	expect_refusal(&g, &buf, -EINVAL, "vCPU 0: its MSR 0x12345 cannot be 0x7");

	save(&g, &buf);
	inside(&buf, STATE_DEVICE)[0] = 'X';
	state_end(&buf);
	expect_refusal(&g, &buf, -EOPNOTSUPP, "is not known here");
	save(&g, &buf);
	memset(inside(&buf, STATE_DEVICE) + 16, 0xff, 8);
	state_end(&buf);
	expect_refusal(&g, &buf, -EBADMSG, "cannot be");
	save(&g, &buf);
	inside(&buf, STATE_DEVICE)[-8]++; /* its version */
	state_end(&buf);
	expect_refusal(&g, &buf, -EOPNOTSUPP, "version 2 of device");
	runner_destroy(&g);
	free(buf.data);
}

static void this_host_can_run_it(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct runner g;
	struct err err = {""};

	(void)state;
	make(&g, 2, MEMORY, "job=none");
	save(&g, &buf);
	assert_int_equal(state_parse(buf.data, buf.size, &shape, NULL), 0);
	assert_int_equal(shape.nr_cpus, 2);
	assert_int_equal(shape.memory, MEMORY);
	assert_int_equal(shape.kvm, kvm_kind());
	if (state_check_host(&shape, g.vm->kvm_fd, &err))
		fail_msg("%s", err.text);
	shape.kvm = shape.kvm == KVM_PVM ? KVM_INTEL : KVM_PVM;
	assert_int_equal(state_check_host(&shape, g.vm->kvm_fd, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "another kind of KVM"));
	runner_destroy(&g);
	free(buf.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_processor_moves),
		cmocka_unit_test(two_processors_move),
		cmocka_unit_test(one_that_never_ran_moves),
		cmocka_unit_test(one_goes_back),
		cmocka_unit_test(saved_twice_it_is_the_same),
		cmocka_unit_test(saving_is_quick),
		cmocka_unit_test(clocks_go_on),
		cmocka_unit_test(another_shape_is_refused),
		cmocka_unit_test(what_kvm_refuses),
		cmocka_unit_test(this_host_can_run_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
