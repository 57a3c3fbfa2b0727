// SPDX-License-Identifier: Apache-2.0
/*
 * Marked pages are saved before they change: the side of a live copy that faults, fills, evictions
 * and the VMM's own writes meet. The rule is in snap_marks.h, the copy's own course in snap.c.
 *
 * All under the engine's lock. A page that is about to change goes into the queue as it is; the
 * contents of one in memory are copied into the pool. Both are bounded: snap_ready() waits for the
 * saver, so that snap_before_change() need not.
 */
#include <errno.h>

#include "mm/base/pageset.h"
#include "mm/engine/impl.h"
#include "mm/engine/snap_impl.h"
#include "mm/engine/snap_marks.h"

void snap_stretch_end(struct snap_stretch *s)
{
	/* on our own registered range: nothing outside can make it fail */
	if (s->n)
		ASSERT(!uffd_protect(&s->mem->uffd, s->first, s->n, s->mode) ||
		       atomic_load(&s->mem->cut));
	s->n = 0;
}

void snap_stretch_add(struct snap_stretch *s, page_no no)
{
	if (s->n && s->first + s->n == no) {
		s->n++;
		return;
	}
	snap_stretch_end(s);
	s->first = no;
	s->n = 1;
}

bool snap_is_marked(const struct mem *m, page_no no)
{
	return m->pages.page[no].protect & PAGE_PROTECT_CHECKPOINT;
}

bool snap_unmark(struct mem *m, page_no no)
{
	return page_unprotect(&m->pages, no, PAGE_PROTECT_CHECKPOINT) &&
	       m->pages.page[no].state == PAGE_RESIDENT;
}

void snap_mark(struct mem *m, page_no no, struct snap_stretch *stretch)
{
	if (page_protect(&m->pages, no, PAGE_PROTECT_CHECKPOINT) &&
	    m->pages.page[no].state == PAGE_RESIDENT)
		snap_stretch_add(stretch, no);
}

void snap_touch(struct snap *s, page_no no)
{
	s->nr_touched += !pageset_has(s->touched, no);
	s->touched[no / 64] |= (u64)1 << no % 64;
}

u8 *snap_pool_page(const struct snap *s, u32 at)
{
	return s->pool + ((u64)at << PAGE_SHIFT);
}

void snap_enqueue(struct mem *m, page_no no)
{
	struct snap *s = m->snap;
	struct export_item item;
	int ret = export_item_of(m, no, &item);

	if (ret)
		s->error = ret; /* nobody will see the item */
	if (item.kind == EXPORT_COPY) {
		item.at = s->free[--s->nr_free];
		export_copy_pages(m, no, 1, snap_pool_page(s, item.at));
	}
	s->queue[(s->first + s->nr++) % QUEUE] = item;
}

static bool has_room(const struct snap *s, u32 n)
{
	return s->nr_free >= n && QUEUE - s->nr >= n;
}

static bool is_live(const struct mem *m)
{
	return m->snap && m->snap->phase == SNAP_LIVE && !m->snap->error;
}

bool snap_ready(struct mem *m, u32 n)
{
	if (!is_live(m) || has_room(m->snap, n) || atomic_load(&m->cut))
		return true;
	thread_wait(&m->snap_room, &m->lock, 20000000);
	return false;
}

void snap_before_change(struct mem *m, page_no no)
{
	struct snap *s = m->snap;

	if (!s)
		return;
	if (s->phase == SNAP_MARKING) {
		/* a page that is filled now has no mark, but it is part of the copy */
		snap_touch(s, no);
		snap_unmark(m, no);
		return;
	}
	if (!snap_is_marked(m, no))
		return;
	if (has_room(s, 1))
		snap_enqueue(m, no);
	else
		s->error = -ECANCELED; /* the guest is being cut off, or the copy was given up */
	snap_unmark(m, no);
}
