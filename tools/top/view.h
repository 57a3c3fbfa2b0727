// SPDX-License-Identifier: Apache-2.0
/*
 * A frame: the list of guests, and below it, or beside it where there is room, the selected one
 * (detail.h). Drawing asks nobody and changes nothing but the canvas.
 */
#ifndef QUIRE_TOOLS_TOP_VIEW_H
#define QUIRE_TOOLS_TOP_VIEW_H

#include "tools/top/canvas.h"
#include "tools/top/fleet.h"

struct view {
	const struct fleet *fleet;
	const char *message; /* on the last row, or NULL */
	bool help;	     /* in place of the guests */
	u64 now_ms;
};

/* Returns for how many cells of a map there is room: what to ask the selected guest for. */
u32 view_draw(struct canvas *c, const struct view *v);

#endif
