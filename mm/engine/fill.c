// SPDX-License-Identifier: Apache-2.0
/*
 * Bringing pages in. Contract in fill.h. One fill, of one page or of some that lie together:
 *
 *	begin    (lock)     the pages are taken: FILLING, and they count as resident
 *	fetch    (no lock)  contents come from the store, the origin, or are zeros; they are mapped
 *	commit   (lock)     RESIDENT; what could not be had goes back to where it was
 *
 * Whoever fills has made room first (room.c). A handler, the prefetcher and the VMM's own accesses
 * each bring a filler of their own, so fills run beside each other; who finds a page FILLING waits
 * for mem.filled, or, being the guest, in its fault.
 *
 * Always true: a page is FILLING only between fill_begin() and fill_commit() of one filler, and
 * everything that the fill needs to know of it was looked up at its beginning.
 */
#include "mm/engine/fill.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "mm/engine/age.h"
#include "mm/engine/impl.h"
#include "mm/engine/note.h"
#include "mm/engine/room.h"
#include "mm/engine/snap_marks.h"
#include "mm/engine/stats.h"
#include "mm/engine/stream.h"

struct filler {
	struct mem *mem;
	u8 *pages;		 /* MAX_AROUND of them */
	u32 ids[MAX_AROUND];	 /* their stored copies */
	bool zero[MAX_AROUND];	 /* there is none, or one of zeros */
	int results[MAX_AROUND]; /* 0: filled and mapped */
	struct err why;
};

/* A fill under way: [first, first + n) are FILLING and ours. */
struct fill {
	page_no first;
	u32 n;
	bool write;  /* the access to the first page was a write */
	bool origin; /* all of them come from the origin */
};

struct filler *filler_create(struct mem *m)
{
	struct filler *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->mem = m;
	f->pages = aligned_alloc(PAGE_SIZE, MAX_AROUND * PAGE_SIZE);
	if (!f->pages) {
		free(f);
		return NULL;
	}
	return f;
}

void filler_destroy(struct filler *f)
{
	if (f)
		free(f->pages);
	free(f);
}

const struct err *filler_why(const struct filler *f)
{
	return &f->why;
}

/* ---- Mapping ---- */

static s64 map_some(struct mem *m, enum map_how how, page_no no, u32 n, const void *from,
		    enum uffd_mode mode)
{
	switch (how) {
	case MAP_ZERO:
		return uffd_zero(&m->uffd, no, n);
	case MAP_COPY:
		return uffd_copy(&m->uffd, no, n, from, mode);
	case MAP_CONTINUE:
		return uffd_continue(&m->uffd, no, n, mode);
	}
	return -EINVAL;
}

int fill_map(struct mem *m, enum map_how how, page_no no, u32 n, const u8 *from,
	     enum uffd_mode mode)
{
	u32 done = 0;

	while (done < n && !atomic_load(&m->cut)) {
		const u8 *at = from ? from + ((u64)done << PAGE_SHIFT) : NULL;
		s64 ret = map_some(m, how, no + done, n - done, at, mode);

		if (ret > 0) {
			done += (u32)ret;
		} else if (ret == -EEXIST) {
			uffd_wake(&m->uffd, no + done, 1);
			done++;
		} else if (ret == -EAGAIN) {
			sched_yield(); /* the address space is being changed */
		} else {
			return (int)ret;
		}
	}
	return done < n ? -ECANCELED : 0;
}

/* ---- Which pages ---- */

static bool fillable(const struct mem *m, page_no no)
{
	enum page_state state = m->pages.page[no].state;

	return state == PAGE_ABSENT || state == PAGE_STORED;
}

static bool is_below(struct mem *m, page_no no)
{
	u32 id = m->pages.page[no].stored;

	return id && store_is_below(m->store, id);
}

static bool is_zero(struct mem *m, u32 id)
{
	return !id || store_is_zeros(m->store, id);
}

/*
 * How many pages from @no on to bring in together. Pages in the tier below go with others from
 * there, since one read may fetch them all; a page in memory must not wait for them. So do pages
 * that are in the origin.
 */
