// SPDX-License-Identifier: Apache-2.0
/*
 * Whole pages are replaced, whatever they were: a guest that is rolled back, or one that arrives
 * from another host. Contract in access.h and put.h.
 *
 * Nothing of what the page was is needed, so nothing is fetched. Contents go to where they cost
 * least from then on:
 *
 *	into the page         where it is in memory
 *	into guest memory     where it is not: FILLING in between, mapped at once (a page that comes
 *	                      into the file alone would cost the guest a fault later)
 *	into the store        a block, as it came; what the page has in memory goes
 *	nowhere               zeros that are not in memory: the page is absent, and its own (not as
 *	                      the origin has it)
 *
 * Before the engine is in charge the file takes them. Whether it is in charge is asked under the
 * lock, under which it takes charge.
 */
#include <errno.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/engine/access.h"
#include "mm/engine/age.h"
#include "mm/engine/evict.h"
#include "mm/engine/fill.h"
#include "mm/engine/impl.h"
#include "mm/engine/note.h"
#include "mm/engine/put.h"
#include "mm/engine/room.h"
#include "mm/engine/snap_marks.h"
#include "mm/engine/trim.h"

enum put_when {
	PUT_ALWAYS,
	PUT_MISSING, /* only what is in the origin alone; by who must not wait for a fill */
};

enum put_as {
	PUT_AS_BLOCK, /* into the store, as it came, if the store will have it */
	PUT_OPENED,
};

/* ---- Before the engine is in charge ---- */

static int put_in_space(struct mem *m, page_no no, u32 n, const u8 *pages, size_t stride)
{
	int ret = 0;
	u32 some;

	for (u32 i = 0; i < n && !ret; i += some) {
		bool zeros = space_fd(m->space) >= 0 && codec_is_zeros(pages + i * stride);

		for (some = 1; i + some < n && !zeros; some++)
			if (codec_is_zeros(pages + (i + some) * stride))
				break;
		if (zeros)
			ret = space_drop_pages(m->space, no + i, 1);
		else
			ret = space_put_pages(m->space, no + i, some, pages + i * stride, stride);
	}
	return ret;
}

/* ---- Ready ---- */

static int check_missing(const struct mem *m, page_no no)
{
	if (m->pages.page[no].state == PAGE_FILLING)
		return -EBUSY;
	return in_origin(m, no) ? 0 : -EEXIST;
}

/*
 * Until the page can be changed: nobody brings it in, what it was can be saved where that must be,
 * and there is room for it. A guest that is to be stopped gets the room from the slack, as a fault
 * does. Under lock, which is let go of meanwhile. -EEXIST, -EBUSY as put_missing_page() has them.
 */
static int get_ready(struct mem *m, page_no no, enum put_when when)
{
	const struct page *p = &m->pages.page[no];
	bool made_room = false;
	int ret;

	for (;;) {
		ret = when == PUT_MISSING ? check_missing(m, no) : 0;
		if (ret)
			return ret;
		if (p->state == PAGE_FILLING) {
			pthread_cond_wait(&m->filled, &m->lock);
		} else if (!made_room && !page_in_memory(p) && !room_fits(m, 1)) {
			room_make(m, 1);
			made_room = true;
		} else if (snap_ready(m, 1)) {
			return 0;
		}
	}
}

/* ---- Into memory ---- */

/* The page is in memory and mapped. Under lock. */
static void arrived(struct mem *m, page_no no)
{
	struct page *p = &m->pages.page[no];

	page_move(&m->pages, no, PAGE_RESIDENT);
	note_drop_copy(m, no);
	note_own(m, no);
	if (p->flags & PAGE_F_SAMPLED) /* mapped, it cannot be seen touched any more */
		age_sample_touched(m, no, now_ns());
	note_use(m, no);
}

/* Under lock, which is let go of meanwhile: mapping a page takes longer than all the rest. */
static int bring(struct mem *m, page_no no, const void *page)
{
	enum page_state was = m->pages.page[no].state;
	int ret;

	snap_before_change(m, no);
	page_move(&m->pages, no, PAGE_FILLING);
	m->peak = MAX(m->peak, used_bytes(m));
	pthread_mutex_unlock(&m->lock);
	ret = fill_map(m, MAP_COPY, no, 1, page, UFFD_WRITABLE);
	pthread_mutex_lock(&m->lock);
	if (ret) {
		page_move(&m->pages, no, was);
		uffd_wake(&m->uffd, no, 1);
	} else {
		arrived(m, no);
	}
	pthread_cond_broadcast(&m->filled);
	return ret;
}

static int overwrite(struct mem *m, page_no no, const void *page)
{
	snap_before_change(m, no);
	evict_call_off(m, no);
	return space_put_pages(m->space, no, 1, page, PAGE_SIZE);
}

/* ---- Out of memory ---- */

/* Of what is not in guest memory any more. */
static void forget(struct mem *m, page_no no)
{
	struct page *p = &m->pages.page[no];

	if (p->flags & PAGE_F_LISTED)
		policy_removed(m->policy, no);
	p->flags &= (u8) ~(PAGE_F_LISTED | PAGE_F_TRACED | PAGE_F_OWN);
	p->protect = 0;
	note_drop_copy(m, no);
	if (p->state != PAGE_ABSENT)
		page_move(&m->pages, no, PAGE_ABSENT);
}

/* Pages [no, no + n) are nowhere. Under lock, when ready. */
static void discard(struct mem *m, page_no no, u32 n)
{
	bool in_memory = false;

	for (u32 i = 0; i < n; i++) {
		snap_before_change(m, no + i);
		in_memory |= page_in_memory(&m->pages.page[no + i]);
	}
	/* a hole in our own file: it needs no space and nothing outside can forbid it */
	if (in_memory)
		ASSERT(!space_drop_pages(m->space, no, n));
	for (u32 i = 0; i < n; i++)
		forget(m, no + i);
	if (in_memory && m->nr_waiting)
		pthread_cond_broadcast(&m->room);
}

