// SPDX-License-Identifier: Apache-2.0
/* The pictures of the detail view: each draws into an area of any size, and copes with nothing. */
#ifndef QUIRE_TOOLS_TOP_PLOT_H
#define QUIRE_TOOLS_TOP_PLOT_H

#include "tools/top/canvas.h"
#include "tools/top/sample.h"

/* A bar on row @y for @part of @whole, with a mark '|' at @mark of @whole (0: no mark). */
void plot_bar(const struct area *a, int y, enum style style, char ch, u64 part, u64 whole,
	      u64 mark);

/*
 * The miss-ratio curve: memory to the right, faults a second upwards on a logarithmic scale. A
 * column of '|' is the @limit, a share of memory (0: none).
 */
void plot_curve(const struct area *a, const struct sample *s, double limit);

/* Ages as columns: upper bound, a bar, the share of all. */
void plot_ages(const struct area *a, const struct sample *s);

/*
 * Guest memory, one character a stretch. Where a stretch has pages in several states, it and its
 * neighbours show them in proportion.
 */
void plot_map(const struct area *a, const struct sample *s);

/* What the characters mean, on one row. */
void plot_map_legend(const struct area *a, int y, u64 memory, u32 cells);

#endif
