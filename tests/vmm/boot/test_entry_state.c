// SPDX-License-Identifier: Apache-2.0
/*
 * What a vCPU starts with: CPUID for every number of processors, boot registers for both entries.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/cpuid.h"
#include "vmm/boot/entry_state.h"

#define ROOM 16

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[ROOM];
};

/* A host's table as KVM gives it: everything that can be set is. */
static struct table host_table(void)
{
	static const u32 functions[] = {0, 1, 4, 7, 0xb, 0xd, 0x40000000, 0x80000008, 0x8000001e};
	struct table t = {0};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		t.entries[t.head.nent++] = (struct kvm_cpuid_entry2){
			.function = functions[i],
			.eax = functions[i] == 0   ? 0x1f
			       : functions[i] == 4 ? 0x63
						   : UINT32_MAX,
			.ebx = UINT32_MAX,
			.ecx = UINT32_MAX,
			.edx = UINT32_MAX,
		};
	t.entries[6].eax = 0x40000001;
	return t;
}

static const struct kvm_cpuid_entry2 *leaf(const struct table *t, u32 function, u32 index)
{
	for (u32 i = 0; i < t->head.nent; i++)
		if (t->entries[i].function == function && t->entries[i].index == index)
			return &t->entries[i];
	return NULL;
}

static struct table adjusted(unsigned int nr_cpus, unsigned int cpu, enum kvm_kind kind)
{
	struct table t = host_table();
	const struct cpuid_machine m = {.nr_cpus = nr_cpus, .tsc_khz = 2100000, .kind = kind};

	cpuid_adjust(&t.head, ROOM, &m, cpu);
	return t;
}

static void test_topology(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= 16; n++)
		for (unsigned int cpu = 0; cpu < n; cpu++) {
			struct table t = adjusted(n, cpu, KVM_INTEL);
			u32 shift = leaf(&t, 0xb, 1)->eax;

			assert_int_equal(leaf(&t, 1, 0)->ebx >> 24, cpu);
			assert_int_equal(leaf(&t, 1, 0)->ebx >> 16 & 0xff, n);
			assert_int_equal(leaf(&t, 1, 0)->edx >> 28 & 1, n > 1);
			for (u32 level = 0; level < 3; level++)
				assert_int_equal(leaf(&t, 0xb, level)->edx, cpu);
			assert_int_equal(leaf(&t, 0xb, 0)->ebx, 1);
			assert_int_equal(leaf(&t, 0xb, 1)->ebx, n);
			assert_int_equal(leaf(&t, 0xb, 2)->ecx >> 8 & 0xff, 0);
			/* the package's number, what is left of the id, is 0 for all */
			assert_true(1u << shift >= n);
			assert_int_equal(cpu >> shift, 0);
			assert_int_equal(leaf(&t, 4, 0)->eax >> 14 & 0xfff,
					 n - 1); /* level 3: shared */
			assert_int_equal(leaf(&t, 0x80000008, 0)->ecx & 0xff, n - 1);
			assert_int_equal(leaf(&t, 0x8000001e, 0)->eax, cpu);
		}
}

static void test_features(void **state)
{
	struct table hw = adjusted(1, 0, KVM_AMD), pvm = adjusted(1, 0, KVM_PVM);
	const u32 cx16_xsave_avx = 1u << 13 | 1u << 26 | 1u << 28;

	(void)state;
	assert_true(leaf(&hw, 1, 0)->ecx >> 31); /* a hypervisor */
	assert_int_equal(leaf(&hw, 1, 0)->ecx & cx16_xsave_avx, cx16_xsave_avx);
	assert_int_equal(leaf(&hw, 1, 0)->ecx & 1u << 3, 0); /* no MWAIT */
	assert_int_equal(leaf(&pvm, 1, 0)->ecx & cx16_xsave_avx, 0);
	assert_int_equal(leaf(&pvm, 7, 0)->ebx & (1u << 5 | 1u << 16), 0); /* AVX2, AVX-512F */
	assert_int_equal(leaf(&pvm, 0xd, 0)->eax, 0);
	assert_int_equal(leaf(&hw, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(leaf(&hw, 0x40000010, 0)->eax, 2100000);
}

/* One table serves all vCPUs in turn: what an earlier vCPU's turn did leaves no trace. */
static void test_reuse(void **state)
{
	const struct cpuid_machine m = {.nr_cpus = 4, .tsc_khz = 2100000, .kind = KVM_PVM};
	struct table reused = host_table(), fresh;

	(void)state;
	for (unsigned int cpu = 0; cpu < 4; cpu++) {
		cpuid_adjust(&reused.head, ROOM, &m, cpu);
		fresh = adjusted(4, cpu, KVM_PVM);
		assert_int_equal(reused.head.nent, fresh.head.nent);
		assert_memory_equal(&reused, &fresh, sizeof(fresh));
	}
}

/* A full table is not overrun. */
static void test_no_room(void **state)
{
	const struct cpuid_machine m = {.nr_cpus = 2, .tsc_khz = 1, .kind = KVM_AMD};
	struct table t = host_table();
	u32 n = t.head.nent;

	(void)state;
	cpuid_adjust(&t.head, n, &m, 0);
	assert_int_equal(t.head.nent, n);
}

static void test_boot_registers(void **state)
{
	struct boot_entry e = {.mode = BOOT_PVH, .rip = {0x1000200}, .info = {0x7000}};
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	(void)state;
	memset(&sregs, 0, sizeof(sregs));
	sregs.apic_base = 0xfee00900;
	x86_boot_state(&e, &regs, &sregs);
	assert_int_equal(regs.rip, 0x1000200);
	assert_int_equal(regs.rbx, 0x7000);
	assert_int_equal(regs.rflags, 2);
	assert_int_equal(sregs.cr0 & (1u << 31 | 1), 1); /* protected mode, no paging */
	assert_int_equal(sregs.cs.db, 1);
	assert_int_equal(sregs.apic_base, 0xfee00900); /* kept */

	e.mode = BOOT_LONG64;
	e.cr3.v = 0x9000;
	e.gdt.v = 0x8000;
	x86_boot_state(&e, &regs, &sregs);
	assert_int_equal(regs.rsi, 0x7000);
	assert_int_equal(sregs.cr0 >> 31, 1);
	assert_int_equal(sregs.cr3, 0x9000);
	assert_int_equal(sregs.efer & 0x500, 0x500);
	assert_int_equal(sregs.cs.l, 1);
	assert_int_equal(sregs.cs.db, 0);
	assert_int_equal(sregs.gdt.base, 0x8000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topology),       cmocka_unit_test(test_features),
		cmocka_unit_test(test_reuse),	       cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_boot_registers),
	};

	return cmocka_run_group_tests_name("x86", tests, NULL, NULL);
}
