// SPDX-License-Identifier: Apache-2.0
/*
 * Page replacement: which resident page goes next. One interface, used alike by the memory engine
 * of a live guest (mm/engine/evict.c) and by the simulator (tools/quire-sim), so that what the
 * simulator predicts is what the engine does.
 *
 * A policy knows pages by number only, from 0 up to nr_pages - 1. It is told what happens to them,
 * in this order for each page:
 *
 *	loaded -> touched* -> (victim | removed) -> loaded -> ...
 *
 * and it asks nothing back. A simulator tells of every reference; a live guest's references are
 * seen only when a page that was unmapped comes back, so `touched` then means "at least once".
 * A policy whose definition needs a timer (NFU) is driven by policy_tick().
 *
 * Pages may be loaded beyond the number of frames: whoever owns them asks for victims when it wants
 * room. No policy needs more than 12 bytes a page.
 *
 * Not thread-safe: the owner's lock covers every call.
 *
 * The face of mm/policy/, which owns decisions and nothing else: no lock, no clock, no page's
 * state. It uses mm/base. Begin here and with clock.c, or with nth.c, a whole policy on two pages.
 *
 *	policy.c		 names, and making one
 *	fifo.c clock.c nth.c	 one policy each
 *	nfu.c lru.c car.c
 *	tuner.h			 how much goes: the controllers
 *	wss.h			 how much is in use: the working set, from samples
 *	trace_file.h		 which pages were used, in a file, for the simulator
 */
#ifndef QUIRE_MM_POLICY_POLICY_H
#define QUIRE_MM_POLICY_POLICY_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct policy;

/* How large the problem is. */
struct policy_config {
	u32 nr_pages; /* page numbers are below this */
	u32 frames;   /* pages that fit into memory; at least 1 */
	u32 param;    /* the N of "nth:N"; 0 when the policy takes no number */
};

struct policy_ops {
	const char *name;
	const char *summary; /* for --help: one line */
	u32 default_param;   /* what "nth" alone means; 0 when the policy takes no number */
	u32 max_param;	     /* the largest N of "nth:N" */
	int (*create)(struct policy **out, const struct policy_config *cfg);
	void (*destroy)(struct policy *policy);
	/* The page has become resident. It was not before. */
	void (*loaded)(struct policy *policy, u32 page);
	/* A resident page was referenced (again). */
	void (*touched)(struct policy *policy, u32 page);
	/* Choose a resident page and take it out; false when none is resident. */
	bool (*victim)(struct policy *policy, u32 *page);
	/* The resident page went by itself (discarded, or chosen by someone else). */
	void (*removed)(struct policy *policy, u32 page);
	/* The number of frames changed; optional. */
	void (*resize)(struct policy *policy, u32 frames);
	/* A period of time has passed; optional. */
	void (*tick)(struct policy *policy);
};

/* What each policy's own state begins with. */
struct policy {
	const struct policy_ops *ops;
};

/* One for each mm/policy/NAME.c; clock.c has two. */
extern const struct policy_ops policy_fifo, policy_clock, policy_clock0, policy_nth, policy_nfu,
	policy_lru, policy_car;

/* All policies, in the order of --help; NULL ends the table. */
extern const struct policy_ops *const policy_table[];

/* What "clock", "nth:3" or "fifo+idle" says. */
struct policy_choice {
	const struct policy_ops *ops;
	u32 param;
	bool idle;     /* +idle: what it chooses waits, unmapped, for a second chance */
	char name[24]; /* in full: "nth:3" for "nth" */
};

/*
 * Read a name as --policy takes it; -EINVAL with a sentence that lists what there is. @choice is
 * written only on success.
 */
int policy_parse(const char *text, struct policy_choice *choice, struct err *err);

/* -ENOMEM when memory is short. Both numbers are at least 1. */
static inline int policy_create(struct policy **out, const struct policy_choice *choice,
				u32 nr_pages, u32 frames)
{
	return choice->ops->create(out, &(struct policy_config){.nr_pages = nr_pages,
								.frames = frames,
								.param = choice->param});
}

static inline void policy_destroy(struct policy *p)
{
	if (p)
		p->ops->destroy(p);
}

static inline void policy_loaded(struct policy *p, u32 page)
{
	p->ops->loaded(p, page);
}

static inline void policy_touched(struct policy *p, u32 page)
{
	p->ops->touched(p, page);
}

static inline bool policy_victim(struct policy *p, u32 *page)
{
	return p->ops->victim(p, page);
}

static inline void policy_removed(struct policy *p, u32 page)
{
	p->ops->removed(p, page);
}

static inline void policy_resize(struct policy *p, u32 frames)
{
	if (p->ops->resize)
		p->ops->resize(p, frames);
}

static inline void policy_tick(struct policy *p)
{
	if (p->ops->tick)
		p->ops->tick(p);
}

#endif
