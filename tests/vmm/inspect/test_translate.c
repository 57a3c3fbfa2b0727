// SPDX-License-Identifier: Apache-2.0
/*
 * Translations of a microguest at work: against KVM's own walk, with its tables in the store, with
 * tables that are nowhere; and that nothing of the guest changes. Needs /dev/kvm and
 * build/guest/micro.elf.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <string.h>

#include "mm/engine/mem.h"
#include "mm/engine/stats.h"
#include "tests/lib/vm_fixture.h"
#include "vmm/kvm/kvm.h"
#include "vmm/inspect/translate.h"
#include "vmm/vm/vcpu.h"

#define MEMORY ((u64)64 * MiB)
#define ARENA  ((u64)1 << 39) /* guest/micro/memory.h: its pages of 4 KiB here */

static const struct ptwalk_access read_access = {PTWALK_READ, PTWALK_BY_SUPERVISOR};

static void begin(struct runner *r)
{
	runner_need_kvm();
	runner_make(r, MEMORY, 2, "job=access write=50 size=16M stop=1 map=4k cpus=2");
	runner_run(r);
	vm_freeze(r->vm); /* may be nested */
}

/* It does not run again: what was stored need not come back for that. */
static void end(struct runner *r)
{
	vm_pause(r->vm);
	vm_thaw(r->vm);
	runner_destroy(r);
}

static struct translation ask(struct runner *r, u64 cpu, u64 linear, struct ptwalk_access access)
{
	const struct translate_order order = {.cpu = cpu, .address = linear, .access = access};
	struct translation t;
	struct err err;

	if (translate(r->vm, &order, &t, &err))
		fail_msg("%s", err.text);
	return t;
}

/* The bases of FS and GS count in 64-bit mode, and no other. */
static void adds_the_base_of_a_segment(void **state)
{
	struct translate_order order = {.segmented = true, .address = 0x123, .access = read_access};
	struct kvm_sregs before, s;
	struct translation t;
	struct runner r;
	struct err err;
	int vcpu;

	(void)state;
	begin(&r);
	vcpu = r.vm->vcpus[1]->fd;
	order.cpu = 1;
	assert_int_equal(kvm_ioctl(vcpu, KVM_GET_SREGS, &before), 0);
	s = before;
	s.fs.base = ARENA;
	s.gs.base = ARENA + PAGE_SIZE;
	s.ds.base = 0x5000;
	assert_int_equal(kvm_ioctl(vcpu, KVM_SET_SREGS, &s), 0);
	for (u32 name = SEGMENT_ES; name < SEGMENT_NR; name++) {
		u64 base = name == SEGMENT_FS ? s.fs.base : name == SEGMENT_GS ? s.gs.base : 0;

		order.segment = (enum segment_name)name;
		assert_int_equal(translate(r.vm, &order, &t, &err), 0);
		assert_int_equal(t.segment_outcome, SEGMENT_DONE);
		assert_int_equal(t.linear, base + 0x123);
		assert_int_equal(t.outcome, PTWALK_DONE);
		assert_int_equal(t.walk.at.v, ask(&r, 1, t.linear, read_access).walk.at.v);
	}
	order.address = (u64)1 << 47;
	assert_int_equal(translate(r.vm, &order, &t, &err), 0);
	assert_int_equal(t.segment_outcome, SEGMENT_GP_FAULT);
	assert_int_equal(t.walk.nr_steps, 0);
	assert_int_equal(kvm_ioctl(vcpu, KVM_SET_SREGS, &before), 0);
	end(&r);
}

static void check_against_kvm(struct runner *r, u64 cpu, u64 linear)
{
	struct kvm_translation kvm = {.linear_address = linear};
	struct translation t = ask(r, cpu, linear, read_access);

	assert_int_equal(kvm_ioctl(r->vm->vcpus[cpu]->fd, KVM_TRANSLATE, &kvm), 0);
	assert_int_equal(t.outcome == PTWALK_DONE, kvm.valid);
	if (kvm.valid)
		assert_int_equal(t.walk.at.v, kvm.physical_address);
}

