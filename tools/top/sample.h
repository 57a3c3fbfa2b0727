// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest's process told of itself, out of JSON and into numbers: the replies to x-quire-stats
 * and x-quire-memory (docs/quire.1 and docs/overcommit.md say what they mean).
 *
 * Replies are not trusted. A member that is missing, negative or of another kind reads as 0, arrays
 * are cut to what there is room for, and nothing refers to the JSON afterwards.
 */
#ifndef QUIRE_TOOLS_TOP_SAMPLE_H
#define QUIRE_TOOLS_TOP_SAMPLE_H

#include <jansson.h>

#include "mm/base/base.h"
#include "mm/engine/page.h"

#define SAMPLE_TEXT_MAX	  32
#define SAMPLE_MAX_AGES	  32
#define SAMPLE_MAX_POINTS 128
#define SAMPLE_MAX_CELLS  65536

enum sample_fault { FAULT_ZERO, FAULT_SOFT, FAULT_STORE, FAULT_TIER, FAULT_WRITE, NR_FAULTS };

extern const char *const sample_fault_names[NR_FAULTS];

/* x-quire-stats. */
struct vitals {
	char state[SAMPLE_TEXT_MAX];
	u64 pid, memory, resident, stored, limit;
};

struct fault_stats {
	u64 count, mean_ns, p50_ns, p99_ns, max_ns;
};

struct swap_stats {
	u64 objects, object_bytes, used_bytes, capacity_bytes, reads, writes;
	u64 read_bytes, written_bytes, moved, errors;
};

struct contents_stats {
	u64 pages, patterns, shared, blocks, raw, below;
	u64 payload_bytes, pool_bytes, metadata_bytes, below_bytes;
	double ratio;
};

struct age {
	u64 below_ms, pages;
};

struct curve_point {
	double memory, faults; /* share of memory; faults a second */
};

/* x-quire-memory. Sizes in bytes, pages in pages. */
struct sample {
	bool armed, thrashing, has_swap;
	char policy[SAMPLE_TEXT_MAX];
	u64 limit, limit_min, resident, store, peak, descriptors, kept;
	u64 pages[PAGE_NR_STATES];
	struct contents_stats contents;
	struct swap_stats swap;
	struct fault_stats faults[NR_FAULTS];
	u64 around, evicted, evicted_clean, rescued, refused, waited, waited_ns, scanned;
	u64 faults_per_second;
	double promotion_rate, stall;
	double wss, wss_low, wss_high; /* shares of memory */
	u64 wss_window_ms, wss_samples;
	u32 nr_ages, nr_points, nr_cells;
	struct age ages[SAMPLE_MAX_AGES];
	struct curve_point curve[SAMPLE_MAX_POINTS];
	u32 (*cells)[PAGE_NR_STATES]; /* the map: pages of each stretch by state; owned */
};

void vitals_read(struct vitals *out, const json_t *reply);

/* The map is kept from the last reply when this one has none. */
void sample_read(struct sample *out, const json_t *reply);
void sample_fini(struct sample *s);

#endif
