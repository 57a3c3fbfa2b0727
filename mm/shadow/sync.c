// SPDX-License-Identifier: Apache-2.0
/*
 * Shadow entries that follow the guest's: what they are to be, and how those that exist become it
 * when the guest's have changed.
 *
 * Following only removes and tightens, and makes entries where there were none: what the guest has
 * loosened waits for the fault.
 *
 * Tables to be compared at the next flush are "loose": those that are unsynchronised, and, with
 * more than one processor, those that were protected while some processor's TLB may still have an
 * entry that can write there. They stay loose until all have flushed.
 */
#include "mm/shadow/impl.h"

/* Bits @low up to and without @end. */
static u64 bits(u32 low, u32 end)
{
	return ((u64)1 << end) - ((u64)1 << low);
}

/* ---- What entries are to be ---- */

bool shadow_is_valid(const struct shadow *s, u8 view, u32 level, u64 guest)
{
	u64 need = PTWALK_PRESENT | PTWALK_ACCESSED | (view == SHADOW_USER ? PTWALK_USER : 0);
	u64 reserved = bits(s->cfg.maxphyaddr, 52);

	if (level == SHADOW_LEVELS)
		reserved |= PTWALK_LARGE;
	else if (level > 1 && (guest & PTWALK_LARGE)) /* bit 12 is PAT */
		reserved |= bits(13, PAGE_SHIFT + 9 * (level - 1));
	return (guest & need) == need && !(guest & reserved);
}

u64 shadow_rights(u64 guest, bool large)
{
	u64 rights = guest & SHADOW_RIGHTS;

	return large && !(guest & PTWALK_DIRTY) ? rights & ~PTWALK_WRITABLE : rights;
}

bool shadow_compose(const struct shadow *s, u8 view, u64 guest, u64 old, u64 *frame, u64 *entry)
{
	u64 machine, rights;

	*frame = shadow_frame(guest);
	if (!shadow_is_valid(s, view, 1, guest) || !shadow_where(s, *frame, &machine))
		return false;
	rights = shadow_rights(guest, true);
	if (shadow_in_step(s, *frame))
		rights &= ~PTWALK_WRITABLE;
	else if (view == SHADOW_KERNEL && (s->flags[*frame] & FRAME_EXCESS) &&
		 (old & SHADOW_ADDRESS) == machine)
		rights |= old & PTWALK_WRITABLE;
	*entry = machine | SHADOW_TO_PAGE | rights;
	return true;
}

bool shadow_same_target(const struct shadow *s, u32 level, u64 entry, u64 guest)
{
	bool large = level < SHADOW_LEVELS && (guest & PTWALK_LARGE);
	u64 machine, frame = shadow_frame(guest);
	const struct shadow_key *child;

	if (large)
		frame = align_down(frame, shadow_span(level));
	if (entry & PTWALK_LARGE)
		return large && level == 2 && shadow_where(s, frame, &machine) &&
		       machine == (entry & SHADOW_ADDRESS);
	child = &s->page[shadow_child(s, entry)].key;
	return child->direct == large && child->frame == frame;
}

/* ---- Following ---- */

/* Those of an entry's rights that @rights has, too. */
static u64 tightened(u64 entry, u64 rights)
{
	return (entry & (rights | ~PTWALK_WRITABLE)) | (rights & PTWALK_NX);
}

static void follow_leaf(struct shadow *s, u8 view, u32 slot, u64 guest)
{
	u64 frame, want, entry = s->arena[slot];

	if (!shadow_compose(s, view, guest, entry, &frame, &want)) {
		if (entry & PTWALK_PRESENT)
			shadow_entry_clear(s, slot);
		return;
	}
	if ((entry & PTWALK_PRESENT) && !((entry ^ want) & SHADOW_ADDRESS)) {
		shadow_entry_change(s, slot, tightened(entry, want));
		return;
	}
	if (entry & PTWALK_PRESENT)
		shadow_entry_clear(s, slot);
	shadow_entry_fill(s, slot, want, frame);
	s->stats.prefills++;
}

static void follow_upper(struct shadow *s, const struct shadow_key *key, u32 slot, u64 guest)
{
	u64 entry = s->arena[slot];
	bool large = key->level < SHADOW_LEVELS && (guest & PTWALK_LARGE);

	if (!(entry & PTWALK_PRESENT))
		return;
	if (shadow_is_valid(s, key->view, key->level, guest) &&
	    shadow_same_target(s, key->level, entry, guest))
		shadow_entry_change(s, slot, tightened(entry, shadow_rights(guest, large)));
	else
		shadow_entry_clear(s, slot);
}

/* The guest's entry is @guest now. */
static void follow(struct shadow *s, u32 page, u32 index, u64 guest)
{
	const struct shadow_key *key = &s->page[page].key;

	if (key->level == 1)
		follow_leaf(s, key->view, shadow_slot(page, index), guest);
	else if (!shadow_is_fixed(s, key->level, index))
		follow_upper(s, key, shadow_slot(page, index), guest);
}

void shadow_entry_written(struct shadow *s, u64 frame, u32 index, u64 old, u64 new)
{
	u32 at = 0, page;

	ASSERT(index < SHADOW_ENTRIES);
	if (old == new || frame >= s->cfg.guest.nr_frames || !(s->flags[frame] & FRAME_TABLE))
		return;
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE)
		follow(s, page, index, new);
}

/* ---- Tables that are not in step ---- */

void shadow_unsync(struct shadow *s, u64 frame)
{
	u32 at = 0, page;

	if (!shadow_in_step(s, frame))
		return;
	s->flags[frame] |= FRAME_UNSYNCED;
	s->stats.unsyncs++;
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE) {
		if (!index_is_listed(s->loose_links, page))
			index_push(s->loose_links, &s->loose, page);
	}
}

/* An unsynchronised table is protected; only then its contents stand still. */
static void protect(struct shadow *s, u64 frame)
{
	u32 at = 0, page;

	if (!(s->flags[frame] & FRAME_UNSYNCED))
		return;
	s->flags[frame] &= (u8)~FRAME_UNSYNCED;
	s->stats.syncs++;
	shadow_protect_frame(s, frame);
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE)
		s->page[page].since = s->generation;
}

/* A loose table. */
static void sync_page(struct shadow *s, u32 page)
{
	const struct shadow_guest *g = &s->cfg.guest;
	u64 frame = s->page[page].key.frame, entries[SHADOW_ENTRIES];

	index_remove(s->loose_links, &s->loose, page);
	protect(s, frame);
	if (!g->table(g->opaque, frame, entries)) {
		shadow_clear_page(s, page, SHADOW_GUESTS);
		return;
	}
	for (u32 i = 0; i < SHADOW_ENTRIES; i++)
		follow(s, page, i, entries[i]);
	if (!shadow_settled(s, s->page[page].since))
		index_push(s->loose_links, &s->loose, page);
}

void shadow_sync(struct shadow *s)
{
	for (u32 n = s->loose.nr; n && s->loose.nr; n--)
		sync_page(s, index_first(&s->loose));
}

bool shadow_sync_frame(struct shadow *s, u64 frame)
{
	bool loose = false;
	u32 at = 0, page;

	if (!(s->flags[frame] & FRAME_TABLE))
		return false;
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE) {
		if (!index_is_listed(s->loose_links, page))
			continue;
		sync_page(s, page);
		loose |= index_is_listed(s->loose_links, page);
	}
	return loose;
}
