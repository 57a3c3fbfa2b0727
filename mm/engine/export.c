// SPDX-License-Identifier: Apache-2.0
/*
 * Pages as they are. Contract in export.h; what moving a guest asks of it (mem_present(),
 * mem_export(), mem_look()) is in copy.h.
 *
 * An engine may take charge, and begin to evict, at any moment: whether it is in charge is asked
 * under the lock, and what follows from the answer is done before the lock is let go of.
 */
#include "mm/engine/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "mm/engine/impl.h"
#include "mm/space/pager.h"

/* Descriptors looked at under one hold of the lock. */
#define LOOK 16384

/* Without system calls to be saved, so few pages that they stay in the nearest cache. */
#define MAPPED_AT_ONCE ((u32)8)

void export_fini(struct mem *m)
{
	free(m->export_room);
}

int export_batch_init(struct export_batch *b)
{
	b->n = 0;
	b->pages = aligned_alloc(PAGE_SIZE, (EXPORT_AT_ONCE + 1) * PAGE_SIZE);
	if (!b->pages)
		return -ENOMEM;
	b->room = b->pages + EXPORT_AT_ONCE * PAGE_SIZE;
	return 0;
}

void export_batch_fini(struct export_batch *b)
{
	free(b->pages);
	b->pages = NULL;
}

/* ---- One page ---- */

int export_item_of(struct mem *m, page_no no, struct export_item *item)
{
	const struct page *p;

	*item = (struct export_item){.no = no, .kind = EXPORT_ZERO};
	if (!atomic_load(&m->in_charge)) { /* and there are no descriptors yet */
		ASSERT(!m->cfg.origin);	   /* or absent would mean zeros */
		item->kind = EXPORT_COPY;
		return 0;
	}
	p = &m->pages.page[no];
	ASSERT(p->state != PAGE_FILLING);
	if (page_in_memory(p)) {
		item->kind = EXPORT_COPY;
	} else if (p->stored) {
		int ret = store_ref(m->store, p->stored, &item->at);

		if (ret)
			return ret;
		item->kind = EXPORT_STORED;
	} else if (in_origin(m, no)) {
		item->kind = EXPORT_ORIGIN;
	}
	return 0;
}

void export_drop(struct mem *m, const struct export_item *item)
{
	if (item->kind == EXPORT_STORED)
		store_drop(m->store, item->at);
}

/* Whether the file has all of [@at, @at + n pages), at most EXPORT_AT_ONCE. */
static bool all_there(void *at, u32 n)
{
	unsigned char there[EXPORT_AT_ONCE], all = 1;

	if (mincore(at, (size_t)n << PAGE_SHIFT, there) < 0)
		return false;
	for (u32 i = 0; i < n; i++)
		all &= there[i];
	return all & 1;
}

/*
 * Before the engine is in charge no touch is an event, and what the guest has used is mapped: to
 * read it there takes half as long as out of the file. A hole would not stay one.
 */
void export_copy_pages(struct mem *m, page_no no, u32 n, u8 *to)
{
	u8 *at = (u8 *)space_guest_base(m->space) + ((u64)no << PAGE_SHIFT);

	ASSERT(n <= EXPORT_AT_ONCE);
	if (!atomic_load(&m->in_charge) && all_there(at, n)) {
		memcpy(to, at, (size_t)n << PAGE_SHIFT);
		return;
	}
	/* our own file: failing to read it leaves nothing to stand on */
	ASSERT(!space_copy_pages(m->space, no, n, to));
}

static bool is_copy_after(const struct export_item *item, const struct export_item *last)
{
	return item->kind == EXPORT_COPY && item->no == last->no + 1;
}

/* A system call costs as much as copying a page. */
static void copy_items(struct mem *m, struct export_batch *b)
{
	for (u32 i = 0, n; i < b->n; i += n) {
		n = 1;
		if (b->items[i].kind != EXPORT_COPY)
			continue;
		while (i + n < b->n && is_copy_after(&b->items[i + n], &b->items[i + n - 1]))
			n++;
		export_copy_pages(m, b->items[i].no, n, b->pages + ((u64)i << PAGE_SHIFT));
	}
}

int export_gather(struct mem *m, struct export_batch *b, const page_no *nos, u32 n)
{
	int ret = 0;

	ASSERT(n <= EXPORT_AT_ONCE);
	for (b->n = 0; b->n < n && !ret; b->n += !ret)
		ret = export_item_of(m, nos[b->n], &b->items[b->n]);
	if (!ret)
		copy_items(m, b);
	return ret;
}

