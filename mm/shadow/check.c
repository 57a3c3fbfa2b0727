// SPDX-License-Identifier: Apache-2.0
/*
 * The shadow tables looked at from three sides: each entry against the guest's; each chain's slots
 * against what the chain is of; each table in step against who maps its frame writable. Since every
 * entry is counted once from its table and once from its chain, none can be in no chain, or in two.
 */
#include "mm/shadow/impl.h"

#include <stdarg.h>
#include <stdio.h>

struct check {
	const struct shadow *s;
	struct shadow_check seen;
	u64 linked; /* entries that are to be in a chain */
	u64 leaves;
	u64 wrong;
	char *why;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct check *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!c->wrong++ && c->why)
		vsnprintf(c->why, 128, format, args);
	va_end(args);
}

/* Whether @entry has no right that is not in @rights. */
static bool is_within(u64 entry, u64 rights)
{
	return !(entry & ~rights & PTWALK_WRITABLE) && !(rights & ~entry & PTWALK_NX);
}

/* A processor must have no cause to write to the entry. */
static bool has_always(u32 level, u64 entry)
{
	u64 need = shadow_is_leaf(level, entry) ? SHADOW_TO_PAGE : SHADOW_ALWAYS;

	return (entry & need) == need && !(entry & PTWALK_GLOBAL);
}

static bool leaf_agrees(const struct shadow *s, u8 view, u64 entry, u64 guest)
{
	u64 frame, want;

	return shadow_compose(s, view, guest, entry, &frame, &want) &&
	       !((entry ^ want) & SHADOW_ADDRESS) && is_within(entry, want);
}

static bool upper_agrees(const struct shadow *s, const struct shadow_key *key, u64 entry, u64 guest)
{
	bool large = key->level < SHADOW_LEVELS && (guest & PTWALK_LARGE);

	if (!(entry & PTWALK_LARGE)) {
		const struct shadow_key *child = &s->page[shadow_child(s, entry)].key;

		if (child->level != key->level - 1 || child->view != key->view)
			return false;
	}
	return shadow_is_valid(s, key->view, key->level, guest) &&
	       shadow_same_target(s, key->level, entry, guest) &&
	       is_within(entry, shadow_rights(guest, large));
}

static void check_entry(struct check *c, u32 page, u32 index, u64 entry, u64 guest)
{
	const struct shadow_key *key = &c->s->page[page].key;
	bool agrees;

	c->seen.entries++;
	if (key->level == 1)
		agrees = leaf_agrees(c->s, key->view, entry, guest);
	else
		agrees = upper_agrees(c->s, key, entry, guest);
	if (!agrees || !has_always(key->level, entry))
		wrong(c, "entry %u of frame %#lx, level %u, view %u: %#lx for the guest's %#lx",
		      index, key->frame, key->level, key->view, entry, guest);
}

/* What stands for the guest's table where a large page is cut small. */
static void direct_table(const struct shadow_key *key, u64 entries[SHADOW_ENTRIES])
{
	u64 bits = SHADOW_ALL_RIGHTS | (key->level > 1 ? PTWALK_LARGE : 0);

	for (u64 i = 0; i < SHADOW_ENTRIES; i++)
		entries[i] = bits | (key->frame + i * shadow_span(key->level)) << PAGE_SHIFT;
}

static void check_table(struct check *c, u32 page)
{
	const struct shadow *s = c->s;
	const struct shadow_page *p = &s->page[page];
	bool loose = index_is_listed(s->loose_links, page);
	u64 guest[SHADOW_ENTRIES];
	u32 present = 0;

	c->seen.tables++;
	if (p->key.direct)
		direct_table(&p->key, guest);
	else if (!s->cfg.guest.table(s->cfg.guest.opaque, p->key.frame, guest))
		loose = true;
	for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
		u64 entry = s->arena[shadow_slot(page, i)];

		if (!(entry & PTWALK_PRESENT) || shadow_is_fixed(s, p->key.level, i))
			continue;
		present++;
		c->leaves += shadow_is_leaf(p->key.level, entry);
		c->seen.unsynced += loose;
		if (loose)
			c->seen.entries++;
		else
			check_entry(c, page, i, entry, guest[i]);
	}
	c->linked += present;
	if (present != p->present)
		wrong(c, "page %u has %u entries, not %u", page, present, p->present);
	if (p->dormant && (present || !p->users))
		wrong(c, "page %u is dormant with %u entries, %u users", page, present, p->users);
}

