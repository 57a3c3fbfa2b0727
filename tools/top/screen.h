// SPDX-License-Identifier: Apache-2.0
/* The terminal: shows canvases, and gives keys. The only file that knows ncurses. */
#ifndef QUIRE_TOOLS_TOP_SCREEN_H
#define QUIRE_TOOLS_TOP_SCREEN_H

#include "mm/base/err.h"
#include "tools/top/canvas.h"

enum screen_key {
	SCREEN_NONE,
	SCREEN_UP,
	SCREEN_DOWN,
	SCREEN_RESIZE,
	SCREEN_CHAR, /* an ordinary key: *ch */
};

int screen_start(struct err *err);
void screen_stop(void);

void screen_size(int *width, int *height);
void screen_show(const struct canvas *c);

/* The next key that was pressed; does not wait. */
enum screen_key screen_key(char *ch);

#endif
