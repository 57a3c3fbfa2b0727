// SPDX-License-Identifier: Apache-2.0
/*
 * The controllers of reclaim. Contract in tuner.h.
 *
 * All of them act on smoothed rates, and what they do shows in those rates only later. So each
 * moves away from harm fast and towards more reclaim slowly, and each has a band below its target
 * in which it stays where it is: that is what keeps them from swinging.
 *
 * Periods may be of any length: everything is per second of what was measured.
 */
#include "mm/policy/tuner.h"

#define NS_PER_S 1e9

static double seconds(const struct tuner_sample *s)
{
	return (double)s->period_ns / NS_PER_S;
}

/*
 * Move @average towards @value with a time constant of @tau seconds. (First-order; for periods much
 * longer than that it becomes the value itself.)
 */
static void smooth(double *average, double value, double period, double tau)
{
	*average += (value - *average) * period / (tau + period);
}

static double stall_share(const struct tuner_sample *s)
{
	double time = (double)s->period_ns * MAX(s->nr_cpus, 1u);

	return time > 0 ? MIN((double)s->stall_ns / time, 1) : 0;
}

static double fault_rate(const struct tuner_sample *s)
{
	return s->period_ns ? (double)s->faults / seconds(s) : 0;
}

/* ---- promotions ---- */

/*
 * A rate of 0.2% a minute is a few pages a second of a large guest, so the average must be taken
 * over a minute. The age starts at two minutes: old enough for a busy guest not to notice, and
 * within reach of any other.
 */
#define PROMOTIONS_TAU	 60.0
#define PROMOTIONS_START 120000u
#define PROMOTIONS_MIN	 2000u
#define PROMOTIONS_MAX	 3600000u

void tuner_promotions_init(struct tuner_promotions *t, double target)
{
	*t = (struct tuner_promotions){
		.target = target,
		.age_ms = PROMOTIONS_START,
		.min_age_ms = PROMOTIONS_MIN,
		.max_age_ms = PROMOTIONS_MAX,
		.age = PROMOTIONS_START,
	};
}

/*
 * Above the target the age grows by up to 5% a second, in proportion to how far above; below 70%
 * of it, it falls by up to 0.5% a second: over the minute of the average by a quarter, so that the
 * rate is seen to rise before it is too high.
 */
static double promotions_growth(double part)
{
	if (part > 1)
		return 0.05 * MIN(part - 1, 1);
	if (part < 0.7)
		return -0.005 * (0.7 - part) / 0.7;
	return 0;
}

u32 tuner_promotions_step(struct tuner_promotions *t, const struct tuner_sample *s)
{
	double pages = (double)MAX(s->wss_pages ? s->wss_pages : s->resident, (u64)1);
	double period = seconds(s), growth;

	if (!s->period_ns)
		return t->age_ms;
	smooth(&t->rate, (double)s->promotions / pages / (period / 60), period, PROMOTIONS_TAU);
	growth = promotions_growth(t->rate / t->target);
	/* implicit for shrinking, so that a long period cannot take it below zero */
	t->age = growth > 0 ? t->age * (1 + growth * period) : t->age / (1 - growth * period);
	t->age = MIN(MAX(t->age, (double)t->min_age_ms), (double)t->max_age_ms);
	t->age_ms = (u32)t->age;
	return t->age_ms;
}

/* ---- stall ---- */

/*
 * TMO takes 0.05% of memory every 6 seconds at most, on hosts where a fault may cost milliseconds
 * of a disk. The store answers in tens of microseconds, so this goes up to 0.5% a second. Nothing
 * is taken above 80% of the target: the rest is for what the pages just taken will cost.
 */
#define STALL_TAU    10.0
#define STALL_SPEED  0.005
#define STALL_MARGIN 0.8

void tuner_stall_init(struct tuner_stall *t, double target)
{
	*t = (struct tuner_stall){.target = target};
}

u64 tuner_stall_step(struct tuner_stall *t, const struct tuner_sample *s)
{
	double now = stall_share(s), worse, pages;
	u64 whole;

	smooth(&t->share, now, seconds(s), STALL_TAU);
	/* a burst stops it at once, the average lets it go on */
	worse = MAX(now, t->share) / (t->target * STALL_MARGIN);
	if (worse >= 1) {
		t->owed = 0;
		return 0;
	}
	pages = (double)s->resident * STALL_SPEED * seconds(s) * (1 - worse) + t->owed;
	whole = MIN((u64)pages, s->resident);
	t->owed = pages - (double)whole < 1 ? pages - (double)whole : 0;
	return whole;
}

