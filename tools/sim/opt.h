// SPDX-License-Identifier: Apache-2.0
/*
 * What no policy can beat: OPT (Belady's MIN), which knows the future and evicts the page whose
 * next reference is farthest away; and Denning's working set, which has no fixed number of frames.
 */
#ifndef QUIRE_TOOLS_SIM_OPT_H
#define QUIRE_TOOLS_SIM_OPT_H

#include "tools/sim/replay.h"

/*
 * For each reference the index of the next one to the same page, or UINT32_MAX; nr_refs of them, to
 * be freed. NULL when memory is short.
 */
u32 *next_uses(const struct trace *t);

/*
 * Replay under OPT; @next is next_uses(t). O(references * log frames). Of pages that are not used
 * again the one that was seen first in the trace goes first. -ENOMEM.
 */
int replay_opt(struct outcome *out, const struct trace *t, const u32 *next, u32 frames,
	       const struct watcher *watcher);

/* Denning's working set for a window of so many references. */
struct working_set {
	u32 window;
	u64 faults;  /* references to pages that were not referenced in the last `window` ones */
	double mean; /* pages in the working set, mean over all references */
};

void working_set(struct working_set *out, const struct trace *t, const u32 *next, u32 window);

#endif