void export_drop_all(struct mem *m, struct export_batch *b)
{
	for (u32 i = 0; i < b->n; i++)
		export_drop(m, &b->items[i]);
	b->n = 0;
}

static int emit_stored(struct mem *m, const struct mem_snap_sink *sink,
		       const struct export_item *item, void *room)
{
	struct codec_block block;
	int ret = store_export(m->store, item->at, &block, room);

	return ret ? ret : sink->block(sink->opaque, item->no, &block);
}

static int emit_origin(struct mem *m, const struct mem_snap_sink *sink,
		       const struct export_item *item, void *room, struct err *err)
{
	struct pager *origin = m->cfg.origin;
	struct codec_block block;
	int ret = origin->ops->read_block(origin, item->no, &block, room, err);

	return ret ? ret : sink->block(sink->opaque, item->no, &block);
}

int export_emit(struct mem *m, const struct mem_snap_sink *sink, const struct export_item *item,
		const u8 *copy, void *room, struct err *err)
{
	const struct codec_block zeros = {.kind = CODEC_PATTERN};

	switch (item->kind) {
	case EXPORT_COPY:
		return sink->page(sink->opaque, item->no, copy);
	case EXPORT_STORED:
		return emit_stored(m, sink, item, room);
	case EXPORT_ORIGIN:
		return emit_origin(m, sink, item, room, err);
	case EXPORT_ZERO:
		break;
	}
	return sink->block(sink->opaque, item->no, &zeros);
}

/* ---- Which pages there are ---- */

static void set_bits(u64 *pages, u64 start, u64 end)
{
	for (u64 no = start; no < end;) {
		u64 n = MIN(end - no, 64 - no % 64);

		pages[no / 64] |= (~(u64)0 >> (64 - n)) << no % 64;
		no += n;
	}
}

/* Of memory that is no file of small pages nobody says what was touched. */
static void present_in_space(struct mem *m, u64 *pages)
{
	u64 start, end = 0;

	if (space_fd(m->space) < 0)
		set_bits(pages, 0, space_size(m->space) >> PAGE_SHIFT);
	else
		while (space_next_present(m->space, end, &start, &end))
			set_bits(pages, start, end);
}

/*
 * Pages [first, first + n), at most LOOK, of an engine in charge. The origin is asked without the
 * lock: what comes out of it meanwhile is as it had it, or has been written since.
 */
static void present_some(struct mem *m, u64 *pages, page_no first, u32 n)
{
	u64 there[LOOK / 64] = {0};

	for (page_no no = first; no < first + n; no++) {
		if (m->pages.page[no].state != PAGE_ABSENT)
			set_bits(pages, no, (u64)no + 1);
		else if (in_origin(m, no))
			set_bits(there, no - first, (u64)(no - first) + 1);
	}
	pthread_mutex_unlock(&m->lock);
	for (u32 i = 0; i < n; i++)
		if (pageset_has(there, i) && !pager_knows_zero(m->cfg.origin, first + i))
			set_bits(pages, first + i, (u64)first + i + 1);
	pthread_mutex_lock(&m->lock);
}

/*
 * In charge, a piece at a time: a page does not become absent without being zeros. Before that all
 * at once, or pages could be stored behind the walk over the file, and gone from it before it.
 */
