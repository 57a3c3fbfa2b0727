// SPDX-License-Identifier: Apache-2.0
/*
 * Drawing. Contract in svg.h.
 *
 * Curves differ in colour and in dashes, so that the drawing also serves in black and white and for
 * those who see colours otherwise; OPT, the bound, is a thick black line. The legend lists them
 * from most to fewest faults, which is about how they lie above one another.
 */
#include "tools/sim/svg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH  960
#define HEIGHT 560
#define LEFT   84
#define RIGHT  (WIDTH - 190)
#define TOP    76
#define BOTTOM (HEIGHT - 64)

#define MAX_MARKED 40 /* with more sizes than this the points are left out */

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
				      "#b8860b", "#56b4e9", "#882255", "#666666"};
static const char *const dashes[] = {"none", "8 3", "2 3", "9 3 2 3"};

/* An axis from 0 to `max`, with a mark at each multiple of `step`. */
struct axis {
	double max, step;
	double from, to; /* pixels */
};

struct plot {
	FILE *f;
	const struct study *st;
	struct axis x, y;
};

/* 1, 2 or 5 times a power of ten, so that there are at most @marks of them up to @max. */
static double nice_step(double max, int marks)
{
	double power = 1;

	while (power * 10 * marks < max)
		power *= 10;
	if (power * marks >= max)
		return power;
	if (2 * power * marks >= max)
		return 2 * power;
	return 5 * power * marks >= max ? 5 * power : 10 * power;
}

static double place(const struct axis *a, double value)
{
	return a->from + (a->to - a->from) * value / a->max;
}

/* For text between tags. */
static void put_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		default:
			/* bytes of a name that XML may not hold, or that may be no UTF-8 */
			fputc(*text >= 0x20 && *text < 0x7f ? *text : '?', f);
			break;
		}
	}
}

static void put_number(FILE *f, double n)
{
	if (n >= 1e6)
		fprintf(f, "%gM", n / 1e6);
	else if (n >= 1e4)
		fprintf(f, "%gk", n / 1e3);
	else
		fprintf(f, "%g", n);
}

