// SPDX-License-Identifier: Apache-2.0
/* The controllers. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_TUNE_H
#define QUIRE_MM_ENGINE_TUNE_H

#include "mm/policy/tuner.h"

/* The limit of fault-frequency mode and the store's share go to mem.limit and mem.store_limit. */
struct tune {
	struct tuner_promotions promotions;
	struct tuner_stall stall;
	struct tuner_pff pff;
	struct tuner_thrash thrash;
	u32 cold_ms; /* proactive: pages idle for longer go */
	u64 push;    /* proactive: pages to push out in this period */
	double promotion_rate;
};

struct mem;

void tune_init(struct mem *m);

/* The limits have changed, or the proactive mode. Under lock, or before there are threads. */
void tune_limits(struct mem *m);
void tune_proactive(struct mem *m);

/* A second has passed, about: @period_ns. Called without locks. */
void tune_step(struct mem *m, u64 period_ns);

#endif
