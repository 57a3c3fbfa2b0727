// SPDX-License-Identifier: Apache-2.0
/* What is replayed, and doing it. Contract in study.h. */
#include "tools/sim/study.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SIZES 20

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "not enough memory (give a shorter trace or fewer sizes)");
}

static int add_curve(struct study *st, const char *name, struct err *err)
{
	struct curve *c = &st->curves[st->nr_curves];
	int ret;

	if (st->nr_curves == MAX_CURVES)
		return err_set(err, -E2BIG, "--policy: more than %d policies (give fewer)",
			       MAX_CURVES);
	if (!strcmp(name, "opt")) {
		snprintf(c->choice.name, sizeof(c->choice.name), "opt");
	} else {
		ret = policy_parse(name, &c->choice, err);
		if (ret)
			return ret;
	}
	for (const struct curve *other = st->curves; other < c; other++)
		if (!strcmp(other->choice.name, c->choice.name))
			return 0;
	st->nr_curves++;
	return 0;
}

static int add_all(struct study *st, struct err *err)
{
	int ret = 0;

	for (const struct policy_ops *const *p = policy_table; *p && !ret; p++)
		ret = add_curve(st, (*p)->name, err);
	return ret ? ret : add_curve(st, "opt", err);
}

static int add_list(struct study *st, const char *list, struct err *err)
{
	char *copy = strdup(list), *rest = NULL;
	int ret = 0;

	if (!copy)
		return no_memory(err);
	for (char *name = strtok_r(copy, ",", &rest); name && !ret;
	     name = strtok_r(NULL, ",", &rest))
		ret = strcmp(name, "all") ? add_curve(st, name, err) : add_all(st, err);
	free(copy);
	if (!ret && !st->nr_curves)
		ret = err_set(err, -EINVAL, "--policy: empty (give fifo,lru or the like)");
	return ret;
}

static int choose_sizes(struct study *st, const char *text, struct err *err)
{
	u32 nr_pages = st->trace.nr_pages;

	if (!text)
		return numbers_spread(&st->sizes, nr_pages, DEFAULT_SIZES, err);
	if (strcmp(text, "all") != 0)
		return numbers_parse(&st->sizes, "--frames", text, err);
	if (nr_pages > MAX_NUMBERS)
		return err_set(err, -E2BIG,
			       "--frames all: %u sizes are too many (give a list, or a range)",
			       nr_pages);
	return numbers_spread(&st->sizes, nr_pages, MAX_NUMBERS, err);
}

static int choose_windows(struct study *st, const char *text, struct err *err)
{
	struct numbers windows;
	int ret = text ? numbers_parse(&windows, "--window", text, err) : 0;

	if (ret || !text)
		return ret;
	st->windows = calloc(windows.nr, sizeof(st->windows[0]));
	if (!st->windows) {
		ret = no_memory(err);
	} else {
		st->nr_windows = windows.nr;
		for (u32 i = 0; i < windows.nr; i++)
			st->windows[i].window = windows.n[i];
	}
	free(windows.n);
	return ret;
}

int study_prepare(struct study *st, const struct options *o, struct err *err)
{
	int ret = o->policies ? add_list(st, o->policies, err) : add_all(st, err);

	if (!ret)
		ret = choose_sizes(st, o->frames, err);
	if (!ret)
		ret = choose_windows(st, o->windows, err);
	return ret;
}

static void note_victim(void *opaque, u32 page)
{
	struct victims *v = opaque;

	if (v->nr == v->max && !v->lost) {
		u64 max = v->max ? 2 * v->max : 256;
		u32 *pages = realloc(v->pages, max * sizeof(pages[0]));

		v->lost = !pages;
		if (pages) {
			v->pages = pages;
			v->max = max;
		}
	}
	if (!v->lost)
		v->pages[v->nr++] = page;
}

static int run_one(struct study *st, struct curve *c, u32 at, const u32 *next, u32 tick)
{
	struct victims *v = c->victims ? &c->victims[at] : NULL;
	struct watcher watcher = {.opaque = v, .evicted = note_victim};
	const struct watcher *w = v ? &watcher : NULL;
	u32 frames = st->sizes.n[at];
	int ret;

	if (is_opt(c))
		ret = replay_opt(&c->outcomes[at], &st->trace, next, frames, w);
	else
		ret = replay(&c->outcomes[at], &st->trace, &c->choice, frames, tick, w);
	return v && v->lost ? -ENOMEM : ret;
}

static int run_curve(struct study *st, struct curve *c, const u32 *next, const struct options *o)
{
	int ret = 0;

	c->outcomes = calloc(st->sizes.nr, sizeof(c->outcomes[0]));
	if (o->victims)
		c->victims = calloc(st->sizes.nr, sizeof(c->victims[0]));
	if (!c->outcomes || (o->victims && !c->victims))
		return -ENOMEM;
	for (u32 i = 0; i < st->sizes.nr && !ret; i++)
		ret = run_one(st, c, i, next, o->tick);
	return ret;
}

int study_run(struct study *st, const struct options *o, struct err *err)
{
	u32 *next = next_uses(&st->trace);
	int ret = next ? 0 : -ENOMEM;

	for (u32 i = 0; i < st->nr_curves && !ret; i++)
		ret = run_curve(st, &st->curves[i], next, o);
	for (u32 i = 0; i < st->nr_windows && !ret; i++)
		working_set(&st->windows[i], &st->trace, next, st->windows[i].window);
	free(next);
	return ret ? no_memory(err) : 0;
}

void study_free(struct study *st)
{
	for (u32 i = 0; i < st->nr_curves; i++) {
		struct curve *c = &st->curves[i];

		for (u32 k = 0; c->victims && k < st->sizes.nr; k++)
			free(c->victims[k].pages);
		free(c->victims);
		free(c->outcomes);
	}
	free(st->windows);
	free(st->sizes.n);
	trace_free(&st->trace);
}
