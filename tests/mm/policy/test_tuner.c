// SPDX-License-Identifier: Apache-2.0
/*
 * The controllers against made-up guests. A guest here is a rule that says what faults it takes for
 * what is done to it; the controller sees counts of whole pages with the scatter of chance.
 */
#include "tests/lib/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mm/policy/tuner.h"

#define MS     ((u64)1000000)
#define SECOND (1000 * MS)

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

/* A Poisson variate, by waiting times while small, by the normal law when not. */
static u64 poisson(double mean, u64 *seed)
{
	u64 n = 0;

	if (mean > 60) {
		double z = sqrt(-2 * log(uniform(seed) + 1e-12)) * cos(6.283185307 * uniform(seed));

		return (u64)MAX(mean + sqrt(mean) * z, 0);
	}
	for (double p = uniform(seed), end = exp(-mean); p > end; p *= uniform(seed))
		n++;
	return n;
}

/* ---- promotions ---- */

/*
 * Of @wss pages, exp(-age / scale) * volume a minute come back after they were pushed out at an
 * age; the engine notices a change of the age only slowly.
 */
struct ageing_guest {
	u64 wss;
	double scale_s, volume; /* share of the working set a minute at age 0 */
	u64 period_ns;
};

struct promotions_seen {
	double rate;	  /* mean share a minute over the last half hour of the run */
	double worst;	  /* largest mean over a minute of it */
	double low, high; /* ages in it, in seconds */
};

static double true_rate(const struct ageing_guest *g, double age_s)
{
	return g->volume * exp(-age_s / g->scale_s);
}

static struct promotions_seen run_promotions(const struct ageing_guest *g,
					     struct tuner_promotions *t, double hours)
{
	struct promotions_seen seen = {.low = 1e9};
	double period = (double)g->period_ns / (double)SECOND, end = hours * 3600, minute = 0, age;
	u64 seed = 1;
	int minutes = 0;

	for (double now = 0; now < end; now += period) {
		double rate = true_rate(g, t->age_ms / 1000.0);
		struct tuner_sample s = {.period_ns = g->period_ns, .wss_pages = g->wss};

		s.promotions = poisson(rate * (double)g->wss * period / 60, &seed);
		age = tuner_promotions_step(t, &s) / 1000.0;
		if (now < end - 1800)
			continue;
		seen.low = MIN(seen.low, age);
		seen.high = MAX(seen.high, age);
		minute += (double)s.promotions / (double)g->wss;
		if (now >= end - 1800 + 60 * (minutes + 1)) {
			seen.rate += minute;
			seen.worst = MAX(seen.worst, minute);
			minute = 0;
			minutes++;
		}
	}
	seen.rate /= minutes;
	return seen;
}

static void test_promotions(void **state)
{
	static const struct ageing_guest guests[] = {
		{200000, 30, 0.5, SECOND},   {200000, 300, 0.1, SECOND},
		{200000, 60, 0.2, 100 * MS}, {200000, 60, 0.2, 10 * SECOND},
		{1000000, 8, 1, SECOND},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		const struct ageing_guest *g = &guests[i];
		double best = -g->scale_s * log(0.002 / g->volume);
		struct tuner_promotions t;
		struct promotions_seen seen;

		tuner_promotions_init(&t, 0.002);
		seen = run_promotions(g, &t, 3);
		print_message("best age %.0f s: found %.0f to %.0f s, %.3f%%/min, worst minute "
			      "%.3f%%\n",
			      best, seen.low, seen.high, seen.rate * 100, seen.worst * 100);
		/* at or below the target, and not far below: that would reclaim too little */
		assert_true(seen.rate <= 0.002);
		assert_true(seen.rate >= 0.0008);
		assert_true(seen.worst <= 0.003);
		assert_true(seen.high <= 1.5 * seen.low);
	}
}

/* The guest changes: from mostly idle to busy everywhere. Within minutes the rate is down again. */
static void test_promotions_follow(void **state)
{
	struct ageing_guest g = {200000, 10, 0.3, SECOND};
	struct tuner_promotions t;
	struct promotions_seen seen;

	(void)state;
	tuner_promotions_init(&t, 0.002);
	run_promotions(&g, &t, 2);
	assert_true(t.age_ms < 70000);
	g.scale_s = 200;
	seen = run_promotions(&g, &t, 0.75); /* its last half hour: after 15 minutes */
	assert_true(seen.rate <= 0.002);
	assert_true(seen.low > 500);
}

