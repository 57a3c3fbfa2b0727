// SPDX-License-Identifier: Apache-2.0
/*
 * Checking pages, and saying of each wrong one which it is, where it lies and what is in it: one
 * line a page, up to a limit, because a broken host can break all of them.
 */
#include "guest/work/work.h"

#define MAX_REPORTS 64

static void add_finding(struct line *line, const struct page_finding *finding, struct page_id id)
{
	const struct page_id *found = &finding->found;

	switch (finding->fault) {
	case PAGE_STALE:
	case PAGE_EARLY:
		line_text(line, finding->fault == PAGE_STALE ? "stale" : "early");
		line_add(line, ", expected generation %u, found %u", id.generation,
			 found->generation);
		break;
	case PAGE_FOREIGN:
		line_add(line, "foreign, expected generation %u, found ", id.generation);
		line_text(line, found->number & GUEST_PAGE_DUP ? "duplicate" : "page");
		line_add(line, " %u generation %u", found->number & ~GUEST_PAGE_DUP,
			 found->generation);
		break;
	case PAGE_LOST:
		line_add(line, "lost, expected generation %u, found zeros", id.generation);
		break;
	case PAGE_CORRUPT:
		line_add(line, "corrupt from byte %u, expected %x, found %x", finding->offset,
			 finding->expected, finding->seen);
		break;
	case PAGE_RIGHT:
		line_text(line, "was wrong when read first, is right when read again");
		break;
	}
}

/*
 * Several workers may find wrong pages at once: the counter gives each its turn, and whoever gets
 * the turn after the last says that the list is not complete.
 */
void check_report(struct worker *worker, struct page_id id, const struct page_finding *finding)
{
	struct work *work = worker->work;
	const struct work_platform *platform = work->platform;
	uint64_t count = __atomic_add_fetch(&work->wrong, 1, __ATOMIC_RELAXED);
	struct line line;

	work_count(&worker->beat->wrong);
	if (count > MAX_REPORTS + 1)
		return;
	line_start(&line);
	if (count == MAX_REPORTS + 1) {
		line_text(&line, "more wrong pages, not listed");
	} else {
		line_add(&line, "wrong page %u", id.number);
		if (platform->page_address)
			line_add(&line, " at %x",
				 platform->page_address(platform->opaque, id.number));
		line_text(&line, ": ");
		add_finding(&line, finding, id);
	}
	work_print(platform, &line);
}

void check_page(struct worker *worker, uint64_t number)
{
	struct work *work = worker->work;
	struct page_id id = {number, work->platform->generations[number]};
	struct page_finding finding;

	work_count(&worker->beat->reads);
	if (page_check(work_page(work, number), work->options, id))
		return;
	page_examine(work_page(work, number), work->options, id, &worker->scratch, &finding);
	check_report(worker, id, &finding);
}

void check_slice(struct worker *worker)
{
	for (uint64_t i = 0; i < worker->pages; i++) {
		check_page(worker, worker->first + i);
		pulse_tick(worker);
	}
}
