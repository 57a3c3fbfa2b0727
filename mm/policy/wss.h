// SPDX-License-Identifier: Apache-2.0
/*
 * The working set and the miss-ratio curve, estimated from random samples: the statistics only. The
 * engine (mm/engine/age.c) draws pages, unmaps them, and reports here how long each stayed
 * untouched.
 *
 * A sample is one page, drawn uniformly from all pages of the guest, and the time from then until
 * its next reference, or "not within the window". The share f of samples touched within t estimates
 * W(t) / M, Denning's working set for a window of t as a share of memory M. The standard error of a
 * share from n samples is sqrt(f (1 - f) / n) (Waldspurger's sampling, OSDI 2002; the interval used
 * is Wilson's, which stays within 0 and 1 and is right for small n).
 *
 * The same numbers give the miss-ratio curve: by Denning's relation the rate at which pages are
 * missed in a memory of W(t) pages under LRU is the slope dW/dt. So W(t) read backwards, memory
 * size -> t -> slope, tells how many faults a second the guest would take at any memory size.
 *
 * Samples age: only the newest WSS_SAMPLES count. Not thread-safe: the owner's lock covers it.
 */
#ifndef QUIRE_MM_POLICY_WSS_H
#define QUIRE_MM_POLICY_WSS_H

#include "mm/base/base.h"

#define WSS_SAMPLES 1024
#define WSS_NEVER   UINT64_MAX

struct wss {
	u64 window_ns;		   /* a sample is watched this long */
	u32 nr, next;		   /* samples held; where the next one goes */
	u64 after_ns[WSS_SAMPLES]; /* time to the next reference, or WSS_NEVER */
};

/* A share of memory with its 95% interval, all between 0 and 1. */
struct wss_estimate {
	double share, low, high;
	u32 samples; /* 0: nothing is known, low is 0 and high is 1 */
};

/* One point of the curve. */
struct wss_point {
	double memory; /* share of guest memory */
	double faults; /* per second */
};

#define WSS_CURVE_POINTS 21 /* memory 0, 5%, ... 100% */

void wss_init(struct wss *wss, u64 window_ns);

/* A page drawn some time ago was touched after @after_ns, or not within the window (WSS_NEVER). */
void wss_add(struct wss *wss, u64 after_ns);

/* W(@t_ns) / M; @t_ns is at most the window. */
void wss_estimate(const struct wss *wss, u64 t_ns, struct wss_estimate *out);

/*
 * Faults a second at @memory (share of @nr_pages pages) under LRU: the whole guest's rate. 0 for
 * memory above what is touched within the window, and while there are fewer than 100 samples.
 */
double wss_faults(const struct wss *wss, u64 nr_pages, double memory);

void wss_curve(const struct wss *wss, u64 nr_pages, struct wss_point out[WSS_CURVE_POINTS]);

/*
 * How many samples a second may be drawn so that the soft faults they cause cost no more than
 * @budget (a share of guest time, 0.001 for 0.1%), given the mean cost of one and what is known of
 * f (pessimistic while little is known).
 */
double wss_sample_rate(const struct wss *wss, double budget, u64 fault_ns);

#endif
