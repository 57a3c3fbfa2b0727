// SPDX-License-Identifier: Apache-2.0
/* Sets of pages, page by page. */
#include "tests/lib/test.h"

#include <string.h>

#include "mm/base/pageset.h"

enum { WORDS = 5, SET = WORDS * 64 };

static u32 next_random(u32 *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void draw_set(u64 set[WORDS], u32 *seed)
{
	memset(set, 0, WORDS * sizeof(u64));
	for (page_no no = 0; no < SET; no++)
		set[no / 64] |= (u64)(next_random(seed) % 2) << no % 64;
}

/* The last word is not the set's: it must stay as it is. */
static void test_sets(void **state)
{
	const u32 words = WORDS - 1;
	u64 a[WORDS], b[WORDS], all[WORDS], rest[WORDS], both[WORDS];
	u32 seed = 1;

	(void)state;
	draw_set(a, &seed);
	draw_set(b, &seed);
	memcpy(all, a, sizeof(a));
	memcpy(rest, a, sizeof(a));
	memcpy(both, a, sizeof(a));
	pageset_add(all, b, words);
	pageset_remove(rest, b, words);
	pageset_keep(both, b, words);
	for (page_no no = 0; no < words * 64; no++) {
		bool in_a = pageset_has(a, no), in_b = pageset_has(b, no);

		assert_int_equal(pageset_has(all, no), in_a || in_b);
		assert_int_equal(pageset_has(rest, no), in_a && !in_b);
		assert_int_equal(pageset_has(both, no), in_a && in_b);
	}
	assert_true(all[words] == a[words] && rest[words] == a[words] && both[words] == a[words]);
}

/* A set may be its own operand, and be none. */
static void test_sets_of_their_own(void **state)
{
	u64 a[WORDS], b[WORDS];
	u32 seed = 2;

	(void)state;
	draw_set(a, &seed);
	memcpy(b, a, sizeof(a));
	pageset_add(b, b, WORDS);
	pageset_keep(b, b, WORDS);
	pageset_remove(b, a, 0);
	assert_memory_equal(a, b, sizeof(a));
	pageset_remove(b, b, WORDS);
	assert_int_equal(pageset_count(b, WORDS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_sets_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
