// SPDX-License-Identifier: Apache-2.0
/* Built-in traces. Contract in generate.h. */
#include "tools/sim/generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A linear congruential generator (Knuth's MMIX constants); the high bits are the good ones. */
static u32 draw(u64 *x, u32 below)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (u32)((*x >> 33) % below);
}

#define SEED 42

static void fill_loop(u64 *pages, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		pages[i] = i % 65;
}

static void fill_skewed(u64 *pages, u32 nr)
{
	u64 x = SEED;

	for (u32 i = 0; i < nr; i++)
		pages[i] = draw(&x, 100) < 80 ? draw(&x, 51) : 51 + draw(&x, 205);
}

static void fill_scan(u64 *pages, u32 nr)
{
	u64 x = SEED, fresh = 24;

	for (u32 i = 0; i < nr; i++)
		pages[i] = draw(&x, 2) ? fresh++ : draw(&x, 24);
}

static void fill_phases(u64 *pages, u32 nr)
{
	u64 x = SEED;

	for (u32 i = 0; i < nr; i++)
		pages[i] = (u64)i / 2000 * 24 + draw(&x, 48);
}

static void fill_two_loops(u64 *pages, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		pages[i] = i % 2 ? 1000 + i / 2 % 100 : i / 2 % 20;
}

/* A program that goes through its memory in rounds, over a hot part, with scans now and then. */
static void fill_mixed(u64 *pages, u32 nr)
{
	u64 x = SEED, scan = 0;

	for (u32 i = 0; i < nr; i++) {
		u32 kind = draw(&x, 16);

		if (kind < 8)
			pages[i] = draw(&x, 1 + draw(&x, 4000));
		else if (kind < 14)
			pages[i] = 4000 + i / 50000 * 500 + draw(&x, 3000);
		else
			pages[i] = 20000 + scan++ % 40000;
	}
}

const struct generator generators[] = {
	{"loop", "65 pages in turn, 100 times", 6500, fill_loop},
	{"skewed", "256 pages, of which 51 get 80% of the references", 20000, fill_skewed},
	{"scan", "24 hot pages, every other reference to a page never seen again", 20000,
	 fill_scan},
	{"phases", "48 pages at random, moving on by 24 every 2000 references", 20000, fill_phases},
	{"two-loops", "a loop of 20 pages and one of 100, in turns", 20000, fill_two_loops},
	{"mixed", "a million references: skewed, in phases, with a long scan", 1000000, fill_mixed},
	{0},
};

static int unknown(const char *name, struct err *err)
{
	char names[120];
	size_t at = 0;

	for (const struct generator *g = generators; g->name; g++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "",
				       g->name);
	ASSERT(at < sizeof(names));
	return err_set(err, -EINVAL, "--generate %.60s: unknown (give one of %s)", name, names);
}

int generate(struct trace *t, const char *name, struct err *err)
{
	const struct generator *g = generators;
	u64 *pages;
	int ret;

	while (g->name && strcmp(g->name, name) != 0)
		g++;
	if (!g->name)
		return unknown(name, err);
	pages = malloc(g->nr_refs * sizeof(pages[0]));
	if (!pages)
		return err_set(err, -ENOMEM, "--generate %s: not enough memory", name);
	g->fill(pages, g->nr_refs);
	ret = trace_from_numbers(t, pages, g->nr_refs);
	free(pages);
	if (ret)
		return err_set(err, ret, "--generate %s: %s", name, strerror(-ret));
	return 0;
}
