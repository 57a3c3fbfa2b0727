// SPDX-License-Identifier: Apache-2.0
/* Pages that come by themselves. For the engine's own files; mem_put_...() are in access.h. */
#ifndef QUIRE_MM_ENGINE_PUT_H
#define QUIRE_MM_ENGINE_PUT_H

#include "mm/codec/codec.h"
#include "mm/base/addr.h"

struct mem;

/*
 * For a pager that brings pages by itself (mm/engine/remote.h), while the guest runs: only a page
 * that is in the origin alone is put. A page is mapped while there is plenty of room, else stored;
 * a block is stored as it came. -EEXIST: the page is not missing any more. -EBUSY: somebody is
 * bringing it in, perhaps from the pager, who is to give it to them; it is not waited for, so
 * whoever brings pages may call this. -EBADMSG: the block cannot be opened. -ENOMEM. In charge,
 * called without locks.
 */
int put_missing_page(struct mem *m, page_no no, const void *page);
int put_missing_block(struct mem *m, page_no no, const struct codec_block *block);

/*
 * The pages that have a bit in @pages are in the origin alone, whatever they were. Nobody uses
 * guest memory meanwhile. In charge, called without locks.
 */
void put_forget(struct mem *m, const u64 *pages);

#endif
