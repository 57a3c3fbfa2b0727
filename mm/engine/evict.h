// SPDX-License-Identifier: Apache-2.0
/* Pages go out. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_EVICT_H
#define QUIRE_MM_ENGINE_EVICT_H

#include "mm/base/addr.h"

struct mem;

int evict_init(struct mem *m);
void evict_fini(struct mem *m);

/* Unmap the resident pages @nos, sorted, which become IDLE. Under lock. */
void evict_unmap(struct mem *m, const page_no *nos, u32 n);

/*
 * Push out at most @n pages; returns how many went. Called without locks, by anyone. With
 * @cold_ticks, only pages that have been idle for at least that long.
 */
u32 evict_pages(struct mem *m, u32 n, u32 cold_ticks);

/* Push out one batch of at most @n, unless somebody else is evicting: then false. Without locks. */
bool evict_try(struct mem *m, u32 n, u32 *went);

/*
 * A page in memory is about to be changed by the VMM: what the evictor has copied of it, now or
 * earlier, counts no more. Under lock, after snap_before_change().
 */
void evict_call_off(struct mem *m, page_no no);

#endif
