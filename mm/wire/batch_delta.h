// SPDX-License-Identifier: Apache-2.0
/*
 * Deltas: pages as they were sent, remembered so that the next time only what changed is sent.
 *
 * Memory is bounded, and a guest has pages that change all the time beside many that are sent once.
 * A page that is sent for the first time is remembered only where there is room. From the second
 * time on it may take the place of another, which its own uses protect: the hand goes over the
 * places that a page may have, takes a use from the one it points at, and its place once it has
 * none.
 *
 * Always true: what versions_find() gives is what went last of that page. A page that goes without
 * being told to versions_keep() must be told to versions_spoil().
 *
 * Private to mm/wire/. No lock.
 */
#ifndef QUIRE_MM_WIRE_BATCH_DELTA_H
#define QUIRE_MM_WIRE_BATCH_DELTA_H

#include "mm/base/base.h"
#include "mm/base/addr.h"

#define VERSION_WAYS 8u

/* The places that a page may have. One line of cache. */
struct version_set {
	u32 page[VERSION_WAYS]; /* number + 1; 0: free */
	u8 uses[VERSION_WAYS];
	u8 spoiled; /* bit i: the page went since, and is not here as it went */
	u8 hand;
	u8 unused[64 - 5 * VERSION_WAYS - 2];
};

_Static_assert(sizeof(struct version_set) == 64, "the price of eight places");

struct versions {
	struct version_set *sets;
	u8 *pages; /* of place i of set s: page number s * VERSION_WAYS + i */
	u32 nr_sets;
	u64 mapped; /* bytes, of both together */
};

/* At most @bytes, which may be too few for anything: then nothing is remembered. -ENOMEM. */
int versions_init(struct versions *v, u64 bytes, u32 nr_pages);
void versions_fini(struct versions *v); /* what is all zeros is allowed */
void versions_clear(struct versions *v);

/* The page as it went last, or NULL. Valid until something else is kept. */
const void *versions_find(const struct versions *v, page_no no);

/* The page goes like this. @again: it was sent before. */
void versions_keep(struct versions *v, page_no no, const void *page, bool again);

/* The page goes, and it is not worth keeping how. */
void versions_spoil(struct versions *v, page_no no);

/*
 * A delta from @old to @page, of at most @max bytes (at most PAGE_SIZE). Returns its size, or 0:
 * too much has changed. @room is a page of garbage.
 */
u32 delta_pack(const void *old, const void *page, void *room, void *out, u32 max);

/* @page, which is what @old was above, becomes what @page was. -EBADMSG as codec_unpack(). */
int delta_unpack(const void *in, u32 size, void *room, void *page);

#endif
