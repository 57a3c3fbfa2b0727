// SPDX-License-Identifier: Apache-2.0
/* The numbers of the processor's registers are those that the kernel's interface has. */
#include "tests/lib/test.h"

#include <asm/processor-flags.h>

#include "mm/x86/regs.h"

static void test_control_registers(void **state)
{
	(void)state;
	assert_int_equal(CR0_PE | CR0_MP | CR0_TS | CR0_ET,
			 X86_CR0_PE | X86_CR0_MP | X86_CR0_TS | X86_CR0_ET);
	assert_int_equal(CR0_NE | CR0_WP | CR0_AM | CR0_PG,
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG);
	assert_int_equal(CR4_PSE | CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT,
			 X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR |
				 X86_CR4_OSXMMEXCPT);
	assert_int_equal(CR4_LA57 | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE,
			 X86_CR4_LA57 | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP |
				 X86_CR4_PKE);
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(RFLAGS_FIXED, X86_EFLAGS_FIXED);
	assert_int_equal(RFLAGS_STATUS, X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF |
						X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF);
	assert_int_equal(RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL,
			 X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | X86_EFLAGS_IOPL);
	assert_int_equal(RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC | RFLAGS_ID,
			 X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM | X86_EFLAGS_AC |
				 X86_EFLAGS_ID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
