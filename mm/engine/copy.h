// SPDX-License-Identifier: Apache-2.0
/*
 * Copies of guest memory, for whoever takes it elsewhere: a live copy as it is at one instant
 * (snap.c), pages as they are at some moment (export.c), and nothing moving for a while
 * (quiesce.c). Nothing is brought in for a copy, and no page becomes younger by it.
 */
#ifndef QUIRE_MM_ENGINE_COPY_H
#define QUIRE_MM_ENGINE_COPY_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

struct mem;
struct codec_block;

/* Where pages go. Each is named once; an error ends the whole. */
struct mem_snap_sink {
	void *opaque;
	int (*page)(void *opaque, page_no no, const void *page);
	int (*block)(void *opaque, page_no no, const struct codec_block *block);
};

/* ---- Live copies ---- */

/*
 * A copy of guest memory as it is at one instant, made while the guest runs on, in these steps:
 *
 *	mem_snap_begin()  one at a time: the caller sees to that. Takes charge of guest memory.
 *	mem_snap_mark()   again and again while it says true; marks pages of @pages (NULL: all)
 *	                  while the guest runs. Writes to what is marked cost it a fault each. For a
 *	                  copy of given pages it may be left out; then the instant takes the longer
 *	                  the more there are.
 *	mem_snap_take()   vCPUs stopped: the instant. NULL: everything (all marked before), else a
 *	                  bit for each page that is to be copied, marked or not.
 *	mem_snap_save()   the guest may run again. Every page of the copy goes to the sink as it was
 *	                  at the instant, each once, in no order: first those that were about to
 *	                  change. Absent pages (zeros) are left out, but of given pages each is
 *	                  named.
 *	mem_snap_end()    always, also after a failure; what is marked still is let go of
 *
 * Stored pages are handed over as they are kept, and not brought in. It needs up to 8 MiB of host
 * memory, which no limit counts. mem_snap_cancel() may be called by any thread: -ECANCELED then.
 * While pages are still to come from another host mem_snap_begin() says -EBUSY.
 */
int mem_snap_begin(struct mem *mem, struct err *err);
bool mem_snap_mark(struct mem *mem, const u64 *pages);

/* So many given pages are copied at the instant within a millisecond; more are worth marking. */
#define MEM_SNAP_FEW 1024

void mem_snap_take(struct mem *mem, const u64 *pages);
int mem_snap_save(struct mem *mem, const struct mem_snap_sink *sink, struct err *err);
void mem_snap_end(struct mem *mem);
void mem_snap_cancel(struct mem *mem);

/* How far it is: every page below this one has been saved. */
u32 mem_snap_done(struct mem *mem);

/* ---- Moving a guest to another host ---- */

/*
 * The source's side; the guest may run or stand still. mem_present() sets the bits of all pages
 * that are not zeros for sure: in memory, stored, or in the image that the guest came from; the
 * others are left as they are. mem_export() gives each page of @nos, once, as it is at some moment
 * of the call: contents in memory through sink->page, stored ones (and those of the image) through
 * sink->block as they are kept, zeros as a pattern. It changes nothing: no page is brought in or
 * becomes younger. It does not matter whether the engine is in charge of guest memory.
 */
int mem_present(struct mem *mem, u64 *pages);
int mem_export(struct mem *mem, const page_no *nos, u32 n, const struct mem_snap_sink *sink,
	       struct err *err);

/*
 * Until mem_resume() no page leaves or enters guest memory by the engine's own will, and none is
 * under way: what is in the file behind guest memory can be handed to another process. The vCPUs
 * stand still meanwhile. Nobody else may ask the engine for pages in between, but mem_export(),
 * mem_present() and mem_look() are allowed. By one at a time; and not while the guest's pager owes
 * pages (mm/space/pager.h), as one that is coming in is waited for, for as long as that takes.
 */
void mem_quiesce(struct mem *mem);
void mem_resume(struct mem *mem);

/*
 * Pages that are not zeros, and not in the file: how many, and their bits in @pages, which may be
 * NULL. Exact while nothing moves.
 */
u32 mem_elsewhere(struct mem *mem, u64 *pages);

/*
 * What a page holds, of any guest memory, without bringing it in. Any thread. -EINVAL: no such
 * page; else as mem_export().
 */
int mem_look(struct mem *mem, page_no no, void *page);

#endif