/* No entry writes to a table in step. */
static void check_protected(struct check *c, u64 frame)
{
	const struct shadow *s = c->s;
	u64 large = align_down(frame, SHADOW_ENTRIES);

	if (!shadow_in_step(s, frame))
		return;
	for (u32 slot = s->heads[frame]; slot; slot = s->next[slot - 1]) {
		u64 entry = s->arena[slot - 1];

		if ((entry & PTWALK_WRITABLE) && !(entry & PTWALK_LARGE))
			wrong(c, "table in frame %#lx is writable: %#lx", frame, entry);
	}
	for (u32 slot = s->heads[large]; slot; slot = s->next[slot - 1]) {
		u64 entry = s->arena[slot - 1];

		if ((entry & PTWALK_WRITABLE) && (entry & PTWALK_LARGE))
			wrong(c, "table in frame %#lx is writable: large %#lx", frame, entry);
	}
}

/* What a chain is of. */
enum chain_of { OF_FRAME, OF_TABLE };

/* All entries in a chain point to what it is of, at @machine. */
static void check_chain(struct check *c, u64 chain, enum chain_of of, bool exists, u64 machine)
{
	const struct shadow *s = c->s;
	u64 left = (u64)s->cfg.pages * SHADOW_ENTRIES;

	for (u32 slot = s->heads[chain]; slot; slot = s->next[slot - 1]) {
		u64 entry = s->arena[slot - 1];
		u32 level = s->page[(slot - 1) / SHADOW_ENTRIES].key.level;
		bool same = (entry & PTWALK_PRESENT) && (entry & SHADOW_ADDRESS) == machine &&
			    level && shadow_is_leaf(level, entry) == (of == OF_FRAME);

		if (!exists || !same)
			wrong(c, "chain %#lx has %#lx in slot %#x", chain, entry, slot - 1);
		c->linked--;
		if (!left--) {
			wrong(c, "chain %#lx is a ring", chain);
			return;
		}
	}
}

static void check_flags(struct check *c, u64 frame)
{
	const struct shadow *s = c->s;
	u32 at = 0;
	bool table = shadow_next_of(s, frame, &at) != INDEX_NONE;

	if (table != !!(s->flags[frame] & FRAME_TABLE) ||
	    (!table && (s->flags[frame] & FRAME_UNSYNCED)))
		wrong(c, "frame %#lx has flags %#x", frame, s->flags[frame]);
}

static void check_counts(struct check *c)
{
	const struct shadow *s = c->s;
	u64 tables = 0;

	if (c->linked)
		wrong(c, "%ld entries are in no chain", (long)c->linked);
	for (u32 view = 0; view < SHADOW_NR_VIEWS; view++) {
		for (u32 level = 1; level <= SHADOW_LEVELS; level++)
			tables += s->stats.tables[view][level];
	}
	if (tables != c->seen.tables || c->leaves != s->stats.entries)
		wrong(c, "%lu tables, %lu mapped pages; counted %lu, %lu", c->seen.tables,
		      c->leaves, tables, s->stats.entries);
	if (s->nr_singles > SHADOW_MAX_TOUCHES)
		wrong(c, "%u touches", s->nr_singles);
}

u64 shadow_self_check(const struct shadow *s, struct shadow_check *seen, char why[128])
{
	struct check c = {.s = s, .why = why};

	for (u32 page = SHADOW_EMPTY_ROOT + 1; page < s->fresh; page++) {
		if (s->page[page].key.level)
			check_table(&c, page);
	}
	for (u64 frame = 0; frame < s->cfg.guest.nr_frames; frame++) {
		u64 machine = 0;
		bool exists = s->heads[frame] && shadow_where(s, frame, &machine);

		check_chain(&c, frame, OF_FRAME, exists, machine);
		check_flags(&c, frame);
		check_protected(&c, frame);
	}
	for (u32 page = 0; page < s->fresh; page++)
		check_chain(&c, shadow_table_chain(s, page), OF_TABLE, s->page[page].key.level,
			    shadow_machine(s, page));
	check_counts(&c);
	if (seen)
		*seen = c.seen;
	return c.wrong;
}
