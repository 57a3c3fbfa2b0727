// SPDX-License-Identifier: Apache-2.0
/*
 * Which pages of guest memory have changed, by KVM's dirty log: KVM write-protects pages in its own
 * tables and notes each that is written, without leaving the kernel for it. The first write to a
 * page after a harvest costs the guest one fault inside KVM (27 us where it was measured), a fifth
 * of what a write-protection by userfaultfd costs.
 *
 * Only the guest's own writes are seen; those of the VMM go through mem_write(), which notes them
 * (mem_take_written()).
 */
#ifndef QUIRE_VMM_VM_DIRTY_H
#define QUIRE_VMM_VM_DIRTY_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct vm;

/* u64 words of a bitmap with a bit for each page of guest memory, in the order of the file. */
u32 dirty_words(const struct vm *vm);

/*
 * Begin to watch; doing it twice is no error. The guest may run: what it writes before this returns
 * may be missed, what it writes afterwards is not.
 */
int dirty_start(struct vm *vm, struct err *err);

/*
 * The same for a VM that has no memory slots yet; they must be made with KVM_MEM_LOG_DIRTY_PAGES.
 * KVM then has nothing to protect page by page (3 ms a GiB) and no slot to change, which waits for
 * a grace period (3 ms): together that is longer than all else that a restore does.
 */
int dirty_start_early(struct vm *vm, struct err *err);

/* Add to @pages what has been written since the last harvest, and watch it anew. */
int dirty_harvest(struct vm *vm, u64 *pages, struct err *err);

/* Watch no more, unless @keep. It takes a while: not while the guest stands still. */
void dirty_stop(struct vm *vm, bool keep);

#endif