/* Nothing ever comes back: down to the least age, no further. All comes back: up to the most. */
static void test_promotions_bounds(void **state)
{
	struct tuner_sample none = {.period_ns = SECOND, .wss_pages = 1000};
	struct tuner_sample all = {.period_ns = SECOND, .wss_pages = 1000, .promotions = 1000};
	struct tuner_sample unknown = {.period_ns = SECOND, .promotions = 5};
	struct tuner_promotions t;
	u32 before, now;

	(void)state;
	tuner_promotions_init(&t, 0.002);
	before = t.age_ms;
	for (int i = 0; i < 3600; i++) {
		now = tuner_promotions_step(&t, &none);
		assert_true(now <= before && now >= t.min_age_ms);
		/* towards more reclaim: slowly */
		assert_true(now + 2 >= before * 0.994);
		before = now;
	}
	assert_int_equal(now, t.min_age_ms);
	for (int i = 0; i < 3600; i++)
		now = tuner_promotions_step(&t, &all);
	assert_int_equal(now, t.max_age_ms);
	tuner_promotions_step(&t, &unknown); /* no working set known, no division by it */
	assert_true(isfinite(t.rate));
}

/* ---- stall ---- */

/*
 * A guest of @pages whose pages beyond @hot are wanted ever less: with r of them resident, @base *
 * exp(-(r - hot) / scale) faults a second, each bringing one page back and costing @fault_us.
 */
struct shrinking_guest {
	double pages, hot, scale, base, fault_us;
	u64 period_ns;
};

struct stall_seen {
	double share, worst, resident; /* of the last 10 minutes; worst: of any 10 s of all */
};

static struct stall_seen run_stall(const struct shrinking_guest *g, double target)
{
	struct stall_seen seen = {0};
	double period = (double)g->period_ns / (double)SECOND, resident = g->pages, ten = 0;
	double sum = 0;
	struct tuner_stall t;
	u64 seed = 5, steps = (u64)(3600 / period), n = 0, in_ten = 0;

	tuner_stall_init(&t, target);
	for (u64 i = 0; i < steps; i++) {
		double rate = g->base * exp(-(resident - g->hot) / g->scale);
		u64 faults = poisson(rate * period, &seed);
		struct tuner_sample s = {.period_ns = g->period_ns, .nr_cpus = 2, .faults = faults};

		s.stall_ns = MIN((u64)((double)faults * g->fault_us * 1000), 2 * g->period_ns);
		resident = MIN(resident + (double)faults, g->pages);
		s.resident = (u64)resident;
		resident -= (double)tuner_stall_step(&t, &s);
		assert_true(resident >= 0);
		ten += (double)s.stall_ns / (2.0 * (double)g->period_ns);
		if (++in_ten * g->period_ns >= 10 * SECOND) {
			seen.worst = MAX(seen.worst, ten / (double)in_ten);
			ten = 0;
			in_ten = 0;
		}
		if (i < steps - (u64)(600 / period))
			continue;
		sum += (double)s.stall_ns / (2.0 * (double)g->period_ns);
		n++;
	}
	seen.share = sum / (double)n;
	seen.resident = resident;
	return seen;
}

static void test_stall(void **state)
{
	static const struct shrinking_guest guests[] = {
		{262144, 100000, 10000, 20000, 100, SECOND},
		{262144, 100000, 3000, 50000, 200, SECOND},
		{262144, 100000, 10000, 20000, 100, 200 * MS},
		{65536, 60000, 1000, 3000, 100, SECOND},
		{32768, 10000, 2000, 5000, 5000, SECOND},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		const struct shrinking_guest *g = &guests[i];
		struct stall_seen seen = run_stall(g, 0.01);
		/* where exactly 1% of the time of 2 vCPUs would be lost */
		double best = g->hot + g->scale * log(g->base * g->fault_us * 1e-6 / (2 * 0.01));

		print_message("best %.0f of %.0f pages: found %.0f, stall %.2f%%, worst 10 s "
			      "%.2f%%\n",
			      best, g->pages, seen.resident, seen.share * 100, seen.worst * 100);
		assert_true(seen.share <= 0.01);
		assert_true(seen.worst <= 0.015);
		/* and it did reclaim: little more is left than could be */
		assert_true(seen.resident < best * 1.05);
	}
}

