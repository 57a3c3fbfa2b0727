// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a live copy: what its course (snap.c) and the marks (snap_marks.c) share. For these
 * two alone. All under the engine's lock.
 */
#ifndef QUIRE_MM_ENGINE_SNAP_IMPL_H
#define QUIRE_MM_ENGINE_SNAP_IMPL_H

#include "mm/engine/export.h"
#include "mm/space/uffd.h"

/* Copies that can wait to be saved: 8 MiB, of which the instant may take most. */
#define POOL	    2048
#define TAKE_COPIES (POOL - 256)
#define QUEUE	    4096

struct snap {
	enum { SNAP_MARKING, SNAP_LIVE } phase;
	int error;    /* 0, or why the copy was given up */
	page_no hand; /* pages below it are marked (MARKING), or saved (LIVE) */
	u64 *touched; /* MARKING: a bit for each page changed since it was marked */
	u64 *again;   /* the pages touched in the round before, once there was one */
	u32 nr_touched, rounds;
	u32 first, nr;			 /* of the queue */
	struct export_item queue[QUEUE]; /* at: of a copy, its place in the pool */
	u32 nr_free;
	u16 free[POOL];
	u8 *pool;
};

/* Stretches of resident pages, whose protection changes together. */
struct snap_stretch {
	struct mem *mem;
	enum uffd_mode mode;
	page_no first;
	u32 n;
};

void snap_stretch_add(struct snap_stretch *s, page_no no);
void snap_stretch_end(struct snap_stretch *s);

bool snap_is_marked(const struct mem *m, page_no no);
void snap_mark(struct mem *m, page_no no, struct snap_stretch *stretch);

/* Take the mark away; whether the guest mapping is then to be unprotected. */
bool snap_unmark(struct mem *m, page_no no);

/* The page has changed since it was marked, or might have. */
void snap_touch(struct snap *s, page_no no);

/* Have it saved as it is; there must be room. */
void snap_enqueue(struct mem *m, page_no no);

u8 *snap_pool_page(const struct snap *s, u32 at);

#endif
