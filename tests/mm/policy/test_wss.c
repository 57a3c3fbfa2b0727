// SPDX-License-Identifier: Apache-2.0
/*
 * Working set and miss-ratio curve: against distributions whose truth is known, and against an LRU
 * simulated reference by reference.
 */
#include "tests/lib/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mm/policy/wss.h"

#define SECOND	 ((u64)1000000000)
#define WINDOW	 (60 * SECOND)
#define NR_PAGES 2000

static u64 next(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static double uniform(u64 *seed)
{
	return (double)(next(seed) >> 11) / (double)((u64)1 << 53);
}

/* ---- the interval ---- */

static void test_nothing_known(void **state)
{
	struct wss w;
	struct wss_estimate e;
	struct wss_point curve[WSS_CURVE_POINTS];

	(void)state;
	wss_init(&w, WINDOW);
	wss_estimate(&w, WINDOW, &e);
	assert_int_equal(e.samples, 0);
	assert_true(e.low == 0 && e.high == 1);
	assert_true(wss_faults(&w, NR_PAGES, 0.5) == 0);
	wss_curve(&w, NR_PAGES, curve);
	for (int i = 0; i < WSS_CURVE_POINTS; i++)
		assert_true(curve[i].faults == 0 && fabs(curve[i].memory - i * 0.05) < 1e-9);
	/* each sample is taken to cost a fault of 10 us: 100 of them are 0.1% of a second */
	assert_true(fabs(wss_sample_rate(&w, 0.001, 10000) - 100) < 1e-6);
}

/* Wilson's interval as published: 15 of 50 is 0.191 to 0.438; 0 of 20 is 0 to 0.161. */
static void test_wilson(void **state)
{
	struct wss w;
	struct wss_estimate e;

	(void)state;
	wss_init(&w, WINDOW);
	for (int i = 0; i < 50; i++)
		wss_add(&w, i < 15 ? SECOND : WSS_NEVER);
	wss_estimate(&w, WINDOW, &e);
	assert_true(fabs(e.share - 0.3) < 1e-9 && e.samples == 50);
	assert_true(fabs(e.low - 0.1910) < 0.0002 && fabs(e.high - 0.4375) < 0.0002);
	wss_init(&w, WINDOW);
	for (int i = 0; i < 20; i++)
		wss_add(&w, WINDOW + 1); /* too late counts as never */
	wss_estimate(&w, WINDOW, &e);
	assert_true(e.share == 0 && e.low == 0 && fabs(e.high - 0.1611) < 0.0002);
	wss_init(&w, WINDOW);
	for (int i = 0; i < 20; i++)
		wss_add(&w, 0);
	wss_estimate(&w, 0, &e);
	assert_true(e.share == 1 && e.high == 1 && fabs(e.low - 0.8389) < 0.0002);
}

/* The truth lies in the interval about 95 times of 100. */
static void test_coverage(void **state)
{
	static const double truths[] = {0.05, 0.3, 0.5, 0.9};
	static const u32 sizes[] = {60, 300, 1024};
	u64 seed = 2024;

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(truths); t++)
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			int inside = 0;

			for (int trial = 0; trial < 1000; trial++) {
				struct wss w;
				struct wss_estimate e;

				wss_init(&w, WINDOW);
				for (u32 i = 0; i < sizes[s]; i++)
					wss_add(&w,
						uniform(&seed) < truths[t] ? SECOND : WSS_NEVER);
				wss_estimate(&w, WINDOW, &e);
				assert_true(e.low <= e.share && e.share <= e.high);
				inside += e.low <= truths[t] && truths[t] <= e.high;
			}
			assert_in_range(inside, 920, 980);
		}
}

