// SPDX-License-Identifier: Apache-2.0
/* Contract in shadow.h; how it is cut, in impl.h. */
#include "mm/shadow/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST  16
#define MAX_PAGES ((u32)1 << 22)
#define MAX_FRAME ((u64)1 << 30)

/* ---- Creation ---- */

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
		.cr0 = PTWALK_CR0_PG | PTWALK_CR0_WP,
		.cr4 = PTWALK_CR4_PAE,
		.efer = PTWALK_EFER_LMA | PTWALK_EFER_NXE,
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

/* ---- Roots ---- */

static void release(struct shadow *s, u32 page)
{
	struct shadow_page *p = &s->page[page];

	if (page == SHADOW_EMPTY_ROOT || --p->users)
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

static u32 find_root(const struct shadow *s, u8 view, u64 frame)
{
	if (frame >= s->cfg.guest.nr_frames)
		return SHADOW_EMPTY_ROOT;
	return shadow_find(s, &(struct shadow_key){frame, SHADOW_LEVELS, view, false});
}

static u32 make_root(struct shadow *s, u8 view, u64 frame)
{
	bool made;

	return shadow_table_get(s, &(struct shadow_key){frame, SHADOW_LEVELS, view, false}, &made);
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

/* ---- What the monitor asks for ---- */

void shadow_note_table(struct shadow *s, u64 frame)
{
	if (frame < s->cfg.guest.nr_frames)
		s->flags[frame] |= FRAME_KNOWN;
}

void shadow_forget_table(struct shadow *s, u64 frame)
{
	if (frame >= s->cfg.guest.nr_frames)
		return;
	shadow_drop_frame(s, frame);
	if (s->flags[frame] & FRAME_EXCESS)
		shadow_protect_frame(s, frame);
	s->flags[frame] = 0;
}

void shadow_data_written(struct shadow *s, u64 frame)
{
	if (frame < s->cfg.guest.nr_frames && shadow_in_step(s, frame))
		shadow_forget_table(s, frame);
}

u32 shadow_table_level(const struct shadow *s, u64 frame, bool *synced)
{
	u32 at = 0, page, level = 0;

	if (synced)
		*synced = true;
	if (frame >= s->cfg.guest.nr_frames)
		return 0;
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE) {
		level = MAX(level, s->page[page].key.level);
		if (synced && index_is_listed(s->loose_links, page))
			*synced = false;
	}
	return level;
}

void shadow_drop_all(struct shadow *s)
{
	while (s->lru.nr)
		shadow_drop(s, index_first(&s->lru));
	for (u32 page = SHADOW_EMPTY_ROOT + 1; page < s->fresh; page++) {
		if (s->page[page].users)
			shadow_drop(s, page);
	}
}

void shadow_forget_all(struct shadow *s)
{
	shadow_drop_all(s);
	memset(s->flags, 0, s->cfg.guest.nr_frames);
}

/* Most frames are none: eight at a time. */
bool shadow_next_table(const struct shadow *s, u64 *frame)
{
	const u64 known = FRAME_KNOWN * 0x0101010101010101u;
	u64 at = *frame, nr = s->cfg.guest.nr_frames, eight;

	while (at < nr && !(s->flags[at] & FRAME_KNOWN)) {
		u64 step = 1;

		if (nr - at >= sizeof(eight)) {
			memcpy(&eight, &s->flags[at], sizeof(eight));
			step = eight & known ? 1 : sizeof(eight);
		}
		at += step;
	}
	*frame = at;
	return at < nr;
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

void shadow_get_stats(const struct shadow *s, struct shadow_stats *stats)
{
	*stats = s->stats;
	stats->pages_free = s->free.nr + s->waiting.nr + s->cfg.pages - s->fresh;
}