/* ---- fault frequency ---- */

/*
 * 100 faults a second at 100 us each are 1% of a vCPU. The limit grows by up to 10% a second, and
 * shrinks by up to 2%. A limit that was found too small is remembered, and not tried again for
 * a while: half a minute of calm is needed before the limit goes within 5% of it.
 */
#define PFF_TAU	      2.0
#define PFF_LOW	      20.0
#define PFF_HIGH      100.0
#define PFF_GROW      0.10
#define PFF_SHRINK    0.02
#define PFF_CALM      ((u64)30 * 1000000000)
#define PFF_KEEP_AWAY 1.05

void tuner_pff_init(struct tuner_pff *t, u64 min_bytes, u64 max_bytes)
{
	*t = (struct tuner_pff){
		.min_bytes = min_bytes,
		.max_bytes = max_bytes,
		.limit_bytes = max_bytes,
		.low = PFF_LOW,
		.high = PFF_HIGH,
	};
}

/*
 * How fast the limit is to change now, as a share of itself in a second. @now is the rate of this
 * period alone: the average stays high for seconds after a shortage of a few pages was cured, and
 * must not make the limit grow through that time.
 */
static double pff_growth(struct tuner_pff *t, const struct tuner_sample *s, double now)
{
	double limit = (double)t->limit_bytes, worst = MIN(now, t->rate);

	if (worst > t->high) {
		t->short_bytes = MAX(t->short_bytes, t->limit_bytes);
		t->calm_ns = 0;
		return PFF_GROW * MIN(worst / t->high - 1, 1);
	}
	t->calm_ns += s->period_ns;
	if (t->calm_ns > PFF_CALM)
		t->short_bytes = 0;
	if (t->rate > t->low || limit <= (double)t->short_bytes * PFF_KEEP_AWAY)
		return 0;
	return -PFF_SHRINK * (1 - t->rate / t->low);
}

u64 tuner_pff_step(struct tuner_pff *t, const struct tuner_sample *s)
{
	double growth, limit = (double)t->limit_bytes, period = seconds(s);
	double now = fault_rate(s) / MAX(s->nr_cpus, 1u);

	if (!s->period_ns)
		return t->limit_bytes;
	smooth(&t->rate, now, period, PFF_TAU);
	growth = pff_growth(t, s, now);
	/* a long period is no reason for a long stride: nothing is seen while it is made */
	period = MIN(period, 1);
	limit = growth > 0 ? limit * (1 + growth * period) : limit / (1 - growth * period);
	limit = MIN(MAX(limit, (double)t->min_bytes), (double)t->max_bytes);
	t->limit_bytes = (u64)limit;
	return t->limit_bytes;
}

/* ---- thrashing ---- */

/*
 * One slow fault (of a disk that hangs) is a stall, too, but no thrashing: that takes many. Ten a
 * second are more than chance ones of a guest that fits.
 */
#define THRASH_TAU    0.5
#define THRASH_BEGIN  0.30
#define THRASH_END    0.10
#define THRASH_FAULTS 10.0
#define THRASH_AFTER  ((u64)2 * 1000000000)

void tuner_thrash_init(struct tuner_thrash *t)
{
	*t = (struct tuner_thrash){0};
}

enum tuner_thrash_change tuner_thrash_step(struct tuner_thrash *t, const struct tuner_sample *s)
{
	bool otherwise;

	smooth(&t->share, stall_share(s), seconds(s), THRASH_TAU);
	smooth(&t->faults, fault_rate(s), seconds(s), THRASH_TAU);
	if (t->thrashing)
		otherwise = t->share < THRASH_END;
	else
		otherwise = t->share > THRASH_BEGIN && t->faults > THRASH_FAULTS;
	t->since_ns = otherwise ? t->since_ns + s->period_ns : 0;
	if (t->since_ns < THRASH_AFTER)
		return THRASH_SAME;
	t->thrashing = !t->thrashing;
	t->since_ns = 0;
	return t->thrashing ? THRASH_BEGAN : THRASH_ENDED;
}
