// SPDX-License-Identifier: Apache-2.0
/*
 * What a migration would be like, each way, and which way is best: arithmetic on what was measured
 * (vmm/migrate/plan_measure.h), and nothing else. No locks, no errors.
 *
 * A guest's writing is a curve: how many distinct pages it writes in so much time. Where it bends,
 * the same pages are written again and again; a guest that writes its memory from end to end has a
 * straight one. What a round of pre-copy leaves is the curve at the length of that round.
 */
#ifndef QUIRE_VMM_MIGRATE_PLAN_H
#define QUIRE_VMM_MIGRATE_PLAN_H

#include "mm/base/base.h"

#define PLAN_MAX_POINTS 16

/* What is assumed where nobody could be asked: 1 Gbit/s. */
#define PLAN_USUAL_RATE 125e6

/* Distinct pages written within @ns of the beginning; both grow from point to point. */
struct plan_point {
	u64 ns, pages;
};

struct plan_input {
	u64 pages_all;	   /* of the guest */
	u64 pages;	   /* of them that there is something in */
	double page_bytes; /* on the wire, on average */
	double page_ns;	   /* to make that of a page, and to put it in its place over there */
	struct plan_point curve[PLAN_MAX_POINTS];
	u32 nr_points;	    /* 0: it does not write */
	double dirty_rate;  /* pages a second; one that was written in two slices twice */
	double rate;	    /* bytes a second, measured, assumed or allowed: the least of these */
	bool measured;	    /* it was not assumed */
	u64 setup_ns;	    /* until pages can go */
	u64 fixed_ns;	    /* of the pause: to stop, to save and load the state, to answer */
	u64 limit_ns;	    /* how long the pause may be */
	u64 time_ns;	    /* how long rounds may go on; 0: as long as they like */
	u32 streams;	    /* connections for pages, from 1 on */
	bool can_hand_over; /* both are on one host, and it may be used */
	bool unthrottled;   /* the guest may not be slowed down */
};

enum plan_way { PLAN_HANDOVER, PLAN_PRECOPY, PLAN_POSTCOPY, PLAN_HYBRID, PLAN_NR_WAYS };

extern const char *const plan_way_names[];

struct plan_prediction {
	bool possible; /* else the rest is 0 */
	u64 total_ns, downtime_ns;
	u64 bytes;
	u32 rounds;
	unsigned int throttle; /* per cent that it takes for rounds to end; 100: they do not */
	bool in_time;	       /* rounds end within time_ns */
	bool keeps_limit;      /* the pause is no longer than allowed */
};

struct plan {
	struct plan_input in;
	struct plan_prediction ways[PLAN_NR_WAYS];
	enum plan_way choice;
	char reason[200]; /* of the choice, a sentence without a dot */
};

/* Distinct pages that are written within @ns, by the curve and, after its end, as it went on. */
double plan_written(const struct plan_input *in, u64 ns);

/* From plan->in everything else. */
void plan_make(struct plan *plan);

#endif
