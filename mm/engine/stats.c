// SPDX-License-Identifier: Apache-2.0
/*
 * What the memory engine has to show: counters, ages, the map, single pages, and whether it all
 * adds up. Contract in stats.h.
 *
 * Counts are taken under the engine's lock at one instant. What needs a walk over all pages (ages,
 * the map) is taken a piece at a time, so that faults do not wait for it: such a picture is of more
 * than one instant. Before the engine is in charge the file behind guest memory is asked instead.
 */
#include <errno.h>
#include <string.h>

#include "mm/engine/age.h"
#include "mm/engine/impl.h"
#include "mm/engine/stats.h"
#include "mm/engine/tune.h"

/* Pages looked at under one hold of the lock: faults must not wait for a walk over everything. */
#define PIECE 16384

const char *const mem_fault_names[MEM_NR_FAULT_KINDS] = {
	[MEM_FAULT_ZERO] = "zero",     [MEM_FAULT_SOFT] = "soft",   [MEM_FAULT_STORE] = "store",
	[MEM_FAULT_TIER] = "tier",     [MEM_FAULT_WRITE] = "write", [MEM_FAULT_IMAGE] = "image",
	[MEM_FAULT_REMOTE] = "remote",
};

/* Before anything was prepared there is only the file to ask. */
static void stats_unprepared(struct mem *m, struct mem_stats *s)
{
	u64 resident = 0;

	if (!space_resident(m->space, &resident))
		s->resident_bytes = resident;
	s->pages[PAGE_RESIDENT] = s->resident_bytes >> PAGE_SHIFT;
	s->pages[PAGE_ABSENT] = (space_size(m->space) >> PAGE_SHIFT) - s->pages[PAGE_RESIDENT];
}

/* Under lock. */
static void stats_counters(struct mem *m, struct mem_stats *s)
{
	s->kept = m->pages.kept;
	s->peak_bytes = m->peak;
	s->around = m->around;
	s->evicted = m->evicted;
	s->evicted_clean = m->evicted_clean;
	s->rescued = m->rescued;
	s->refused = m->refused;
	s->waited = m->waited;
	s->waited_ns = m->waited_ns;
	s->scanned = m->scanned;
	s->promotion_rate = m->tune.promotion_rate;
	s->stall = m->tune.thrash.share;
	s->thrashing = m->tune.thrash.thrashing;
	s->faults_per_second = (u64)m->tune.thrash.faults;
	s->wss_window_ns = m->wss.window_ns;
	wss_estimate(&m->wss, m->wss.window_ns, &s->wss);
	wss_curve(&m->wss, m->pages.nr, s->curve);
}

static void stats_prepared(struct mem *m, struct mem_stats *s)
{
	if (s->in_charge) {
		pthread_mutex_lock(&m->lock);
		memcpy(s->pages, m->pages.count, sizeof(s->pages));
		s->resident_bytes = resident_bytes(m);
		stats_counters(m, s);
		pthread_mutex_unlock(&m->lock);
		age_histogram(m, s->ages);
	}
	s->store_bytes = store_bytes(m->store);
	s->descriptor_bytes = m->pages.nr * sizeof(struct page);
	store_get_stats(m->store, &s->store);
	if (m->tier)
		m->tier->ops->stats(m->tier, &s->tier);
	for (int i = 0; i < MEM_NR_FAULT_KINDS; i++)
		hist_summarize(&m->faults[i], &s->fault[i]);
}

void mem_get_stats(struct mem *m, struct mem_stats *s)
{
	*s = (struct mem_stats){.in_charge = atomic_load(&m->in_charge)};
	pthread_mutex_lock(&m->lock);
	memcpy(s->policy, m->choice.name, sizeof(s->policy));
	s->limit = m->limit;
	s->limit_min = m->limit_min;
	s->has_tier = m->tier;
	pthread_mutex_unlock(&m->lock);
	if (!s->in_charge)
		stats_unprepared(m, s);
	if (m->prepared)
		stats_prepared(m, s);
}

void mem_reset_peak(struct mem *m)
{
	pthread_mutex_lock(&m->lock);
	m->peak = m->prepared ? used_bytes(m) : 0;
	pthread_mutex_unlock(&m->lock);
}

