// SPDX-License-Identifier: Apache-2.0
/* The pictures of the detail view; the contract is in plot.h. */
#include "tools/top/plot.h"

#include <math.h>
#include <stdio.h>

#include "tools/top/text.h"

static const struct {
	char ch;
	const char *name;
} states[PAGE_NR_STATES] = {
	[PAGE_ABSENT] = {'.', "absent"},     [PAGE_FILLING] = {'>', "filling"},
	[PAGE_RESIDENT] = {'#', "resident"}, [PAGE_IDLE] = {'+', "idle"},
	[PAGE_EVICTING] = {'<', "evicting"}, [PAGE_STORED] = {'o', "stored"},
};

/* ---- Bars ---- */

/* Where @part of @whole falls on @width columns. */
static int column(u64 part, u64 whole, int width)
{
	double x = whole ? (double)part / (double)whole * width : 0;

	return x < width ? (int)(x + 0.5) : width;
}

void plot_bar(const struct area *a, int y, enum style style, char ch, u64 part, u64 whole, u64 mark)
{
	int length = column(part, whole, a->width);
	int at = column(mark, whole, a->width);

	if (part && !length)
		length = 1;
	for (int x = 0; x < a->width; x++)
		area_put(a, x, y, x < length ? style : STYLE_DIM, x < length ? ch : '-');
	if (mark && whole)
		area_put(a, MIN(at, a->width - 1), y, STYLE_BOLD, '|');
}

/* ---- The curve ---- */

#define AXIS 7 /* columns of the labels at the left */

/* Faults a second at @memory, between the points on a straight line. Points ascend in memory. */
static double curve_at(const struct sample *s, double memory)
{
	const struct curve_point *p = s->curve;

	for (u32 i = 1; i < s->nr_points; i++) {
		double width = p[i].memory - p[i - 1].memory;
		double part = width > 0 ? (memory - p[i - 1].memory) / width : 0;

		if (memory <= p[i].memory)
			return p[i - 1].faults + MAX(part, 0.0) * (p[i].faults - p[i - 1].faults);
	}
	return p[s->nr_points - 1].faults;
}

static double curve_max(const struct sample *s)
{
	double max = 0;

	for (u32 i = 0; i < s->nr_points; i++)
		max = MAX(max, s->curve[i].faults);
	return max;
}

static void curve_axes(const struct area *a, const struct area *field, double max)
{
	area_printf(a, 0, 0, STYLE_DIM, "%6s", text_real(max).s);
	area_printf(a, 0, field->height - 1, STYLE_DIM, "%6s", "0");
	for (int y = 0; y < field->height; y++)
		area_put(a, AXIS - 1, y, STYLE_DIM, '|');
	for (int x = AXIS; x < a->width; x++)
		area_put(a, x, field->height, STYLE_DIM, '-');
	area_text(a, AXIS, a->height - 1, STYLE_DIM, "0%");
	area_text(a, AXIS + field->width / 2 - 1, a->height - 1, STYLE_DIM, "50%");
	if (field->width >= 32)
		area_text(a, a->width - 12, a->height - 1, STYLE_DIM, "memory");
	area_text(a, a->width - 4, a->height - 1, STYLE_DIM, "100%");
}

void plot_curve(const struct area *a, const struct sample *s, double limit)
{
	struct area field = area_sub(a, AXIS, 0, a->width - AXIS, a->height - 2);
	double max = s->nr_points ? curve_max(s) : 0;

	if (field.width < 8 || field.height < 2)
		return;
	if (!(max > 0)) {
		area_text(a, 0, 0, STYLE_DIM, "no samples yet");
		return;
	}
	curve_axes(a, &field, max);
	for (int x = 0; x < field.width; x++) {
		double faults = curve_at(s, (x + 0.5) / field.width);
		double level = log1p(faults) / log1p(max) * (field.height - 1);
		int top = field.height - 1 - (int)(MIN(MAX(level, 0.0), 1e3) + 0.5);

		area_put(&field, x, top, STYLE_GOOD, '*');
		for (int y = top + 1; y < field.height; y++)
			area_put(&field, x, y, STYLE_DIM, ':');
	}
	if (limit > 0 && limit <= 1)
		for (int y = 0; y < field.height; y++)
			area_put(&field, MIN((int)(limit * field.width), field.width - 1), y,
				 STYLE_WARN, '|');
}