int mem_present(struct mem *m, u64 *pages)
{
	page_no no = 0;

	pthread_mutex_lock(&m->lock);
	ASSERT(!m->cfg.origin || atomic_load(&m->in_charge)); /* or absent would mean zeros */
	if (!atomic_load(&m->in_charge)) {
		present_in_space(m, pages);
		no = UINT32_MAX;
	}
	while (no < m->pages.nr) {
		u32 n = MIN(m->pages.nr - no, (u32)LOOK);

		present_some(m, pages, no, n);
		no += n;
	}
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* Nothing moves: one look is enough, and there is nothing to see where all is in memory. */
u32 mem_elsewhere(struct mem *m, u64 *pages)
{
	u32 n = 0;

	pthread_mutex_lock(&m->lock);
	if (atomic_load(&m->in_charge) && (m->pages.count[PAGE_STORED] || m->cfg.origin))
		for (page_no no = 0; no < m->pages.nr; no++) {
			if (m->pages.page[no].state != PAGE_STORED && !in_origin(m, no))
				continue;
			if (pages)
				set_bits(pages, no, (u64)no + 1);
			n++;
		}
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* ---- Pages to another host ---- */

static bool is_filling(const struct mem *m, page_no no)
{
	return atomic_load(&m->in_charge) && m->pages.page[no].state == PAGE_FILLING;
}

/*
 * The first pages of @nos; *n says how many, at least one. A page that is coming in may have been
 * written by the guest already, so that what it was before will not do: it is waited for.
 */
static int take_first(struct mem *m, struct export_batch *b, const page_no *nos, u32 *n)
{
	u32 most, some = 0;
	int ret;

	pthread_mutex_lock(&m->lock);
	most = MIN(*n, atomic_load(&m->in_charge) ? EXPORT_AT_ONCE : MAPPED_AT_ONCE);
	while (is_filling(m, nos[0]) && !atomic_load(&m->cut))
		pthread_cond_wait(&m->filled, &m->lock);
	for (; some < most && !is_filling(m, nos[some]); some++)
		ASSERT(nos[some] < space_size(m->space) >> PAGE_SHIFT);
	ret = export_gather(m, b, nos, some);
	pthread_mutex_unlock(&m->lock);
	*n = b->n;
	return ret || b->n ? ret : -ECANCELED; /* guest memory is gone */
}

/* Pages that were read but never written are zeros in memory; holes are, of a file. */
static void find_zeros(struct export_batch *b)
{
	for (u32 i = 0; i < b->n; i++)
		if (b->items[i].kind == EXPORT_COPY &&
		    codec_is_zeros(b->pages + ((u64)i << PAGE_SHIFT)))
			b->items[i].kind = EXPORT_ZERO;
}

static int export_some(struct mem *m, struct export_batch *b, const page_no *nos, u32 *n,
		       const struct mem_snap_sink *sink, struct err *err)
{
	int ret = take_first(m, b, nos, n);

	if (!ret)
		find_zeros(b);
	for (u32 i = 0; i < b->n && !ret; i++)
		ret = export_emit(m, sink, &b->items[i], b->pages + ((u64)i << PAGE_SHIFT), b->room,
				  err);
	export_drop_all(m, b);
	return ret;
}

/* The batch of the last call, if nobody has it: making its memory costs more than using it. */
static int borrow_room(struct mem *m, struct export_batch *b)
{
	pthread_mutex_lock(&m->lock);
	*b = (struct export_batch){.pages = m->export_room};
	m->export_room = NULL;
	pthread_mutex_unlock(&m->lock);
	if (!b->pages)
		return export_batch_init(b);
	b->room = b->pages + EXPORT_AT_ONCE * PAGE_SIZE;
	return 0;
}

static void keep_room(struct mem *m, struct export_batch *b)
{
	pthread_mutex_lock(&m->lock);
	if (!m->export_room) {
		m->export_room = b->pages;
		b->pages = NULL;
	}
	pthread_mutex_unlock(&m->lock);
	export_batch_fini(b);
}

int mem_export(struct mem *m, const page_no *nos, u32 n, const struct mem_snap_sink *sink,
	       struct err *err)
{
	struct export_batch b;
	int ret = borrow_room(m, &b);

	if (ret)
		return err_set(err, ret, "out of memory");
	err->text[0] = '\0';
	for (u32 done = 0, some; done < n && !ret; done += some) {
		some = n - done;
		ret = export_some(m, &b, nos + done, &some, sink, err);
	}
	keep_room(m, &b);
	if (ret && !err->text[0])
		err_set(err, ret, "memory: %s", strerror(-ret));
	return ret;
}

/* ---- One page, to be looked at ---- */

static int look_at_page(void *opaque, page_no no, const void *page)
{
	(void)no;
	memcpy(opaque, page, PAGE_SIZE);
	return 0;
}

static int look_at_block(void *opaque, page_no no, const struct codec_block *block)
{
	(void)no;
	return codec_open(block, opaque);
}

int mem_look(struct mem *m, page_no no, void *page)
{
	const struct mem_snap_sink sink = {page, look_at_page, look_at_block};
	struct err err;

	if (no >= space_size(m->space) >> PAGE_SHIFT)
		return -EINVAL;
	return mem_export(m, &no, 1, &sink, &err);
}
