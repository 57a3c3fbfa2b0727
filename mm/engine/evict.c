// SPDX-License-Identifier: Apache-2.0
/*
 * Pages go out. One batch at a time, in four steps:
 *
 *	choose   (lock)     the policy and the idle list name pages; they are unmapped, EVICTING
 *	store    (no lock)  contents are copied out of the file and put into the store
 *	commit   (lock)     pages still EVICTING are dropped from the file: STORED (ABSENT if zero);
 *	                    pages that the guest touched meanwhile stay, and their new copy goes
 *	trim     (no lock)  the store is brought back under its own limit
 *
 * A page is stored only while it is unmapped, so its contents cannot change under the evictor; a
 * touch raises a fault, the fault takes the page back (fault.c), and commit sees that. No page is
 * ever write-protected for being evicted, and no guest access is lost or repeated.
 *
 * The file's page is dropped before the state says STORED, under the lock: a handler that finds
 * STORED may fill the page at once and must not have it dropped afterwards.
 *
 * A batch owns the kept copies of its pages from choose to commit (page.stored is 0 meanwhile).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/inject.h"
#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "mm/engine/note.h"
#include "mm/engine/owner.h"
#include "mm/engine/trim.h"

#define BATCH 64

/* Pages committed under one hold of the lock: dropping a page costs a microsecond or two. */
#define COMMIT_AT_ONCE 16

enum outcome { OUT_STORED, OUT_CLEAN, OUT_AS_IN_IMAGE, OUT_REFUSED };

struct evict_batch {
	u32 n;
	page_no nos[BATCH];
	u32 had[BATCH];	   /* kept copies, ours while the batch lasts */
	bool clean[BATCH]; /* the kept copy is good: write protection was never lifted */
	u32 ids[BATCH];	   /* what the store made of them */
	enum outcome outcome[BATCH];
	bool goes[BATCH]; /* at commit: nobody touched it meanwhile */
	u8 *pages;
	u8 *check; /* one page, to compare */
};

int evict_init(struct mem *m)
{
	m->batch = calloc(1, sizeof(*m->batch));
	if (!m->batch)
		return -ENOMEM;
	m->batch->pages = aligned_alloc(PAGE_SIZE, (BATCH + 1) * PAGE_SIZE);
	if (!m->batch->pages)
		return -ENOMEM;
	m->batch->check = m->batch->pages + BATCH * PAGE_SIZE;
	return 0;
}

void evict_fini(struct mem *m)
{
	if (m->batch)
		free(m->batch->pages);
	free(m->batch);
	m->batch = NULL;
}

void evict_call_off(struct mem *m, page_no no)
{
	/* what is being stored is about to be old */
	if (m->pages.page[no].state == PAGE_EVICTING)
		page_move(&m->pages, no, PAGE_IDLE);
	note_drop_copy(m, no);
}

/* ---- Unmapping ---- */