/* Only the newest WSS_SAMPLES count. */
static void test_ageing(void **state)
{
	struct wss w;
	struct wss_estimate e;

	(void)state;
	wss_init(&w, WINDOW);
	for (int i = 0; i < 5000; i++)
		wss_add(&w, SECOND);
	for (u32 i = 1; i <= WSS_SAMPLES; i++) {
		wss_add(&w, WSS_NEVER);
		wss_estimate(&w, WINDOW, &e);
		assert_int_equal(e.samples, WSS_SAMPLES);
		assert_true(fabs(e.share - 1 + (double)i / WSS_SAMPLES) < 1e-9);
	}
	assert_true(e.share == 0);
}

/* The rate spends the budget at most, whatever the share turns out to be. */
static void test_sample_rate(void **state)
{
	static const double truths[] = {0, 0.02, 0.3, 1};
	u64 seed = 7;

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(truths); t++) {
		struct wss w;
		double rate, first;

		wss_init(&w, WINDOW);
		first = wss_sample_rate(&w, 0.01, 100000);
		for (int i = 0; i < 1000; i++)
			wss_add(&w, uniform(&seed) < truths[t] ? SECOND : WSS_NEVER);
		rate = wss_sample_rate(&w, 0.01, 100000);
		assert_true(rate * truths[t] * 100e-6 <= 0.01 * 1.0001);
		assert_true(rate >= first);
		/* knowing that little is touched allows for more samples */
		assert_true(truths[t] > 0.1 || rate > 20 * first);
	}
}

/* ---- the curve ---- */

/* A sweep over a fraction of all pages: each of them once in @period. */
static void test_sweep(void **state)
{
	const double fraction = 0.6, period = 10;
	struct wss_point curve[WSS_CURVE_POINTS];
	struct wss w;
	struct wss_estimate e;
	u64 seed = 11;
	double truth = fraction * NR_PAGES / period;

	(void)state;
	wss_init(&w, WINDOW);
	for (u32 i = 0; i < WSS_SAMPLES; i++)
		wss_add(&w, uniform(&seed) < fraction ? (u64)(uniform(&seed) * period * SECOND)
						      : WSS_NEVER);
	wss_estimate(&w, 5 * SECOND, &e);
	assert_true(e.low <= 0.3 && 0.3 <= e.high);
	wss_estimate(&w, WINDOW, &e);
	assert_true(e.low <= fraction && fraction <= e.high);
	wss_curve(&w, NR_PAGES, curve);
	for (int i = 1; i < WSS_CURVE_POINTS; i++) {
		assert_true(curve[i].faults <= curve[i - 1].faults);
		/* by LRU a sweep misses every time until all of it fits */
		if (curve[i].memory > 0.05 && curve[i].memory < fraction - 0.06)
			assert_true(fabs(curve[i].faults / truth - 1) < 0.25);
		if (curve[i].memory > fraction + 0.06)
			assert_true(curve[i].faults == 0);
	}
}

/* References drawn by Zipf's law, independently (IRM), and the LRU that sees them. */
#define NR_REFS	     300000
#define REFS_PER_SEC 10000

static u32 refs[NR_REFS];

static void draw_refs(double exponent, u64 *seed)
{
	static double cumulated[NR_PAGES];
	double sum = 0;

	for (u32 i = 0; i < NR_PAGES; i++) {
		sum += pow(i + 1, -exponent);
		cumulated[i] = sum;
	}
	for (u32 r = 0; r < NR_REFS; r++) {
		double x = uniform(seed) * sum;
		u32 low = 0, high = NR_PAGES - 1;

		while (low < high) {
			u32 mid = (low + high) / 2;

			if (cumulated[mid] < x)
				low = mid + 1;
			else
				high = mid;
		}
		refs[r] = low;
	}
}

