// SPDX-License-Identifier: Apache-2.0
/*
 * Live copies of guest memory: what mm/engine/copy.h calls a snap. The rule about marks is in
 * snap_marks.h.
 *
 *	MARKING the guest runs, nothing is saved yet: all pages are marked, little by little. One
 *	        that is changed meanwhile loses its mark and is remembered as touched. Those are
 *	        marked again, until they are few or do not become fewer.
 *	(the instant: vCPUs stand still; touched pages are copied, or marked again if they are many)
 *	LIVE    the guest runs: pages about to change are queued as they were; the saver empties the
 *	        queue, and in between goes through all pages in order and takes those that are
 *	        marked.
 *
 * So the instant costs as much as the pages that the guest wrote while pages were being marked, not
 * as much as it has pages; and since each of those writes took a fault, they cannot be many.
 *
 * A copy of given pages (those that changed since the last) needs no marking while they are few: at
 * the instant they are copied. Copying a page costs half a microsecond, a write to a marked one a
 * trap, a hundred times as much here.
 *
 * Always true: a page is saved once, or never marked. Queue and pool are bounded; a guest that
 * writes faster than the saver saves waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "mm/engine/impl.h"
#include "mm/engine/snap_impl.h"

/* Touched pages that the instant may as well copy; and how often they are marked again at most. */
#define TOUCHED_FEW 64
#define MAX_ROUNDS  4

/* Descriptors looked at, and pages marked or taken, under one hold of the lock. */
#define MARK_AT_ONCE 1024
#define SAVE_LOOK    16384

/* ---- Birth ---- */

static void snap_free(struct snap *s)
{
	if (!s)
		return;
	free(s->touched);
	free(s->again);
	free(s->pool);
	free(s);
}

static struct snap *snap_new(u32 nr_pages)
{
	struct snap *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->touched = calloc(nr_pages / 64 + 1, sizeof(u64));
	s->again = calloc(nr_pages / 64 + 1, sizeof(u64));
	s->pool = aligned_alloc(PAGE_SIZE, (size_t)POOL * PAGE_SIZE);
	for (u32 i = 0; i < POOL; i++)
		s->free[s->nr_free++] = (u16)i;
	if (s->touched && s->again && s->pool)
		return s;
	snap_free(s);
	return NULL;
}

