// SPDX-License-Identifier: Apache-2.0
/*
 * First in, first out: the page that has been resident longest goes, used or not. The measure of
 * what looking at references is worth, and the policy on which Belady found that more memory can
 * mean more faults.
 *
 * Always true: the list holds the resident pages, oldest first.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"
#include "mm/policy/policy.h"

struct fifo {
	struct policy base;
	struct index_list list;
	struct index_link links[];
};

static struct fifo *fifo_of(struct policy *policy)
{
	return container_of(policy, struct fifo, base);
}

static int fifo_create(struct policy **out, const struct policy_config *cfg)
{
	struct fifo *f = calloc(1, sizeof(*f) + cfg->nr_pages * sizeof(f->links[0]));

	if (!f)
		return -ENOMEM;
	f->base.ops = &policy_fifo;
	*out = &f->base;
	return 0;
}

static void fifo_destroy(struct policy *policy)
{
	free(fifo_of(policy));
}

static void fifo_loaded(struct policy *policy, u32 page)
{
	struct fifo *f = fifo_of(policy);

	index_push(f->links, &f->list, page);
}

static void fifo_touched(struct policy *policy, u32 page)
{
	ASSERT(index_is_listed(fifo_of(policy)->links, page));
}

static bool fifo_victim(struct policy *policy, u32 *page)
{
	struct fifo *f = fifo_of(policy);

	if (!f->list.nr)
		return false;
	*page = index_pop(f->links, &f->list);
	return true;
}

static void fifo_removed(struct policy *policy, u32 page)
{
	struct fifo *f = fifo_of(policy);

	index_remove(f->links, &f->list, page);
}

const struct policy_ops policy_fifo = {
	.name = "fifo",
	.summary = "the page loaded first goes first",
	.create = fifo_create,
	.destroy = fifo_destroy,
	.loaded = fifo_loaded,
	.touched = fifo_touched,
	.victim = fifo_victim,
	.removed = fifo_removed,
};
