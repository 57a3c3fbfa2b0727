// SPDX-License-Identifier: Apache-2.0
/*
 * The VMM's own accesses to guest memory while the guest runs: what a device reads and writes
 * (access.c), and whole pages that are replaced (put.c). Any thread, no lock held; an access may
 * wait as a fault does, for a page to come and for room under the limit.
 */
#ifndef QUIRE_MM_ENGINE_ACCESS_H
#define QUIRE_MM_ENGINE_ACCESS_H

#include "mm/base/addr.h"

struct mem;
struct codec_block;

/*
 * Accesses to guest memory while it runs: like space_read() and space_write(), evicted or not. Of
 * a guest with an origin not before mem_start().
 */
int mem_read(struct mem *mem, gpa_t start, void *data, u64 len);
int mem_write(struct mem *mem, gpa_t start, const void *data, u64 len);

/*
 * Compare-and-exchange of an aligned word of 8 bytes, which the guest may be changing itself.
 * 0: done; 1: *@expected now says what is there; -errno.
 */
int mem_cmpxchg(struct mem *mem, gpa_t at, u64 *expected, u64 value);

/*
 * Replace the contents of whole pages, by their numbers in the file, with what lies @stride bytes
 * apart; not noted as written, and nothing is fetched for it. For rolling a guest back, and for one
 * that arrives. -EINVAL: no such page; -ENOMEM. Under a limit it makes room as a fault does, and
 * may wait for it as one.
 */
int mem_put_pages(struct mem *mem, page_no no, u32 n, const void *pages, size_t stride);

static inline int mem_put_page(struct mem *mem, page_no no, const void *page)
{
	return mem_put_pages(mem, no, 1, page, PAGE_SIZE);
}

/*
 * A guest that arrives from another host and does not run yet: mem_put_page() and mem_put_block()
 * replace what the page was, in any state, in any order and any number of times. A block stays
 * stored as it came when the engine is in charge, unless it is zeros (the page is absent then) or
 * the store is full and has no tier below; else it is opened. -EBADMSG: it cannot be opened, and
 * the page is what it was; -EINVAL: no such page; -ENOMEM.
 */
enum mem_put_how {
	MEM_PUT_AS_FITS,
	MEM_PUT_STORED, /* the engine takes charge, if it has not yet, so that the block stays */
};

int mem_put_block(struct mem *mem, page_no no, const struct codec_block *block,
		  enum mem_put_how how);

/*
 * Pages that mem_write() has written since the last call are added to @pages, a bit for each page
 * of the file. What it wrote before the first call is told only of a guest that was restored.
 * -ENOMEM.
 */
int mem_take_written(struct mem *mem, u64 *pages);

#endif