/* ---- Ages ---- */

#define AGE_WIDTH 7

static struct text age_label(u64 ms)
{
	struct text t;
	u64 n = ms < 1000 ? ms : ms < 120000 ? ms / 1000 : ms < 7200000 ? ms / 60000 : ms / 3600000;
	const char *unit = ms < 1000 ? "ms" : ms < 120000 ? "s" : ms < 7200000 ? "m" : "h";

	snprintf(t.s, sizeof(t.s), "<%u%s", (unsigned int)MIN(n, (u64)999), unit);
	return t;
}

void plot_ages(const struct area *a, const struct sample *s)
{
	int columns = a->width / AGE_WIDTH;
	u32 merge = columns > 0 ? (s->nr_ages + (u32)columns - 1) / (u32)columns : 0;
	double total = 0;

	for (u32 i = 0; i < s->nr_ages; i++)
		total += (double)s->ages[i].pages;
	if (!(total > 0) || !merge) {
		area_text(a, 0, 0, STYLE_DIM, "no page was looked at yet");
		return;
	}
	for (u32 i = 0, x = 0; i < s->nr_ages; i += merge, x += AGE_WIDTH) {
		u32 last = MIN(i + merge, s->nr_ages) - 1;
		double pages = 0;

		for (u32 j = i; j <= last; j++)
			pages += (double)s->ages[j].pages;
		area_text(a, (int)x, 0, STYLE_DIM, age_label(s->ages[last].below_ms).s);
		for (int n = 0; n < (int)(pages / total * (AGE_WIDTH - 1) + 0.5); n++)
			area_put(a, (int)x + n, 1, STYLE_STATE + PAGE_IDLE, '#');
		area_text(a, (int)x, 2, STYLE_PLAIN, text_share(pages / total).s);
	}
}

/* ---- The map ---- */

void plot_map_legend(const struct area *a, int y, u64 memory, u32 cells)
{
	int x = 0;

	for (int i = 0; i < PAGE_NR_STATES; i++) {
		area_put(a, x, y, STYLE_STATE + (enum style)i, states[i].ch);
		x = area_text(a, x + 2, y, STYLE_DIM, states[i].name) + 2;
	}
	if (cells)
		area_printf(a, x, y, STYLE_DIM, "a cell: %s", text_size(memory / cells).s);
}

/* Add the shares of the states in cells [from, to) to @due. False when there is no page. */
static bool add_shares(const struct sample *s, u64 from, u64 to, double due[PAGE_NR_STATES])
{
	double sums[PAGE_NR_STATES] = {0}, total = 0;

	for (u64 i = from; i < to; i++)
		for (int j = 0; j < PAGE_NR_STATES; j++) {
			sums[j] += s->cells[i][j];
			total += s->cells[i][j];
		}
	for (int j = 0; total > 0 && j < PAGE_NR_STATES; j++)
		due[j] += sums[j] / total;
	return total > 0;
}

/*
 * The state that is shown next, by error diffusion. The most frequent state alone would hide all
 * others where pages in use lie scattered among many that are not: a guest at a quarter of its
 * memory would look as if nothing of it were in memory.
 */
static int next_state(double due[PAGE_NR_STATES])
{
	int state = 0;

	for (int j = 1; j < PAGE_NR_STATES; j++)
		if (due[j] > due[state])
			state = j;
	due[state] -= 1;
	return state;
}

/* The map that is at hand may be of another size than the area: it is stretched to fit. */
void plot_map(const struct area *a, const struct sample *s)
{
	u64 n = a->width > 0 && a->height > 0 ? (u64)a->width * (u64)a->height : 0;
	double due[PAGE_NR_STATES] = {0};

	if (!s->nr_cells)
		return;
	for (u64 i = 0; i < n; i++) {
		u64 from = i * s->nr_cells / n, to = (i + 1) * s->nr_cells / n;
		int state;

		if (!add_shares(s, from, MAX(to, from + 1), due))
			continue;
		state = next_state(due);
		area_put(a, (int)(i % (u64)a->width), (int)(i / (u64)a->width),
			 STYLE_STATE + (enum style)state, states[state].ch);
	}
}
