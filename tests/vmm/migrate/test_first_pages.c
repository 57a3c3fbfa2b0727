// SPDX-License-Identifier: Apache-2.0
/*
 * The pages that a guest needs at once, of a microguest at work and of ones whose tables are
 * nonsense. Needs /dev/kvm and build/guest/micro.elf.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/space/space.h"
#include "tests/lib/vm_fixture.h"
#include "vmm/migrate/first_pages.h"
#include "vmm/kvm/kvm.h"
#include "vmm/vm/vcpu.h"

#define MEMORY ((u64)64 * MiB)
#define WORDS  (MEMORY / PAGE_SIZE / 64)

static u64 pages[WORDS];

/* A guest that works, and stands still. */
static void begin(struct runner *r, unsigned int nr_cpus)
{
	char append[80];

	runner_need_kvm();
	snprintf(append, sizeof(append), "job=access write=50 size=16M stop=1 map=4k cpus=%u",
		 nr_cpus);
	runner_make(r, MEMORY, nr_cpus, append);
	runner_run(r);
	vm_freeze(r->vm);
	memset(pages, 0, sizeof(pages));
}

static void end(struct runner *r)
{
	vm_thaw(r->vm);
	runner_destroy(r);
}

static u32 look(struct runner *r)
{
	memset(pages, 0, sizeof(pages));
	first_pages(r->vm, pages);
	return (u32)pageset_count(pages, WORDS);
}

static bool has(struct runner *r, u64 at)
{
	u64 no;

	assert_true(space_page_of(r->vm->space, gpa(at), 1, &no));
	return pageset_has(pages, (page_no)no);
}

/* KVM's own walk says where a linear address is. */
static u64 translate(const struct vcpu *vcpu, u64 linear)
{
	struct kvm_translation t = {.linear_address = linear};

	assert_int_equal(kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &t), 0);
	assert_true(t.valid);
	return t.physical_address;
}

static void get(const struct vcpu *vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	assert_int_equal(kvm_ioctl(vcpu->fd, KVM_GET_REGS, regs), 0);
	assert_int_equal(kvm_ioctl(vcpu->fd, KVM_GET_SREGS, sregs), 0);
}

static void code_stack_and_tables_are_found(void **state)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct runner r;
	u32 n;

	(void)state;
	begin(&r, 2);
	n = look(&r);
	for (unsigned int i = 0; i < 2; i++) {
		const struct vcpu *vcpu = r.vm->vcpus[i];

		get(vcpu, &regs, &sregs);
		assert_true(has(&r, translate(vcpu, regs.rip)));
		assert_true(has(&r, translate(vcpu, regs.rsp)));
		assert_true(has(&r, translate(vcpu, sregs.gdt.base)));
		assert_true(has(&r, translate(vcpu, sregs.idt.base)));
		assert_true(has(&r, sregs.cr3 & ~(u64)(PAGE_SIZE - 1)));
	}
	/* and not much besides: at most nine pages a vCPU, and four tables for each of them */
	assert_in_range(n, 6, 2 * 9 * 5);
	end(&r);
}

static void set_cr3(struct runner *r, u64 cr3)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	get(r->vm->vcpus[0], &regs, &sregs);
	sregs.cr3 = cr3;
	assert_int_equal(kvm_ioctl(r->vm->vcpus[0]->fd, KVM_SET_SREGS, &sregs), 0);
}

/* A table all of whose entries have @entry. */
static void make_table(struct runner *r, u64 at, u64 entry)
{
	u64 table[PAGE_SIZE / 8];

	for (u32 i = 0; i < ARRAY_SIZE(table); i++)
		table[i] = entry;
	assert_int_equal(space_write(r->vm->space, gpa(at), table, sizeof(table)), 0);
}

static void nonsense_is_left_out(void **state)
{
	const u64 table = 32 * MiB;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct runner r;

	(void)state;
	begin(&r, 1);
	get(r.vm->vcpus[0], &regs, &sregs);
	set_cr3(&r, MEMORY); /* not memory */
	assert_int_equal(look(&r), 0);
	set_cr3(&r, table);
	make_table(&r, table, 0); /* nothing mapped */
	assert_int_equal(look(&r), 1);
	make_table(&r, table, (MEMORY + PAGE_SIZE) | 1); /* tables beyond memory */
	assert_int_equal(look(&r), 1);
	make_table(&r, table, ~(u64)0);
	assert_int_equal(look(&r), 1);
	make_table(&r, table, table | 1); /* itself, at every level */
	assert_int_equal(look(&r), 1);
	assert_true(has(&r, table));
	set_cr3(&r, sregs.cr3);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_stack_and_tables_are_found),
		cmocka_unit_test(nonsense_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
