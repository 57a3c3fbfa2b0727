// SPDX-License-Identifier: Apache-2.0
/*
 * The arena's pages, and what they stand for.
 *
 *	            get                    drop                      all processors have flushed
 *	free, fresh ----> in use, in lru ----------> waiting ------------------------------> free
 *	                    |     ^
 *	shadow_set_roots v     | no processor's any more
 *	               in use, a root
 *
 * A page waits since a processor that runs meanwhile may still find the table by what its TLB knows
 * of the entries above. Nothing points to a root but CR3, so a root's page can be used again at
 * once, for a root or not. Always true: roots and free pages together are enough for all roots that
 * the processors can have, so that shadow_set_roots() cannot fail; tables of other levels leave
 * these pages alone.
 */
#include "mm/shadow/impl.h"

#include <string.h>

/* A fault makes three tables at most. */
#define LOW_WATER 8

/* ---- Pages ---- */

static u32 nr_free(const struct shadow *s)
{
	return s->free.nr + s->cfg.pages - s->fresh;
}

/* Free pages that are not kept for roots. */
static u32 nr_usable(const struct shadow *s)
{
	u32 roots = SHADOW_MAX_ROOTS * s->cfg.nr_cpus;
	u32 kept = roots > s->nr_roots ? roots - s->nr_roots : 0;

	return nr_free(s) > kept ? nr_free(s) - kept : 0;
}

static void end_waits(struct shadow *s)
{
	while (s->waiting.nr && shadow_settled(s, s->page[index_first(&s->waiting)].since))
		index_push(s->links, &s->free, index_pop(s->links, &s->waiting));
}

void shadow_reserve(struct shadow *s)
{
	u32 enough = LOW_WATER + s->cfg.pages / 16;

	if (nr_usable(s) >= LOW_WATER)
		return;
	end_waits(s);
	if (nr_usable(s) + s->waiting.nr >= LOW_WATER)
		return;
	while (s->lru.nr && nr_usable(s) + s->waiting.nr < enough) {
		shadow_drop(s, index_first(&s->lru));
		s->stats.tables_dropped--;
		s->stats.tables_reclaimed++;
	}
	end_waits(s);
}

/* Somebody's root of earlier makes place for another. */
static void drop_idle_root(struct shadow *s)
{
	u32 page = index_first(&s->lru);

	while (s->page[page].key.level != SHADOW_LEVELS)
		page = s->links[page].next - 1;
	shadow_drop(s, page);
}

static u32 take_page(struct shadow *s, u32 level)
{
	if (level != SHADOW_LEVELS && !nr_usable(s))
		return INDEX_NONE;
	if (!nr_free(s))
		drop_idle_root(s);
	if (s->free.nr)
		return index_pop(s->links, &s->free);
	memset(&s->arena[shadow_slot(s->fresh, 0)], 0, PAGE_SIZE);
	return s->fresh++;
}

/* ---- Tables ---- */

void shadow_attach(struct shadow *s, u32 page)
{
	struct shadow_page *p = &s->page[page];
	bool loose = shadow_sync_frame(s, p->key.frame);

	p->dormant = false;
	s->flags[p->key.frame] |= FRAME_TABLE | FRAME_KNOWN;
	loose |= shadow_protect_frame(s, p->key.frame) > 0;
	p->since = s->generation;
	if (loose && !shadow_settled(s, p->since))
		index_push(s->loose_links, &s->loose, page);
}

/* The frame is not taken as a table because of this page any more. */
static void detach(struct shadow *s, u32 page)
{
	u64 frame = s->page[page].key.frame;
	u32 at = 0;

	s->page[page].dormant = true;
	if (index_is_listed(s->loose_links, page))
		index_remove(s->loose_links, &s->loose, page);
	if (shadow_next_of(s, frame, &at) == INDEX_NONE)
		s->flags[frame] &= (u8) ~(FRAME_TABLE | FRAME_UNSYNCED);
}

u32 shadow_table_get(struct shadow *s, const struct shadow_key *key, bool *made)
{
	u32 page = shadow_find(s, key);
	struct shadow_page *p;

	*made = false;
	if (page != INDEX_NONE)
		return page;
	page = take_page(s, key->level);
	if (page == INDEX_NONE)
		return page;
	*made = true;
	p = &s->page[page];
	*p = (struct shadow_page){.key = *key, .touches = p->touches, .dormant = !key->direct};
	shadow_hash_insert(s, page);
	index_push(s->links, &s->lru, page);
	s->stats.tables[key->view][key->level]++;
	s->stats.tables_made++;
	if (key->level == SHADOW_LEVELS) {
		s->nr_roots++;
		for (u32 i = 0; i < s->cfg.nr; i++)
			s->arena[shadow_slot(page, s->cfg.first + i)] = s->cfg.fixed[i];
	}
	if (!key->direct)
		shadow_attach(s, page);
	return page;
}

void shadow_used(struct shadow *s, u32 page)
{
	if (s->page[page].users || page == SHADOW_EMPTY_ROOT)
		return;
	index_remove(s->links, &s->lru, page);
	index_push(s->links, &s->lru, page);
}

void shadow_drop(struct shadow *s, u32 page)
{
	struct shadow_page *p = &s->page[page];
	bool root = p->key.level == SHADOW_LEVELS;

	shadow_clear_parents(s, page);
	shadow_clear_page(s, page, p->users ? SHADOW_GUESTS : SHADOW_ALL);
	if (!p->key.direct && !p->dormant)
		detach(s, page);
	if (p->users)
		return;
	s->stats.tables[p->key.view][p->key.level]--;
	s->stats.tables_dropped++;
	s->nr_roots -= root;
	shadow_hash_remove(s, page);
	p->key.level = 0;
	p->since = s->generation;
	index_remove(s->links, &s->lru, page);
	index_push(s->links, root ? &s->free : &s->waiting, page);
}

void shadow_drop_frame(struct shadow *s, u64 frame)
{
	u32 at = 0, page;

	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE) {
		shadow_drop(s, page);
		at = 0;
	}
}
