// SPDX-License-Identifier: Apache-2.0
/* The frame: title, list, detail, message; the contract is in view.h. */
#include "tools/top/view.h"

#include <stdio.h>
#include <string.h>

#include "tools/top/detail.h"
#include "tools/top/text.h"

#define NAME_WIDTH   14
#define SIDE_BY_SIDE 184 /* columns from which the list stands beside the detail */
#define DEFAULT_MAP  1024

/* ---- The list ---- */

enum column { NAME, STATE, MEMORY, LIMIT, RESIDENT, STORED, RATIO, FAULTS, STALL, WSS, NR_COLUMNS };

static const struct {
	const char *title;
	int width;
	int rank; /* when it gets narrow, high ranks go first */
} columns[NR_COLUMNS] = {
	[NAME] = {"NAME", NAME_WIDTH, 0}, [STATE] = {"STATE", 9, 3},	[MEMORY] = {"MEMORY", 6, 6},
	[LIMIT] = {"LIMIT", 6, 2},	  [RESIDENT] = {"RESID", 6, 1}, [STORED] = {"STORED", 6, 5},
	[RATIO] = {"RATIO", 6, 8},	  [FAULTS] = {"FAULT/S", 7, 4}, [STALL] = {"STALL", 6, 7},
	[WSS] = {"WSET", 6, 9},
};

/* The columns that fit into @width, as a set of 1 << column. */
static unsigned int choose_columns(int width)
{
	unsigned int chosen = 0;

	for (int rank = 0; rank < NR_COLUMNS; rank++)
		for (int i = 0; i < NR_COLUMNS; i++)
			if (columns[i].rank == rank && columns[i].width <= width) {
				chosen |= 1u << i;
				width -= columns[i].width + 1;
			}
	return chosen;
}

static const char *state_of(const struct guest *g, u64 now_ms)
{
	if (guest_silent_ms(g, now_ms))
		return "no answer";
	if (g->link == LINK_NONE && g->problem[0])
		return "refuses";
	return g->has_vitals ? g->vitals.state : "...";
}

/* What one column says of a guest; a dash where that is not known. */
static const char *value_of(const struct guest *g, enum column column, u64 now_ms, struct text *t)
{
	const struct sample *s = &g->sample;
	bool known = g->has_sample;

	*t = (struct text){"-"};
	if (column == NAME)
		return g->name;
	if (column == STATE)
		return state_of(g, now_ms);
	if (column == MEMORY && g->has_vitals)
		*t = text_size(g->vitals.memory);
	else if (column == LIMIT && known && s->limit)
		*t = text_size(s->limit);
	else if (column == RESIDENT && (known || g->has_vitals))
		*t = text_size(known ? s->resident : g->vitals.resident);
	else if (column == STORED && (known || g->has_vitals))
		*t = text_size(known ? s->store : g->vitals.stored);
	else if (column == RATIO && known && s->contents.ratio > 0)
		*t = text_real(s->contents.ratio);
	else if (column == FAULTS && known)
		*t = text_count(s->faults_per_second);
	else if (column == STALL && known)
		*t = text_share(s->stall);
	else if (column == WSS && known && s->wss_samples)
		*t = text_share(s->wss);
	return t->s;
}

static enum style row_style(const struct guest *g, bool selected, u64 now_ms)
{
	if (selected)
		return STYLE_SELECTED;
	if (guest_silent_ms(g, now_ms) || g->link == LINK_NONE)
		return STYLE_BAD;
	return g->has_sample && g->sample.thrashing ? STYLE_WARN : STYLE_PLAIN;
}

/* @g NULL: the titles. */
static void draw_row(const struct area *a, const struct guest *g, unsigned int chosen,
		     enum style style, u64 now_ms)
{
	struct text t;
	int x = 0;

	area_fill(a, style);
	for (int i = 0; i < NR_COLUMNS; i++) {
		const char *value = g ? value_of(g, (enum column)i, now_ms, &t) : columns[i].title;
		int width = columns[i].width;
		bool left = i == NAME || i == STATE;

		if (!(chosen & 1u << i))
			continue;
		area_printf(a, x, 0, style, left ? "%-*.*s" : "%*.*s", width, width, value);
		x += width + 1;
	}
}

