// SPDX-License-Identifier: Apache-2.0
/*
 * Nth chance: a clock whose hand must pass a page N times without a reference in between before it
 * goes. The larger N, the nearer to LRU, and the longer the search. nth:1 is `clock`.
 *
 * Each page has a byte: bit 7 is R, the rest counts the passes since its last reference. A page is
 * loaded with R set, like on `clock`.
 *
 * Always true: the ring holds the resident pages from the hand on; passes < N for each.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

#define REFERENCED 0x80
#define MAX_PASSES 100 /* a lap looks at each page: nobody wants more, and it fits the byte */

struct nth {
	struct policy base;
	struct index_list ring; /* its first is where the hand points */
	u32 chances;		/* N */
	u8 *seen;		/* behind the links */
	struct index_link links[];
};

static struct nth *nth_of(struct policy *policy)
{
	return container_of(policy, struct nth, base);
}

static int nth_create(struct policy **out, const struct policy_config *cfg)
{
	struct nth *c = calloc(1, sizeof(*c) + cfg->nr_pages * (sizeof(c->links[0]) + 1));

	if (!c)
		return -ENOMEM;
	ASSERT(cfg->param && cfg->param <= MAX_PASSES);
	c->base.ops = &policy_nth;
	c->seen = (u8 *)(c->links + cfg->nr_pages);
	c->chances = cfg->param;
	*out = &c->base;
	return 0;
}

static void nth_destroy(struct policy *policy)
{
	free(nth_of(policy));
}

static void nth_loaded(struct policy *policy, u32 page)
{
	struct nth *c = nth_of(policy);

	index_push(c->links, &c->ring, page);
	c->seen[page] = REFERENCED;
}

static void nth_touched(struct policy *policy, u32 page)
{
	struct nth *c = nth_of(policy);

	ASSERT(index_is_listed(c->links, page));
	c->seen[page] = REFERENCED;
}

/* The hand passes the page; true when that was once too often. */
static bool pass(struct nth *c, u32 page)
{
	if (c->seen[page] & REFERENCED)
		c->seen[page] = 0;
	else
		c->seen[page]++;
	return c->seen[page] >= c->chances;
}

static bool nth_victim(struct policy *policy, u32 *page)
{
	struct nth *c = nth_of(policy);

	if (!c->ring.nr)
		return false;
	while (!pass(c, index_first(&c->ring)))
		index_rotate(c->links, &c->ring);
	*page = index_pop(c->links, &c->ring);
	return true;
}

static void nth_removed(struct policy *policy, u32 page)
{
	struct nth *c = nth_of(policy);

	index_remove(c->links, &c->ring, page);
}

const struct policy_ops policy_nth = {
	.name = "nth",
	.summary = "gone when the clock's hand has passed N times without a reference",
	.default_param = 3,
	.max_param = MAX_PASSES,
	.create = nth_create,
	.destroy = nth_destroy,
	.loaded = nth_loaded,
	.touched = nth_touched,
	.victim = nth_victim,
	.removed = nth_removed,
};
