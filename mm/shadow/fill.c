// SPDX-License-Identifier: Apache-2.0
/*
 * Page faults. The guest's tables are walked as the processor would walk them; what that finds is
 * the guest's own fault, or the entries to be made on the way, each from the guest's entry of its
 * level:
 *
 *	guest	 level 4 --> level 3 --> level 2 --> level 1 --> page of 4 KiB
 *	shadow	 level 4 --> level 3 --> level 2 --> level 1 --> the same, of the machine
 *
 *	guest	 level 4 --> level 3 --> level 2 -------------> page of 2 MiB
 *	shadow	 level 4 --> level 3 --> level 2 -------------> the same, if the machine has it in
 *	     one piece and no table is in it, or --> direct --> pages of 4 KiB
 *
 * A page of 1 GiB has a direct table of level 2 in the same way, from which it goes on. The entry
 * that leads to direct tables has the large page's rights; they themselves grant all.
 *
 * A fill costs the walk, four slots and a look at the neighbours; no step depends on how much is
 * mapped, but for the first write protection of a new table, and for tables that are dropped.
 */
#include "mm/shadow/impl.h"

/* Neighbours, this one included, whose entries are looked at with it. */
#define GROUP 16

struct fill {
	struct shadow *s;
	u64 linear;
	struct ptwalk_access access;
	struct ptwalk_result r;
	u8 view;
	bool excess;		 /* a write by a read-only mapping of a table */
	u32 path[SHADOW_LEVELS]; /* pages, from level 4 on */
};

static bool is_write(const struct fill *f)
{
	return f->access.kind == PTWALK_WRITE;
}

static u64 target(const struct fill *f)
{
	return f->r.at.v >> PAGE_SHIFT;
}

/* The level of the guest's entry that maps the page. */
static u32 leaf_level(const struct fill *f)
{
	return SHADOW_LEVELS + 1 - f->r.nr_steps;
}

/* ---- The walk ---- */

/*
 * Whether what forbids the write is a read-only entry of level 1 alone, in the kernel's view, of a
 * frame that is a table; and the page is the kernel's own. A process's page must never be written
 * where it is read-only, for then it is shared, even if its frame was a table once.
 */
static bool may_exceed(const struct fill *f)
{
	const struct shadow *s = f->s;
	const struct ptwalk_step *leaf = &f->r.steps[SHADOW_LEVELS - 1];
	u64 frame = shadow_frame(leaf->entry);

	if (f->view != SHADOW_KERNEL || f->r.user || f->r.nr_steps != SHADOW_LEVELS ||
	    f->r.error != (PTWALK_ERROR_PRESENT | PTWALK_ERROR_WRITE))
		return false;
	for (u32 i = 0; i < SHADOW_LEVELS - 1; i++) {
		if (!(f->r.steps[i].entry & PTWALK_WRITABLE))
			return false;
	}
	return frame < s->cfg.guest.nr_frames && (s->flags[frame] & FRAME_KNOWN);
}

static enum ptwalk_outcome walk(struct fill *f)
{
	struct shadow *s = f->s;
	const struct ptwalk_memory *m = &s->cfg.guest.entries;
	const struct ptwalk_access read = {PTWALK_READ, f->access.by};
	enum ptwalk_outcome outcome = ptwalk(&s->mode, m, &f->access, f->linear, &f->r);
	u64 leaf = f->r.steps[SHADOW_LEVELS - 1].entry;

	if (outcome != PTWALK_FAULT || !may_exceed(f))
		return outcome;
	outcome = ptwalk(&s->mode, m, &read, f->linear, &f->r);
	f->excess = outcome == PTWALK_DONE;
	if (f->excess && f->r.steps[SHADOW_LEVELS - 1].entry != leaf)
		return PTWALK_RACED;
	return outcome;
}

/* The guest's entry at @level as the walk left it; in the large page all rights. */
static u64 source(const struct fill *f, u32 level)
{
	u32 i = SHADOW_LEVELS - level;
	u64 entry;

	if (i >= f->r.nr_steps)
		return SHADOW_ALL_RIGHTS | target(f) << PAGE_SHIFT;
	entry = f->r.steps[i].entry | PTWALK_ACCESSED;
	if (i == f->r.nr_steps - 1 && is_write(f) && !f->excess)
		entry |= PTWALK_DIRTY;
	return entry;
}

