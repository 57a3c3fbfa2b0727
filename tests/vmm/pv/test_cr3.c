// SPDX-License-Identifier: Apache-2.0
/*
 * What the processor walks, of a guest on shadow page tables, asked of KVM itself: while the
 * microguest works it is stopped at odd moments, and each time every vCPU's CR3 leads into memory
 * of the VMM's that the guest has no frame for, and is not the guest's own root. By that CR3 the
 * monitor's code is where the VMM has put it.
 */
#include "tests/lib/quiet.h"
#include "tests/lib/vm_fixture.h"

#include <time.h>

#include "mm/base/clock.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"

#define MEMORY	 (32 * MiB)
#define CPUS	 2
#define STOPS	 50
#define AT_LEAST (STOPS / 5) /* stops are to be in the guest, not on the way back to it */
#define PATIENCE HUNG_NS

static bool is_private(const struct pv *pv, u64 machine)
{
	const struct monitor *m = &pv->monitor;

	assert_null(space_ptr(pv->vm->space, gpa(machine), 1));
	return machine >= space_size(pv->vm->space) && machine - m->machine < m->size;
}

/* Whether it was in the guest. */
static bool look_at_vcpu(struct runner *r, u32 id)
{
	const struct pv *pv = r->vm->pv;
	const struct pv_cpu *cpu = &pv->cpus[id];
	int fd = r->vm->vcpus[id]->fd;
	struct kvm_translation t = {.linear_address = MONITOR_AT};
	struct kvm_sregs s;
	u64 cr3;

	assert_int_equal(kvm_ioctl(fd, KVM_GET_SREGS, &s), 0);
	cr3 = s.cr3 & PV_ENTRY_ADDRESS;
	assert_true(is_private(pv, cr3));
	assert_true(cr3 - pv->monitor.machine >= pv->monitor.arena);
	for (u32 view = 0; view < SHADOW_NR_VIEWS; view++)
		assert_int_not_equal(cr3, cpu->roots[view] << PAGE_SHIFT);
	/* it has a root of its own, in its memory */
	assert_true(pv_is_frame(pv, cpu->roots[SHADOW_KERNEL]));
	assert_int_equal(kvm_ioctl(fd, KVM_TRANSLATE, &t), 0);
	assert_true(t.valid);
	assert_int_equal(t.physical_address, pv->monitor.machine);
	assert_true(is_private(pv, t.physical_address));
	assert_true(cpu->outside || cr3 == cpu->cr3[cpu->user]);
	return !cpu->outside;
}

/* From 0.1 to some 6 ms, never the same. */
static void wait_a_while(u32 i)
{
	const struct timespec t = {.tv_nsec = (long)(100000 + i * 7919 % 61 * 99991)};

	nanosleep(&t, NULL);
}

/* A guest that verifies has few faults: entries beside the one that faulted are made along. */
static bool is_working(struct runner *r)
{
	struct mmu_stats stats;

	pv_get_stats(r->vm->pv, &stats);
	return stats.tables.fills && r->vm->pv->cpus[CPUS - 1].up;
}

static void stop_often(const char *append)
{
	u64 until = now_ns() + PATIENCE;
	struct mmu_check check;
	struct err err = {""};
	struct runner r;
	u32 inside = 0;

	runner_need_kvm();
	runner_make_shadow(&r, MEMORY, CPUS, append);
	if (vm_start(r.vm, VM_RUN, &err))
		fail_msg("%s", err.text);
	while (!is_working(&r)) {
		if (now_ns() >= until)
			fail_msg("hung: the guest does not begin to work");
		wait_a_while(0);
	}
	for (u32 i = 0; i < STOPS; i++) {
		wait_a_while(i);
		vm_freeze(r.vm);
		if (vm_ended(r.vm, NULL))
			fail_msg("the guest has ended too soon: %s", r.out);
		for (u32 cpu = 0; cpu < CPUS; cpu++)
			inside += look_at_vcpu(&r, cpu);
		vm_thaw(r.vm);
	}
	vm_pause(r.vm);
	pv_check(r.vm->pv, &check);
	assert_int_equal(check.wrong, 0);
	print_message("%u of %u times in the guest\n", inside, STOPS * CPUS);
	assert_true(inside >= AT_LEAST);
	runner_destroy(&r);
}

static void while_it_verifies(void **state)
{
	(void)state;
	stop_often("job=verify passes=0 size=8M cpus=2");
}

static void while_tables_change(void **state)
{
	(void)state;
	stop_often("job=churn time=60 cpus=2 batch=8");
}

static void while_it_writes_to_tables(void **state)
{
	(void)state;
	stop_often("job=churn time=60 cpus=2 how=write");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_it_verifies),
		cmocka_unit_test(while_tables_change),
		cmocka_unit_test(while_it_writes_to_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
