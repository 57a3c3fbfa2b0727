// SPDX-License-Identifier: Apache-2.0
/*
 * Pages as they are, for whoever copies a guest: a live copy (snap.c), another host
 * (mem_export()). For the engine's own files.
 *
 * Always true: nothing is brought in by it, and nothing becomes younger. What a page is, is decided
 * under the engine's lock; contents in memory are copied under it, all others are held by a
 * reference and read without it.
 */
#ifndef QUIRE_MM_ENGINE_EXPORT_H
#define QUIRE_MM_ENGINE_EXPORT_H

#include "mm/engine/copy.h"

#define EXPORT_AT_ONCE 64

enum export_kind { EXPORT_COPY, EXPORT_STORED, EXPORT_ORIGIN, EXPORT_ZERO };

/* One page as it was at some moment. */
struct export_item {
	page_no no;
	enum export_kind kind;
	u32 at; /* EXPORT_STORED: a reference into the store, ours; EXPORT_COPY: the user's */
};

/* Pages on their way to a sink. */
struct export_batch {
	u32 n;
	struct export_item items[EXPORT_AT_ONCE];
	u8 *pages; /* copies: one place for each item */
	u8 *room;  /* one page, for what is not copied */
};

/* -ENOMEM */
int export_batch_init(struct export_batch *b);
void export_batch_fini(struct export_batch *b);

/* What the page is now; it must not be FILLING. -errno as store_ref() has it. Under lock. */
int export_item_of(struct mem *m, page_no no, struct export_item *item);

/* Pages [no, no + n), at most EXPORT_AT_ONCE, which are in memory or holes. Under lock. */
void export_copy_pages(struct mem *m, page_no no, u32 n, u8 *to);

/*
 * Fill the batch with pages @nos, at most EXPORT_AT_ONCE and none FILLING: what each is now, and
 * the contents of those in memory, neighbours together. -errno as store_ref() has it: the batch
 * ends before that page. Under lock.
 */
int export_gather(struct mem *m, struct export_batch *b, const page_no *nos, u32 n);

/* Give the page to the sink. @copy: its contents, of EXPORT_COPY; @room as above. Without lock. */
int export_emit(struct mem *m, const struct mem_snap_sink *sink, const struct export_item *item,
		const u8 *copy, void *room, struct err *err);

/* Let go of what the item holds, or all of a batch, which is empty then. */
void export_drop(struct mem *m, const struct export_item *item);
void export_drop_all(struct mem *m, struct export_batch *b);

/* What is kept between calls of mem_export(). */
void export_fini(struct mem *m);

#endif
