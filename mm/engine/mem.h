// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine of one guest: its resident memory is a number that the host sets. This is the
 * whole of it as the machine (vmm/) sees it; behind it are page.c (states), fault.c (pages come
 * in), evict.c (pages go out), age.c (which are idle), manager.c (how many must go), and the store.
 *
 * Until it is needed the engine only watches: guest memory is not registered with userfaultfd,
 * first touches cost what they cost without quire, and only the memory in use is looked at now and
 * then. It takes charge ("armed") when the guest comes near its limit, or when something is asked
 * of it that needs page states. That is never undone.
 *
 * Threads. mem_create() starts nothing; mem_start() starts the engine's threads. All other
 * functions may be called from any thread. Callbacks come from the engine's threads and must be
 * quick.
 *
 * Errors of the world while it runs (a swap file that cannot be read, contents that do not match
 * their checksum) cannot be returned to anyone: the guest must not go on, so the engine makes guest
 * memory inaccessible and says why through failed().
 */
#ifndef QUIRE_MM_ENGINE_MEM_H
#define QUIRE_MM_ENGINE_MEM_H

#include "mm/base/addr.h"
#include "mm/base/err.h"
#include "mm/base/hist.h"
#include "mm/engine/page.h"
#include "mm/policy/policy.h"
#include "mm/store/store.h"
#include "mm/swap/tier.h"
#include "mm/policy/tuner.h"
#include "mm/policy/wss.h"

struct mem;
struct space;
struct codec_block;
struct pager;

/* By how much resident pages plus the store may exceed the limit, in bytes. */
#define MEM_SLACK (2 * MiB)

/* No limit can be smaller: what a fault handler needs to have in flight. */
#define MEM_MIN_LIMIT (4 * MiB)

/* What pushes pages out before the limit does. */
enum mem_proactive {
	MEM_PROACTIVE_OFF,
	MEM_PROACTIVE_PROMOTIONS, /* promotions at most 0.2% of the working set a minute */
	MEM_PROACTIVE_STALL,	  /* at most 1% of vCPU time lost in faults */
};

/* How it is known that a page that came back was not written since (evicting it is then free). */
enum mem_clean {
	MEM_CLEAN_COMPARE, /* its contents still match the stored copy */
	MEM_CLEAN_PROTECT, /* it was write-protected when it came back, and no write fault came */
};

/* Strings belong to the caller and must outlive the engine. Zero means the default, or "not". */
struct mem_config {
	u64 limit;     /* bytes of resident pages and store; 0: none */
	u64 limit_min; /* fault-frequency mode: the limit moves between this and limit; 0: fixed */
	u64 store_limit;    /* bytes of store, beyond which the coldest go to the swap file */
	const char *policy; /* as policy_parse() takes it; NULL: "clock+idle" */
	const char *swap;   /* as swapfile_create() takes it; NULL: an unnamed temporary file */
	bool no_swap;	    /* no tier below the store at all */
	enum mem_proactive proactive;
	enum mem_clean clean;
	const char *trace;    /* record references to this file */
	u32 trace_window;     /* pages mapped at a time while recording; 0: 64 */
	struct pager *origin; /* absent pages are as it has them; NULL: zeros */
	const page_no *warm;  /* pages to bring in first, in order; used while threads run */
	u32 nr_warm;	      /* 0: record them instead (mem_host.recorded) */
	bool check;	      /* check invariants on each move and contents on each eviction */
	unsigned int nr_cpus;
};

enum mem_event_kind {
	MEM_EV_LIMIT,	    /* the limit cannot be kept by evicting: a fault waits for room */
	MEM_EV_ROOM,	    /* there is room again */
	MEM_EV_THRASH,	    /* the guest spends its time faulting */
	MEM_EV_THRASH_OVER, /* it no longer does */
	MEM_EV_SWAP_FULL,   /* the tier below takes no more */
	MEM_EV_SWAP_ERROR,  /* the tier below failed to take something; it was kept in memory */
	MEM_EV_TRACE_ERROR, /* the reference trace could not be written: it ends here */
	MEM_NR_EVENT_KINDS,
};

struct mem_event {
	enum mem_event_kind kind;
	u64 limit, resident, store; /* bytes, when it happened */
	double stall;		    /* share of vCPU time lost in faults, lately */
	double faults;		    /* on stored pages, per second, lately */
};

/* What the engine asks of its owner. */
struct mem_host {
	void *opaque;
	void (*failed)(void *opaque, const struct err *why); /* the guest cannot go on */
	void (*event)(void *opaque, const struct mem_event *event);
	/* May be NULL. The pages that a restored guest asked for first, in order. */
	void (*recorded)(void *opaque, const page_no *nos, u32 n);
};

