// SPDX-License-Identifier: Apache-2.0
/* What is printed. Contract in report.h. */
#include "tools/sim/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_LINE 20

void report_trace(const struct trace *t)
{
	for (u32 i = 0; i < t->nr_refs; i++)
		printf("%" PRIu64 "%c", t->pages[t->refs[i]],
		       i + 1 == t->nr_refs || i % PER_LINE == PER_LINE - 1 ? '\n' : ' ');
}

/* ---- The table ---- */

/* "9", or "9 +3" with rescues. Returns its width. */
static int cell(char *text, size_t size, const struct curve *c, u32 at)
{
	const struct outcome *o = &c->outcomes[at];

	if (c->choice.idle)
		return snprintf(text, size, "%" PRIu64 " +%" PRIu64, o->faults, o->rescues);
	return snprintf(text, size, "%" PRIu64, o->faults);
}

static int column_width(const struct study *st, const struct curve *c)
{
	int width = MAX((int)strlen(c->choice.name), 4);
	char text[64];

	for (u32 i = 0; i < st->sizes.nr; i++)
		width = MAX(width, cell(text, sizeof(text), c, i));
	return width + 2;
}

static double all_faults(const struct study *st, const struct curve *c)
{
	double sum = 0;

	for (u32 i = 0; i < st->sizes.nr; i++)
		sum += (double)c->outcomes[i].faults;
	return sum;
}

/* The sum of a policy's faults, as a multiple of OPT's. */
static void print_ratios(const struct study *st, const int *widths)
{
	const struct curve *opt = NULL;

	for (u32 i = 0; i < st->nr_curves; i++)
		if (is_opt(&st->curves[i]))
			opt = &st->curves[i];
	if (!opt || st->nr_curves == 1)
		return;
	printf("%8s", "/ opt");
	for (u32 i = 0; i < st->nr_curves; i++)
		printf("%*.2f", widths[i], all_faults(st, &st->curves[i]) / all_faults(st, opt));
	printf("\n");
}

static void print_faults(const struct study *st)
{
	int widths[MAX_CURVES];
	char text[64];
	bool idle = false;

	printf("%8s", "frames");
	for (u32 i = 0; i < st->nr_curves; i++) {
		widths[i] = column_width(st, &st->curves[i]);
		printf("%*s", widths[i], st->curves[i].choice.name);
		idle |= st->curves[i].choice.idle;
	}
	printf("\n");
	for (u32 at = 0; at < st->sizes.nr; at++) {
		printf("%8u", st->sizes.n[at]);
		for (u32 i = 0; i < st->nr_curves; i++) {
			cell(text, sizeof(text), &st->curves[i], at);
			printf("%*s", widths[i], text);
		}
		printf("\n");
	}
	print_ratios(st, widths);
	if (idle)
		printf("\n+N: rescued from the idle pages N times, without a fault\n");
}

static void print_victims(const struct study *st, const struct curve *c)
{
	for (u32 at = 0; at < st->sizes.nr; at++) {
		const struct victims *v = &c->victims[at];

		printf("%8u  %s:", st->sizes.n[at], c->choice.name);
		for (u64 i = 0; i < v->nr; i++)
			printf(" %" PRIu64, st->trace.pages[v->pages[i]]);
		printf("\n");
	}
}

/* A file name, without what a terminal would obey. */
static void print_name(const char *name)
{
	for (; *name; name++)
		putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

void report_table(const struct study *st)
{
	const struct trace *t = &st->trace;

	print_name(st->name);
	printf(": %u references to %u pages", t->nr_refs, t->nr_pages);
	if (t->recorded)
		printf(" in %.3f s, %u of them writes", (double)t->duration_us / 1e6, t->nr_writes);
	printf("; faults\n\n");
	print_faults(st);
	if (st->nr_curves && st->curves[0].victims) {
		printf("\n%8s  evicted, in order\n", "frames");
		for (u32 i = 0; i < st->nr_curves; i++)
			print_victims(st, &st->curves[i]);
	}
	if (st->nr_windows)
		printf("\n%8s%10s%12s\n", "window", "faults", "mean pages");
	for (u32 i = 0; i < st->nr_windows; i++)
		printf("%8u%10" PRIu64 "%12.3f\n", st->windows[i].window, st->windows[i].faults,
		       st->windows[i].mean);
}

/* ---- JSON ---- */

/* All of these return NULL when memory is short, which json_pack() passes on. */

static json_t *json_trace(const struct study *st)
{
	const struct trace *t = &st->trace;
	/* null for a file name that is no UTF-8 */
	json_t *out = json_pack("{s:o?, s:I, s:I}", "name", json_string(st->name), "references",
				(json_int_t)t->nr_refs, "pages", (json_int_t)t->nr_pages);

	if (out && t->recorded &&
	    (json_object_set_new(out, "writes", json_integer((json_int_t)t->nr_writes)) ||
	     json_object_set_new(out, "duration-us", json_integer((json_int_t)t->duration_us)))) {
		json_decref(out);
		return NULL;
	}
	return out;
}

static json_t *json_victims(const struct study *st, const struct victims *v)
{
	json_t *out = json_array();

	for (u64 i = 0; i < v->nr && out; i++)
		if (json_array_append_new(out,
					  json_integer((json_int_t)st->trace.pages[v->pages[i]]))) {
			json_decref(out);
			out = NULL;
		}
	return out;
}

static json_t *json_outcome(const struct study *st, const struct curve *c, u32 at)
{
	const struct outcome *o = &c->outcomes[at];

	return json_pack("{s:I, s:I, s:I, s:o*}", "frames", (json_int_t)st->sizes.n[at], "faults",
			 (json_int_t)o->faults, "rescues", (json_int_t)o->rescues, "victims",
			 c->victims ? json_victims(st, &c->victims[at]) : NULL);
}

static json_t *json_curve(const struct study *st, const struct curve *c)
{
	json_t *outcomes = json_array();

	for (u32 at = 0; at < st->sizes.nr && outcomes; at++)
		if (json_array_append_new(outcomes, json_outcome(st, c, at))) {
			json_decref(outcomes);
			outcomes = NULL;
		}
	return json_pack("{s:s, s:o}", "policy", c->choice.name, "results", outcomes);
}

static json_t *json_curves(const struct study *st)
{
	json_t *out = json_array();

	for (u32 i = 0; i < st->nr_curves && out; i++)
		if (json_array_append_new(out, json_curve(st, &st->curves[i]))) {
			json_decref(out);
			out = NULL;
		}
	return out;
}

static json_t *json_windows(const struct study *st)
{
	json_t *out = json_array();

	for (u32 i = 0; i < st->nr_windows && out; i++) {
		const struct working_set *w = &st->windows[i];
		json_t *one = json_pack("{s:I, s:I, s:f}", "window", (json_int_t)w->window,
					"faults", (json_int_t)w->faults, "mean-pages", w->mean);

		if (json_array_append_new(out, one)) {
			json_decref(out);
			out = NULL;
		}
	}
	return out;
}

int report_json(const struct study *st, struct err *err)
{
	json_t *root = json_pack("{s:o, s:o, s:o}", "trace", json_trace(st), "policies",
				 json_curves(st), "working-set", json_windows(st));
	int bad = !root || json_dumpf(root, stdout, JSON_INDENT(2));

	json_decref(root);
	printf("\n");
	return bad ? err_set(err, -EIO, "JSON could not be printed") : 0;
}