/* ---- Writes to tables ---- */

static bool is_on_way(const struct fill *f, u64 frame)
{
	for (u32 i = 0; i < f->r.nr_steps; i++) {
		if (gpa_gfn(f->r.steps[i].at).v == frame)
			return true;
	}
	return false;
}

static bool only_level_1(const struct fill *f, u64 frame)
{
	u32 at = 0, page;

	while ((page = shadow_next_of(f->s, frame, &at)) != INDEX_NONE) {
		if (f->s->page[page].key.level != 1)
			return false;
	}
	return true;
}

/* The page is about to be written. True: as a table, which becomes unsynchronised. */
static bool write_to_table(struct fill *f)
{
	struct shadow *s = f->s;
	u64 frame = target(f);
	u8 *flags = &s->flags[frame];

	if (shadow_in_step(s, frame)) {
		s->stats.table_writes++;
		if (is_on_way(f, frame) || (*flags & FRAME_DROPPED) ||
		    (f->excess && only_level_1(f, frame))) {
			*flags &= (u8)~FRAME_DROPPED;
			return true;
		}
		if (!f->excess)
			shadow_forget_table(s, frame);
		shadow_drop_frame(s, frame);
		*flags |= FRAME_DROPPED;
	} else if (!f->excess && (*flags & FRAME_KNOWN) && !(*flags & FRAME_TABLE)) {
		shadow_forget_table(s, frame);
	}
	return false;
}

/* ---- Entries ---- */

/* All frames of a large page in one aligned piece on the machine, and no table among them. */
static bool is_whole(const struct shadow *s, u64 frame, u64 *machine)
{
	u64 at;

	if (!shadow_where(s, frame, machine) || *machine % (SHADOW_ENTRIES * PAGE_SIZE))
		return false;
	for (u64 i = 0; i < SHADOW_ENTRIES; i++) {
		if (!shadow_where(s, frame + i, &at) || at != *machine + i * PAGE_SIZE ||
		    shadow_in_step(s, frame + i))
			return false;
	}
	return true;
}

/* @entry to the same target is there, or none. */
static void set_entry(struct shadow *s, u32 slot, u64 entry, u64 chain)
{
	u64 old = s->arena[slot];

	if ((old & PTWALK_PRESENT) && ((old ^ entry) & ~SHADOW_RIGHTS)) {
		shadow_entry_clear(s, slot);
		old = 0;
	}
	if (old & PTWALK_PRESENT)
		shadow_entry_change(s, slot, entry);
	else
		shadow_entry_fill(s, slot, entry, chain);
}

/* What the entry at @level stands for: the table below it. */
static struct shadow_key child_key(const struct fill *f, u32 level)
{
	bool large = level <= leaf_level(f);

	return (struct shadow_key){
		.frame = large ? align_down(target(f), shadow_span(level))
			       : shadow_frame(source(f, level)),
		.level = (u8)(level - 1),
		.view = f->view,
		.direct = large,
	};
}

/* An entry of level 2 that maps a large page, unless there is one that leads to it cut small. */
static bool set_large(struct fill *f, u32 slot)
{
	struct shadow *s = f->s;
	u64 machine, entry = s->arena[slot], guest = source(f, 2);
	u64 frame = align_down(target(f), SHADOW_ENTRIES);

	if ((entry & PTWALK_PRESENT) && !(entry & PTWALK_LARGE) &&
	    shadow_same_target(s, 2, entry, guest | PTWALK_LARGE))
		return false;
	if (!is_whole(s, frame, &machine))
		return false;
	entry = machine | SHADOW_TO_PAGE | PTWALK_LARGE | shadow_rights(guest, true);
	set_entry(s, slot, entry, frame);
	return true;
}

enum descent {
	DESCENT_LARGE, /* a large entry maps the page */
	DESCENT_TABLE, /* the table of level 1 is there */
	DESCENT_MADE,  /* and is new */
	DESCENT_STARVED,
};

static enum descent descend(struct fill *f)
{
	struct shadow *s = f->s;
	bool made = false;