/* A quiet guest gives up half a percent a second; one at the target nothing; counts add up. */
static void test_stall_amounts(void **state)
{
	struct tuner_sample s = {.period_ns = SECOND, .nr_cpus = 1, .resident = 100000};
	struct tuner_stall t;
	u64 sum = 0;

	(void)state;
	tuner_stall_init(&t, 0.01);
	assert_int_equal(tuner_stall_step(&t, &s), 500);
	s.stall_ns = 10 * MS;
	assert_int_equal(tuner_stall_step(&t, &s), 0);
	/* short periods: rounding loses nothing */
	tuner_stall_init(&t, 0.01);
	s = (struct tuner_sample){.period_ns = MS, .nr_cpus = 1, .resident = 1000};
	for (int i = 0; i < 10000; i++)
		sum += tuner_stall_step(&t, &s);
	assert_in_range(sum, 49, 50);
	s = (struct tuner_sample){.period_ns = 3600 * SECOND, .nr_cpus = 1, .resident = 1000};
	assert_int_equal(tuner_stall_step(&t, &s), 1000); /* never more than there is */
	s = (struct tuner_sample){0};
	assert_int_equal(tuner_stall_step(&t, &s), 0);
}

/* ---- fault frequency ---- */

struct pff_seen {
	double low, high, rate; /* limit as share of @needed, over the last ten minutes; faults/s */
};

/*
 * A guest that uses @needed bytes evenly: below that, the share of references that miss is the
 * share that is not there, of @speed references a second: the faster, the more it is a cliff.
 */
static struct pff_seen run_pff(struct tuner_pff *t, double needed, double speed, u64 period_ns)
{
	struct pff_seen seen = {.low = 1e9};
	double period = (double)period_ns / (double)SECOND, sum = 0;
	u64 seed = 3, steps = (u64)(1800 / period), n = 0;

	for (u64 i = 0; i < steps; i++) {
		double part = (double)t->limit_bytes / needed;
		double rate = part < 1 ? speed * (1 - part) : 1;
		struct tuner_sample s = {.period_ns = period_ns, .nr_cpus = 2};
		u64 limit;

		s.faults = poisson(rate * period, &seed);
		limit = tuner_pff_step(t, &s);
		assert_true(limit >= t->min_bytes && limit <= t->max_bytes);
		if (i < steps / 3 * 2)
			continue;
		seen.low = MIN(seen.low, (double)limit / needed);
		seen.high = MAX(seen.high, (double)limit / needed);
		sum += rate;
		n++;
	}
	seen.rate = sum / (double)n;
	return seen;
}

static void test_pff(void **state)
{
	static const double speeds[] = {1000, 10000, 100000, 1000000};
	static const u64 periods[] = {100 * MS, SECOND, 3 * SECOND};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(speeds); i++)
		for (size_t k = 0; k < ARRAY_SIZE(periods); k++) {
			struct tuner_pff t;
			struct pff_seen seen;

			tuner_pff_init(&t, 64 * MiB, 1024 * MiB);
			seen = run_pff(&t, 400.0 * MiB, speeds[i], periods[k]);
			print_message("%.0f refs/s, period %.1f s: limit %.2f to %.2f of what is "
				      "needed, %.0f faults/s\n",
				      speeds[i], (double)periods[k] / (double)SECOND, seen.low,
				      seen.high, seen.rate);
			/* near what is needed, and no swing is larger than a stride and a half */
			assert_true(seen.high <= 1.15);
			assert_true(seen.low >= 0.9);
			assert_true(seen.high / seen.low <= 1.15);
		}
}

/* Quiet: down to the least. Hopeless: up to the most. Then a guest that needs more than before. */
static void test_pff_bounds(void **state)
{
	struct tuner_sample quiet = {.period_ns = SECOND, .nr_cpus = 1};
	struct tuner_sample busy = {.period_ns = SECOND, .nr_cpus = 1, .faults = 100000};
	struct tuner_pff t;
	u64 before;
	int n = 0;

	(void)state;
	tuner_pff_init(&t, 64 * MiB, 1024 * MiB);
	before = t.limit_bytes;
	assert_int_equal(before, 1024 * MiB);
	for (int i = 0; i < 600; i++) {
		assert_true(tuner_pff_step(&t, &quiet) <= before);
		assert_true((double)t.limit_bytes >= (double)before * 0.975 ||
			    t.limit_bytes == t.min_bytes);
		before = t.limit_bytes;
	}
	assert_int_equal(before, 64 * MiB);
	while (tuner_pff_step(&t, &busy) < 1024 * MiB && n < 100)
		n++;
	assert_in_range(n, 20, 40); /* 16-fold at 10% a second */
}

