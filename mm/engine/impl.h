// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of the memory engine: what its files share. For mm/ alone; the machine sees
 * mm/engine/mem.h.
 *
 *   mem.c        birth, limits, orders, death
 *   access.c     the VMM's own accesses
 *   put.c        whole pages are replaced: a guest rolled back, or arriving
 *   export.c     pages as they are, for copies and for other hosts
 *   arm.c        from watching to being in charge
 *   fault.c      what userfaultfd reports, answered in handler threads
 *   fill.c       pages come in
 *   prefetch.c   pages of a restored guest come in before it asks
 *   snap.c       live copies of guest memory
 *   evict.c      pages go out: chosen, unmapped, stored, discarded
 *   age.c        references: unmap and see who comes back; the working set
 *   manager.c    the threads that decide how much must go, and when
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
 * plus the store. Whoever brings a page in first makes room (reclaim_room()), so the sum passes the
 * limit only by what one eviction batch and its compressed copies need: MEM_SLACK covers that.
 */
#ifndef QUIRE_MM_ENGINE_IMPL_H
#define QUIRE_MM_ENGINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/base/clock.h"
#include "mm/engine/mem.h"
#include "mm/space/pager.h"
#include "mm/space/space.h"
#include "mm/base/thread.h"
#include "mm/policy/trace_file.h"
#include "mm/space/uffd.h"

struct snap;
struct ahead;

/* More than four only where each may have to wait for another host. */
#define MAX_HANDLERS	 17
#define MAX_TRACE_WINDOW 4096

/* Pages brought in at once, at most: 128 KiB. */
#define MAX_AROUND 32

/* Places where a guest goes through its memory in order: so many at a time are followed. */
#define NR_STREAMS 8

struct stream {
	page_no next; /* the fault that would continue it */
	u32 width;    /* pages to bring in then */
	u64 used;     /* when, in faults */
};

/* The age clock: page.seen counts in it, modulo 2^16 (two and a quarter hours). */
#define AGE_TICK_NS ((u64)125000000)

struct mem {
	struct mem_config cfg;
	struct mem_host host;
	struct space *space;

	pthread_mutex_t birth_lock; /* before all others: one thread prepares and starts it */

	/* set while preparing and arming, constant afterwards */
	atomic_bool prepared;
	struct uffd uffd;
	struct store *store;
	struct tier *tier;
	int stop_fd; /* eventfd: readable once threads are to end */
	pthread_t handlers[MAX_HANDLERS];
	unsigned int nr_handlers;
	pthread_t evictor, manager;
	bool has_evictor, has_manager;

	atomic_bool armed;
	atomic_bool stopping; /* threads end soon */
	atomic_bool cut;      /* guest memory is gone: see to it that nobody waits */
	atomic_int hurry;     /* how many wait for vCPUs to leave the guest: serve them */

	pthread_mutex_t evict_lock;
	struct evict_batch *batch; /* under evict_lock */
	page_no shed_hand;	   /* under lock: where the search for kept copies goes on */

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
	u32 nr_waiting; /* for room */
	bool told_full, told_swap;
	bool draining; /* the evictor is on its way from one margin to two */
	struct stream streams[NR_STREAMS];
	u64 nr_faults;

	/* ages */
	page_no scan_hand, old_hand;
	double scan_credit_ns;		  /* guest time that soft faults may cost */
	double scan_returns;		  /* share of scanned pages that came back, lately */
	u32 scan_unmapped, scan_returned; /* since the last step */
	struct wss wss;
	struct wss_watch *watch; /* samples being watched */
	double sample_credit;
	u64 random;

	/* live copies and restored guests */
	struct snap *snap;	  /* NULL: no copy is being made */
	pthread_cond_t snap_room; /* it can take more */
	bool no_ahead;		  /* pages that nobody waits for must not come in now */
	struct ahead *ahead;	  /* constant while threads run */
	u64 *written;		  /* pages that mem_write() wrote; NULL: nobody asked yet */
	u8 *export_room;	  /* of mem_export(), between its calls */
	bool still;		  /* mem_hold_still(): nothing is chosen, unmapped or sampled */

	/* control */
	struct tuner_promotions promotions;
	struct tuner_stall stall;
	struct tuner_pff pff;
	struct tuner_thrash thrash;
	u32 cold_ms;		/* proactive: pages idle for longer go */
	u64 push;		/* proactive: pages to push out in this period */
	u64 stall_ns, promoted; /* since the last period */
	double promotion_rate;

	/* the trace */
	struct trace_file *trace;
	page_no *window;
	u32 window_size, window_next;