static void draw_head(struct plot *p)
{
	const struct trace *t = &p->st->trace;

	fprintf(p->f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"14\" fill=\"#222\">\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
	fprintf(p->f,
		"<text x=\"%d\" y=\"34\" font-size=\"19\">Page faults by memory size: ", LEFT);
	put_text(p->f, p->st->name);
	fprintf(p->f, "</text>\n<text x=\"%d\" y=\"56\" fill=\"#666\">%u references to %u pages",
		LEFT, t->nr_refs, t->nr_pages);
	fprintf(p->f, "</text>\n");
}

static void draw_axes(struct plot *p)
{
	fprintf(p->f, "<g stroke=\"#ddd\">\n");
	for (double v = 0; v <= p->y.max * 1.0001; v += p->y.step)
		fprintf(p->f, "<path d=\"M%d %.1fH%d\"/>\n", LEFT, place(&p->y, v), RIGHT);
	for (double v = 0; v <= p->x.max * 1.0001; v += p->x.step)
		fprintf(p->f, "<path d=\"M%.1f %dV%d\"/>\n", place(&p->x, v), TOP, BOTTOM);
	fprintf(p->f, "</g>\n<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#222\"/>\n", LEFT, TOP,
		BOTTOM, RIGHT);
	for (double v = 0; v <= p->y.max * 1.0001; v += p->y.step) {
		fprintf(p->f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8,
			place(&p->y, v) + 5);
		put_number(p->f, v);
		fprintf(p->f, "</text>\n");
	}
	for (double v = 0; v <= p->x.max * 1.0001; v += p->x.step) {
		fprintf(p->f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place(&p->x, v),
			BOTTOM + 20);
		put_number(p->f, v);
		fprintf(p->f, "</text>\n");
	}
	fprintf(p->f,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">frames (pages of memory)</text>\n",
		(LEFT + RIGHT) / 2, BOTTOM + 46);
	fprintf(p->f,
		"<text transform=\"translate(24 %d) rotate(-90)\" text-anchor=\"middle\">"
		"faults</text>\n",
		(TOP + BOTTOM) / 2);
}

static void put_style(struct plot *p, u32 at)
{
	if (is_opt(&p->st->curves[at]))
		fprintf(p->f, " stroke=\"#000\" stroke-width=\"3.5\"");
	else
		fprintf(p->f, " stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"",
			colours[at % ARRAY_SIZE(colours)],
			dashes[(at + at / ARRAY_SIZE(colours)) % ARRAY_SIZE(dashes)]);
}

static void draw_curve(struct plot *p, u32 at)
{
	const struct curve *c = &p->st->curves[at];
	const struct numbers *sizes = &p->st->sizes;

	fprintf(p->f, "<polyline fill=\"none\" stroke-linejoin=\"round\"");
	put_style(p, at);
	fprintf(p->f, " points=\"");
	for (u32 i = 0; i < sizes->nr; i++)
		fprintf(p->f, "%s%.1f,%.1f", i ? " " : "", place(&p->x, sizes->n[i]),
			place(&p->y, (double)c->outcomes[i].faults));
	fprintf(p->f, "\"/>\n");
	if (sizes->nr > MAX_MARKED)
		return;
	fprintf(p->f, "<g fill=\"%s\">\n", is_opt(c) ? "#000" : colours[at % ARRAY_SIZE(colours)]);
	for (u32 i = 0; i < sizes->nr; i++)
		fprintf(p->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n",
			place(&p->x, sizes->n[i]), place(&p->y, (double)c->outcomes[i].faults));
	fprintf(p->f, "</g>\n");
}

static u64 all_faults(const struct study *st, u32 at)
{
	u64 sum = 0;

	for (u32 i = 0; i < st->sizes.nr; i++)
		sum += st->curves[at].outcomes[i].faults;
	return sum;
}

/* Whether curve @a has its place below curve @b; OPT, which may equal others, is below them all. */
static bool is_below(const struct study *st, u32 a, u32 b)
{
	if (is_opt(&st->curves[a]) || is_opt(&st->curves[b]))
		return is_opt(&st->curves[a]);
	return all_faults(st, a) < all_faults(st, b);
}

/* The curves from most to fewest faults. */
static void sort_curves(const struct study *st, u32 order[MAX_CURVES])
{
	for (u32 i = 0; i < st->nr_curves; i++) {
		u32 at = i;

		for (; at && is_below(st, order[at - 1], i); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static void draw_legend(struct plot *p, const u32 *order)
{
	u32 nr = p->st->nr_curves;
	int step = nr > 18 ? (BOTTOM - TOP) / (int)nr : 24;

	for (u32 i = 0; i < nr; i++) {
		int y = TOP + 14 + step * (int)i;

		fprintf(p->f, "<path d=\"M%d %dh40\"", RIGHT + 18, y);
		put_style(p, order[i]);
		fprintf(p->f, "/>\n<text x=\"%d\" y=\"%d\">", RIGHT + 66, y + 5);
		put_text(p->f, p->st->curves[order[i]].choice.name);
		fprintf(p->f, "</text>\n");
	}
}

static void draw(struct plot *p)
{
	const struct study *st = p->st;
	u32 order[MAX_CURVES] = {0};
	u64 most = 1;

	for (u32 i = 0; i < st->nr_curves; i++)
		for (u32 k = 0; k < st->sizes.nr; k++)
			most = MAX(most, st->curves[i].outcomes[k].faults);
	p->x = (struct axis){.max = st->sizes.n[st->sizes.nr - 1], .from = LEFT, .to = RIGHT};
	p->x.step = nice_step(p->x.max, 10);
	p->y.step = nice_step((double)most, 6);
	p->y = (struct axis){.step = p->y.step, .from = BOTTOM, .to = TOP};
	while (p->y.max < (double)most)
		p->y.max += p->y.step;
	sort_curves(st, order);
	draw_head(p);
	draw_axes(p);
	for (u32 i = 0; i < st->nr_curves; i++)
		draw_curve(p, order[i]);
	draw_legend(p, order);
	fprintf(p->f, "</svg>\n");
}

int svg_draw(const struct study *st, const char *path, struct err *err)
{
	struct plot p = {.f = fopen(path, "we"), .st = st};
	bool bad;

	if (!p.f)
		return err_set(err, -errno, "--svg %s: %s (give a file that can be written)", path,
			       strerror(errno));
	draw(&p);
	bad = ferror(p.f);
	bad |= fclose(p.f) != 0;
	if (bad)
		return err_set(err, -EIO, "--svg %s: could not be written (is the disk full?)",
			       path);
	return 0;
}
