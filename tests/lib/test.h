// SPDX-License-Identifier: Apache-2.0
/* What every cmocka program of ours includes, in the order in which cmocka wants it. */
#ifndef QUIRE_TESTS_LIB_TEST_H
#define QUIRE_TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* tests/run --again runs one test alone, by this variable. */
static inline void test_choose(void)
{
	const char *only = getenv("CMOCKA_TEST_FILTER");

	if (only)
		cmocka_set_test_filter(only);
}

#undef cmocka_run_group_tests
#define cmocka_run_group_tests(tests, set_up, tear_down)                                           \
	(test_choose(), _cmocka_run_group_tests(#tests, tests, sizeof(tests) / sizeof((tests)[0]), \
						set_up, tear_down))
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests_name(name, tests, set_up, tear_down)                              \
	(test_choose(), _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof((tests)[0]), \
						set_up, tear_down))

#endif
