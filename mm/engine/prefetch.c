// SPDX-License-Identifier: Apache-2.0
/*
 * A restored guest runs before its memory is read; here its pages come in ahead of its faults. The
 * pages that a guest touches first after a restore are the same each time, nearly. So:
 *
 *	the first time   nothing is brought in for a while, and the pages that the guest asks for
 *	                 are recorded in their order; the owner keeps that list beside the image
 *	later            the recorded pages come first, in that order
 *
 * and then, in both cases, the rest of the image from its beginning to its end. Pages that the
 * image has as zeros stay absent: they cost nothing that way. Under a limit it ends where room
 * does: then faults alone decide what is in memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/engine/fill.h"
#include "mm/engine/impl.h"
#include "mm/engine/prefetch.h"
#include "mm/engine/room.h"

/* How long a guest without a record is watched before the rest is brought in. */
#define RECORD_NS ((u64)2000000000)

/* Descriptors looked at under one hold of the lock. */
#define LOOK 4096

struct prefetch {
	pthread_t thread;
	bool recording; /* under lock, like the list */
	page_no *touched;
	u32 nr, room;
};

static void note(struct prefetch *pf, page_no no)
{
	if (pf->nr == pf->room) {
		u32 room = MAX(pf->room * 2, 1024);
		page_no *grown = realloc(pf->touched, room * sizeof(grown[0]));

		if (!grown) {
			pf->recording = false; /* it is only advice */
			return;
		}
		pf->touched = grown;
		pf->room = room;
	}
	pf->touched[pf->nr++] = no;
}

void prefetch_touched(struct mem *m, page_no no, u32 n)
{
	struct prefetch *pf = m->prefetch;

	for (u32 i = 0; pf && pf->recording && i < n; i++)
		note(pf, no + i);
}

/* ---- Recording ---- */

static void record(struct mem *m)
{
	struct prefetch *pf = m->prefetch;
	u64 until = now_ns() + RECORD_NS, now;

	pthread_mutex_lock(&m->lock);
	while (!atomic_load(&m->stopping) && (now = now_ns()) < until)
		thread_wait(&m->tick, &m->lock, until - now);
	pf->recording = false;
	pthread_mutex_unlock(&m->lock);
	if (pf->nr && m->host.recorded)
		m->host.recorded(m->host.opaque, pf->touched, pf->nr);
}

/* ---- Bringing in ---- */

static bool may_go_on(struct mem *m)
{
	bool room;

	if (atomic_load(&m->stopping) || atomic_load(&m->cut))
		return false;
	pthread_mutex_lock(&m->lock);
	room = room_is_plenty(m);
	pthread_mutex_unlock(&m->lock);
	return room;
}

/* Pages of the list from @i on that follow each other. */
static u32 run_in_list(const page_no *nos, u32 n, u32 i)
{
	u32 run = 1;

	while (i + run < n && run < MAX_AROUND && nos[i + run] == nos[i] + run)
		run++;
	return run;
}

static void bring_recorded(struct mem *m, struct filler *f)
{
	const page_no *nos = m->cfg.warm;
	u32 run;

	for (u32 i = 0; i < m->cfg.nr_warm && may_go_on(m); i += run) {
		run = run_in_list(nos, m->cfg.nr_warm, i);
		fill_prefetch(f, nos[i], run);
	}
}

/* The first page at or after @no that is in the image alone; nr when there is none. */
static page_no next_in_image(struct mem *m, page_no no)
{
	bool found = false;

	while (no < m->pages.nr && !found) {
		pthread_mutex_lock(&m->lock);
		for (u32 i = 0; i < LOOK && no < m->pages.nr && !found; i++) {
			found = in_origin(m, no);
			no += !found;
		}
		pthread_mutex_unlock(&m->lock);
	}
	return no;
}

static void bring_rest(struct mem *m, struct filler *f)
{
	page_no no = 0;

	while (may_go_on(m)) {
		u32 run = 0;

		no = next_in_image(m, no);
		while (no + run < m->pages.nr && run < MAX_AROUND &&
		       !pager_knows_zero(m->cfg.origin, no + run))
			run++;
		if (no >= m->pages.nr)
			return;
		if (run)
			run = fill_prefetch(f, no, run);
		no += MAX(run, 1);
	}
}

static void *prefetcher(void *arg)
{
	struct mem *m = arg;
	struct filler *f = filler_create(m);

	if (m->prefetch->recording)
		record(m);
	else if (f)
		bring_recorded(m, f);
	if (f)
		bring_rest(m, f);
	filler_destroy(f);
	return NULL;
}

int prefetch_start(struct mem *m, struct err *err)
{
	struct prefetch *pf;
	int ret;

	if (!m->cfg.origin || m->cfg.origin->ops->pushes || m->prefetch)
		return 0;
	pf = calloc(1, sizeof(*pf));
	if (!pf)
		return err_set(err, -ENOMEM, "out of memory");
	pf->recording = !m->cfg.nr_warm;
	m->prefetch = pf;
	ret = thread_start(&pf->thread, "prefetch", prefetcher, m);
	if (ret) {
		m->prefetch = NULL;
		free(pf);
		return err_set(err, ret, "memory engine: cannot start a thread");
	}
	return 0;
}

void prefetch_stop(struct mem *m)
{
	if (!m->prefetch)
		return;
	ASSERT(atomic_load(&m->stopping)); /* or it would not end */
	pthread_join(m->prefetch->thread, NULL);
	free(m->prefetch->touched);
	free(m->prefetch);
	m->prefetch = NULL;
}
