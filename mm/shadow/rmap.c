// SPDX-License-Identifier: Apache-2.0
/*
 * Shadow entries: the only place where they are stored. Each is linked with all others that point
 * to the same frame, or to the same shadow table, so that these can be found: the reverse map.
 * Links go both ways, since some frames are mapped by very many (a page of zeros, a library's).
 *
 * What changes of an entry that was present is noted twice: the generation counts it if the
 * processors' TLBs could grant more than it does now; a touch is left for the KVM below, which may
 * have a copy of it. Touches are bounded: single entries in one array, and pages as a whole in a
 * list, where a page goes that has many, or that finds the array full.
 */
#include "mm/shadow/impl.h"

#define CHAIN_FIRST ((u32)1 << 31)

#define MAX_SINGLES_OF_PAGE 8

/* ---- Touches ---- */

static void touch_whole(struct shadow *s, u32 page)
{
	u32 kept = 0;

	if (index_is_listed(s->whole_links, page))
		return;
	for (u32 i = 0; i < s->nr_singles && s->page[page].touches; i++) {
		if (s->singles[i].page != page)
			s->singles[kept++] = s->singles[i];
	}
	if (s->page[page].touches)
		s->nr_singles = kept;
	s->page[page].touches = 0;
	index_push(s->whole_links, &s->whole, page);
}

static bool is_touched(const struct shadow *s, u32 page, u32 index)
{
	if (index_is_listed(s->whole_links, page))
		return true;
	for (u32 i = 0; i < s->nr_singles && s->page[page].touches; i++) {
		if (s->singles[i].page == page && s->singles[i].index == index)
			return true;
	}
	return false;
}

static void touch(struct shadow *s, u32 page, u32 index)
{
	if (is_touched(s, page, index))
		return;
	if (s->page[page].touches == MAX_SINGLES_OF_PAGE || s->nr_singles == SHADOW_MAX_TOUCHES) {
		touch_whole(s, page);
		return;
	}
	s->singles[s->nr_singles++] = (struct shadow_touch){page, index};
	s->page[page].touches++;
}

u32 shadow_touches(struct shadow *s, struct shadow_touch *touches, u32 max)
{
	u32 n = 0;

	for (; n < max && s->whole.nr; n++) {
		u32 page = index_pop(s->whole_links, &s->whole);

		touches[n] = (struct shadow_touch){page, SHADOW_ENTRIES};
	}
	for (; n < max && s->nr_singles; n++) {
		touches[n] = s->singles[--s->nr_singles];
		s->page[touches[n].page].touches--;
	}
	return n;
}

/* ---- Entries ---- */

/* Processors may walk the arena meanwhile. */
static void store(struct shadow *s, u32 slot, u64 entry)
{
	__atomic_store_n(&s->arena[slot], entry, __ATOMIC_RELEASE);
}

static void link_slot(struct shadow *s, u32 slot, u32 chain)
{
	u32 first = s->heads[chain];

	ASSERT(!s->prev[slot]);
	s->next[slot] = first;
	s->prev[slot] = CHAIN_FIRST | chain;
	if (first)
		s->prev[first - 1] = slot + 1;
	s->heads[chain] = slot + 1;
}

static void unlink_slot(struct shadow *s, u32 slot)
{
	u32 next = s->next[slot], prev = s->prev[slot];

	ASSERT(prev);
	if (prev & CHAIN_FIRST)
		s->heads[prev & ~CHAIN_FIRST] = next;
	else
		s->next[prev - 1] = next;
	if (next)
		s->prev[next - 1] = prev;
	s->next[slot] = s->prev[slot] = 0;
}

static struct shadow_page *page_of(struct shadow *s, u32 slot)
{
	return &s->page[slot / SHADOW_ENTRIES];
}

