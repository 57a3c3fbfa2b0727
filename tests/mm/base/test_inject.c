// SPDX-License-Identifier: Apache-2.0
/* Failure points: what each way to write them means, and what is refused. */
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "mm/base/inject.h"

static void test_unset(void **state)
{
	static const char *const nothing[] = {NULL, ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
		assert_int_equal(inject_init(nothing[i], NULL), 0);
		assert_false(inject_armed);
		for (int p = 0; p < INJECT_NR_POINTS; p++) {
			assert_false(inject((enum inject_point)p));
			assert_int_equal(inject_count((enum inject_point)p), 0);
		}
	}
}

/* Which of the first eight passes through "swap-read" fail: a string of '!' and '.'. */
static const char *pattern(const char *text)
{
	static char seen[9];

	assert_int_equal(inject_init(text, NULL), 0);
	for (int i = 0; i < 8; i++)
		seen[i] = inject(INJECT_SWAP_READ) ? '!' : '.';
	return seen;
}

static void test_meaning(void **state)
{
	static const struct {
		const char *text, *seen;
	} cases[] = {
		{"swap-read", "!!!!!!!!"},
		{"swap-read:1", "!......."},
		{"swap-read:3", "!!!....."},
		{"swap-read@1", "!!!!!!!!"},
		{"swap-read@4", "...!!!!!"},
		{"swap-write", "........"},
		{"swap-write,swap-read:2", "!!......"},
		{"swap-read:2,swap-write@3", "!!......"},
		{"swap-read:2,swap-read@8", ".......!"}, /* the last one counts */
		{"swap-read:18446744073709551615", "!!!!!!!!"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 failed = 0;

		assert_string_equal(pattern(cases[i].text), cases[i].seen);
		for (const char *c = cases[i].seen; *c; c++)
			failed += *c == '!';
		assert_int_equal(inject_count(INJECT_SWAP_READ), failed);
		assert_int_equal(inject_count(INJECT_SWAP_WRITE), 0);
	}
}

/* Every point has a name, all of them are in the sentence, and each arms itself alone. */
static void test_names(void **state)
{
	static const char *const names[INJECT_NR_POINTS] = {
		"swap-full",	 "swap-write", "swap-read",   "swap-corrupt", "store-memory",
		"store-corrupt", "evict-slow", "fault-again", "mmu-entry"};
	struct err err;

	(void)state;
	assert_int_equal(inject_init("nonsense", &err), -EINVAL);
	for (int p = 0; p < INJECT_NR_POINTS; p++)
		assert_non_null(strstr(err.text, names[p]));
	for (int p = 0; p < INJECT_NR_POINTS; p++) {
		assert_int_equal(inject_init(names[p], &err), 0);
		for (int q = 0; q < INJECT_NR_POINTS; q++)
			assert_int_equal(inject((enum inject_point)q), p == q);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"nonsense",	"swap-rea",	 "swap-reads",
		"SWAP-READ",	"swap-read:",	 "swap-read:0",
		"swap-read@0",	"swap-read:-1",	 "swap-read:x",
		"swap-read:1x", "swap-read@",	 "swap-read: 1",
		"swap-read,",	",swap-read",	 "swap-read,,swap-write",
		" swap-read",	"swap-read:1@2", "swap-read:18446744073709551616"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = '\0';
		assert_int_equal(inject_init(bad[i], &err), -EINVAL);
		assert_int_equal(strncmp(err.text, "QUIRE_FAULT: ", 13), 0);
		/* what was right before the mistake is not left armed */
		assert_false(inject_armed);
		assert_false(inject(INJECT_SWAP_READ));
	}
}

static void *pass_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50000; i++)
		inject(INJECT_SWAP_READ);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t a, b;

	(void)state;
	assert_int_equal(inject_init("swap-read:60000", NULL), 0);
	assert_int_equal(pthread_create(&a, NULL, pass_often, NULL), 0);
	assert_int_equal(pthread_create(&b, NULL, pass_often, NULL), 0);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
	assert_int_equal(inject_count(INJECT_SWAP_READ), 60000);
	inject_init(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unset),	cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