/* ---- The map ---- */

static void map_cell(struct mem *m, struct mem_map_cell *cell, u64 from, u64 to)
{
	for (u64 at = from; at < to; at += PIECE) {
		pthread_mutex_lock(&m->lock);
		for (u64 no = at; no < MIN(at + PIECE, to); no++)
			cell->pages[m->pages.page[no].state]++;
		pthread_mutex_unlock(&m->lock);
	}
}

/* Not in charge: the file knows which pages there are. */
static void map_from_file(struct mem *m, struct mem_map_cell *cells, u32 n, u64 nr)
{
	u64 start, end = 0;

	for (u32 i = 0; i < n; i++)
		cells[i].pages[PAGE_ABSENT] = (u32)(nr * (i + 1) / n - nr * i / n);
	while (space_next_present(m->space, end, &start, &end))
		for (u64 no = start; no < end; no++) {
			/* the cell that [nr * i / n, nr * (i + 1) / n) makes it part of */
			struct mem_map_cell *cell = &cells[((no + 1) * n - 1) / nr];

			cell->pages[PAGE_ABSENT]--;
			cell->pages[PAGE_RESIDENT]++;
		}
}

void mem_map(struct mem *m, struct mem_map_cell *cells, u32 n)
{
	u64 nr = space_size(m->space) >> PAGE_SHIFT;

	memset(cells, 0, n * sizeof(cells[0]));
	if (!atomic_load(&m->in_charge)) {
		map_from_file(m, cells, n, nr);
		return;
	}
	for (u32 i = 0; i < n; i++)
		map_cell(m, &cells[i], nr * i / n, nr * (i + 1) / n);
}

/* ---- Page by page ---- */

/* Not in charge, under lock: nothing is stored behind the walk over the file. */
static void pages_of_file(struct mem *m, page_no no, u32 n, struct mem_page *pages)
{
	u64 start, end = no;

	memset(pages, 0, n * sizeof(pages[0]));
	while (end < (u64)no + n && space_next_present(m->space, end, &start, &end))
		for (u64 i = start; i < MIN(end, (u64)no + n); i++)
			pages[i - no].state = PAGE_RESIDENT;
}

static struct mem_page page_of_engine(const struct mem *m, page_no no, bool owes)
{
	const struct page *p = &m->pages.page[no];
	bool origin = in_origin(m, no);

	return (struct mem_page){
		.state = p->state,
		.protect = p->protect,
		.in_origin = origin,
		.owed = owes && (origin || p->state == PAGE_FILLING),
	};
}

int mem_get_pages(struct mem *m, page_no no, u32 n, struct mem_page *pages)
{
	bool owes = pager_owes(m->cfg.origin); /* not to be asked under lock */

	if (!range_fits(no, n, space_size(m->space) >> PAGE_SHIFT))
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	if (!atomic_load(&m->in_charge))
		pages_of_file(m, no, n, pages);
	else
		for (u32 i = 0; i < n; i++)
			pages[i] = page_of_engine(m, no + i, owes);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* ---- The audit ---- */

enum in_file { MISSING, PRESENT };

/* Pages of [from, to) of which the descriptor does not say what the file says. */
static u64 count_wrong(const struct mem *m, u64 from, u64 to, enum in_file in_file)
{
	u64 wrong = 0;

	for (u64 no = from; no < to; no++) {
		const struct page *p = &m->pages.page[no];

		/* a handler may still be about to commit what woke the guest */
		wrong += p->state != PAGE_FILLING && page_in_memory(p) != (in_file == PRESENT);
	}
	return wrong;
}

u64 mem_audit(struct mem *m)
{
	u64 start, end = 0, at = 0, wrong = 0;

	if (!atomic_load(&m->in_charge))
		return 0;
	pthread_mutex_lock(&m->evict_lock);
	pthread_mutex_lock(&m->lock);
	ASSERT(pages_sane(&m->pages));
	for (; space_next_present(m->space, at, &start, &end); at = end) {
		wrong += count_wrong(m, at, start, MISSING);
		wrong += count_wrong(m, start, end, PRESENT);
	}
	wrong += count_wrong(m, at, m->pages.nr, MISSING);
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&m->evict_lock);
	store_audit(m->store);
	return wrong;
}
