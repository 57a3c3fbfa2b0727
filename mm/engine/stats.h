// SPDX-License-Identifier: Apache-2.0
/*
 * What the memory engine has to show: counters and latencies, ages, the map, single pages, and
 * whether it all adds up. Any thread; nothing changes by being looked at.
 */
#ifndef QUIRE_MM_ENGINE_STATS_H
#define QUIRE_MM_ENGINE_STATS_H

#include "mm/base/hist.h"
#include "mm/engine/page.h"
#include "mm/policy/wss.h"
#include "mm/store/store.h"
#include "mm/swap/tier.h"

struct mem;

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
	bool in_charge; /* of guest memory: before that it only watches */
	char policy[24];
	u64 limit, limit_min; /* bytes; 0: none */
	u64 resident_bytes;   /* guest pages in memory */
	u64 store_bytes;      /* host memory of the store: pool and metadata */
	u64 peak_bytes; /* highest sum of both since it is in charge (or reset by mem_reset_peak) */
	u64 descriptor_bytes;	   /* page descriptors and policy */
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

void mem_get_stats(struct mem *mem, struct mem_stats *stats);
void mem_reset_peak(struct mem *mem);

/* One character per state of the page, for maps; see page_state_names in mm/engine/page.h. */
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