	for (u32 level = SHADOW_LEVELS; level > 1; level--) {
		u32 page = f->path[SHADOW_LEVELS - level], slot, child;
		struct shadow_key key = child_key(f, level);

		slot = shadow_slot(page, shadow_index(f->linear, level));
		if (level == 2 && key.direct && set_large(f, slot))
			return DESCENT_LARGE;
		child = shadow_table_get(s, &key, &made);
		if (child == INDEX_NONE)
			return DESCENT_STARVED;
		set_entry(s, slot,
			  shadow_machine(s, child) | SHADOW_ALWAYS |
				  shadow_rights(source(f, level), key.direct),
			  shadow_table_chain(s, child));
		f->path[SHADOW_LEVELS - level + 1] = child;
	}
	return made ? DESCENT_MADE : DESCENT_TABLE;
}

static void set_leaf(struct fill *f)
{
	struct shadow *s = f->s;
	u32 slot = shadow_slot(f->path[SHADOW_LEVELS - 1], shadow_index(f->linear, 1));
	u64 frame, entry;

	if (!shadow_compose(s, f->view, source(f, 1), s->arena[slot], &frame, &entry))
		return;
	if (f->excess && !shadow_in_step(s, frame)) {
		s->flags[frame] |= FRAME_EXCESS;
		entry |= PTWALK_WRITABLE;
	}
	set_entry(s, slot, entry, frame);
}

/* ---- Neighbours ---- */

static void prefill(struct shadow *s, u32 page, u32 index, u64 guest)
{
	u32 slot = shadow_slot(page, index);
	u64 frame, entry;

	if (!shadow_compose(s, s->page[page].key.view, guest, 0, &frame, &entry))
		return;
	shadow_entry_fill(s, slot, entry, frame);
	s->stats.prefills++;
}

static void prefill_table(struct shadow *s, u32 page)
{
	const struct shadow_guest *g = &s->cfg.guest;
	u64 entries[SHADOW_ENTRIES];

	if (!g->table(g->opaque, s->page[page].key.frame, entries))
		return;
	for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
		if (!(s->arena[shadow_slot(page, i)] & PTWALK_PRESENT))
			prefill(s, page, i, entries[i]);
	}
}

/* The guest's entry @index of the table, or of the large page cut small. */
static u64 guest_entry(const struct shadow *s, const struct shadow_key *key, u32 index)
{
	const struct ptwalk_memory *m = &s->cfg.guest.entries;
	u64 entry = 0;

	if (key->direct)
		return SHADOW_ALL_RIGHTS | (key->frame + index) << PAGE_SHIFT;
	m->read(m->opaque, gpa_add(gfn_gpa((gfn_t){key->frame}), index * sizeof(u64)), sizeof(u64),
		&entry);
	return entry;
}

static void prefill_group(struct shadow *s, u32 page, u32 index)
{
	const struct shadow_key *key = &s->page[page].key;
	u32 first = index - index % GROUP;

	for (u32 i = first; i < first + GROUP; i++) {
		if (!(s->arena[shadow_slot(page, i)] & PTWALK_PRESENT))
			prefill(s, page, i, guest_entry(s, key, i));
	}
}

/* ---- Faults ---- */

/* The entry that maps the page, as the processor would find it now; 0: none. */
static u64 mapped_by(const struct fill *f, u64 *rights)
{
	const struct shadow *s = f->s;
	u32 page = f->path[0];

	*rights = PTWALK_WRITABLE;
	for (u32 level = SHADOW_LEVELS;; level--) {
		u64 entry = s->arena[shadow_slot(page, shadow_index(f->linear, level))];

		if (!(entry & PTWALK_PRESENT))
			return 0;
		*rights = (*rights & entry & PTWALK_WRITABLE) | ((*rights | entry) & PTWALK_NX);
		if (shadow_is_leaf(level, entry))
			return entry;
		page = shadow_child(s, entry);
	}
}

static bool had_to_be_dirty(const struct fill *f)
{
	return is_write(f) && !f->excess && !(f->r.steps[f->r.nr_steps - 1].entry & PTWALK_DIRTY);
}

/* Count what the fault was, from what mapped the page before, with which rights. */
static void count(struct fill *f, u64 before, u64 rights, u64 table_writes)
{
	struct shadow_stats *stats = &f->s->stats;
	u64 now;

	if (stats->table_writes != table_writes)
		return;
	if (!before)
		stats->fills++;
	else if (had_to_be_dirty(f))
		stats->dirty_sets++;
	else if (before == mapped_by(f, &now) && rights == now)
		stats->spurious++;
	else
		stats->fills++;
}