void evict_unmap(struct mem *m, const page_no *nos, u32 n)
{
	struct uffd_run runs[BATCH];
	u16 now = age_now();

	for (u32 done = 0; done < n; done += BATCH) {
		u32 some = MIN(n - done, (u32)BATCH);
		u32 nr = uffd_runs(nos + done, some, runs);
		int ret = uffd_unmap(&m->uffd, runs, nr);

		/* MADV_DONTNEED on our own mapping: nothing outside can make it fail */
		ASSERT(!ret || atomic_load(&m->cut));
		for (u32 i = done; i < done + some; i++) {
			page_move(&m->pages, nos[i], PAGE_IDLE);
			m->pages.page[nos[i]].seen = now;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	page_no x = *(const page_no *)a, y = *(const page_no *)b;

	return (x > y) - (x < y);
}

/* ---- Choosing ---- */

/* The policy does not know the page any more. */
static void unlist(struct mem *m, page_no no)
{
	m->pages.page[no].flags &= (u8)~PAGE_F_LISTED;
}

/*
 * Ask the policy for @n victims and unmap those that are mapped. All are IDLE then: with +idle they
 * wait there for a second chance, without it their time has come.
 */
static u32 take_victims(struct mem *m, page_no *nos, u32 n)
{
	page_no mapped[BATCH];
	u32 nr = 0, nr_mapped = 0;

	while (nr < n && policy_victim(m->policy, &nos[nr])) {
		unlist(m, nos[nr]);
		if (m->pages.page[nos[nr]].state == PAGE_RESIDENT)
			mapped[nr_mapped++] = nos[nr];
		nr++;
	}
	if (nr_mapped) {
		qsort(mapped, nr_mapped, sizeof(mapped[0]), by_number);
		evict_unmap(m, mapped, nr_mapped);
	}
	return nr;
}

/*
 * How many pages wait for their second chance: an eighth of memory and at most 16 MiB, but no more
 * than the occasion is worth, since the guest pays for each that it still uses.
 */
static u64 idle_target(const struct mem *m, u32 n)
{
	u64 pages = MIN(resident_pages(m) / 8, (u64)n * 32);

	return MAX(64, MIN(pages, 4096));
}

static void refill_idle(struct mem *m, u32 n)
{
	page_no nos[BATCH];

	while (m->pages.count[PAGE_IDLE] < idle_target(m, n) + n)
		if (!take_victims(m, nos, BATCH))
			return;
}

/* Pages that have been idle longest; with @cold_ticks, only those idle for so long. */
static u32 take_idle(struct mem *m, page_no *nos, u32 n, u32 cold_ticks)
{
	u16 now = age_now();
	page_no no = m->pages.idle_first;
	u32 nr = 0;

	for (; nr < n && no != PAGE_NONE; no = m->pages.page[no].next) {
		struct page *p = &m->pages.page[no];

		if ((u16)(now - p->seen) < cold_ticks)
			break;
		if (p->flags & PAGE_F_LISTED) {
			policy_removed(m->policy, no);
			unlist(m, no);
		}
		nos[nr++] = no;
	}
	return nr;
}

/* Fill the batch. Under lock. */
static void choose(struct mem *m, struct evict_batch *b, u32 n, u32 cold_ticks)
{
	b->n = 0;
	if (m->quiesced)
		return;
	if (m->choice.idle && !cold_ticks)
		refill_idle(m, n);
	if (m->choice.idle || cold_ticks)
		b->n = take_idle(m, b->nos, n, cold_ticks);
	else
		b->n = take_victims(m, b->nos, n);
	qsort(b->nos, b->n, sizeof(b->nos[0]), by_number);
	for (u32 i = 0; i < b->n; i++) {
		page_no no = b->nos[i];

		b->clean[i] = m->pages.page[no].protect & PAGE_PROTECT_EVICT;
		b->had[i] = page_set_copy(&m->pages, no, STORE_NONE);
		page_move(&m->pages, no, PAGE_EVICTING);
	}
}

/* ---- Storing ---- */

static bool is_as_in_origin(struct mem *m, page_no no, const void *page)
{
	struct pager *origin = m->cfg.origin;

	return origin && origin->ops->same && origin->ops->same(origin, no, page);
}

static enum outcome store_one(struct mem *m, struct evict_batch *b, u32 i)
{
	const u8 *page = b->pages + ((u64)i << PAGE_SHIFT);

	b->ids[i] = b->had[i];
	if (b->had[i] && (b->clean[i] || store_same(m->store, b->had[i], page)))
		return OUT_CLEAN;
	if (b->had[i])
		store_drop(m->store, b->had[i]);
	b->had[i] = b->ids[i] = STORE_NONE;
	if (is_as_in_origin(m, b->nos[i], page))
		return OUT_AS_IN_IMAGE;
	if (trim_is_full(m) || store_put(m->store, page, &b->ids[i]))
		return OUT_REFUSED;
	return OUT_STORED;
}

/* Without lock: EVICTING pages are ours and nobody can write them. */
static void store_batch(struct mem *m, struct evict_batch *b)
{
	struct uffd_run runs[BATCH];
	u32 nr = uffd_runs(b->nos, b->n, runs), at = 0;

	if (inject(INJECT_EVICT_SLOW))
		usleep(1000);
	for (u32 r = 0; r < nr; r++) {
		/* it is our own file: failing to read it leaves nothing to stand on */
		ASSERT(!space_copy_pages(m->space, runs[r].first, runs[r].count,
					 b->pages + ((u64)at << PAGE_SHIFT)));
		at += runs[r].count;
	}
	for (u32 i = 0; i < b->n; i++)
		b->outcome[i] = store_one(m, b, i);
}

/* ---- Committing ---- */

/* It would gain nothing, or there was no memory for it: back to the guest. */
static void refuse(struct mem *m, page_no no)
{
	m->refused++;
	if (m->pages.page[no].protect & PAGE_PROTECT_CHECKPOINT) {
		page_move(&m->pages, no, PAGE_IDLE); /* it must not be mapped writable */
		return;
	}
	page_move(&m->pages, no, PAGE_RESIDENT);
	m->pages.page[no].flags |= PAGE_F_LISTED;
	policy_loaded(m->policy, no);
	page_unprotect(&m->pages, no, PAGE_PROTECT_EVICT);
	uffd_continue(&m->uffd, no, 1, UFFD_WRITABLE);
}

/* The point of no return: from here on the contents are in the store, or the image, alone. */
static void let_go(struct mem *m, page_no no, u32 id)
{
	bool zero = !id || store_is_zeros(m->store, id);

	m->pages.page[no].protect &= PAGE_PROTECT_CHECKPOINT;
	if (!id)
		m->pages.page[no].flags &= (u8)~PAGE_F_OWN;
	m->pages.page[no].flags &= (u8)~PAGE_F_TRACED;
	if (id && zero)
		store_drop(m->store, id);
	else
		page_set_copy(&m->pages, no, id);
	page_move(&m->pages, no, zero ? PAGE_ABSENT : PAGE_STORED);
	m->evicted++;
}

/* Drop the pages [i, i + n) of the batch, neighbours in the file. */
static void drop_run(struct mem *m, struct evict_batch *b, u32 i, u32 n)
{
	/* a hole in our own file: it needs no space and nothing outside can forbid it */
	ASSERT(!space_drop_pages(m->space, b->nos[i], n));
	for (u32 k = i; k < i + n; k++) {
		m->evicted_clean += b->outcome[k] == OUT_CLEAN;
		let_go(m, b->nos[k], b->ids[k]);
	}
}

/* What is about to be the only copy is what the page holds. */
static void check_copy(struct mem *m, struct evict_batch *b, u32 i)
{
	if (!b->ids[i] || store_is_below(m->store, b->ids[i]))
		return;
	/* the host's memory may fail; the same bytes with the right checksum may not differ */
	if (store_get(m->store, b->ids[i], b->check))
		owner_fail(m, "page %u was stored and could not be read back", b->nos[i]);
	else
		ASSERT(!memcmp(b->check, b->pages + ((u64)i << PAGE_SHIFT), PAGE_SIZE));
}

/* Whether page @i of the batch can go. If not it is dealt with here. */
static bool can_go(struct mem *m, struct evict_batch *b, u32 i)
{
	bool still = m->pages.page[b->nos[i]].state == PAGE_EVICTING;

	if (still && b->outcome[i] != OUT_REFUSED) {
		if (m->cfg.check)
			check_copy(m, b, i);
		return true;
	}
	if (still)
		refuse(m, b->nos[i]);
	else if (b->ids[i]) /* touched meanwhile, and perhaps written */
		store_drop(m->store, b->ids[i]);
	return false;
}

static u32 commit_some(struct mem *m, struct evict_batch *b, u32 from, u32 to)
{
	u32 went = 0, n;

	for (u32 i = from; i < to; i++)
		b->goes[i] = can_go(m, b, i);
	for (u32 i = from; i < to; i += n) {
		n = 1;
		if (!b->goes[i])
			continue;
		while (i + n < to && b->goes[i + n] && b->nos[i + n] == b->nos[i] + n)
			n++;
		drop_run(m, b, i, n);
		went += n;
	}
	return went;
}

/* One batch. Under evict_lock alone. */
static u32 evict_batch(struct mem *m, u32 n, u32 cold_ticks)
{
	struct evict_batch *b = m->batch;
	u32 went = 0;

	pthread_mutex_lock(&m->lock);
	choose(m, b, MIN(n, (u32)BATCH), cold_ticks);
	pthread_mutex_unlock(&m->lock);
	store_batch(m, b);
	for (u32 i = 0; i < b->n; i += COMMIT_AT_ONCE) {
		pthread_mutex_lock(&m->lock);
		went += commit_some(m, b, i, MIN(i + COMMIT_AT_ONCE, b->n));
		m->peak = MAX(m->peak, used_bytes(m));
		if (m->nr_waiting)
			pthread_cond_broadcast(&m->room);
		pthread_mutex_unlock(&m->lock);
	}
	return went;
}

/* ---- For others ---- */

u32 evict_pages(struct mem *m, u32 n, u32 cold_ticks)
{
	u32 went = 0, some;

	pthread_mutex_lock(&m->evict_lock);
	do {
		some = evict_batch(m, n - went, cold_ticks);
		went += some;
		trim_store(m);
	} while (went < n && some && !atomic_load(&m->stopping));
	pthread_mutex_unlock(&m->evict_lock);
	return went;
}

bool evict_try(struct mem *m, u32 n, u32 *went)
{
	if (pthread_mutex_trylock(&m->evict_lock))
		return false;
	*went = evict_batch(m, n, 0);
	trim_store(m);
	pthread_mutex_unlock(&m->evict_lock);
	return true;
}
