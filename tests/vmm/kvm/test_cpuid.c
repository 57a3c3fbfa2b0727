// SPDX-License-Identifier: Apache-2.0
/* What the guest's processors say they are, from a table made by hand instead of by KVM. */
#include "tests/lib/test.h"

#include <asm/kvm_para.h>
#include <string.h>

#include "vmm/kvm/cpuid.h"

#define NR   5
#define ROOM (NR + CPUID_EXTRA_ENTRIES)

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 room[ROOM];
};

/* A processor with every feature that a register can name. */
static void make(struct table *t)
{
	static const u32 functions[NR] = {0, 1, 0xd, 0x40000000, 0x40000001};

	memset(t, 0, sizeof(*t));
	t->head.nent = NR;
	for (u32 i = 0; i < NR; i++)
		t->head.entries[i] = (struct kvm_cpuid_entry2){
			.function = functions[i],
			.eax = ~0u,
			.ebx = ~0u,
			.ecx = ~0u,
			.edx = ~0u,
		};
	t->head.entries[3].eax = 0x40000001;
}

static const struct kvm_cpuid_entry2 *leaf(const struct table *t, u32 function, u32 index)
{
	for (u32 i = 0; i < t->head.nent; i++)
		if (t->head.entries[i].function == function && t->head.entries[i].index == index)
			return &t->head.entries[i];
	return NULL;
}

static const struct cpuid_machine four = {.nr_cpus = 4, .tsc_khz = 2000000, .kind = KVM_INTEL};

static void test_topology(void **state)
{
	struct table t;

	(void)state;
	make(&t);
	cpuid_adjust(&t.head, ROOM, &four, 3);
	assert_int_equal(leaf(&t, 1, 0)->ebx >> 24, 3);
	assert_int_equal(leaf(&t, 1, 0)->ebx >> 16 & 0xff, 4);
	assert_int_equal(leaf(&t, 0xb, 1)->ebx, 4);
	assert_int_equal(leaf(&t, 0xb, 1)->eax, 2);
	assert_int_equal(leaf(&t, 0xb, 0)->edx, 3);
	assert_int_equal(leaf(&t, 0x40000010, 0)->eax, 2000000);
	assert_int_equal(leaf(&t, 0x40000000, 0)->eax, 0x40000010);
}

/* One table serves all processors in turn. */
static void test_twice(void **state)
{
	struct table once, twice;

	(void)state;
	make(&once);
	make(&twice);
	cpuid_adjust(&once.head, ROOM, &four, 2);
	cpuid_adjust(&twice.head, ROOM, &four, 1);
	cpuid_adjust(&twice.head, ROOM, &four, 2);
	assert_memory_equal(&once, &twice, sizeof(once));
}

/* A guest that has them hangs in early boot as soon as its pages come and go. */
static void test_no_async_faults(void **state)
{
	u32 async = 1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT |
		    1u << KVM_FEATURE_ASYNC_PF_INT;
	struct table t;

	(void)state;
	make(&t);
	cpuid_adjust(&t.head, ROOM, &four, 0);
	assert_int_equal(leaf(&t, 0x40000001, 0)->eax, ~async);
}

static void test_pvm_gaps(void **state)
{
	struct cpuid_machine pvm = four;
	struct table t;

	(void)state;
	pvm.kind = KVM_PVM;
	make(&t);
	cpuid_adjust(&t.head, ROOM, &pvm, 0);
	assert_int_equal(leaf(&t, 1, 0)->ecx & 1u << 26, 0);
	assert_int_equal(leaf(&t, 0xd, 0)->eax, 0);
	make(&t);
	cpuid_adjust(&t.head, ROOM, &four, 0);
	assert_int_not_equal(leaf(&t, 1, 0)->ecx & 1u << 26, 0);
	assert_int_not_equal(leaf(&t, 0xd, 0)->eax, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_no_async_faults),
		cmocka_unit_test(test_pvm_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
