// SPDX-License-Identifier: Apache-2.0
/* The terminal by ncurses; the contract is in screen.h. */
#include "tools/top/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* curses.h wants to call things bool and MIN too: it comes last. */
#include <curses.h>

static const struct {
	short fore, back;
	attr_t attr;
} looks[NR_STYLES] = {
	[STYLE_PLAIN] = {-1, -1, A_NORMAL},
	[STYLE_DIM] = {-1, -1, A_DIM},
	[STYLE_BOLD] = {-1, -1, A_BOLD},
	[STYLE_TITLE] = {COLOR_CYAN, -1, A_BOLD},
	[STYLE_SELECTED] = {-1, -1, A_REVERSE},
	[STYLE_GOOD] = {COLOR_GREEN, -1, A_BOLD},
	[STYLE_WARN] = {COLOR_YELLOW, -1, A_BOLD},
	[STYLE_BAD] = {COLOR_RED, -1, A_BOLD},
	[STYLE_STATE + PAGE_ABSENT] = {-1, -1, A_DIM},
	[STYLE_STATE + PAGE_FILLING] = {COLOR_BLACK, COLOR_CYAN, A_NORMAL},
	[STYLE_STATE + PAGE_RESIDENT] = {COLOR_BLACK, COLOR_GREEN, A_NORMAL},
	[STYLE_STATE + PAGE_IDLE] = {COLOR_BLACK, COLOR_YELLOW, A_NORMAL},
	[STYLE_STATE + PAGE_EVICTING] = {COLOR_BLACK, COLOR_RED, A_NORMAL},
	[STYLE_STATE + PAGE_STORED] = {COLOR_WHITE, COLOR_BLUE, A_NORMAL},
};

int screen_start(struct err *err)
{
	/* ncurses has another call that ends the process when it fails; newterm() says so */
	if (!newterm(NULL, stdout, stdin)) {
		const char *term = getenv("TERM");

		return err_set(err, -ENOTTY, "terminal %s: not known (set TERM, or use --once)",
			       term ? term : "(TERM is not set)");
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	if (has_colors() && start_color() == OK && use_default_colors() == OK)
		for (short i = 0; i < NR_STYLES; i++)
			init_pair((short)(i + 1), looks[i].fore, looks[i].back);
	return 0;
}

void screen_stop(void)
{
	endwin();
}

void screen_size(int *width, int *height)
{
	*width = COLS;
	*height = LINES;
}

void screen_show(const struct canvas *c)
{
	for (int y = 0; y < MIN(c->height, LINES); y++)
		for (int x = 0; x < MIN(c->width, COLS); x++) {
			const struct cell *cell = &c->cells[y * c->width + x];
			attr_t attr = looks[cell->style].attr;

			if (has_colors())
				attr |= (attr_t)COLOR_PAIR(cell->style + 1);
			mvaddch(y, x, (chtype)(unsigned char)cell->ch | attr);
		}
	refresh();
}

enum screen_key screen_key(char *ch)
{
	int key = getch();

	if (key == ERR)
		return SCREEN_NONE;
	if (key == KEY_RESIZE)
		return SCREEN_RESIZE;
	if (key == KEY_UP)
		return SCREEN_UP;
	if (key == KEY_DOWN)
		return SCREEN_DOWN;
	if (key < ' ' || key > '~')
		return SCREEN_NONE;
	*ch = (char)key;
	return SCREEN_CHAR;
}
