// SPDX-License-Identifier: Apache-2.0
/*
 * Replaying. Contract in replay.h.
 *
 * Always true: pages MAPPED + pages IDLE <= frames, and exactly the MAPPED ones are known to the
 * policy.
 */
#include "tools/sim/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "mm/base/index_list.h"

enum state { OUT, MAPPED, IDLE };

struct memory {
	struct policy *policy;
	const struct watcher *watcher;
	struct outcome outcome;
	u32 mapped, max_mapped, max_idle;
	struct index_list idle;
	struct index_link *links;
	u8 *state;
};

static void evict(struct memory *m, u32 page)
{
	m->state[page] = OUT;
	if (m->watcher)
		m->watcher->evicted(m->watcher->opaque, page);
}

/* Make room for one mapped page. */
static void unmap_one(struct memory *m)
{
	u32 page;

	ASSERT(policy_victim(m->policy, &page));
	ASSERT(m->state[page] == MAPPED);
	m->mapped--;
	m->state[page] = IDLE;
	index_push(m->links, &m->idle, page);
	if (m->idle.nr > m->max_idle)
		evict(m, index_pop(m->links, &m->idle));
}

static void map(struct memory *m, u32 page)
{
	if (m->mapped == m->max_mapped)
		unmap_one(m);
	m->state[page] = MAPPED;
	m->mapped++;
	policy_loaded(m->policy, page);
}

static void reference(struct memory *m, u32 page)
{
	switch (m->state[page]) {
	case MAPPED:
		policy_touched(m->policy, page);
		return;
	case IDLE:
		m->outcome.rescues++;
		index_remove(m->links, &m->idle, page);
		break;
	default:
		m->outcome.faults++;
		break;
	}
	map(m, page);
}

static void run(struct memory *m, const struct trace *t, u32 tick)
{
	u32 left = tick;

	for (u32 i = 0; i < t->nr_refs; i++) {
		reference(m, t->refs[i]);
		if (--left == 0) {
			policy_tick(m->policy);
			left = tick;
		}
	}
}

int replay(struct outcome *out, const struct trace *t, const struct policy_choice *choice,
	   u32 frames, u32 tick, const struct watcher *watcher)
{
	struct memory m = {.watcher = watcher};
	int ret = -ENOMEM;

	ASSERT(frames);
	m.max_idle = choice->idle ? frames / 4 : 0;
	m.max_mapped = frames - m.max_idle;
	m.state = calloc(t->nr_pages, sizeof(m.state[0]));
	m.links = calloc(t->nr_pages, sizeof(m.links[0]));
	if (!m.state || !m.links || policy_create(&m.policy, choice, t->nr_pages, m.max_mapped))
		goto out_free;
	run(&m, t, tick ? tick : frames);
	policy_destroy(m.policy);
	*out = m.outcome;
	ret = 0;
out_free:
	free(m.links);
	free(m.state);
	return ret;
}