/* The page is what @id stands for, a reference that is taken over. Under lock, when ready. */
static void place(struct mem *m, page_no no, store_id id)
{
	discard(m, no, 1);
	note_own(m, no);
	if (store_is_zeros(m->store, id)) {
		store_drop(m->store, id);
		return;
	}
	page_set_copy(&m->pages, no, id);
	page_move(&m->pages, no, PAGE_STORED);
	m->peak = MAX(m->peak, used_bytes(m));
}

/* What the store will not have may still have room in guest memory: -E2BIG. */
static int to_store(struct mem *m, const void *page, const struct codec_block *block, store_id *id)
{
	int ret;

	if (trim_is_full(m))
		return -E2BIG;
	ret = block ? store_import(m->store, block, id) : store_put(m->store, page, id);
	return ret == -ENOMEM ? -E2BIG : ret;
}

/* Either @page or @block. In charge; without lock. -E2BIG: the store does not take it. */
static int put_stored(struct mem *m, page_no no, const void *page, const struct codec_block *block,
		      enum put_when when)
{
	store_id id;
	int ret = to_store(m, page, block, &id);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	ret = get_ready(m, no, when);
	if (!ret)
		place(m, no, id);
	room_call_evictor(m);
	pthread_mutex_unlock(&m->lock);
	if (ret)
		store_drop(m->store, id);
	return ret;
}

/* ---- Pages ---- */

static int put_in_engine(struct mem *m, page_no no, const void *page, enum put_when when)
{
	int ret = get_ready(m, no, when);

	if (ret)
		return ret;
	if (page_in_memory(&m->pages.page[no]))
		return overwrite(m, no, page);
	if (codec_is_zeros(page)) {
		discard(m, no, 1);
		note_own(m, no);
		return 0;
	}
	ret = bring(m, no, page);
	room_call_evictor(m);
	return ret;
}

static int put_pages(struct mem *m, page_no no, u32 n, const u8 *pages, size_t stride,
		     enum put_when when)
{
	int ret = 0;

	if (!range_fits(no, n, space_size(m->space) >> PAGE_SHIFT))
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	if (!atomic_load(&m->in_charge))
		ret = put_in_space(m, no, n, pages, stride);
	else
		for (u32 i = 0; i < n && !ret; i++)
			ret = put_in_engine(m, no + i, pages + i * stride, when);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int mem_put_pages(struct mem *m, page_no no, u32 n, const void *pages, size_t stride)
{
	return put_pages(m, no, n, pages, stride, PUT_ALWAYS);
}

/*
 * Nobody has asked for it: nobody has to go for it. And a sample must be touched by the guest, not
 * by us.
 */
static bool is_better_stored(struct mem *m, page_no no)
{
	bool stored;

	pthread_mutex_lock(&m->lock);
	stored = !room_is_plenty(m) || (m->pages.page[no].flags & PAGE_F_SAMPLED);
	pthread_mutex_unlock(&m->lock);
	return stored;
}

int put_missing_page(struct mem *m, page_no no, const void *page)
{
	int ret = -E2BIG;

	ASSERT(no < m->pages.nr);
	if (!codec_is_zeros(page) && is_better_stored(m, no))
		ret = put_stored(m, no, page, NULL, PUT_MISSING);
	return ret == -E2BIG ? put_pages(m, no, 1, page, PAGE_SIZE, PUT_MISSING) : ret;
}

/* ---- Blocks ---- */

static int put_block(struct mem *m, page_no no, const struct codec_block *block, enum put_as as,
		     enum put_when when)
{
	u8 page[PAGE_SIZE];
	int ret = -E2BIG;

	if (no >= space_size(m->space) >> PAGE_SHIFT)
		return -EINVAL;
	if (as == PUT_AS_BLOCK)
		ret = put_stored(m, no, NULL, block, when);
	if (ret != -E2BIG)
		return ret;
	ret = codec_open(block, page);
	return ret ? ret : put_pages(m, no, 1, page, PAGE_SIZE, when);
}

int mem_put_block(struct mem *m, page_no no, const struct codec_block *block, enum mem_put_how how)
{
	struct err err;
	int ret = 0;

	if (how == MEM_PUT_STORED && !atomic_load(&m->in_charge))
		ret = mem_take_charge(m, &err);
	if (ret)
		return ret;
	return put_block(m, no, block, atomic_load(&m->in_charge) ? PUT_AS_BLOCK : PUT_OPENED,
			 PUT_ALWAYS);
}

int put_missing_block(struct mem *m, page_no no, const struct codec_block *block)
{
	return put_block(m, no, block, PUT_AS_BLOCK, PUT_MISSING);
}

/* ---- Back to where it came from ---- */

void put_forget(struct mem *m, const u64 *pages)
{
	u32 n;

	pthread_mutex_lock(&m->lock);
	ASSERT(atomic_load(&m->in_charge) && m->cfg.origin);
	while (m->pages.count[PAGE_FILLING] && !atomic_load(&m->cut))
		pthread_cond_wait(&m->filled, &m->lock);
	for (page_no no = 0; no < m->pages.nr && !atomic_load(&m->cut); no += n + 1) {
		while (no % 64 == 0 && no < m->pages.nr && !pages[no / 64])
			no += 64;
		for (n = 0; no + n < m->pages.nr && pageset_has(pages, no + n);)
			n++;
		discard(m, no, n);
	}
	pthread_mutex_unlock(&m->lock);
}
