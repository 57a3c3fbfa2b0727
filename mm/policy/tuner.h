// SPDX-License-Identifier: Apache-2.0
/*
 * The controllers of reclaim: from what was measured over the last period to what to do in the
 * next. Pure arithmetic on numbers, so that each can be tested against a made-up guest; the engine
 * (mm/engine/manager.c) measures, asks, and does.
 *
 *   promotions  proactive: pages colder than an age are pushed out; the age adapts so that
 *               promotions (pages that came back) stay at or below a share of the working set a
 *               minute. (The objective of Google's far memory, ASPLOS 2019: 0.2% a minute.)
 *   stall       proactive: reclaim as much as keeps the guest's time lost in faults at or below a
 *               share of time. (The idea of Meta's TMO, ASPLOS 2022, which uses PSI.)
 *   pff         the limit itself moves between a minimum and a maximum by the guest's fault rate.
 *               (Page-fault frequency, Chu and Opderbeck 1976.)
 *   thrash      tells when the guest spends its time faulting and memory no longer holds what it
 *               uses: with hysteresis, so that it speaks once per episode.
 */
#ifndef QUIRE_MM_POLICY_TUNER_H
#define QUIRE_MM_POLICY_TUNER_H

#include "mm/base/base.h"

/* What happened during one period. */
struct tuner_sample {
	u64 period_ns;	/* length */
	u64 promotions; /* pages that came back from the store in it */
	u64 stall_ns;	/* time that vCPUs spent waiting for faults on stored pages, summed */
	u32 nr_cpus;
	u64 faults;    /* faults on stored pages */
	u64 wss_pages; /* working set now */
	u64 resident;  /* pages */
};

/* ---- proactive, by promotion rate ---- */

struct tuner_promotions {
	double target; /* share of the working set per minute: 0.002 */
	u32 age_ms, min_age_ms, max_age_ms;
	double rate; /* smoothed, share per minute */
	double age;  /* age_ms unrounded, so that short periods add up */
};

void tuner_promotions_init(struct tuner_promotions *t, double target);

/* Returns the age in milliseconds beyond which a page may be pushed out now. */
u32 tuner_promotions_step(struct tuner_promotions *t, const struct tuner_sample *s);

/* ---- proactive, by stall ---- */

struct tuner_stall {
	double target; /* share of vCPU time: 0.01 */
	double share;  /* smoothed */
	double owed;   /* the part of a page that the last periods asked for */
};

void tuner_stall_init(struct tuner_stall *t, double target);

/* Returns how many pages to push out in the next period. */
u64 tuner_stall_step(struct tuner_stall *t, const struct tuner_sample *s);

/* ---- the limit, by fault frequency ---- */

struct tuner_pff {
	u64 min_bytes, max_bytes, limit_bytes;
	double low, high; /* faults per second and vCPU: shrink below, grow above */
	double rate;	  /* smoothed */
	u64 short_bytes;  /* the largest limit lately at which faults were too many */
	u64 calm_ns;	  /* since when they have not been */
};

void tuner_pff_init(struct tuner_pff *t, u64 min_bytes, u64 max_bytes);

/* Returns the new limit in bytes. */
u64 tuner_pff_step(struct tuner_pff *t, const struct tuner_sample *s);

/* ---- thrashing ---- */

enum tuner_thrash_change { THRASH_SAME, THRASH_BEGAN, THRASH_ENDED };

struct tuner_thrash {
	double share;  /* of vCPU time lost in faults on stored pages, smoothed */
	double faults; /* per second, smoothed */
	bool thrashing;
	u64 since_ns; /* for how long things have looked otherwise than @thrashing says */
};

void tuner_thrash_init(struct tuner_thrash *t);
enum tuner_thrash_change tuner_thrash_step(struct tuner_thrash *t, const struct tuner_sample *s);

#endif
