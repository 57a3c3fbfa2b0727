// SPDX-License-Identifier: Apache-2.0
/* Whether a host can run a guest: two CPUID tables, made by hand. */
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "vmm/state/state.h"

enum { VENDOR, LEAF_1, LEAF_7, LEAF_81, LEAF_KVM, NR };

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 room[NR];
};

/* A processor of this vendor with the same bits in every feature register. */
static void make(struct table *t, const char *vendor, u32 bits)
{
	static const u32 functions[NR] = {0, 1, 7, 0x80000001, 0x40000001};
	struct kvm_cpuid_entry2 *e = t->head.entries;

	memset(t, 0, sizeof(*t));
	t->head.nent = NR;
	for (u32 i = 0; i < NR; i++)
		e[i] = (struct kvm_cpuid_entry2){
			.function = functions[i],
			.eax = bits,
			.ebx = bits,
			.ecx = bits,
			.edx = bits,
		};
	memcpy(&e[VENDOR].ebx, vendor, 4);
	memcpy(&e[VENDOR].edx, vendor + 4, 4);
	memcpy(&e[VENDOR].ecx, vendor + 8, 4);
}

static void same_and_more_is_fine(void **state)
{
	struct table shown, host;
	struct err err = {""};

	(void)state;
	make(&shown, "GenuineIntel", 0x00ff00ff);
	make(&host, "GenuineIntel", 0x00ff00ff);
	assert_int_equal(state_check_cpuid(&shown.head, &host.head, &err), 0);
	make(&host, "GenuineIntel", ~0u);
	assert_int_equal(state_check_cpuid(&shown.head, &host.head, &err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(state_check_cpuid(&host.head, &shown.head, &err), -EOPNOTSUPP);
}

/* One bit, in each of the registers that count: by the name that /proc/cpuinfo gives it. */
static void what_is_missing_is_named(void **state)
{
	static const struct {
		u32 leaf, bit;
		enum { EAX, EBX, ECX, EDX } reg;
		const char *name;
	} bits[] = {
		{LEAF_1, 0, ECX, "pni"},
		{LEAF_1, 13, ECX, "cx16"},
		{LEAF_1, 28, ECX, "avx"},
		{LEAF_1, 31, ECX, "hypervisor"},
		{LEAF_1, 26, EDX, "sse2"},
		{LEAF_7, 5, EBX, "avx2"},
		{LEAF_7, 16, EBX, "avx512f"},
		{LEAF_7, 22, ECX, "rdpid"},
		{LEAF_7, 26, EDX, "spec_ctrl"},
		{LEAF_81, 0, ECX, "lahf_lm"},
		{LEAF_81, 26, EDX, "pdpe1gb"},
		{LEAF_81, 29, EDX, "lm"},
		{LEAF_KVM, 11, EAX, "kvm_pv_ipi"},
		{LEAF_7, 6, EBX, "cpuid-7.0-b-6"},
		{LEAF_1, 16, ECX, "cpuid-1.0-c-16"},
	};
	char sentence[120];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		struct table shown, host;
		struct err err = {""};
		u32 *regs;

		make(&shown, "AuthenticAMD", ~0u);
		make(&host, "AuthenticAMD", ~0u);
		regs = &host.head.entries[bits[i].leaf].eax;
		regs[bits[i].reg] &= ~(1u << bits[i].bit);
		assert_int_equal(state_check_cpuid(&shown.head, &host.head, &err), -EOPNOTSUPP);
		snprintf(sentence, sizeof(sentence), "this host lacks what it was running with: %s",
			 bits[i].name);
		assert_string_equal(err.text, sentence);
		assert_int_equal(state_check_cpuid(&host.head, &shown.head, &err), 0);
	}
}

static void two_are_both_named(void **state)
{
	struct table shown, host;
	struct err err;

	(void)state;
	make(&shown, "GenuineIntel", ~0u);
	make(&host, "GenuineIntel", ~0u);
	host.head.entries[LEAF_1].ecx &= ~(1u << 25);
	host.head.entries[LEAF_7].ebx &= ~(1u << 3);
	assert_int_equal(state_check_cpuid(&shown.head, &host.head, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "this host lacks what it was running with: aes, bmi1");
}

static u32 count_commas(const char *text)
{
	u32 n = 0;

	for (; *text; text++)
		n += *text == ',';
	return n;
}

/* All of them are counted, those without room for a name too; a leaf that is not there has none. */
static void many_are_counted(void **state)
{
	/* leaf 1: 31 and 31; leaf 7: EBX 32, ECX 31, EDX 32; 0x80000001: 32 and 31; KVM's: 32 */
	const u32 all = 31 + 31 + 32 + 31 + 32 + 32 + 31 + 32;
	struct table shown, host;
	struct err err;
	const char *more;
	unsigned int n = 0;

	(void)state;
	make(&shown, "GenuineIntel", ~0u);
	make(&host, "GenuineIntel", ~0u);
	host.head.nent = 1;
	assert_int_equal(state_check_cpuid(&shown.head, &host.head, &err), -EOPNOTSUPP);
	more = strstr(err.text, " and ");
	assert_non_null(more);
	assert_int_equal(sscanf(more, " and %u more", &n), 1);
	assert_string_equal(more + strlen(more) - 5, " more");
	assert_int_equal(n + count_commas(err.text) + 1, all);
}

static void another_vendor_is_refused(void **state)
{
	struct table intel, amd;
	struct err err;

	(void)state;
	make(&intel, "GenuineIntel", 0);
	make(&amd, "AuthenticAMD", ~0u);
	assert_int_equal(state_check_cpuid(&intel.head, &amd.head, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "(GenuineIntel; here AuthenticAMD)"));
	intel.head.nent = 0; /* forged: nothing at all */
	assert_int_equal(state_check_cpuid(&intel.head, &amd.head, &err), -EOPNOTSUPP);
	assert_int_equal(state_check_cpuid(&intel.head, &intel.head, &err), -EOPNOTSUPP);
}

/* Mirrors of what the guest itself sets: OSXSAVE, APIC (in two leaves), OSPKE. */
static void bits_that_do_not_count(void **state)
{
	struct table shown, host;

	(void)state;
	make(&shown, "AuthenticAMD", ~0u);
	make(&host, "AuthenticAMD", ~0u);
	host.head.entries[LEAF_1].ecx &= ~(1u << 27);
	host.head.entries[LEAF_1].edx &= ~(1u << 9);
	host.head.entries[LEAF_81].edx &= ~(1u << 9);
	host.head.entries[LEAF_7].ecx &= ~(1u << 4);
	/* family, model, number of processors and the like are no features */
	host.head.entries[LEAF_1].eax = host.head.entries[LEAF_1].ebx = 0;
	host.head.entries[VENDOR].eax = 1;
	assert_int_equal(state_check_cpuid(&shown.head, &host.head, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_and_more_is_fine),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(two_are_both_named),
		cmocka_unit_test(many_are_counted),
		cmocka_unit_test(another_vendor_is_refused),
		cmocka_unit_test(bits_that_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