/* Kinds of faults, for counts and latencies. */
enum mem_fault_kind {
	MEM_FAULT_ZERO,	  /* first touch of a page, or of one stored as zeros */
	MEM_FAULT_SOFT,	  /* the page was in memory, only unmapped */
	MEM_FAULT_STORE,  /* it came back from the store */
	MEM_FAULT_TIER,	  /* it came back from the tier below */
	MEM_FAULT_WRITE,  /* a write to a write-protected page */
	MEM_FAULT_IMAGE,  /* it came from the image that the guest was restored from */
	MEM_FAULT_REMOTE, /* it came from the host that the guest has moved away from */
	MEM_NR_FAULT_KINDS,
};

extern const char *const mem_fault_names[MEM_NR_FAULT_KINDS]; /* "zero", "soft", ... */

#define MEM_NR_AGES 16 /* ages of resident pages, bucket i: idle for less than 2^i seconds / 8 */

struct mem_stats {
	bool armed;
	char policy[24];
	u64 limit, limit_min; /* bytes; 0: none */
	u64 resident_bytes;   /* guest pages in memory */
	u64 store_bytes;      /* host memory of the store: pool and metadata */
	u64 peak_bytes;	      /* highest sum of both since armed (or reset by mem_reset_peak) */
	u64 descriptor_bytes; /* page descriptors and policy */
	u64 pages[PAGE_NR_STATES]; /* by state */
	u64 kept;		   /* resident pages that still have their stored copy */
	struct store_stats store;
	bool has_tier;
	struct tier_stats tier;			       /* all zero without one */
	struct hist_summary fault[MEM_NR_FAULT_KINDS]; /* latency in ns, event read to resolved */
	u64 around; /* pages brought in beside the one that faulted */
	u64 evicted,
		evicted_clean;	 /* pages pushed out; of them, whose stored copy was still good */
	u64 rescued;		 /* pages touched again while idle or being evicted */
	u64 refused;		 /* pages that evicting would not have gained anything */
	u64 waited, waited_ns;	 /* faults that had to wait for room, and how long */
	u64 scanned;		 /* pages unmapped to see references */
	u64 ages[MEM_NR_AGES];	 /* pages by time since they were last seen used */
	struct wss_estimate wss; /* share of memory touched within wss_window_ns */
	u64 wss_window_ns;
	struct wss_point curve[WSS_CURVE_POINTS];
	double promotion_rate; /* share of the working set per minute */
	double stall;	       /* share of vCPU time lost in faults on stored pages */
	bool thrashing;
	u64 faults_per_second; /* on stored pages, lately */
};

/*
 * @space must be made of a memfd (-EOPNOTSUPP otherwise, with a sentence) and outlive the engine.
 */
int mem_create(struct mem **out, struct space *space, const struct mem_config *cfg,
	       const struct mem_host *host, struct err *err);

/* Start watching; before the guest first runs or while it runs. */
int mem_start(struct mem *mem, struct err *err);

/*
 * Take charge of guest memory now, from whatever stage, without being ready to evict more than
 * before. Does nothing the second time. Any thread.
 */
int mem_take_charge(struct mem *mem, struct err *err);

/*
 * Make guest memory inaccessible, so that whoever waits in a fault gets an error instead of
 * waiting on. Call it before joining vCPU threads at the end of a guest. May be called twice.
 */
void mem_cut(struct mem *mem);

/* Stop the threads and free everything. vCPUs must have stopped. NULL is allowed. */
void mem_destroy(struct mem *mem);

/*
 * Change the limit of a running guest; takes effect at once, reclaim follows. @limit_min 0: fixed.
 * -EINVAL with a sentence when it cannot be one.
 */
int mem_set_limit(struct mem *mem, u64 limit, u64 limit_min, struct err *err);

/* Change the policy of a running guest; what the old one knew is forgotten. */
int mem_set_policy(struct mem *mem, const char *policy, struct err *err);

int mem_set_proactive(struct mem *mem, enum mem_proactive mode, struct err *err);

/* Push @bytes of resident pages out now. Returns the bytes that went, or -errno with a sentence. */
s64 mem_reclaim(struct mem *mem, u64 bytes, struct err *err);

/*
 * Somebody waits for vCPUs to leave the guest (between BEGIN and END): faults that wait for room
 * are served now, from the slack. May be nested.
 */
enum mem_hurry { MEM_HURRY_BEGIN, MEM_HURRY_END };
void mem_hurry(struct mem *mem, enum mem_hurry hurry);

/* Whether somebody does. A sink of mem_snap_save() must not dawdle then: faults may wait for it. */
bool mem_in_hurry(struct mem *mem);

