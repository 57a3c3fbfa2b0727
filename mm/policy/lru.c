// SPDX-License-Identifier: Apache-2.0
/*
 * Least recently used: the page whose last known reference is longest ago goes. Exact where every
 * reference is told, as in the simulator. A live guest tells only of those that fault, so there it
 * is an approximation: pages in the order in which they were last seen to be used.
 *
 * Always true: the list holds the resident pages, least recently used first.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

struct lru {
	struct policy base;
	struct index_list list;
	struct index_link links[];
};

static struct lru *lru_of(struct policy *policy)
{
	return container_of(policy, struct lru, base);
}

static int lru_create(struct policy **out, const struct policy_config *cfg)
{
	struct lru *l = calloc(1, sizeof(*l) + cfg->nr_pages * sizeof(l->links[0]));

	if (!l)
		return -ENOMEM;
	l->base.ops = &policy_lru;
	*out = &l->base;
	return 0;
}

static void lru_destroy(struct policy *policy)
{
	free(lru_of(policy));
}

static void lru_loaded(struct policy *policy, u32 page)
{
	struct lru *l = lru_of(policy);

	index_push(l->links, &l->list, page);
}

static void lru_touched(struct policy *policy, u32 page)
{
	struct lru *l = lru_of(policy);

	index_remove(l->links, &l->list, page);
	index_push(l->links, &l->list, page);
}

static bool lru_victim(struct policy *policy, u32 *page)
{
	struct lru *l = lru_of(policy);

	if (!l->list.nr)
		return false;
	*page = index_pop(l->links, &l->list);
	return true;
}

static void lru_removed(struct policy *policy, u32 page)
{
	struct lru *l = lru_of(policy);

	index_remove(l->links, &l->list, page);
}

const struct policy_ops policy_lru = {
	.name = "lru",
	.summary = "the page whose last known reference is longest ago",
	.create = lru_create,
	.destroy = lru_destroy,
	.loaded = lru_loaded,
	.touched = lru_touched,
	.victim = lru_victim,
	.removed = lru_removed,
};
