// SPDX-License-Identifier: Apache-2.0
/* Birth and death of a set of shadow tables. Contract in shadow.h; how it is cut, in impl.h. */
#include "mm/shadow/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST  16
#define MAX_PAGES ((u32)1 << 22)
#define MAX_FRAME ((u64)1 << 30)

static bool is_possible(const struct shadow_config *cfg)
{
	const struct shadow_guest *g = &cfg->guest;

	if (!g->entries.read || !g->entries.cmpxchg || !g->table || !g->where)
		return false;
	if (!cfg->nr_cpus || cfg->nr_cpus > MAX_PAGES || g->nr_frames > MAX_FRAME)
		return false;
	if (cfg->first > SHADOW_ENTRIES || cfg->nr > SHADOW_ENTRIES - cfg->first)
		return false;
	return cfg->pages <= MAX_PAGES && cfg->pages >= cfg->nr_cpus * SHADOW_MAX_ROOTS + SMALLEST;
}

static bool allocate(struct shadow *s)
{
	const struct shadow_config *cfg = &s->cfg;
	u64 pages = cfg->pages, slots = pages * SHADOW_ENTRIES, buckets = 2;

	for (s->hash_shift = 63; buckets < pages; s->hash_shift--)
		buckets *= 2;
	s->page = calloc(pages, sizeof(*s->page));
	s->buckets = calloc(buckets, sizeof(*s->buckets));
	s->heads = calloc(cfg->guest.nr_frames + pages, sizeof(*s->heads));
	s->next = calloc(slots, sizeof(*s->next));
	s->prev = calloc(slots, sizeof(*s->prev));
	s->flags = calloc(cfg->guest.nr_frames + 1, sizeof(*s->flags));
	s->links = calloc(pages, sizeof(*s->links));
	s->loose_links = calloc(pages, sizeof(*s->loose_links));
	s->whole_links = calloc(pages, sizeof(*s->whole_links));
	s->cpus = calloc(cfg->nr_cpus, sizeof(*s->cpus));
	return s->page && s->buckets && s->heads && s->next && s->prev && s->flags && s->links &&
	       s->loose_links && s->whole_links && s->cpus;
}

/* Page 0: a root that stays empty, but for the VMM's own entries. */
static void make_empty_root(struct shadow *s)
{
	struct shadow_page *p = &s->page[SHADOW_EMPTY_ROOT];

	p->key.level = SHADOW_LEVELS;
	p->dormant = true;
	memset(s->arena, 0, PAGE_SIZE);
	for (u32 i = 0; i < s->cfg.nr; i++)
		s->arena[s->cfg.first + i] = s->cfg.fixed[i];
	for (u32 i = 0; i < s->cfg.nr_cpus; i++) {
		for (u32 view = 0; view < SHADOW_NR_VIEWS; view++)
			s->cpus[i].roots[view].frame = SHADOW_NO_ROOT;
	}
	s->fresh = SHADOW_EMPTY_ROOT + 1;
}

int shadow_create(struct shadow **out, const struct shadow_config *cfg)
{
	struct shadow *s;

	if (!is_possible(cfg))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cfg = *cfg;
	s->arena = cfg->arena;
	s->mode = (struct ptwalk_mode){
		.cr0 = CR0_PG | CR0_WP,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = cfg->maxphyaddr,
		.gib_pages = true,
	};
	if (!allocate(s)) {
		shadow_destroy(s);
		return -ENOMEM;
	}
	make_empty_root(s);
	*out = s;
	return 0;
}

void shadow_destroy(struct shadow *s)
{
	if (!s)
		return;
	free(s->cpus);
	free(s->whole_links);
	free(s->loose_links);
	free(s->links);
	free(s->flags);
	free(s->prev);
	free(s->next);
	free(s->heads);
	free(s->buckets);
	free(s->page);
	free(s);
}

void shadow_get_stats(const struct shadow *s, struct shadow_stats *stats)
{
	*stats = s->stats;
	stats->pages_free = s->free.nr + s->waiting.nr + s->cfg.pages - s->fresh;
}
