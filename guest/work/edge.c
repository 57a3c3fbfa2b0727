// SPDX-License-Identifier: Apache-2.0
/*
 * job=edge: a counter in every page, which no page can be behind with unnoticed.
 *
 * The last word of each page counts. A worker goes through its slice in the order of pages and adds
 * one to each counter, round after round, so at any instant
 *
 *	page     first ... at - 1    at ... last of the slice
 *	counter     round + 1              round
 *
 * and all other bytes are those of the fill. Almost nothing is done between two pages: pages become
 * dirty as fast as the machine lets them, and a host that loses one write, or brings back a page as
 * it was one round ago, has broken the rule at once and for good. The worker looks before it adds.
 */
#include "guest/work/work.h"

#define COUNTER	    (PAGE_WORDS - 1)
#define FIRST_ROUND 1 /* so that zeros are no counter */

void edge_prepare(struct worker *worker)
{
	worker->round = FIRST_ROUND;
	for (worker->at = 0; worker->at < worker->pages; worker->at++) {
		work_page(worker->work, worker->first + worker->at)->words[COUNTER] = FIRST_ROUND;
		pulse_tick(worker);
	}
	worker->at = 0;
}

/* Each worker reads its own pages only, but all stop when one has found something. */
static bool go_on(const struct worker *worker, uint64_t now, uint64_t end)
{
	const struct work *work = worker->work;
	uint64_t passes = work->options->passes;

	if (now >= end || pulse_told(work) || __atomic_load_n(&work->stop, __ATOMIC_RELAXED))
		return false;
	return !passes || worker->round - FIRST_ROUND < passes;
}

/*
 * .at and .round stay in memory, beside what they describe: they are as good a test of the host as
 * the pages are.
 */
void edge_count(struct worker *worker, uint64_t end)
{
	struct work *work = worker->work;
	uint64_t now = work_now(work);

	while (go_on(worker, now, end)) {
		uint64_t *counter = &work_page(work, worker->first + worker->at)->words[COUNTER];

		if (__atomic_load_n(counter, __ATOMIC_RELAXED) != worker->round) {
			__atomic_store_n(&work->stop, 1, __ATOMIC_RELAXED);
			return; /* edge_check() says what it was */
		}
		work_count(counter);
		work_count(&worker->beat->writes);
		if (++worker->at == worker->pages) {
			worker->at = 0;
			worker->round++;
		}
		now = pulse_tick(worker);
	}
}

/*
 * The counter is the last word, so a page that first differs there differs there only: its history
 * is the wrong one, not its contents.
 */
static void examine(struct worker *worker, const union page *page, struct page_id id)
{
	union page *wanted = &worker->scratch;
	struct page_finding finding = {.found = {id.number, 0}};

	page_write(wanted, worker->work->options, (struct page_id){id.number, 1});
	wanted->words[COUNTER] = id.generation;
	page_compare(page, wanted, &finding);
	if (finding.fault == PAGE_RIGHT)
		return;
	if (page_is_filled(page, 0)) {
		finding.fault = PAGE_LOST;
	} else if (finding.offset >= COUNTER * sizeof(uint64_t) && finding.seen <= UINT32_MAX) {
		finding.fault = finding.seen < id.generation ? PAGE_STALE : PAGE_EARLY;
		finding.found.generation = (uint32_t)finding.seen;
	}
	check_report(worker, id, &finding);
}

void edge_check(struct worker *worker)
{
	for (uint64_t i = 0; i < worker->pages; i++) {
		struct page_id id = {
			.number = worker->first + i,
			.generation = (uint32_t)(worker->round + (i < worker->at)),
		};

		work_count(&worker->beat->reads);
		examine(worker, work_page(worker->work, id.number), id);
		pulse_tick(worker);
	}
}
