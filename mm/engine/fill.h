// SPDX-License-Identifier: Apache-2.0
/*
 * Bringing pages in: from the store, from the guest's origin (mm/space/pager.h), or as zeros.
 * For the engine's own files. What a fill may be asked for: pages that are ABSENT or STORED.
 *
 * A fill has three steps. The pages are taken under the lock (FILLING: nobody else touches them),
 * their contents are fetched and mapped without it, and they are committed under it again.
 */
#ifndef QUIRE_MM_ENGINE_FILL_H
#define QUIRE_MM_ENGINE_FILL_H

#include "mm/engine/stats.h"
#include "mm/space/uffd.h"

/* What one thread needs to fill pages. */
struct filler;

/* NULL: no memory. It brings in up to MAX_AROUND pages at once. */
struct filler *filler_create(struct mem *m);
void filler_destroy(struct filler *f);

/* What was wrong the last time that a fill failed; may be empty. */
const struct err *filler_why(const struct filler *f);

struct fill_done {
	enum mem_fault_kind kind; /* what the first page was */
	u32 n;			  /* pages that came */
};

/*
 * Bring in up to @width pages from @no on, which was read or written; making room first, at need by
 * waiting. 0 or -errno; -EAGAIN: what the pages are has changed meanwhile, look again. Under lock,
 * which is let go of meanwhile.
 */
int fill_serve(struct filler *f, page_no no, bool write, u32 width, struct fill_done *done);

/*
 * Bring in pages of [no, no + n) that are still in the origin alone, up to the first that is not,
 * if there is room. Returns how many; 0 also when it failed: whoever needs the page will hear of
 * it. Called without locks.
 */
u32 fill_prefetch(struct filler *f, page_no no, u32 n);

/* Bring a page in for the VMM itself. Under lock, which is let go of meanwhile. */
int fill_in(struct mem *m, page_no no, bool write);

enum map_how { MAP_ZERO, MAP_COPY, MAP_CONTINUE };

/*
 * Map all of [no, no + n). What was mapped already is as good; whoever waits for it is woken. 0 or
 * -errno; -ECANCELED: guest memory has been cut off.
 */
int fill_map(struct mem *m, enum map_how how, page_no no, u32 n, const u8 *from,
	     enum uffd_mode mode);

#endif
