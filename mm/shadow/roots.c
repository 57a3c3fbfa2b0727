// SPDX-License-Identifier: Apache-2.0
/*
 * Processors: the roots that they run on, and when they last flushed their TLBs. Contract in
 * shadow.h.
 *
 * Always true: a page has as many users as there are places in all struct shadow_cpu that name it,
 * but for the empty root, whose users nobody counts; and it is in the list lru only without any.
 */
#include "mm/shadow/impl.h"

static void release(struct shadow *s, u32 page)
{
	struct shadow_page *p = &s->page[page];

	if (page == SHADOW_EMPTY_ROOT)
		return;
	ASSERT(p->users);
	if (--p->users)
		return;
	index_push(s->links, &s->lru, page);
	if (p->dormant)
		shadow_drop(s, page);
}

static void acquire(struct shadow *s, u32 page)
{
	struct shadow_page *p = &s->page[page];

	if (page == SHADOW_EMPTY_ROOT)
		return;
	if (!p->users++)
		index_remove(s->links, &s->lru, page);
	if (p->dormant)
		shadow_attach(s, page);
}

static struct shadow_key root_key(u8 view, u64 frame)
{
	return (struct shadow_key){.frame = frame, .level = SHADOW_LEVELS, .view = view};
}

static u32 find_root(const struct shadow *s, u8 view, u64 frame)
{
	struct shadow_key key = root_key(view, frame);

	return frame < s->cfg.guest.nr_frames ? shadow_find(s, &key) : SHADOW_EMPTY_ROOT;
}

static u32 make_root(struct shadow *s, u8 view, u64 frame)
{
	struct shadow_key key = root_key(view, frame);
	bool made;

	return shadow_table_get(s, &key, &made);
}

/* The roots that are there are taken before others are made, which may drop any that are not. */
void shadow_set_roots(struct shadow *s, u32 cpu, const u64 frames[SHADOW_NR_VIEWS],
		      u64 cr3[SHADOW_NR_VIEWS])
{
	struct shadow_root *roots;

	ASSERT(cpu < s->cfg.nr_cpus);
	roots = s->cpus[cpu].roots;
	for (u8 view = 0; view < SHADOW_NR_VIEWS; view++)
		release(s, roots[view].page);
	for (u8 view = 0; view < SHADOW_NR_VIEWS; view++) {
		roots[view] = (struct shadow_root){frames[view], find_root(s, view, frames[view])};
		if (roots[view].page != INDEX_NONE)
			acquire(s, roots[view].page);
	}
	for (u8 view = 0; view < SHADOW_NR_VIEWS; view++) {
		if (roots[view].page == INDEX_NONE) {
			roots[view].page = make_root(s, view, frames[view]);
			acquire(s, roots[view].page);
		}
		cr3[view] = shadow_machine(s, roots[view].page);
	}
}

u64 shadow_generation(const struct shadow *s)
{
	return s->generation;
}

void shadow_flushed(struct shadow *s, u32 cpu, u64 generation)
{
	struct shadow_cpu *c;

	ASSERT(cpu < s->cfg.nr_cpus && generation <= s->generation);
	c = &s->cpus[cpu];
	c->flushed = MAX(c->flushed, generation);
	c->inside = true;
	for (u32 view = 0; view < SHADOW_NR_VIEWS; view++) {
		release(s, c->before[view]);
		c->before[view] = c->entered[view];
		c->entered[view] = c->roots[view].page;
		s->page[c->entered[view]].users += c->entered[view] != SHADOW_EMPTY_ROOT;
	}
}

void shadow_left(struct shadow *s, u32 cpu)
{
	ASSERT(cpu < s->cfg.nr_cpus);
	s->cpus[cpu].inside = false;
}