static void leads_where_kvm_says(void **state)
{
	static const u64 at[] = {0,
				 0x1234,
				 2 * MiB - 1,
				 2 * MiB,
				 0x12345678,
				 4 * GiB - 1,
				 4 * GiB,
				 ARENA - 1,
				 ARENA,
				 ARENA + 0x123456,
				 ARENA + 16 * MiB - 1,
				 ARENA + 16 * MiB,
				 ((u64)1 << 47) - 1,
				 ~(u64)0};
	struct runner r;

	(void)state;
	begin(&r);
	for (u32 i = 0; i < ARRAY_SIZE(at); i++)
		for (u64 cpu = 0; cpu < 2; cpu++)
			check_against_kvm(&r, cpu, at[i]);
	end(&r);
}

/* The way to a page of 2 MiB, and to one of 4 KiB. */
static void each_step_is_told(void **state)
{
	struct translation t;
	struct runner r;

	(void)state;
	begin(&r);
	t = ask(&r, 0, 4 * MiB + 5, read_access);
	assert_int_equal(t.paging, PTWALK_4_LEVEL);
	assert_int_equal(t.walk.nr_steps, 3);
	assert_int_equal(t.walk.shift, 21);
	assert_int_equal(t.steps[0].index, 0);
	assert_int_equal(t.steps[2].index, 2);
	assert_int_equal(t.steps[2].guest.entry & ~(u64)0xfff, 4 * MiB);
	t = ask(&r, 0, ARENA + 3 * PAGE_SIZE, read_access);
	assert_int_equal(t.walk.nr_steps, 4);
	assert_int_equal(t.walk.shift, 12);
	assert_int_equal(t.steps[0].index, 1);
	assert_int_equal(t.steps[3].index, 3);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(t.steps[i].second.kind, NESTED_PAGE);
		assert_int_equal(t.steps[i].second.machine.v, t.steps[i].guest.at.v);
	}
	assert_int_equal(t.page.machine.v, t.walk.at.v);
	end(&r);
}

static u64 page_counts(struct runner *r, u64 pages[PAGE_NR_STATES])
{
	struct mem_stats s;

	mem_get_stats(r->vm->mem, &s);
	memcpy(pages, s.pages, sizeof(s.pages));
	return s.pages[PAGE_STORED];
}

/* Tables and pages that are stored are told of, and stay there. */
static void nothing_is_brought_in(void **state)
{
	u64 before[PAGE_NR_STATES], after[PAGE_NR_STATES];
	struct translation t;
	struct runner r;
	struct err err = {"nothing went"};

	(void)state;
	begin(&r);
	if (mem_reclaim(r.vm->mem, MEMORY, &err) <= 0)
		fail_msg("%s", err.text);
	assert_true(page_counts(&r, before) > 100);
	t = ask(&r, 1, ARENA + 7 * PAGE_SIZE, read_access);
	assert_int_equal(t.outcome, PTWALK_DONE);
	assert_int_equal(t.walk.nr_steps, 4);
	for (u32 i = 0; i < 4; i++) {
		assert_string_equal(nested_state_name(&t.steps[i].second), "stored");
		assert_true(t.steps[i].guest.entry & PTWALK_PRESENT);
	}
	assert_string_equal(nested_state_name(&t.page), "stored");
	assert_int_equal(t.page.steps[3].entry, 0);
	assert_int_equal(t.map[NESTED_4K].present, before[PAGE_RESIDENT] + before[PAGE_IDLE]);
	page_counts(&r, after);
	assert_memory_equal(before, after, sizeof(before));
	end(&r);
}

/* The page at 4 KiB is mapped and never used: nobody else sets its accessed bit. */
static void no_bit_is_set(void **state)
{
	const struct ptwalk_access write = {PTWALK_WRITE, PTWALK_BY_USER};
	struct translation t;
	struct runner r;

	(void)state;
	begin(&r);
	t = ask(&r, 0, PAGE_SIZE, write);
	assert_int_equal(t.outcome, PTWALK_DONE);
	assert_false(t.steps[3].guest.entry & (PTWALK_ACCESSED | PTWALK_DIRTY));
	t = ask(&r, 0, PAGE_SIZE, write);
	assert_false(t.steps[3].guest.entry & (PTWALK_ACCESSED | PTWALK_DIRTY));
	end(&r);
}

