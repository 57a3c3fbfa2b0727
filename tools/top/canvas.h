// SPDX-License-Identifier: Apache-2.0
/*
 * A grid of characters with styles, on which a frame is drawn before anybody sees it. The terminal
 * (screen.h) and `--once` show the same canvas, so a test that reads text tests the live view too.
 *
 * Always true: every cell holds one printable ASCII character. Text from guests is cleaned here, at
 * the only door, so nothing that a guest's process says can move the cursor about. Whatever lies
 * outside an area is clipped: drawing code needs to know no sizes in order to be safe.
 */
#ifndef QUIRE_TOOLS_TOP_CANVAS_H
#define QUIRE_TOOLS_TOP_CANVAS_H

#include <stdio.h>

#include "mm/base/base.h"
#include "mm/engine/page.h"

enum style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_BOLD,
	STYLE_TITLE,
	STYLE_SELECTED,
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_STATE, /* STYLE_STATE + enum page_state */
	NR_STYLES = STYLE_STATE + PAGE_NR_STATES,
};

struct cell {
	char ch;
	u8 style; /* enum style */
};

struct canvas {
	int width, height;
	struct cell *cells;
};

#define CANVAS_MAX 1000 /* columns, and rows */

/* All blank. -ENOMEM. Width and height are brought between 1 and CANVAS_MAX. */
int canvas_init(struct canvas *c, int width, int height);
void canvas_fini(struct canvas *c);
void canvas_clear(struct canvas *c);

/* As text: no blanks at the end of lines, no empty lines at the end. */
void canvas_print(const struct canvas *c, FILE *out);

/* A rectangle of a canvas with coordinates of its own; it may be empty (width or height <= 0). */
struct area {
	struct canvas *canvas;
	int x, y, width, height;
};

struct area canvas_area(struct canvas *c);

/* Clipped to @a. */
struct area area_sub(const struct area *a, int x, int y, int width, int height);

/* Cut @height rows off the top of @a (fewer if there are fewer), and return them. */
struct area area_take(struct area *a, int height);

void area_put(const struct area *a, int x, int y, enum style style, char ch);
void area_fill(const struct area *a, enum style style);

/* Returns the column after the last character, clipped or not. */
int area_text(const struct area *a, int x, int y, enum style style, const char *text);
int area_printf(const struct area *a, int x, int y, enum style style, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
