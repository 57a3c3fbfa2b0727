// SPDX-License-Identifier: Apache-2.0
/*
 * One guest in full. Sections are stacked until the room is used up: in one column, or in two where
 * that is wide enough, with the map below.
 */
#include "tools/top/detail.h"

#include <stdio.h>

#include "tools/top/plot.h"
#include "tools/top/text.h"

#define TWO_COLUMNS 100

struct section {
	int min, want; /* rows */
	void (*draw)(const struct area *a, const struct guest *g);
};

/* ---- Sections ---- */

#define BAR_AT 17

static void draw_bar_row(const struct area *a, int y, const char *name, u64 value, u64 whole)
{
	area_text(a, 0, y, STYLE_PLAIN, name);
	area_text(a, 10, y, STYLE_BOLD, whole ? text_size(value).s : "none");
}

/* Each as a share of guest memory; '|' is the limit. */
static void draw_bars(const struct area *a, const struct guest *g)
{
	const struct sample *s = &g->sample;
	struct area bars = area_sub(a, BAR_AT, 0, a->width - BAR_AT, a->height);
	u64 memory = g->vitals.memory;

	draw_bar_row(a, 0, "limit", s->limit, s->limit);
	plot_bar(&bars, 0, STYLE_TITLE, '=', s->limit, memory, s->limit);
	draw_bar_row(a, 1, "resident", s->resident, memory);
	plot_bar(&bars, 1, STYLE_STATE + PAGE_RESIDENT, '#', s->resident, memory, s->limit);
	draw_bar_row(a, 2, "store", s->store, memory);
	plot_bar(&bars, 2, STYLE_STATE + PAGE_STORED, 'o', s->store, memory, s->limit);
	draw_bar_row(a, 3, "swap", s->swap.used_bytes, s->has_swap);
	plot_bar(&bars, 3, STYLE_STATE + PAGE_EVICTING, 's', s->swap.used_bytes, memory, 0);
}

static void draw_faults(const struct area *a, const struct guest *g)
{
	area_printf(a, 0, 0, STYLE_TITLE, "%-7s%7s%7s%7s%7s%7s", "faults", "count", "mean", "p50",
		    "p99", "max");
	for (int i = 0; i < NR_FAULTS; i++) {
		const struct fault_stats *f = &g->sample.faults[i];

		area_printf(a, 0, i + 1, STYLE_PLAIN, "%-7s%7s%7s%7s%7s%7s", sample_fault_names[i],
			    text_count(f->count).s, text_time(f->mean_ns).s, text_time(f->p50_ns).s,
			    text_time(f->p99_ns).s, text_time(f->max_ns).s);
	}
}

static void draw_curve(const struct area *a, const struct guest *g)
{
	const struct sample *s = &g->sample;
	struct area plot = area_sub(a, 0, 1, a->width, a->height - 1);
	u64 memory = g->vitals.memory;
	int x = area_text(a, 0, 0, STYLE_TITLE, "faults/s");

	if (s->wss_samples)
		area_printf(a, x + 2, 0, STYLE_PLAIN, "working set %s (%s to %s) in %s",
			    text_share(s->wss).s, text_share(s->wss_low).s,
			    text_share(s->wss_high).s,
			    text_time(MIN(s->wss_window_ms, (u64)1 << 40) * 1000000).s);
	plot_curve(&plot, s, memory ? (double)s->limit / (double)memory : 0);
}

static void draw_ages(const struct area *a, const struct guest *g)
{
	struct area plot = area_sub(a, 0, 1, a->width, a->height - 1);

	area_text(a, 0, 0, STYLE_TITLE, "pages in memory, by time since seen used");
	plot_ages(&plot, &g->sample);
}

static void draw_counts(const struct area *a, const struct guest *g)
{
	const struct sample *s = &g->sample;
	const struct contents_stats *c = &s->contents;

	area_text(a, 0, 0, STYLE_TITLE, "counts");
	area_printf(a, 0, 1, STYLE_PLAIN, "evicted %s  clean %s  around %s",
		    text_count(s->evicted).s, text_count(s->evicted_clean).s,
		    text_count(s->around).s);
	area_printf(a, 0, 2, STYLE_PLAIN, "rescued %s  refused %s  kept %s",
		    text_count(s->rescued).s, text_count(s->refused).s, text_count(s->kept).s);
	area_printf(a, 0, 3, STYLE_PLAIN, "waited %s for %s  peak %s", text_count(s->waited).s,
		    text_time(s->waited_ns).s, text_size(s->peak).s);
	area_printf(a, 0, 4, STYLE_PLAIN, "patterns %s  shared %s  lz4 %s",
		    text_count(c->patterns).s, text_count(c->shared).s, text_count(c->blocks).s);
	area_printf(a, 0, 5, STYLE_PLAIN, "raw %s  below %s  metadata %s", text_count(c->raw).s,
		    text_count(c->below).s, text_size(c->metadata_bytes).s);
	area_printf(a, 0, 6, STYLE_PLAIN, "%s to 1, pool %s for %s", text_real(c->ratio).s,
		    text_size(c->pool_bytes).s, text_size(c->payload_bytes).s);
	if (s->has_swap)
		area_printf(a, 0, 7, STYLE_PLAIN, "swap reads %s  writes %s  errors %s",
			    text_count(s->swap.reads).s, text_count(s->swap.writes).s,
			    text_count(s->swap.errors).s);
}