/* From the least used on, so that tables are reclaimed before those that lead to them. */
static void use_path(const struct fill *f, enum descent how)
{
	u32 n = how == DESCENT_LARGE ? SHADOW_LEVELS - 1 : SHADOW_LEVELS;

	while (n)
		shadow_used(f->s, f->path[--n]);
}

/* Not beyond the end of memory, whatever the callbacks say. */
static bool has_memory(const struct fill *f)
{
	u64 machine;

	for (u32 i = 0; i < f->r.nr_steps; i++) {
		if (gpa_gfn(f->r.steps[i].at).v >= f->s->cfg.guest.nr_frames)
			return false;
	}
	return shadow_where(f->s, target(f), &machine);
}

static enum shadow_outcome map_page(struct fill *f)
{
	struct shadow *s = f->s;
	u64 rights, before, table_writes = s->stats.table_writes;
	bool unsync;
	enum descent how;

	if (!has_memory(f))
		return SHADOW_NO_MEMORY;
	before = mapped_by(f, &rights);
	unsync = is_write(f) && write_to_table(f);
	if (s->page[f->path[0]].dormant)
		shadow_attach(s, f->path[0]);
	how = descend(f);
	if (how == DESCENT_STARVED) {
		s->stats.starved++;
		return SHADOW_STARVED;
	}
	if (unsync)
		shadow_unsync(s, target(f));
	use_path(f, how);
	if (how != DESCENT_LARGE) {
		u32 page = f->path[SHADOW_LEVELS - 1];

		set_leaf(f);
		if (how == DESCENT_MADE && !s->page[page].key.direct)
			prefill_table(s, page);
		else
			prefill_group(s, page, shadow_index(f->linear, 1));
	}
	count(f, before, rights, table_writes);
	return SHADOW_FILLED;
}

static enum shadow_outcome guest_fault(struct shadow *s, u32 *error, u32 is)
{
	s->stats.guest_faults++;
	*error = is;
	return SHADOW_FAULT;
}

/* What the guest's error code says of an access; but for the last bit. */
static u32 access_error(enum shadow_view view, u32 error)
{
	return (error & (PTWALK_ERROR_WRITE | PTWALK_ERROR_FETCH)) |
	       (view == SHADOW_USER ? PTWALK_ERROR_USER : 0);
}

static bool is_ours(const struct shadow *s, u64 linear)
{
	return shadow_is_fixed(s, SHADOW_LEVELS, shadow_index(linear, SHADOW_LEVELS));
}

enum shadow_outcome shadow_fault(struct shadow *s, u32 cpu, enum shadow_view view, u64 linear,
				 u32 *error)
{
	u32 empty = access_error(view, *error);
	const struct shadow_root *root;
	struct fill f = {
		.s = s,
		.linear = linear,
		.access.kind = *error & PTWALK_ERROR_WRITE   ? PTWALK_WRITE
			       : *error & PTWALK_ERROR_FETCH ? PTWALK_FETCH
							     : PTWALK_READ,
		.access.by = view == SHADOW_USER ? PTWALK_BY_USER : PTWALK_BY_SUPERVISOR,
		.view = (u8)view,
	};

	ASSERT(cpu < s->cfg.nr_cpus && view < SHADOW_NR_VIEWS);
	root = &s->cpus[cpu].roots[view];
	f.path[0] = root->page;
	s->stats.faults++;
	if (is_ours(s, linear))
		return guest_fault(s, error, empty | (*error & PTWALK_ERROR_PRESENT));
	if (root->page == SHADOW_EMPTY_ROOT)
		return guest_fault(s, error, empty);
	shadow_reserve(s);
	s->mode.cr3 = root->frame << PAGE_SHIFT;
	switch (walk(&f)) {
	case PTWALK_DONE:
		return map_page(&f);
	case PTWALK_FAULT:
		return guest_fault(s, error, f.r.error);
	case PTWALK_NOT_CANONICAL:
		return guest_fault(s, error, empty);
	case PTWALK_NO_MEMORY:
		return f.r.nr_steps == 1 ? guest_fault(s, error, empty) : SHADOW_NO_MEMORY;
	case PTWALK_RACED:
		break;
	}
	s->stats.spurious++;
	return SHADOW_FILLED;
}