/* Between low and high nothing moves. */
static void test_pff_band(void **state)
{
	struct tuner_sample s = {.period_ns = SECOND, .nr_cpus = 4, .faults = 240};
	struct tuner_pff t;

	(void)state;
	tuner_pff_init(&t, 64 * MiB, 1024 * MiB);
	t.limit_bytes = 500 * MiB;
	t.rate = 60;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tuner_pff_step(&t, &s), 500 * MiB);
}

/* ---- thrashing ---- */

/* Feed @seconds of a stall share; returns after how many seconds it spoke, or -1. At most once. */
static double feed(struct tuner_thrash *t, double share, double faults, double time, u64 period_ns,
		   enum tuner_thrash_change want)
{
	double period = (double)period_ns / (double)SECOND, spoke = -1;

	for (double now = period; now <= time + period / 2; now += period) {
		struct tuner_sample s = {
			.period_ns = period_ns,
			.nr_cpus = 2,
			.stall_ns = (u64)(share * 2 * (double)period_ns),
			.faults = (u64)(faults * period),
		};
		enum tuner_thrash_change got = tuner_thrash_step(t, &s);

		if (got == THRASH_SAME)
			continue;
		assert_int_equal(got, want);
		assert_true(spoke < 0);
		spoke = now;
	}
	return spoke;
}

static void test_thrash(void **state)
{
	static const u64 periods[] = {50 * MS, 100 * MS, 500 * MS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(periods); i++) {
		u64 p = periods[i];
		struct tuner_thrash t;
		double at;

		tuner_thrash_init(&t);
		for (int episode = 0; episode < 3; episode++) {
			assert_true(feed(&t, 0.05, 500, 10, p, THRASH_SAME) < 0);
			at = feed(&t, 0.8, 5000, 30, p, THRASH_BEGAN);
			assert_true(at >= 2 && at <= 3.1);
			assert_true(t.thrashing);
			/* between the thresholds it neither ends nor begins anew */
			assert_true(feed(&t, 0.2, 5000, 30, p, THRASH_SAME) < 0);
			at = feed(&t, 0.02, 50, 30, p, THRASH_ENDED);
			assert_true(at >= 2 && at <= 4);
			assert_false(t.thrashing);
			assert_true(feed(&t, 0.25, 5000, 30, p, THRASH_SAME) < 0);
		}
	}
}

/* What looks like it and is not: short bursts, one fault that hangs, faults that cost nothing. */
static void test_not_thrash(void **state)
{
	struct tuner_thrash t;

	(void)state;
	tuner_thrash_init(&t);
	for (int i = 0; i < 20; i++) {
		assert_true(feed(&t, 0.9, 5000, 1, 100 * MS, THRASH_SAME) < 0);
		assert_true(feed(&t, 0, 0, 2, 100 * MS, THRASH_SAME) < 0);
	}
	assert_true(feed(&t, 0.5, 2, 30, 500 * MS, THRASH_SAME) < 0);
	assert_true(feed(&t, 0.1, 50000, 30, 100 * MS, THRASH_SAME) < 0);
	/* and one quiet second does not end what is */
	assert_true(feed(&t, 0.9, 5000, 5, 100 * MS, THRASH_BEGAN) > 0);
	for (int i = 0; i < 20; i++) {
		assert_true(feed(&t, 0, 0, 2, 100 * MS, THRASH_SAME) < 0);
		assert_true(feed(&t, 0.9, 5000, 1, 100 * MS, THRASH_SAME) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promotions),
		cmocka_unit_test(test_promotions_follow),
		cmocka_unit_test(test_promotions_bounds),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_stall_amounts),
		cmocka_unit_test(test_pff),
		cmocka_unit_test(test_pff_bounds),
		cmocka_unit_test(test_pff_band),
		cmocka_unit_test(test_thrash),
		cmocka_unit_test(test_not_thrash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
