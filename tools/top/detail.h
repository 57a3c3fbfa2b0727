// SPDX-License-Identifier: Apache-2.0
/*
 * One guest in full: bars, fault latencies, ages, the miss-ratio curve, the map of its memory. What
 * there is no room for is left out, the least needed first.
 */
#ifndef QUIRE_TOOLS_TOP_DETAIL_H
#define QUIRE_TOOLS_TOP_DETAIL_H

#include "tools/top/canvas.h"
#include "tools/top/guest.h"

/* Returns how many cells the map had, 0 when it was left out. */
u32 detail_draw(const struct area *a, const struct guest *g, u64 now_ms);

#endif