static void draw_list(struct area a, const struct view *v)
{
	const struct fleet *f = v->fleet;
	unsigned int chosen = choose_columns(a.width);
	struct area row = area_take(&a, 1);
	size_t rows = a.height > 0 ? (size_t)a.height : 0;
	size_t first = f->selected >= rows ? f->selected + 1 - rows : 0;

	draw_row(&row, NULL, chosen, STYLE_TITLE, v->now_ms);
	for (size_t i = first; i < f->nr && i - first < rows; i++) {
		row = area_take(&a, 1);
		draw_row(&row, f->guests[i], chosen,
			 row_style(f->guests[i], i == f->selected, v->now_ms), v->now_ms);
	}
}

/* ---- The frame ---- */

static void draw_title(const struct area *a, const struct fleet *f)
{
	u64 memory = 0, limit = 0, resident = 0, store = 0;
	int x;

	for (size_t i = 0; i < f->nr; i++) {
		const struct guest *g = f->guests[i];

		memory += g->vitals.memory;
		limit += g->has_sample ? g->sample.limit : 0;
		resident += g->has_sample ? g->sample.resident : g->vitals.resident;
		store += g->has_sample ? g->sample.store : g->vitals.stored;
	}
	x = area_printf(a, 0, 0, STYLE_BOLD, "quire-top  %zu guest%s", f->nr,
			f->nr == 1 ? "" : "s");
	area_printf(a, x, 0, STYLE_PLAIN, "  memory %s  limits %s  resident %s  stored %s",
		    text_size(memory).s, text_size(limit).s, text_size(resident).s,
		    text_size(store).s);
	area_text(a, a->width - 7, 0, STYLE_DIM, " ? help");
}

static void draw_help(const struct area *a)
{
	static const char *const lines[] = {
		"up down j k   select a guest",
		"+ -           raise, lower its limit by 10%",
		"r             reclaim 10% of what is resident",
		"space         pause, resume",
		"?             this help, and back",
		"q             quit",
		"",
		"STORED  host memory of pages not in guest memory",
		"RATIO   contents of those pages to their cost",
		"FAULT/S faults on stored pages, each second",
		"STALL   share of vCPU time lost in them",
		"WSET    share of memory used within the window",
		"quire(1) and docs/overcommit.md say more",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		area_text(a, 0, (int)i, STYLE_PLAIN, lines[i]);
}

static u32 draw_guests(struct area room, const struct view *v)
{
	const struct guest *g = fleet_selected(v->fleet);
	int rows = MIN((int)v->fleet->nr + 1, MAX(room.height / 3, 3)), width = 0;
	struct area list;

	if (!g) {
		area_text(&room, 0, 0, STYLE_DIM, "no guest runs here (quire run starts one)");
		return 0;
	}
	for (int i = 0; i < NR_COLUMNS; i++)
		width += columns[i].width + 1;
	if (room.width >= SIDE_BY_SIDE) {
		draw_list(area_sub(&room, 0, 0, width, room.height), v);
		room = area_sub(&room, width + 1, 0, room.width, room.height);
	} else {
		list = area_take(&room, rows);
		draw_list(list, v);
	}
	return detail_draw(&room, g, v->now_ms);
}

u32 view_draw(struct canvas *c, const struct view *v)
{
	struct area room = canvas_area(c), title = area_take(&room, 1), last;
	u32 cells = 0;

	canvas_clear(c);
	draw_title(&title, v->fleet);
	if (v->help)
		draw_help(&room);
	else
		cells = draw_guests(room, v);
	if (v->message) {
		last = area_sub(&room, 0, room.height - 1, room.width, 1);
		area_fill(&last, STYLE_BOLD);
		area_text(&last, 0, 0, STYLE_BOLD, v->message);
	}
	return cells ? cells : DEFAULT_MAP;
}
