// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a page: one descriptor per 4 KiB of guest memory, one state machine, one function
 * that moves it.
 *
 *            touch            done              unmap           chosen
 *    ABSENT ------> FILLING ------> RESIDENT ---------> IDLE -----------> EVICTING
 *                      ^               ^  ^     touch    |  ^  called off   |  | |
 *                      |               |  +--------------+  +---------------+  | |
 *                      |               |               touch                   | |
 *                      |               +---------------------------------------+ | contents
 *                      | touch                                                   v  stored
 *                      +------------------------------------------------------ STORED
 *
 * Not drawn: from anywhere but FILLING to ABSENT (what it held counts no more, or was zeros); from
 * FILLING back to where it was (its contents could not be had); from ABSENT straight to STORED (its
 * contents came from another host as they are stored).
 *
 *   ABSENT    nothing in memory, nothing stored: reads as zeros, or as the guest's origin has it
 *             (mm/space/pager.h)
 *   FILLING   somebody brings its contents in; whoever faults on it waits for that
 *   RESIDENT  in memory and mapped for the guest, which may write it at any time
 *   IDLE      in memory but unmapped: a touch is a cheap soft fault, which is how references are
 *             seen; nobody can change its contents
 *   EVICTING  like IDLE, and somebody is storing its contents; a touch takes it back
 *   STORED    its contents are in the store alone
 *
 * Who moves a page (all under the engine's lock, all through page_move()):
 *
 *   ABSENT, STORED -> FILLING     fill_begin      fill.c    somebody needs its contents
 *   FILLING -> RESIDENT           commit_one      fill.c    they are there, and mapped
 *   FILLING -> ABSENT, STORED     fill_commit     fill.c    they could not be had
 *   ABSENT, STORED -> FILLING     bring           put.c     its contents are replaced by given ones
 *   FILLING -> RESIDENT           arrived         put.c     they are there, and mapped
 *   FILLING -> ABSENT, STORED     bring           put.c     the host had no memory for them
 *   ABSENT -> FILLING -> RESIDENT adopt           charge.c  it was there before the engine was
 *   RESIDENT -> IDLE              evict_unmap     evict.c   the scan, the sample, the policy
 *   IDLE, EVICTING -> RESIDENT    rescue          fault.c   the guest touched it
 *   IDLE -> EVICTING              choose          evict.c   it is to go
 *   EVICTING -> STORED, ABSENT    let_go          evict.c   it has gone (ABSENT: it was zeros,
 *                                                           or as the origin has it)
 *   EVICTING -> RESIDENT, IDLE    refuse          evict.c   the store would not have it
 *   EVICTING -> IDLE              evict_call_off  evict.c   the VMM is about to write to it
 *   ABSENT -> STORED              place           put.c     its contents came as they are stored
 *   any but FILLING -> ABSENT     forget          put.c     what it held is to be replaced
 *
 * Always true (page_sane() says it in C):
 *   1. A page is in guest memory exactly in RESIDENT, IDLE and EVICTING; while FILLING, perhaps.
 *   2. STORED has a stored copy; ABSENT has none; RESIDENT, IDLE and EVICTING may keep one from
 *      when they came back ("kept"), which counts for nothing once the page has been written.
 *   3. Only an unmapped page is read in order to be stored: IDLE and EVICTING pages do not change.
 *   4. Write protection has reasons, and is in force while there is one. Each owner sets and lifts
 *      its own; a write fault lifts all of them at once, telling each owner.
 *   5. A page is in the list of idle pages exactly while IDLE.
 *
 * Nothing here has a lock of its own: the engine's lock (mm/engine/impl.h) covers all of it.
 */
#ifndef QUIRE_MM_ENGINE_PAGE_H
#define QUIRE_MM_ENGINE_PAGE_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

enum page_state {
	PAGE_ABSENT,
	PAGE_FILLING,
	PAGE_RESIDENT,
	PAGE_IDLE,
	PAGE_EVICTING,
	PAGE_STORED,
	PAGE_NR_STATES,
};

extern const char *const page_state_names[PAGE_NR_STATES];

/* Why a page is write-protected. A set: each reason has its owner. */
enum page_protect {
	PAGE_PROTECT_EVICT = 1 << 0,	  /* its stored copy is good as long as nobody writes */
	PAGE_PROTECT_TRACK = 1 << 1,	  /* dirty tracking */
	PAGE_PROTECT_CHECKPOINT = 1 << 2, /* must be saved before it changes; in any state */
	PAGE_PROTECT_TABLE = 1 << 3, /* the guest's page table: shadow paging must see writes */
};

/* Sixteen bytes, and not one more: a guest of 1 GiB pays 4 MiB for all of them. */
struct page {
	u32 stored;	    /* store_id of its stored copy, or 0 */
	page_no prev, next; /* in the list of idle pages, while IDLE */
	u16 seen;	    /* when it was last known to be in use, in ticks of the age clock */
	u8 state : 4;	    /* enum page_state; written by page_move() alone */
	u8 protect : 4;	    /* set of enum page_protect */
	u8 flags;	    /* set of PAGE_F_... */
};

_Static_assert(sizeof(struct page) == 16, "the price of a page");

#define PAGE_F_SAMPLED (1 << 0) /* unmapped as a sample of the working set */
#define PAGE_F_LISTED  (1 << 1) /* the replacement policy knows it */
#define PAGE_F_TRACED  (1 << 2) /* in the window of the reference trace */
#define PAGE_F_OWN     (1 << 3) /* what the guest's origin has of it counts no more */

/* All pages of a guest. Pages that are IDLE are listed oldest first. */
struct pages {
	u32 nr;
	bool check; /* page_sane() on each move */
	page_no idle_first, idle_last;
	u64 count[PAGE_NR_STATES];
	u64 kept; /* pages in memory that have a stored copy */
	struct page *page;
};

/* All pages begin ABSENT. -ENOMEM. */
int pages_init(struct pages *pages, u32 nr, bool check);
void pages_fini(struct pages *pages);

/* The only writer of a page's state. Asserts that the drawing has the arrow. */
void page_move(struct pages *pages, page_no no, enum page_state to);

/* Give a page its stored copy, or take it away (0). Returns the id it had before. */
u32 page_set_copy(struct pages *pages, page_no no, u32 id);

/*
 * Add or remove reasons for write protection. True when the page must now be write-protected
 * (first reason) or unprotected (last reason) in the guest mapping, which is the caller's to do.
 */
bool page_protect(struct pages *pages, page_no no, unsigned int reasons);
bool page_unprotect(struct pages *pages, page_no no, unsigned int reasons);

/* Whether the page obeys the rules above that can be seen from its descriptor. */
bool page_sane(const struct pages *pages, page_no no);

/* Walk everything: counts, list, rules. Returns false on the first contradiction. */
bool pages_sane(const struct pages *pages);

static inline bool page_in_memory(const struct page *p)
{
	return p->state == PAGE_RESIDENT || p->state == PAGE_IDLE || p->state == PAGE_EVICTING;
}

#endif
