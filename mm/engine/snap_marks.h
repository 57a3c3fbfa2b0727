// SPDX-License-Identifier: Apache-2.0
/*
 * The marks of a live copy, which the engine's other files must know of. What a copy is, and its
 * course, the machine sees in mm/engine/copy.h (mem_snap_...).
 *
 * The mark. A page that is part of the copy and not yet saved has PAGE_PROTECT_CHECKPOINT, in
 * whatever state it is. While it is RESIDENT the guest mapping is write-protected too; in all other
 * states it is unmapped, so the guest cannot change it unseen. Whoever is about to change a page,
 * or to map it writable, says so first: snap_before_change() saves what it holds and takes the mark
 * away.
 */
#ifndef QUIRE_MM_ENGINE_SNAP_MARKS_H
#define QUIRE_MM_ENGINE_SNAP_MARKS_H

#include "mm/base/addr.h"

struct mem;

/*
 * Whether @n pages can be saved now by snap_before_change(). If not, it has waited: the lock was
 * let go of, and the caller must look again at everything. Under lock.
 */
bool snap_ready(struct mem *m, u32 n);

/* The page is about to be changed or to be mapped writable. Under lock, after snap_ready(). */
void snap_before_change(struct mem *m, page_no no);

#endif