static void what_is_not_mapped(void **state)
{
	const struct ptwalk_access write = {PTWALK_WRITE, PTWALK_BY_USER};
	struct translation t;
	struct runner r;

	(void)state;
	begin(&r);
	t = ask(&r, 0, (u64)1 << 46, write);
	assert_int_equal(t.outcome, PTWALK_FAULT);
	assert_int_equal(t.walk.error, PTWALK_ERROR_WRITE | PTWALK_ERROR_USER);
	assert_int_equal(t.walk.nr_steps, 1);
	assert_int_equal(t.references, 0);
	t = ask(&r, 0, (u64)1 << 47, read_access);
	assert_int_equal(t.outcome, PTWALK_NOT_CANONICAL);
	assert_int_equal(t.walk.nr_steps, 0);
	t = ask(&r, 0, 0xfee00000, read_access); /* mapped, but no memory */
	assert_int_equal(t.outcome, PTWALK_DONE);
	assert_int_equal(t.page.kind, NESTED_HOLE);
	end(&r);
}

static void set_cr3(struct runner *r, u64 cr3)
{
	struct kvm_sregs sregs;
	int fd = r->vm->vcpus[0]->fd;

	assert_int_equal(kvm_ioctl(fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cr3 = cr3;
	assert_int_equal(kvm_ioctl(fd, KVM_SET_SREGS, &sregs), 0);
}

static void tables_that_are_nowhere(void **state)
{
	struct kvm_sregs sregs;
	struct translation t;
	struct runner r;

	(void)state;
	begin(&r);
	assert_int_equal(kvm_ioctl(r.vm->vcpus[0]->fd, KVM_GET_SREGS, &sregs), 0);
	set_cr3(&r, MEMORY);
	t = ask(&r, 0, 0x1000, read_access);
	assert_int_equal(t.outcome, PTWALK_NO_MEMORY);
	assert_int_equal(t.walk.nr_steps, 1);
	assert_int_equal(t.steps[0].second.kind, NESTED_HOLE);
	assert_int_equal(ask(&r, 1, 0x1000, read_access).outcome, PTWALK_DONE);
	set_cr3(&r, sregs.cr3);
	end(&r);
}

/* Which of both ways a miss goes is the host's; the sum is what the walk makes of it. */
static void a_miss_has_its_price(void **state)
{
	struct translation small, large;
	struct runner r;

	(void)state;
	begin(&r);
	small = ask(&r, 0, ARENA, read_access);
	large = ask(&r, 0, 4 * MiB, read_access);
	assert_int_equal(small.guest_levels, 4);
	assert_int_equal(large.guest_levels, 3);
	if (!strcmp(small.host_paging, "shadow")) {
		/* its pages are the host's, of 4 KiB */
		assert_int_equal(small.references, 4);
		assert_int_equal(large.references, 4);
	} else {
		assert_int_equal(small.references, 24);
		assert_int_equal(large.references, 19);
	}
	end(&r);
}

static void a_vcpu_that_is_none(void **state)
{
	static const u64 cpus[] = {2, UINT32_MAX, (u64)1 << 32, UINT64_MAX};
	struct translation t;
	struct runner r;
	struct err err;

	(void)state;
	begin(&r);
	for (u32 i = 0; i < ARRAY_SIZE(cpus); i++) {
		const struct translate_order order = {.cpu = cpus[i]};

		assert_int_equal(translate(r.vm, &order, &t, &err), -EINVAL);
		assert_non_null(strstr(err.text, "the guest has 2"));
	}
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_the_base_of_a_segment),
		cmocka_unit_test(leads_where_kvm_says),
		cmocka_unit_test(each_step_is_told),
		cmocka_unit_test(nothing_is_brought_in),
		cmocka_unit_test(no_bit_is_set),
		cmocka_unit_test(what_is_not_mapped),
		cmocka_unit_test(tables_that_are_nowhere),
		cmocka_unit_test(a_miss_has_its_price),
		cmocka_unit_test(a_vcpu_that_is_none),
	};

	return cmocka_run_group_tests_name("translate", tests, NULL, NULL);
}
