// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a run: what all workers share, and what each has to itself. Programs only need to
 * provide the memory of a struct work; the rest of this header is for guest/work/ itself.
 *
 *   work.c    the jobs, phase by phase
 *   check.c   reading pages, and telling what is wrong
 *   edge.c    job=edge: a counter in every page
 *   pulse.c   time passing: beats, status lines, waiting for each other
 *
 * Worker i owns pages [i * slice, (i + 1) * slice) and nobody else touches them, so that the table
 * of generations needs no locks. What workers share is accessed atomically.
 */
#ifndef QUIRE_GUEST_WORK_WORK_H
#define QUIRE_GUEST_WORK_WORK_H

#include "guest/work/page.h"
#include "guest/work/pattern.h"
#include "guest/work/platform.h"

struct worker {
	struct work *work;
	unsigned int index;
	uint64_t first; /* its slice */
	uint64_t pages;
	struct guest_beat *beat;
	struct pattern pattern;
	uint64_t status_at; /* worker 0: time of the next status line */
	uint64_t listen_at; /* worker 0, stop=1: when to look for a byte on the console */
	uint64_t looked_ns; /* gap=1: last look at the clock, */
	uint64_t gap_ns;    /* longest time between two since the last status line, */
	uint64_t gap_all;   /* and since the fill */
	uint64_t round;	    /* edge: what counters from page .at of the slice on hold; */
	uint64_t at;	    /* those before it hold one more */
	union page scratch; /* what a page should have been */
};

struct work {
	const struct work_platform *platform;
	const struct work_options *options;
	uint64_t pages; /* a multiple of the number of workers */
	uint64_t start_ns;
	struct zipf zipf;

	unsigned int arrived; /* at the meeting point */
	unsigned int meeting; /* meetings held so far */
	uint64_t wrong;	      /* pages found wrong, all workers */
	unsigned int stop;    /* edge: a worker has met a wrong page */
	unsigned int told;    /* stop=1: a byte has come */

	struct worker workers[GUEST_MAX_CPUS];
};

/* Add one to a counter that only this worker writes, and others and the host may read. */
static inline void work_count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static inline uint64_t work_now(const struct work *work)
{
	return work->platform->now_ns(work->platform->opaque);
}

static inline union page *work_page(const struct work *work, uint64_t number)
{
	return (union page *)work->platform->arena + number;
}

/* Between any two pieces of work: see to beats and status lines. Returns the time. */
uint64_t pulse_tick(struct worker *worker);

/* Whether the guest was told to stop (stop=1). */
static inline bool pulse_told(const struct work *work)
{
	return __atomic_load_n(&work->told, __ATOMIC_RELAXED);
}

/* Tick and be idle for a moment. */
uint64_t pulse_wait(struct worker *worker);

/* Wait until all workers are here. What they wrote before is visible to all after. */
void pulse_meet(struct worker *worker);

/* The counters of all workers in one. */
struct guest_beat pulse_total(const struct work *work);

/* The beats of all workers, and the longest gap of any, as lines; each if it was asked for. */
void pulse_report(const struct work *work);

/* Forget all gaps so far: what counts begins here. */
void pulse_forget_gaps(struct worker *worker);

/* Read page @number and count it; report it when it does not hold what it must. */
void check_page(struct worker *worker, uint64_t number);

/* Read the worker's whole slice. */
void check_slice(struct worker *worker);

/* Count page @id.number as wrong and report what was found, unless there were too many already. */
void check_report(struct worker *worker, struct page_id id, const struct page_finding *finding);

/*
 * The two halves of job=edge: add to the counters until the clock says @end or the guest is told to
 * stop, and check.
 */
void edge_count(struct worker *worker, uint64_t end);
void edge_check(struct worker *worker);

/* Give each page of the slice, which has been filled, its counter. */
void edge_prepare(struct worker *worker);

#endif