int mem_snap_begin(struct mem *m, struct err *err)
{
	struct snap *s;
	int ret = mem_take_charge(m, err);

	if (ret)
		return ret;
	if (!m->uffd.can_protect)
		return err_set(
			err, -EOPNOTSUPP,
			"this kernel cannot write-protect shared memory (Linux 5.19 or newer "
			"is needed)");
	/* what comes from there once cannot be read again when its turn comes to be saved */
	if (pager_owes(m->cfg.origin))
		return err_set(err, -EBUSY,
			       "the guest's memory is still on its way here from another host "
			       "(wait until all of it has come)");
	s = snap_new(m->pages.nr);
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	pthread_mutex_lock(&m->lock);
	ASSERT(!m->snap);
	m->snap = s;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* ---- Before the instant ---- */

static void arm_one(struct mem *m, page_no no, struct snap_stretch *stretch)
{
	switch ((enum page_state)m->pages.page[no].state) {
	case PAGE_FILLING:
		snap_touch(m->snap, no);
		break;
	case PAGE_ABSENT:
		if (in_origin(m, no))
			snap_mark(m, no, stretch);
		break;
	case PAGE_RESIDENT:
	case PAGE_IDLE:
	case PAGE_EVICTING:
	case PAGE_STORED:
	case PAGE_NR_STATES:
		snap_mark(m, no, stretch);
		break;
	}
}

/* All are marked. Whether those touched meanwhile are worth another round, which is begun. */
static bool next_round(struct mem *m)
{
	struct snap *s = m->snap;
	u64 *touched = s->touched;

	if (s->nr_touched <= TOUCHED_FEW || ++s->rounds > MAX_ROUNDS)
		return false;
	s->touched = s->again;
	s->again = touched;
	memset(s->touched, 0, (m->pages.nr / 64 + 1) * sizeof(u64));
	s->nr_touched = 0;
	s->hand = 0;
	return true;
}

/* Whether the page under the hand is to be marked. A word that has none is passed over. */
static bool is_wanted(struct mem *m, const u64 *pages)
{
	struct snap *s = m->snap;

	if (!pages)
		return true;
	if (!pages[s->hand / 64])
		s->hand = MIN(s->hand | 63, m->pages.nr - 1);
	return pageset_has(pages, s->hand);
}

bool mem_snap_mark(struct mem *m, const u64 *pages)
{
	struct snap_stretch stretch = {.mem = m, .mode = UFFD_PROTECTED};
	struct snap *s = m->snap;
	bool more;

	pthread_mutex_lock(&m->lock);
	if (s->rounds)
		pages = s->again;
	for (u32 i = 0; i < MARK_AT_ONCE && s->hand < m->pages.nr; i++, s->hand++)
		if (is_wanted(m, pages))
			arm_one(m, s->hand, &stretch);
	snap_stretch_end(&stretch);
	more = (s->hand < m->pages.nr || next_round(m)) && !s->error;
	pthread_mutex_unlock(&m->lock);
	return more;
}

/* ---- The instant ---- */

/* One page of the copy, as @pages has it. Under lock, vCPUs stopped. */
static void take_one(struct mem *m, page_no no, struct snap_stretch *stretch)
{
	struct snap *s = m->snap;
	bool mapped = m->pages.page[no].state == PAGE_RESIDENT;

	if (snap_is_marked(m, no))
		return;
	if (mapped && s->nr_free > POOL - TAKE_COPIES)
		snap_enqueue(m, no);
	else
		snap_mark(m, no, stretch);
}

static void take_all(struct mem *m, const u64 *pages)
{
	struct snap_stretch stretch = {.mem = m, .mode = UFFD_PROTECTED};

	for (u32 word = 0; word <= (m->pages.nr - 1) / 64; word++)
		for (u64 bits = pages[word]; bits; bits &= bits - 1)
			take_one(m, word * 64 + (u32)__builtin_ctzll(bits), &stretch);
	snap_stretch_end(&stretch);
}

void mem_snap_take(struct mem *m, const u64 *pages)
{
	struct snap *s = m->snap;

	pthread_mutex_lock(&m->lock);
	ASSERT(s->phase == SNAP_MARKING && (pages || s->hand == m->pages.nr || s->error));
	m->no_prefetch = true;
	/* a page may be mapped before its fill is committed; what it holds is known afterwards */
	while (m->pages.count[PAGE_FILLING] && !atomic_load(&m->cut))
		pthread_cond_wait(&m->filled, &m->lock);
	if (!atomic_load(&m->cut))
		take_all(m, pages ? pages : s->touched);
	m->no_prefetch = false;
	s->phase = SNAP_LIVE;
	s->hand = 0;
	pthread_mutex_unlock(&m->lock);
}

/* ---- Saving ---- */

/* Pages on their way to the sink. */
struct snap_batch {
	struct export_batch b;
	bool queued; /* copies lie in the pool, not in the batch */
};

static void dequeue(struct snap *s, struct snap_batch *batch)
{
	struct export_batch *b = &batch->b;

	batch->queued = true;
	while (s->nr && b->n < EXPORT_AT_ONCE) {
		b->items[b->n++] = s->queue[s->first];
		s->first = (s->first + 1) % QUEUE;
		s->nr--;
	}
}

/* The next marked pages: as they are, and only then unmarked. */
static int take_marked(struct mem *m, struct snap_batch *batch)
{
	struct snap_stretch stretch = {.mem = m, .mode = UFFD_WRITABLE};
	struct export_batch *b = &batch->b;
	struct snap *s = m->snap;
	page_no nos[EXPORT_AT_ONCE];
	u32 n = 0;
	int ret;

	batch->queued = false;
	for (u32 i = 0; i < SAVE_LOOK && s->hand < m->pages.nr && n < EXPORT_AT_ONCE; i++) {
		page_no no = s->hand++;

		if (snap_is_marked(m, no))
			nos[n++] = no;
	}
	ret = export_gather(m, b, nos, n);
	for (u32 i = 0; i < b->n && !ret; i++)
		if (snap_unmark(m, nos[i]))
			snap_stretch_add(&stretch, nos[i]);
	snap_stretch_end(&stretch);
	return ret;
}

/* What the last batch held is let go of. Under lock. */
static void end_batch(struct mem *m, struct snap_batch *batch)
{
	struct export_batch *b = &batch->b;

	for (u32 i = 0; i < b->n; i++)
		if (b->items[i].kind == EXPORT_COPY && batch->queued)
			m->snap->free[m->snap->nr_free++] = (u16)b->items[i].at;
	if (b->n && batch->queued)
		pthread_cond_broadcast(&m->snap_room);
	export_drop_all(m, b);
}

/* Whether there is more. The batch may be empty all the same. */
static bool next_batch(struct mem *m, struct snap_batch *b, int *ret)
{
	struct snap *s = m->snap;
	bool more;

	pthread_mutex_lock(&m->lock);
	end_batch(m, b);
	if (s->error || atomic_load(&m->cut))
		*ret = -ECANCELED;
	else if (s->nr)
		dequeue(s, b);
	else
		s->error = take_marked(m, b);
	if (s->error)
		*ret = s->error;
	more = !*ret && (b->b.n || s->nr || s->hand < m->pages.nr);
	pthread_mutex_unlock(&m->lock);
	return more;
}

static int emit(struct mem *m, const struct mem_snap_sink *sink, const struct snap_batch *b, u32 i,
		struct err *err)
{
	const struct export_item *item = &b->b.items[i];
	const u8 *copy = b->b.pages + ((u64)i << PAGE_SHIFT);

	if (item->kind == EXPORT_COPY && b->queued)
		copy = snap_pool_page(m->snap, item->at);
	return export_emit(m, sink, item, copy, b->b.room, err);
}

int mem_snap_save(struct mem *m, const struct mem_snap_sink *sink, struct err *err)
{
	struct snap_batch b = {.queued = false};
	int ret = export_batch_init(&b.b);

	if (ret)
		return err_set(err, ret, "out of memory");
	err->text[0] = '\0';
	while (next_batch(m, &b, &ret))
		for (u32 i = 0; i < b.b.n && !ret; i++)
			ret = emit(m, sink, &b, i, err);
	pthread_mutex_lock(&m->lock);
	end_batch(m, &b);
	pthread_mutex_unlock(&m->lock);
	export_batch_fini(&b.b);
	if (ret && !err->text[0])
		err_set(err, ret, "memory: %s", strerror(-ret));
	return ret;
}

u32 mem_snap_done(struct mem *m)
{
	u32 done;

	pthread_mutex_lock(&m->lock);
	done = m->snap && m->snap->phase == SNAP_LIVE ? m->snap->hand : 0;
	pthread_mutex_unlock(&m->lock);
	return done;
}

/* ---- The end ---- */

void mem_snap_cancel(struct mem *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->snap)
		m->snap->error = -ECANCELED;
	pthread_cond_broadcast(&m->snap_room);
	pthread_mutex_unlock(&m->lock);
}

/* A copy that was given up leaves marks. */
static void unmark_all(struct mem *m)
{
	for (page_no no = 0; no < m->pages.nr;) {
		struct snap_stretch stretch = {.mem = m, .mode = UFFD_WRITABLE};

		pthread_mutex_lock(&m->lock);
		for (u32 i = 0; i < MARK_AT_ONCE && no < m->pages.nr; i++, no++)
			if (snap_unmark(m, no))
				snap_stretch_add(&stretch, no);
		snap_stretch_end(&stretch);
		pthread_mutex_unlock(&m->lock);
	}
}

void mem_snap_end(struct mem *m)
{
	struct snap *s = m->snap;
	bool clean;

	if (!s)
		return;
	pthread_mutex_lock(&m->lock);
	clean = s->phase == SNAP_LIVE && s->hand == m->pages.nr && !s->nr && !s->error;
	for (; s->nr; s->nr--, s->first = (s->first + 1) % QUEUE)
		export_drop(m, &s->queue[s->first]);
	m->snap = NULL; /* nothing is saved, or marked, any more */
	pthread_cond_broadcast(&m->snap_room);
	pthread_mutex_unlock(&m->lock);
	if (!clean)
		unmark_all(m);
	snap_free(s);
}
