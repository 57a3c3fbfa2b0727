// SPDX-License-Identifier: Apache-2.0
/*
 * Second chance: resident pages lie on a clock face, each with a reference bit R. The hand goes
 * round; where R is set it clears it and goes on, where R is clear it has found the victim. A new
 * page is put where the hand has just been, so that the hand comes to it last.
 *
 *	clock	R is set when a page is loaded: the fault is its first reference
 *	clock0	R is clear when a page is loaded: only a second reference sets it
 *
 * The two differ in what a page that is used once may cost, and textbooks mean either.
 *
 * Always true: the ring holds the resident pages from the hand on; R is clear for all others. One
 * lap clears every R, so the search ends; each step beyond the first was paid for by a reference.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

struct clock {
	struct policy base;
	struct index_list ring; /* its first is where the hand points */
	bool *referenced;	/* behind the links */
	bool when_loaded;	/* R of a page just loaded */
	struct index_link links[];
};

static struct clock *clock_of(struct policy *policy)
{
	return container_of(policy, struct clock, base);
}

static int create(struct policy **out, const struct policy_config *cfg,
		  const struct policy_ops *ops, bool when_loaded)
{
	struct clock *c = calloc(1, sizeof(*c) + cfg->nr_pages * (sizeof(c->links[0]) + 1));

	if (!c)
		return -ENOMEM;
	c->base.ops = ops;
	c->referenced = (bool *)(c->links + cfg->nr_pages);
	c->when_loaded = when_loaded;
	*out = &c->base;
	return 0;
}

static int clock_create(struct policy **out, const struct policy_config *cfg)
{
	return create(out, cfg, &policy_clock, true);
}

static int clock0_create(struct policy **out, const struct policy_config *cfg)
{
	return create(out, cfg, &policy_clock0, false);
}

static void clock_destroy(struct policy *policy)
{
	free(clock_of(policy));
}

static void clock_loaded(struct policy *policy, u32 page)
{
	struct clock *c = clock_of(policy);

	index_push(c->links, &c->ring, page);
	c->referenced[page] = c->when_loaded;
}

static void clock_touched(struct policy *policy, u32 page)
{
	struct clock *c = clock_of(policy);

	ASSERT(index_is_listed(c->links, page));
	c->referenced[page] = true;
}

static bool clock_victim(struct policy *policy, u32 *page)
{
	struct clock *c = clock_of(policy);

	if (!c->ring.nr)
		return false;
	while (c->referenced[index_first(&c->ring)]) {
		c->referenced[index_first(&c->ring)] = false;
		index_rotate(c->links, &c->ring);
	}
	*page = index_pop(c->links, &c->ring);
	return true;
}

static void clock_removed(struct policy *policy, u32 page)
{
	struct clock *c = clock_of(policy);

	index_remove(c->links, &c->ring, page);
	c->referenced[page] = false;
}

const struct policy_ops policy_clock = {
	.name = "clock",
	.summary = "second chance; a page just loaded counts as referenced",
	.create = clock_create,
	.destroy = clock_destroy,
	.loaded = clock_loaded,
	.touched = clock_touched,
	.victim = clock_victim,
	.removed = clock_removed,
};

const struct policy_ops policy_clock0 = {
	.name = "clock0",
	.summary = "second chance; a page just loaded does not count as referenced",
	.create = clock0_create,
	.destroy = clock_destroy,
	.loaded = clock_loaded,
	.touched = clock_touched,
	.victim = clock_victim,
	.removed = clock_removed,
};
