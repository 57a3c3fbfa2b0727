// SPDX-License-Identifier: Apache-2.0
/*
 * CAR, Clock with Adaptive Replacement (Bansal and Modha, FAST 2004). Two clocks and two lists of
 * pages that are gone ("ghosts"), which tell what it cost to let them go:
 *
 *	recent	    clock T1: pages used once lately	   recent_ghosts    B1, evicted from T1
 *	frequent    clock T2: pages used more than once	   frequent_ghosts  B2, evicted from T2
 *
 * A page that comes back while in B1 says that T1 was too small, one in B2 that T2 was: `target`,
 * how many pages T1 should have, moves accordingly. A page passed by T1's hand with R set, and one
 * that comes back from a ghost list, goes to T2. So a scan fills T1 and leaves T2 alone.
 *
 * With c frames (paper, section III; kept whenever c pages at most are resident):
 *	|T1| + |B1| <= c	|T1| + |T2| + |B1| + |B2| <= 2c		0 <= target <= c
 *
 * The paper evicts and loads in one step. Here the owner asks for a victim, then loads; the ghost
 * lists are trimmed when the page is loaded, which is the same in the same order. A page that is
 * removed leaves no ghost: nobody evicted it.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

/* Where a page is. */
enum place { NOWHERE, RECENT, FREQUENT, RECENT_GHOSTS, FREQUENT_GHOSTS, NR_PLACES };

struct car {
	struct policy base;
	struct index_list list[NR_PLACES]; /* clocks from the hand on; ghosts oldest first */
	u32 frames;
	double target;	  /* the paper's p: its steps are ratios of lengths, not whole numbers */
	u8 *where;	  /* behind the links: enum place */
	bool *referenced; /* behind that: R, for pages on a clock */
	struct index_link links[];
};

static struct car *car_of(struct policy *policy)
{
	return container_of(policy, struct car, base);
}

static int car_create(struct policy **out, const struct policy_config *cfg)
{
	struct car *c = calloc(1, sizeof(*c) + cfg->nr_pages * (sizeof(c->links[0]) + 2));

	if (!c)
		return -ENOMEM;
	c->base.ops = &policy_car;
	c->frames = cfg->frames;
	c->where = (u8 *)(c->links + cfg->nr_pages);
	c->referenced = (bool *)(c->where + cfg->nr_pages);
	*out = &c->base;
	return 0;
}

static void car_destroy(struct policy *policy)
{
	free(car_of(policy));
}

static void take(struct car *c, u32 page)
{
	index_remove(c->links, &c->list[c->where[page]], page);
	c->where[page] = NOWHERE;
}

static void put(struct car *c, u32 page, enum place where)
{
	c->where[page] = (u8)where;
	index_push(c->links, &c->list[where], page);
}

static bool is_resident(const struct car *c, u32 page)
{
	return c->where[page] == RECENT || c->where[page] == FREQUENT;
}

/* The ghost @page is about to come back: T1 should have been larger, or smaller. */
static void adapt(struct car *c, u32 page)
{
	double b1 = c->list[RECENT_GHOSTS].nr, b2 = c->list[FREQUENT_GHOSTS].nr;

	if (c->where[page] == RECENT_GHOSTS)
		c->target = MIN(c->target + MAX(1, b2 / b1), (double)c->frames);
	else
		c->target = MAX(c->target - MAX(1, b1 / b2), 0);
}

static void forget_oldest(struct car *c, enum place ghosts)
{
	take(c, index_first(&c->list[ghosts]));
}

/* |T1| + |B1|, and all four. */
static u64 nr_recent(const struct car *c)
{
	return (u64)c->list[RECENT].nr + c->list[RECENT_GHOSTS].nr;
}

static u64 nr_known(const struct car *c)
{
	return nr_recent(c) + c->list[FREQUENT].nr + c->list[FREQUENT_GHOSTS].nr;
}

/* Forget ghosts until there is room for @more pages on T1 within the limits above. */
static void trim_ghosts(struct car *c, u32 more)
{
	u64 frames = c->frames;

	while (c->list[RECENT_GHOSTS].nr && nr_recent(c) + more > frames)
		forget_oldest(c, RECENT_GHOSTS);
	while (c->list[FREQUENT_GHOSTS].nr && nr_known(c) + more > 2 * frames)
		forget_oldest(c, FREQUENT_GHOSTS);
}

static void car_loaded(struct policy *policy, u32 page)
{
	struct car *c = car_of(policy);

	ASSERT(!is_resident(c, page));
	if (c->where[page] == NOWHERE) {
		trim_ghosts(c, 1);
		put(c, page, RECENT);
	} else {
		adapt(c, page);
		take(c, page);
		put(c, page, FREQUENT);
	}
	c->referenced[page] = false;
}

static void car_touched(struct policy *policy, u32 page)
{
	struct car *c = car_of(policy);

	ASSERT(is_resident(c, page));
	c->referenced[page] = true;
}

/*
 * One step of the hand whose turn it is: true when it stands on a victim. T1 is drawn from while it
 * is at its target; the paper's T2 cannot be empty then, ours can, as pages also go by themselves.
 */
static bool step(struct car *c, u32 *page)
{
	struct index_list *l = c->list;
	enum place from = FREQUENT;

	if (l[RECENT].nr && (l[RECENT].nr >= MAX(1, c->target) || !l[FREQUENT].nr))
		from = RECENT;
	*page = index_first(&l[from]);
	if (!c->referenced[*page])
		return true;
	c->referenced[*page] = false;
	take(c, *page);
	put(c, *page, FREQUENT);
	return false;
}

static bool car_victim(struct policy *policy, u32 *page)
{
	struct car *c = car_of(policy);
	enum place ghosts;

	if (!c->list[RECENT].nr && !c->list[FREQUENT].nr)
		return false;
	while (!step(c, page))
		;
	ghosts = c->where[*page] == RECENT ? RECENT_GHOSTS : FREQUENT_GHOSTS;
	take(c, *page);
	put(c, *page, ghosts);
	trim_ghosts(c, 0);
	return true;
}

static void car_removed(struct policy *policy, u32 page)
{
	struct car *c = car_of(policy);

	ASSERT(is_resident(c, page));
	take(c, page);
}

static void car_resize(struct policy *policy, u32 frames)
{
	struct car *c = car_of(policy);

	ASSERT(frames);
	c->frames = frames;
	c->target = MIN(c->target, (double)frames);
	trim_ghosts(c, 0);
}

const struct policy_ops policy_car = {
	.name = "car",
	.summary = "adapts between recency and frequency by what it evicted and should not have",
	.create = car_create,
	.destroy = car_destroy,
	.loaded = car_loaded,
	.touched = car_touched,
	.victim = car_victim,
	.removed = car_removed,
	.resize = car_resize,
};