/* Misses a second of an LRU of @frames, in the second half of the references. */
static double simulate_lru(u32 frames)
{
	static u32 newer[NR_PAGES + 1], older[NR_PAGES + 1]; /* a ring through NR_PAGES */
	static bool in[NR_PAGES];
	u32 used = 0, misses = 0;

	memset(in, 0, sizeof(in));
	newer[NR_PAGES] = older[NR_PAGES] = NR_PAGES;
	for (u32 r = 0; r < NR_REFS; r++) {
		u32 page = refs[r], victim = newer[NR_PAGES];

		if (in[page]) {
			newer[older[page]] = newer[page];
			older[newer[page]] = older[page];
		} else {
			misses += r >= NR_REFS / 2;
			if (used == frames) {
				newer[NR_PAGES] = newer[victim];
				older[newer[victim]] = NR_PAGES;
				in[victim] = false;
			} else {
				used++;
			}
			in[page] = true;
		}
		/* becomes the newest: between the old newest and the ring's head */
		older[page] = older[NR_PAGES];
		newer[page] = NR_PAGES;
		newer[older[NR_PAGES]] = page;
		older[NR_PAGES] = page;
	}
	return (double)misses * REFS_PER_SEC / (NR_REFS - NR_REFS / 2);
}

/* Draw a page and a moment, and see when it is referenced next, as the engine does to a guest. */
static void sample_refs(struct wss *w, u64 *seed)
{
	wss_init(w, 10 * SECOND);
	for (u32 i = 0; i < WSS_SAMPLES; i++) {
		u32 page = (u32)(next(seed) % NR_PAGES), at = (u32)(next(seed) % (NR_REFS / 2));
		u32 r = at;

		while (r < NR_REFS && refs[r] != page)
			r++;
		wss_add(w, r == NR_REFS ? WSS_NEVER : (u64)(r - at) * (SECOND / REFS_PER_SEC));
	}
}

static void check_zipf(double exponent, double memory, u64 seed)
{
	double truth, sum = 0, worst = 0;
	const int trials = 10;

	draw_refs(exponent, &seed);
	truth = simulate_lru((u32)(memory * NR_PAGES));
	for (int i = 0; i < trials; i++) {
		struct wss w;
		double got;

		sample_refs(&w, &seed);
		got = wss_faults(&w, NR_PAGES, memory);
		sum += got;
		worst = MAX(worst, fabs(got / truth - 1));
	}
	print_message("zipf %.1f, memory %.0f%%: LRU misses %.0f/s, predicted %.0f/s, worst of %d "
		      "%.0f%% off\n",
		      exponent, memory * 100, truth, sum / trials, trials, worst * 100);
	assert_true(fabs(sum / trials / truth - 1) < 0.10);
	assert_true(worst < 0.25);
}

static void test_zipf(void **state)
{
	(void)state;
	check_zipf(0.8, 0.5, 1);
	check_zipf(0.6, 0.5, 2);
	check_zipf(1.0, 0.5, 3);
	check_zipf(0.8, 0.25, 4);
	check_zipf(0.8, 0.75, 5);
}

/* A curve is finite, not negative and never rises, whatever the samples. */
static void test_odd_samples(void **state)
{
	static const u64 odd[] = {0, 1, 2, SECOND, WINDOW - 1, WINDOW, WINDOW + 1, WSS_NEVER};
	u64 seed = 13;

	(void)state;
	for (int trial = 0; trial < 2000; trial++) {
		struct wss_point curve[WSS_CURVE_POINTS];
		struct wss w;
		u32 n = 1 + (u32)(next(&seed) % 40), kinds = 1 + (u32)(next(&seed) % 8);
		u32 shift = (u32)(next(&seed) % 8);

		wss_init(&w, WINDOW);
		for (u32 i = 0; i < n; i++)
			wss_add(&w, odd[(next(&seed) % kinds + shift) % ARRAY_SIZE(odd)]);
		wss_curve(&w, NR_PAGES, curve);
		for (int i = 0; i < WSS_CURVE_POINTS; i++) {
			assert_true(isfinite(curve[i].faults) && curve[i].faults >= 0);
			assert_true(!i || curve[i].faults <= curve[i - 1].faults * (1 + 1e-9));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_wilson),
		cmocka_unit_test(test_coverage),      cmocka_unit_test(test_ageing),
		cmocka_unit_test(test_sample_rate),   cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_zipf),	      cmocka_unit_test(test_odd_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