void shadow_entry_fill(struct shadow *s, u32 slot, u64 entry, u64 chain)
{
	struct shadow_page *p = page_of(s, slot);

	ASSERT(!(s->arena[slot] & PTWALK_PRESENT));
	link_slot(s, slot, (u32)chain);
	p->present++;
	s->stats.entries += shadow_is_leaf(p->key.level, entry);
	store(s, slot, entry);
}

void shadow_entry_change(struct shadow *s, u32 slot, u64 entry)
{
	u64 old = s->arena[slot];

	ASSERT(old & entry & PTWALK_PRESENT && !((old ^ entry) & ~SHADOW_RIGHTS));
	if (entry == old)
		return;
	store(s, slot, entry);
	touch(s, slot / SHADOW_ENTRIES, slot % SHADOW_ENTRIES);
	if ((old & ~entry & PTWALK_WRITABLE) || (entry & ~old & PTWALK_NX))
		s->generation++;
}

static void clear_entry(struct shadow *s, u32 slot)
{
	struct shadow_page *p = page_of(s, slot);

	s->stats.entries -= shadow_is_leaf(p->key.level, s->arena[slot]);
	store(s, slot, 0);
	unlink_slot(s, slot);
	p->present--;
	s->generation++;
}

void shadow_entry_clear(struct shadow *s, u32 slot)
{
	clear_entry(s, slot);
	touch(s, slot / SHADOW_ENTRIES, slot % SHADOW_ENTRIES);
}

void shadow_clear_page(struct shadow *s, u32 page, enum shadow_which which)
{
	struct shadow_page *p = &s->page[page];
	bool fixed = p->key.level == SHADOW_LEVELS && which == SHADOW_ALL;

	if (p->present || fixed)
		touch_whole(s, page);
	for (u32 i = 0; i < SHADOW_ENTRIES && p->present; i++) {
		if (s->prev[shadow_slot(page, i)])
			clear_entry(s, shadow_slot(page, i));
	}
	for (u32 i = 0; i < s->cfg.nr && fixed; i++)
		store(s, shadow_slot(page, s->cfg.first + i), 0);
}

void shadow_clear_parents(struct shadow *s, u32 page)
{
	u32 chain = shadow_table_chain(s, page);

	while (s->heads[chain])
		shadow_entry_clear(s, s->heads[chain] - 1);
}

/* ---- The reverse map ---- */

/*
 * Large entries that span @frame and have all of @bits: removed, they come back cut small where
 * need be.
 */
static u32 clear_large(struct shadow *s, u64 frame, u64 bits)
{
	u32 slot, next, n = 0;

	bits |= PTWALK_LARGE;
	for (slot = s->heads[align_down(frame, SHADOW_ENTRIES)]; slot; slot = next) {
		next = s->next[slot - 1];
		if ((s->arena[slot - 1] & bits) == bits) {
			shadow_entry_clear(s, slot - 1);
			n++;
		}
	}
	return n;
}

u32 shadow_unmap_frame(struct shadow *s, u64 frame)
{
	u32 slot, next, n;

	if (frame >= s->cfg.guest.nr_frames)
		return 0;
	n = clear_large(s, frame, 0);
	for (slot = s->heads[frame]; slot; slot = next) {
		next = s->next[slot - 1];
		if (s->arena[slot - 1] & PTWALK_LARGE)
			continue;
		shadow_entry_clear(s, slot - 1);
		n++;
	}
	return n;
}

u32 shadow_protect_frame(struct shadow *s, u64 frame)
{
	u32 n;

	if (frame >= s->cfg.guest.nr_frames)
		return 0;
	n = clear_large(s, frame, PTWALK_WRITABLE);
	for (u32 slot = s->heads[frame]; slot; slot = s->next[slot - 1]) {
		u64 entry = s->arena[slot - 1];

		if (!(entry & PTWALK_WRITABLE) || (entry & PTWALK_LARGE))
			continue;
		shadow_entry_change(s, slot - 1, entry & ~PTWALK_WRITABLE);
		n++;
	}
	return n;
}