	/* counts */
	struct hist faults[MEM_NR_FAULT_KINDS];
	u64 around, evicted, evicted_clean, rescued, refused, waited, waited_ns, scanned;
};

/* ---- mem.c ---- */

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
u64 used_bytes(struct mem *m);

/* Tell the owner that something happened. Under lock or not. */
void mem_tell(struct mem *m, enum mem_event_kind kind);

/* The guest cannot go on: cut it off and say why. */
void mem_fail(struct mem *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From whatever stage to being armed, but not to evicting. Called without locks. */
int mem_take_charge(struct mem *m, struct err *err);

/* ---- arm.c ---- */

/* Take charge of guest memory. Does nothing the second time. Called without locks. */
int mem_arm(struct mem *m, struct err *err);

/* ---- access.c ---- */

/* A page in memory is about to be changed by the VMM. Under lock, after snap_ready(). */
void door_before_write(struct mem *m, page_no no);

/* ---- put.c ---- */

/*
 * For a pager that brings pages by itself (mm/engine/remote.h), while the guest runs: only a page
 * that is in the origin alone is put. A page is mapped while there is plenty of room, else stored;
 * a block is stored as it came. -EEXIST: the page is not missing any more. -EBUSY: somebody is
 * bringing it in, perhaps from the pager, who is to give it to them; it is not waited for, so
 * whoever brings pages may call this. -EBADMSG: the block cannot be opened. -ENOMEM. Armed, called
 * without locks.
 */
int put_missing_page(struct mem *m, page_no no, const void *page);
int put_missing_block(struct mem *m, page_no no, const struct codec_block *block);

/*
 * The pages that have a bit in @pages are in the origin alone, whatever they were. Nobody uses
 * guest memory meanwhile. Armed, called without locks.
 */
void put_forget(struct mem *m, const u64 *pages);

/* ---- fault.c ---- */

int fault_start(struct mem *m, struct err *err);
void fault_stop(struct mem *m);

/* Pages [no, no + n) are about to come in: the next fault of a stream is expected behind them. */
void fault_took(struct mem *m, page_no no, u32 n);

/* ---- fill.c (more in mm/engine/fill.h) ---- */

/* Bring a page in for the VMM itself. Under lock, which is let go of meanwhile. */
int fault_in(struct mem *m, page_no no, bool write);

/* ---- prefetch.c ---- */

/* Only where there is a pager that does not bring pages by itself. Armed, before vCPUs run. */
int ahead_start(struct mem *m, struct err *err);
void ahead_stop(struct mem *m);

/* The guest asked for a page, and so many came. Under lock. */
void ahead_touched(struct mem *m, page_no no, u32 n);

/* ---- evict.c ---- */

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
 * Keep the store within its own limit (drop kept copies, move the coldest down) and give back what
 * its pool does not need. Without locks.
 */
void evict_trim_store(struct mem *m);

/* Whether the store may take no more: without a tier below, its own limit is final. */
bool evict_store_is_full(struct mem *m);

/* Let go of the stored copy of a page, if it has one. Under lock. */
void evict_forget_copy(struct mem *m, page_no no);

/* ---- age.c ---- */

/* The age clock's time. */
static inline u16 age_now(void)
{
	return (u16)(now_ns() / AGE_TICK_NS);
}

int age_init(struct mem *m);
void age_fini(struct mem *m);

/* Time has passed: unmap some pages, draw some samples. Called without locks. */
void age_step(struct mem *m, u64 period_ns);

/* A page that is being mapped was a sample. Under lock. */
void age_sample_touched(struct mem *m, page_no no, u64 now);

/* A scanned page came back. Under lock. */
void age_returned(struct mem *m);

void age_histogram(struct mem *m, u64 ages[MEM_NR_AGES]);

/* ---- manager.c ---- */

int reclaim_start(struct mem *m, struct err *err);
void reclaim_stop(struct mem *m);

/* Whether @n pages more fit under the limit. Under lock. */
bool reclaim_fits(struct mem *m, u32 n);

/* Make it so, evicting and waiting as need be. Under lock, which is let go of meanwhile. */
void reclaim_room(struct mem *m, u32 n);

/* Whether nobody has to go for a page that nobody waits for. Under lock. */
bool reclaim_has_plenty(struct mem *m);

/* More is in use than before: see whether the evictor has something to do. Under lock. */
void reclaim_call(struct mem *m);

/* ---- mem.c: the reference trace ---- */

/* A reference was seen, and the page is (about to be) mapped. Under lock. */
void trace_reference(struct mem *m, page_no no, bool write);

/* Write what was recorded. A trace that cannot be written ends; the guest goes on. Under lock. */
void trace_step(struct mem *m);

#endif
