// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of the memory engine: the structure that its files share. For mm/engine alone; the
 * machine sees mem.h and the headers that it lists.
 *
 * Each file calls those below it alone (tools/checks/circles), and has a small header of its own:
 *
 *	remote                   a guest whose memory comes later
 *	put, snap                pages are replaced; live copies of guest memory
 *	mem, stats, quiesce      birth, limits, orders, death; numbers; nothing moves for a while
 *	manager                  the threads that decide how much must go, and when
 *	charge, tune             from watching to being in charge; the controllers
 *	fault                    what userfaultfd reports, answered in handler threads
 *	prefetch, access         pages come in before they are asked for; the VMM's own accesses
 *	fill                     pages come in
 *	age                      references: unmap and see who comes back; the working set
 *	room, trace              the hard limit; the reference trace
 *	evict                    pages go out: chosen, unmapped, stored, discarded
 *	trim, snap_marks         the store's own limit; marked pages are saved before they change
 *	export, note             pages as they are, for copies; what is noted of a page
 *	owner, stream            what the owner is told; faults that go through memory in order
 *	page                     the states, and who moves a page from one to another
 *
 * Locks, in the order in which they may be taken:
 *
 *   birth_lock   from nothing to started: whoever first asks for it, on whatever thread.
 *   evict_lock   one evictor at a time. Held while pages are compressed and while the store is
 *                moved down a tier, for milliseconds; never by anyone who holds `lock`.
 *   lock         all page states, the policy, ages, samples, usage. Held for microseconds: never
 *                while compressing or reading the tier below.
 *   (the store's own, inside mm/store/store.c)
 *
 * A page's contents may be looked at under `lock` when it is in memory; an IDLE or EVICTING page
 * also without it by the evictor, because nobody can write it (page.h, rule 3).
 *
 * The limit. used_bytes() is resident pages (FILLING ones count: their memory is as good as taken)
 * plus the store. Whoever brings a page in first makes room (room_make()), so the sum passes the
 * limit only by what one eviction batch and its compressed copies need: MEM_SLACK covers that.
 */
#ifndef QUIRE_MM_ENGINE_IMPL_H
#define QUIRE_MM_ENGINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/base/clock.h"
#include "mm/base/hist.h"
#include "mm/base/thread.h"
#include "mm/engine/mem.h"
#include "mm/engine/page.h"
#include "mm/engine/stats.h"
#include "mm/engine/stream.h"
#include "mm/engine/trim.h"
#include "mm/engine/tune.h"
#include "mm/policy/policy.h"
#include "mm/policy/wss.h"
#include "mm/space/pager.h"
#include "mm/space/space.h"
#include "mm/space/uffd.h"
#include "mm/store/store.h"

/* What one file alone has: of fault, manager, evict, age, trace, prefetch and snap. */
struct handlers;
struct manager;
struct evict_batch;
struct age;
struct trace_window;
struct prefetch;
struct snap;

/* Pages brought in at once, at most: 128 KiB. */
#define MAX_AROUND 32

/* The age clock: page.seen counts in it, modulo 2^16 (two and a quarter hours). */
#define AGE_TICK_NS ((u64)125000000)

struct mem {
	struct mem_config cfg;
	struct mem_host host;
	struct space *space;

	pthread_mutex_t birth_lock; /* before all others: one thread prepares and starts it */

	/* set while preparing and taking charge, constant afterwards */
	atomic_bool prepared;
	struct uffd uffd;
	struct store *store;
	struct tier *tier;
	int stop_fd; /* eventfd: readable once threads are to end */
	struct handlers *handlers;
	struct manager *manager;
	struct prefetch *prefetch; /* constant while threads run */

	atomic_bool in_charge;
	atomic_bool stopping; /* threads end soon */
	atomic_bool cut;      /* guest memory is gone: see to it that nobody waits */
	atomic_int hurry;     /* how many wait for vCPUs to leave the guest: serve them */

	pthread_mutex_t evict_lock;
	struct evict_batch *batch; /* under evict_lock */

	pthread_mutex_t lock;
	/* Everything below is under lock. */
	pthread_cond_t room;   /* a page went, or the limit rose: look again */
	pthread_cond_t filled; /* a page is no longer FILLING */
	pthread_cond_t wanted; /* the evictor has something to do */
	pthread_cond_t tick;   /* the manager is to look now */
	struct pages pages;
	struct policy *policy;
	struct policy_choice choice;
	u64 limit, limit_min, store_limit;
	u64 peak;
	u32 nr_waiting;	  /* for room */
	bool told_full;	  /* the owner was: nothing more can go out */
	bool quiesced;	  /* mem_quiesce(): nothing is chosen, unmapped or sampled */
	bool no_prefetch; /* pages that nobody waits for must not come in now */

	/* of single files, in the order of their floors */
	struct streams streams;
	u8 *export_room; /* of mem_export(), between its calls */
	struct trim trim;
	struct snap *snap;	    /* NULL: no copy is being made */
	pthread_cond_t snap_room;   /* it can take more */
	struct trace_window *trace; /* NULL: nothing is recorded */
	struct age *age;
	u64 *written; /* pages that mem_write() wrote; NULL: nobody asked yet */
	struct tune tune;

	/* counts */
	struct wss wss;
	struct hist faults[MEM_NR_FAULT_KINDS];
	u64 stall_ns, promoted; /* since the last period */
	u64 around, evicted, evicted_clean, rescued, refused, waited, waited_ns, scanned;
};

static inline u64 resident_pages(const struct mem *m)
{
	const u64 *n = m->pages.count;

	return n[PAGE_RESIDENT] + n[PAGE_IDLE] + n[PAGE_EVICTING] + n[PAGE_FILLING];
}

static inline u64 resident_bytes(const struct mem *m)
{
	return resident_pages(m) << PAGE_SHIFT;
}

/* What the limit is about. Under lock. */
static inline u64 used_bytes(const struct mem *m)
{
	return resident_bytes(m) + store_bytes(m->store);
}

/* Whether the page is in the guest's origin, and nowhere else. Under lock. */
static inline bool in_origin(const struct mem *m, page_no no)
{
	const struct page *p = &m->pages.page[no];

	return p->state == PAGE_ABSENT && !(p->flags & PAGE_F_OWN) && pager_has(m->cfg.origin, no);
}

/* The age clock's time. */
static inline u16 age_now(void)
{
	return (u16)(now_ns() / AGE_TICK_NS);
}

#endif