/* ---- Layout ---- */

static void stack(struct area room, const struct section *sections, size_t nr,
		  const struct guest *g)
{
	for (size_t i = 0; i < nr; i++) {
		struct area part;

		if (room.height < sections[i].min)
			continue;
		part = area_take(&room, sections[i].want);
		sections[i].draw(&part, g);
		if (room.height > 0)
			area_take(&room, 1);
	}
}

static u32 draw_map(const struct area *a, const struct guest *g)
{
	struct area map = area_sub(a, 0, 1, a->width, a->height - 1);
	u64 cells, pages = g->vitals.memory >> PAGE_SHIFT;

	if (map.width < 1 || map.height < 1)
		return 0;
	cells = (u64)map.width * (u64)map.height;
	plot_map_legend(a, 0, g->vitals.memory, (u32)cells);
	plot_map(&map, &g->sample);
	return (u32)MIN(MIN(cells, MAX(pages, (u64)1)), (u64)SAMPLE_MAX_CELLS);
}

static const struct section bars = {4, 4, draw_bars}, faults = {6, 6, draw_faults},
			    curve = {7, 9, draw_curve}, ages = {4, 4, draw_ages},
			    counts = {7, 8, draw_counts};

/* Bars and faults first, then the map, and what is left to the rest. */
static u32 one_column(struct area room, const struct guest *g)
{
	const struct section first[] = {bars, faults}, rest[] = {curve, ages, counts};
	struct area part = area_take(&room, room.height < 11 ? 4 : 11);
	u32 cells = 0;

	stack(part, first, ARRAY_SIZE(first), g);
	if (room.height > 0)
		area_take(&room, 1);
	if (room.height >= 2) {
		part = area_take(&room, MAX(room.height - 24, 4));
		cells = draw_map(&part, g);
		area_take(&room, 1);
	}
	stack(room, rest, ARRAY_SIZE(rest), g);
	return cells;
}

static u32 two_columns(struct area room, const struct guest *g)
{
	const struct section at_left[] = {bars, faults, counts};
	int rows = MIN(room.height - 3, 20), half = room.width / 2;
	const struct section at_right[] = {{7, MAX(rows - 5, 7), draw_curve}, ages};
	struct area top = area_take(&room, rows);

	stack(area_sub(&top, 0, 0, half - 2, top.height), at_left, ARRAY_SIZE(at_left), g);
	stack(area_sub(&top, half, 0, half, top.height), at_right, ARRAY_SIZE(at_right), g);
	area_take(&room, 1);
	return draw_map(&room, g);
}

static void draw_head(const struct area *a, const struct guest *g, u64 now_ms)
{
	const struct sample *s = &g->sample;
	u64 silent = guest_silent_ms(g, now_ms);
	int x = area_printf(a, 0, 0, STYLE_TITLE, "-- %s ", g->name);

	if (silent)
		x = area_printf(a, x, 0, STYLE_BAD, "no answer for %us ",
				(unsigned int)MIN(silent / 1000, (u64)99999));
	if (g->has_sample && s->thrashing)
		x = area_text(a, x, 0, STYLE_BAD, "THRASHING ");
	if (g->has_sample)
		x = area_printf(a, x, 0, STYLE_PLAIN, "%s, %s, stall %s, %s/s ", s->policy,
				s->armed ? "in charge" : "watching", text_share(s->stall).s,
				text_count(s->faults_per_second).s);
	while (x < a->width)
		area_put(a, x++, 0, STYLE_TITLE, '-');
}

u32 detail_draw(const struct area *a, const struct guest *g, u64 now_ms)
{
	struct area room = *a, head = area_take(&room, 1);

	draw_head(&head, g, now_ms);
	if (!g->has_sample) {
		area_text(&room, 0, 0, STYLE_WARN, g->problem[0] ? g->problem : "asking ...");
		return 0;
	}
	return room.width >= TWO_COLUMNS && room.height >= 14 ? two_columns(room, g)
							      : one_column(room, g);
}
