// SPDX-License-Identifier: Apache-2.0
/* Histograms against sorted arrays of the same values, and counting from several threads. */
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/hist.h"

#define NR 5000

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static u64 next(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* @got is @want or up to an eighth more: the percentile is the end of its bucket. */
static void assert_within_eighth(u64 got, u64 want)
{
	assert_true(got >= want);
	assert_true(got - want <= want / 8);
}

/* Values of all magnitudes below @bits bits, a different number of them each time. */
static void test_percentiles(void **state)
{
	static u64 values[NR];
	u64 seed = 88172645463325252u;

	(void)state;
	for (u32 bits = 1; bits <= 42; bits++) {
		struct hist h = {0};
		struct hist_summary s;
		u32 n = 1 + (u32)(next(&seed) % NR);
		u64 sum = 0;

		for (u32 i = 0; i < n; i++) {
			values[i] = (next(&seed) >> 22) >> (next(&seed) % bits + 42 - bits);
			sum += values[i];
			hist_add(&h, values[i]);
		}
		qsort(values, n, sizeof(values[0]), by_value);
		hist_summarize(&h, &s);
		assert_int_equal(s.count, n);
		assert_int_equal(s.mean, sum / n);
		assert_int_equal(s.max, values[n - 1]);
		assert_within_eighth(s.p50, values[(n * 50 + 99) / 100 - 1]);
		assert_within_eighth(s.p99, values[(n * 99 + 99) / 100 - 1]);
	}
}

/* Each power of two and its neighbours is alone in the histogram, so its percentile is itself. */
static void test_edges(void **state)
{
	(void)state;
	for (u32 bit = 0; bit < 64; bit++)
		for (s64 d = -1; d <= 1; d++) {
			struct hist h = {0};
			struct hist_summary s;
			u64 v = ((u64)1 << bit) + (u64)d;

			hist_add(&h, v);
			hist_add(&h, v);
			hist_summarize(&h, &s);
			assert_int_equal(s.p50, v);
			assert_int_equal(s.p99, v);
			assert_int_equal(s.max, v);
			hist_add(&h, UINT64_MAX);
			hist_summarize(&h, &s);
			assert_int_equal(s.max, UINT64_MAX);
			/* the last bucket also holds all that is larger */
			if (v < ((u64)1 << 42) - ((u64)1 << 38))
				assert_within_eighth(s.p50, v);
		}
}

static void test_empty(void **state)
{
	static const struct hist_summary zero;
	struct hist h = {0};
	struct hist_summary s;

	(void)state;
	memset(&s, 0xff, sizeof(s));
	hist_summarize(&h, &s);
	assert_memory_equal(&s, &zero, sizeof(s));
}

static void *count_up(void *hist)
{
	for (u64 i = 0; i < 100000; i++)
		hist_add(hist, i);
	return NULL;
}

/* Nothing is lost when threads count at once, and what is read meanwhile makes sense. */
static void test_threads(void **state)
{
	static struct hist h;
	struct hist_summary s;
	pthread_t threads[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, &h), 0);
	for (int i = 0; i < 1000; i++) {
		hist_summarize(&h, &s);
		assert_true(s.p50 <= s.p99);
		assert_true(s.max < 100000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	hist_summarize(&h, &s);
	assert_int_equal(s.count, 300000);
	assert_int_equal(s.max, 99999);
	assert_int_equal(s.mean, 49999);
	assert_within_eighth(s.p50, 49999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
