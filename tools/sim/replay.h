// SPDX-License-Identifier: Apache-2.0
/*
 * One trace through one policy with so many frames, by demand paging from empty memory: a reference
 * to a page that is not in memory is a fault, also the first one to it.
 *
 * `+idle` is done here for every policy, as the memory engine does it for a live guest. A quarter
 * of the frames, rounded down, holds idle pages: the victim of the policy is unmapped and waits
 * there. A reference to it rescues it (it is loaded again, without a fault); when the quarter is
 * full the page that has been idle longest is evicted. With fewer than four frames nothing is idle.
 */
#ifndef QUIRE_TOOLS_SIM_REPLAY_H
#define QUIRE_TOOLS_SIM_REPLAY_H

#include "mm/policy/policy.h"
#include "mm/policy/trace_file.h"

/* What came of it. */
struct outcome {
	u64 faults;
	u64 rescues; /* references to idle pages */
};

/* Who wants to know what is evicted; dense page numbers. */
struct watcher {
	void *opaque;
	void (*evicted)(void *opaque, u32 page);
};

/*
 * @tick: after so many references a period is over (policy_tick()); 0: as many as there are
 * frames. @watcher may be NULL. -ENOMEM.
 */
int replay(struct outcome *out, const struct trace *t, const struct policy_choice *choice,
	   u32 frames, u32 tick, const struct watcher *watcher);

#endif