static u32 fill_run(struct mem *m, page_no no, u32 width)
{
	bool below = is_below(m, no), origin = in_origin(m, no);
	u32 n = 1;

	width = MIN(width, m->pages.nr - no);
	if (origin)
		width = MIN(width, m->cfg.origin->ops->most);
	while (n < width && fillable(m, no + n) &&
	       !(m->pages.page[no + n].flags & PAGE_F_SAMPLED) && in_origin(m, no + n) == origin &&
	       (below || !is_below(m, no + n)))
		n++;
	return n;
}

/* ---- Taking ---- */

/*
 * From here on the pages are ours, and count as resident. Reasons for write protection are set
 * before the pages are mapped: a write may come before they are committed. Under lock.
 */
static void fill_begin(struct mem *m, struct filler *f, struct fill *fill)
{
	fill->origin = in_origin(m, fill->first);
	for (u32 i = 0; i < fill->n; i++) {
		page_no no = fill->first + i;

		snap_before_change(m, no);
		f->ids[i] = m->pages.page[no].stored;
		f->zero[i] = !fill->origin && is_zero(m, f->ids[i]);
		page_move(&m->pages, no, PAGE_FILLING);
		if (m->cfg.clean == MEM_CLEAN_PROTECT && f->ids[i] && !f->zero[i] &&
		    !(i == 0 && fill->write))
			page_protect(&m->pages, no, PAGE_PROTECT_EVICT);
	}
	m->peak = MAX(m->peak, used_bytes(m));
}

/* ---- Fetching ---- */

/* How page @i of the fill is to be mapped. */
enum fill_class { FILL_FAILED, FILL_ZERO, FILL_PLAIN, FILL_PROTECTED };

static enum fill_class class_of(struct mem *m, const struct filler *f, const struct fill *fill,
				u32 i)
{
	if (f->results[i])
		return FILL_FAILED;
	if (f->zero[i])
		return FILL_ZERO;
	if (m->cfg.clean != MEM_CLEAN_PROTECT || !f->ids[i] || (i == 0 && fill->write))
		return FILL_PLAIN;
	return FILL_PROTECTED;
}

/* Map pages [i, i + n), which are of one class. */
static void map_stretch(struct mem *m, struct filler *f, const struct fill *fill, u32 i, u32 n)
{
	enum fill_class class = class_of(m, f, fill, i);
	int ret;

	if (class == FILL_FAILED)
		return;
	ret = fill_map(m, class == FILL_ZERO ? MAP_ZERO : MAP_COPY, fill->first + i, n,
		       f->pages + ((u64)i << PAGE_SHIFT),
		       class == FILL_PROTECTED ? UFFD_PROTECTED : UFFD_WRITABLE);
	for (u32 k = i; k < i + n; k++)
		f->results[k] = ret;
}

/* If not all can be read, the first is tried alone: a neighbour's damage is not its own. */
static void fetch_origin(struct mem *m, struct filler *f, const struct fill *fill)
{
	struct pager *origin = m->cfg.origin;
	int all = origin->ops->read(origin, fill->first, fill->n, f->pages, &f->why), first = all;

	if (all && fill->n > 1)
		first = origin->ops->read(origin, fill->first, 1, f->pages, &f->why);
	for (u32 i = 0; i < fill->n; i++) {
		f->results[i] = i ? all : first;
		f->zero[i] = !f->results[i] && codec_is_zeros(f->pages + ((u64)i << PAGE_SHIFT));
	}
}

static void fetch_stored(struct mem *m, struct filler *f, const struct fill *fill)
{
	for (u32 i = 0; i < fill->n; i++)
		f->results[i] = f->zero[i] ? 0
					   : store_get(m->store, f->ids[i],
						       f->pages + ((u64)i << PAGE_SHIFT));
}

/*
 * Without lock. All contents are fetched before the first page is mapped: a guest that is woken
 * early only runs into the next page, and that trap costs more than all the fetching.
 */
static void fill_fetch(struct mem *m, struct filler *f, const struct fill *fill)
{
	u32 n;

	f->why.text[0] = '\0';
	if (fill->origin)
		fetch_origin(m, f, fill);
	else
		fetch_stored(m, f, fill);
	for (u32 i = 0; i < fill->n; i += n) {
		enum fill_class class = class_of(m, f, fill, i);

		for (n = 1; i + n < fill->n && class_of(m, f, fill, i + n) == class;)
			n++;
		map_stretch(m, f, fill, i, n);
	}
}

/* ---- Committing ---- */