/*
 * The door to guest memory while it runs: like space_read() and space_write(), evicted or not. To
 * that of a guest with an origin not before mem_start().
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
 * Pages that mem_write() has written since the last call are added to @pages, a bit for each page
 * of the file. What it wrote before the first call is told only of a guest that was restored.
 * -ENOMEM.
 */
int mem_take_written(struct mem *mem, u64 *pages);

/*
 * A copy of guest memory as it is at one instant, made while the guest runs on, in these steps:
 *
 *	mem_snap_begin()  one at a time: the caller sees to that. Takes charge of guest memory.
 *	mem_snap_arm()    again and again while it says true; marks pages of @pages (NULL: all)
 *	                  while the guest runs. Writes to what is marked cost it a fault each. For a
 *	                  copy of given pages it may be left out; then the instant takes the longer
 *	                  the more there are.
 *	mem_snap_take()   vCPUs stopped: the instant. NULL: everything (all armed before), else a
 *	                  bit for each page that is to be copied, armed or not.
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
struct mem_snap_sink {
	void *opaque;
	int (*page)(void *opaque, page_no no, const void *page);
	int (*block)(void *opaque, page_no no, const struct codec_block *block);
};

int mem_snap_begin(struct mem *mem, struct err *err);
bool mem_snap_arm(struct mem *mem, const u64 *pages);

/* So many given pages are copied at the instant within a millisecond; more are worth arming. */
#define MEM_SNAP_FEW 1024

void mem_snap_take(struct mem *mem, const u64 *pages);
int mem_snap_save(struct mem *mem, const struct mem_snap_sink *sink, struct err *err);
void mem_snap_end(struct mem *mem);
void mem_snap_cancel(struct mem *mem);

/* How far it is: every page below this one has been saved. */
u32 mem_snap_done(struct mem *mem);

/*
 * ---- Moving a guest to another host ----
 *
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
 * Until mem_move_on() no page leaves or enters guest memory by the engine's own will, and none is
 * under way: what is in the file behind guest memory can be handed to another process. The vCPUs
 * stand still meanwhile. Nobody else may ask the engine for pages in between, but mem_export(),
 * mem_present() and mem_look() are allowed. By one at a time; and not while the guest's pager owes
 * pages (mm/space/pager.h), as one that is coming in is waited for, for as long as that takes.
 */
void mem_hold_still(struct mem *mem);
void mem_move_on(struct mem *mem);

/*
 * Pages that are not zeros, and not in the file: how many, and their bits in @pages, which may be
 * NULL. Exact while it holds still.
 */
u32 mem_elsewhere(struct mem *mem, u64 *pages);

/*
 * The destination's side: the guest does not run yet. mem_put_page() (above) and mem_put_block()
 * replace what the page was, in any state, in any order and any number of times. A block stays
 * stored as it came when the engine is in charge or @keep_stored is set (the engine takes charge
 * then), unless it is zeros (the page is absent then) or the store is full and has no tier below;
 * else it is opened. -EBADMSG: it cannot be opened, and the page is what it was; -EINVAL: no such
 * page; -ENOMEM.
 */
int mem_put_block(struct mem *mem, page_no no, const struct codec_block *block, bool keep_stored);

/*
 * What a page holds, of any guest memory, without bringing it in. Any thread. -EINVAL: no such
 * page; else as mem_export().
 */
int mem_look(struct mem *mem, page_no no, void *page);

void mem_get_stats(struct mem *mem, struct mem_stats *stats);
void mem_reset_peak(struct mem *mem);

/* One character per state of the page, for maps; see page_state_chars in mm/engine/page.h. */
struct mem_map_cell {
	u32 pages[PAGE_NR_STATES]; /* how many pages of the cell are in which state */
};

/* Guest memory cut into @n cells of equal size, the last perhaps smaller. */
void mem_map(struct mem *mem, struct mem_map_cell *cells, u32 n);

/*
 * What is known of a page. Before the engine is in charge a page is resident if the file has it,
 * and else absent.
 */
struct mem_page {
	enum page_state state;
	unsigned int protect; /* set of enum page_protect: the guest cannot write it if not 0 */
	bool in_origin;	      /* absent, and as the guest's origin has it, rather than zeros */
	bool owed; /* to be had from another host alone: whoever needs it may wait for long */
};

/* Of pages [no, no + n), all at one instant; so n should be small. -EINVAL: no such pages. */
int mem_get_pages(struct mem *mem, page_no no, u32 n, struct mem_page *pages);

/*
 * Compare what the descriptors say with what the host's memory holds. For tests; the guest must be
 * paused. Returns the number of pages that differ, 0 when all is well.
 */
u64 mem_audit(struct mem *mem);

#endif