/* The page is in memory and mapped. Under lock. */
static void commit_one(struct mem *m, const struct filler *f, const struct fill *fill, u32 i)
{
	page_no no = fill->first + i;
	bool dirty = i == 0 && fill->write;

	if (m->cfg.clean == MEM_CLEAN_PROTECT)
		dirty = !(m->pages.page[no].protect & PAGE_PROTECT_EVICT);
	page_move(&m->pages, no, PAGE_RESIDENT);
	note_own(m, no);
	if (f->ids[i] && (dirty || f->zero[i]))
		note_drop_copy(m, no);
	if (m->pages.page[no].flags & PAGE_F_SAMPLED)
		age_sample_touched(m, no, now_ns());
	note_use(m, no);
}

/*
 * Under lock. A page that could not be had goes back to where it was, and whoever waits for it is
 * woken to fault again: if it was a neighbour, it then gets its own try. Returns what became of the
 * first page.
 */
static int fill_commit(struct mem *m, struct filler *f, const struct fill *fill)
{
	for (u32 i = 0; i < fill->n; i++) {
		page_no no = fill->first + i;

		if (!f->results[i]) {
			commit_one(m, f, fill, i);
			continue;
		}
		page_unprotect(&m->pages, no, PAGE_PROTECT_EVICT);
		page_move(&m->pages, no, f->ids[i] ? PAGE_STORED : PAGE_ABSENT);
		if (i)
			uffd_wake(&m->uffd, no, 1);
	}
	pthread_cond_broadcast(&m->filled);
	room_call_evictor(m);
	return f->results[0];
}

/* All three steps. Under lock, which is let go of meanwhile. */
static int fill_all(struct mem *m, struct filler *f, struct fill *fill)
{
	fill_begin(m, f, fill);
	pthread_mutex_unlock(&m->lock);
	fill_fetch(m, f, fill);
	pthread_mutex_lock(&m->lock);
	return fill_commit(m, f, fill);
}

/* ---- For others ---- */

static enum mem_fault_kind kind_of(struct mem *m, page_no no)
{
	if (in_origin(m, no))
		return m->cfg.origin->ops->kind == PAGER_REMOTE ? MEM_FAULT_REMOTE
								: MEM_FAULT_IMAGE;
	if (is_zero(m, m->pages.page[no].stored))
		return MEM_FAULT_ZERO;
	return is_below(m, no) ? MEM_FAULT_TIER : MEM_FAULT_STORE;
}

int fill_serve(struct filler *f, page_no no, bool write, u32 width, struct fill_done *done)
{
	struct mem *m = f->mem;
	struct fill fill = {.first = no, .write = write, .n = fill_run(m, no, width)};
	int ret;

	if (!room_fits(m, fill.n)) {
		room_make(m, fill.n);
		if (!fillable(m, no))
			return -EAGAIN; /* somebody else was faster */
		fill.n = fill_run(m, no, room_fits(m, fill.n) ? fill.n : 1);
	}
	if (!snap_ready(m, fill.n))
		return -EAGAIN;
	done->kind = kind_of(m, no);
	done->n = fill.n;
	stream_took(m, no, fill.n);
	ret = fill_all(m, f, &fill);
	if (done->kind == MEM_FAULT_IMAGE && f->zero[0])
		done->kind = MEM_FAULT_ZERO;
	return ret;
}

u32 fill_prefetch(struct filler *f, page_no no, u32 n)
{
	struct mem *m = f->mem;
	struct fill fill = {.first = no};
	int ret = -1;

	pthread_mutex_lock(&m->lock);
	if (!m->no_prefetch && in_origin(m, no) && !(m->pages.page[no].flags & PAGE_F_SAMPLED)) {
		fill.n = fill_run(m, no, MIN(n, (u32)MAX_AROUND));
		if (room_fits(m, fill.n) && snap_ready(m, fill.n) && in_origin(m, no))
			ret = fill_all(m, f, &fill);
	}
	pthread_mutex_unlock(&m->lock);
	return ret ? 0 : fill.n;
}

int fill_in(struct mem *m, page_no no, bool write)
{
	struct filler *f = filler_create(m);
	struct fill_done done;
	int ret;

	if (!f)
		return -ENOMEM;
	ret = fillable(m, no) ? fill_serve(f, no, write, 1, &done) : 0;
	filler_destroy(f);
	return ret == -EAGAIN ? 0 : ret;
}
