// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of mm/shadow/ share. Private to mm/shadow/.
 *
 *	rmap.c	   entries: stored, linked to what they point to, collected as touches
 *	find.c	   tables found by what they stand for
 *	sync.c	   entries that follow the guest's
 *	table.c	   pages of the arena: made, dropped, reclaimed
 *	roots.c	   processors: what they run on, and when they flushed
 *	frames.c   which of the guest's frames are tables
 *	fill.c	   faults
 *	check.c	   everything compared with the guest's tables
 *	shadow.c   birth and death
 *
 * A slot is an entry's place: page of the arena * SHADOW_ENTRIES + index. A chain holds the slots
 * of all entries that point to the same thing: chain f, f < nr_frames, to guest frame f (a large
 * entry is in that of its first frame only); chain nr_frames + p to the shadow table in page p.
 *
 * Always true: a slot is in a chain exactly while its entry is present and is not one of the VMM's
 * own. A page is in exactly one of the lists free, waiting and lru, or is a root that a processor
 * uses, or was never used. Entries are changed only by the functions of rmap.c.
 */
#ifndef QUIRE_MM_SHADOW_IMPL_H
#define QUIRE_MM_SHADOW_IMPL_H

#include "mm/base/index_list.h"
#include "mm/shadow/shadow.h"

#define SHADOW_LEVELS  4
#define SHADOW_ADDRESS (((u64)1 << 52) - PAGE_SIZE)
#define SHADOW_RIGHTS  (PTWALK_WRITABLE | PTWALK_NX)
/* What every entry that we make has. The processor is to have no cause to write it. */
#define SHADOW_ALWAYS  (PTWALK_PRESENT | PTWALK_USER | PTWALK_ACCESSED)
#define SHADOW_TO_PAGE (SHADOW_ALWAYS | PTWALK_DIRTY)
/* A guest entry that grants everything: of the pages that a large one is cut into. */
#define SHADOW_ALL_RIGHTS (SHADOW_TO_PAGE | PTWALK_WRITABLE)

/* Page 0 is a root that stays empty. */
#define SHADOW_EMPTY_ROOT 0u

/* A frame's flags. */
enum {
	FRAME_TABLE = 1 << 0,	 /* has a shadow that is neither dormant nor direct */
	FRAME_UNSYNCED = 1 << 1, /* and may be written nevertheless */
	FRAME_KNOWN = 1 << 2,	 /* the kernel may write it by read-only mappings */
	FRAME_EXCESS = 1 << 3,	 /* and some entry may be writable because of that */
	FRAME_DROPPED = 1 << 4,	 /* lost its shadows the last time it was written */
};

/* What a shadow table stands for. */
struct shadow_key {
	u64 frame; /* of the guest's table; direct: the first of those that it maps in order */
	u8 level;
	u8 view;
	bool direct; /* a large page of the guest, or a part of it, cut small */
};

/* A page of the arena. */
struct shadow_page {
	struct shadow_key key; /* level 0: not in use */
	/* Not in use: the generation when it was dropped. In use: when its frame was protected. */
	u64 since;
	u32 hash_next; /* page + 1 */
	u32 users;     /* how often it is a processor's root */
	u16 present;   /* entries, but for the VMM's own */
	u8 touches;    /* of it among the single ones */
	bool dormant;  /* a root in use whose frame is not (yet again) taken as a table; empty */
};

struct shadow_root {
	u64 frame;
	u32 page;
};

/*
 * A processor's roots: those that it is to have; those that it had when it was last about to enter
 * the guest; and those of the time before, on which it may run until it has loaded them.
 */
struct shadow_cpu {
	struct shadow_root roots[SHADOW_NR_VIEWS];
	u32 entered[SHADOW_NR_VIEWS], before[SHADOW_NR_VIEWS]; /* pages */
	u64 flushed;					       /* the generation */
	bool inside; /* in the guest, or about to enter it */
};

/* How many of them there can be. */
#define SHADOW_MAX_ROOTS (3 * SHADOW_NR_VIEWS)

struct shadow {
	struct shadow_config cfg;
	struct ptwalk_mode mode;
	u64 *arena;
	struct shadow_page *page;
	u32 *buckets; /* by frame: page + 1 */
	u32 hash_shift;
	/* Chains: slot + 1 of the first; of the next; of the one before, or CHAIN_FIRST | chain. */
	u32 *heads, *next, *prev;
	u8 *flags; /* of frames */
	struct index_link *links, *loose_links, *whole_links;
	struct index_list free, waiting, lru;
	/* Tables that a processor may write, or may have written, unnoticed. */
	struct index_list loose;
	u32 fresh; /* the first page that was never used */
	u32 nr_roots;
	struct shadow_cpu *cpus;
	u64 generation;
	/* Touches: pages as a whole, and single entries. */
	struct index_list whole;
	struct shadow_touch singles[SHADOW_MAX_TOUCHES];
	u32 nr_singles;
	struct shadow_stats stats;
};

static inline u32 shadow_slot(u32 page, u32 index)
{
	return page * SHADOW_ENTRIES + index;
}

static inline u32 shadow_index(u64 linear, u32 level)
{
	return (u32)(linear >> (PAGE_SHIFT + 9 * (level - 1))) % SHADOW_ENTRIES;
}

/* How many frames an entry of this level spans. */
static inline u64 shadow_span(u32 level)
{
	return (u64)1 << 9 * (level - 1);
}

static inline u64 shadow_frame(u64 entry)
{
	return (entry & SHADOW_ADDRESS) >> PAGE_SHIFT;
}

static inline u64 shadow_machine(const struct shadow *s, u32 page)
{
	return s->cfg.machine + page * PAGE_SIZE;
}

/* The table that an entry, which maps no page, points to. */
static inline u32 shadow_child(const struct shadow *s, u64 entry)
{
	return (u32)(((entry & SHADOW_ADDRESS) - s->cfg.machine) >> PAGE_SHIFT);
}

static inline u32 shadow_table_chain(const struct shadow *s, u32 page)
{
	return (u32)(s->cfg.guest.nr_frames + page);
}

/* Whether an entry is the VMM's own. */
static inline bool shadow_is_fixed(const struct shadow *s, u32 level, u32 index)
{
	return level == SHADOW_LEVELS && index - s->cfg.first < s->cfg.nr;
}

/* Whether an entry of a table of @level maps a page. */
static inline bool shadow_is_leaf(u32 level, u64 entry)
{
	return level == 1 || (entry & PTWALK_LARGE);
}

/* A table that must not be written. */
static inline bool shadow_in_step(const struct shadow *s, u64 frame)
{
	return (s->flags[frame] & (FRAME_TABLE | FRAME_UNSYNCED)) == FRAME_TABLE;
}

static inline bool shadow_where(const struct shadow *s, u64 frame, u64 *machine)
{
	return frame < s->cfg.guest.nr_frames &&
	       s->cfg.guest.where(s->cfg.guest.opaque, frame, machine);
}

/* Whether every processor in the guest has flushed its TLB since @generation. */
static inline bool shadow_settled(const struct shadow *s, u64 generation)
{
	if (s->cfg.nr_cpus == 1) /* it is with us, and flushes before it goes on */
		return true;
	for (u32 i = 0; i < s->cfg.nr_cpus; i++) {
		if (s->cpus[i].inside && s->cpus[i].flushed < generation)
			return false;
	}
	return true;
}

/* ---- rmap.c ---- */

/* First entry in an empty slot; other rights to one that stays; none any more. */
void shadow_entry_fill(struct shadow *s, u32 slot, u64 entry, u64 chain);
void shadow_entry_change(struct shadow *s, u32 slot, u64 entry);
void shadow_entry_clear(struct shadow *s, u32 slot);

/* The entries of a page: those that stand for the guest's, or the VMM's own as well. */
enum shadow_which { SHADOW_GUESTS, SHADOW_ALL };
void shadow_clear_page(struct shadow *s, u32 page, enum shadow_which which);

/* And all that point to it. */
void shadow_clear_parents(struct shadow *s, u32 page);

/* ---- find.c ---- */

/* The shadows of the table in @frame, one after the other, from *@at = 0 on; at last INDEX_NONE. */
u32 shadow_next_of(const struct shadow *s, u64 frame, u32 *at);

/* INDEX_NONE: there is none. */
u32 shadow_find(const struct shadow *s, const struct shadow_key *key);

/* By page->key. */
void shadow_hash_insert(struct shadow *s, u32 page);
void shadow_hash_remove(struct shadow *s, u32 page);

/* ---- table.c ---- */

/* Find it or make it. INDEX_NONE: no page is left, which does not happen to a root. */
u32 shadow_table_get(struct shadow *s, const struct shadow_key *key, bool *made);

/* Take the frame as a table (again): protect it. */
void shadow_attach(struct shadow *s, u32 page);

void shadow_used(struct shadow *s, u32 page);
void shadow_drop(struct shadow *s, u32 page); /* a root in use: make it empty */
void shadow_drop_frame(struct shadow *s, u64 frame);

/* Drop tables when few pages are left, so that the next fault's tables find place. */
void shadow_reserve(struct shadow *s);

/* ---- sync.c ---- */

/*
 * The frame that a guest's entry of level 1 maps in @view, and the shadow entry to be in place of
 * @old, which is 0 or maps the same frame. False: none.
 */
bool shadow_compose(const struct shadow *s, u8 view, u64 guest, u64 old, u64 *frame, u64 *entry);

/* The rights that a guest's entry gives to what is below it. */
u64 shadow_rights(u64 guest, bool large);

/* Whether a guest's entry of @level may have a shadow in @view. */
bool shadow_is_valid(const struct shadow *s, u8 view, u32 level, u64 guest);

/* Whether @entry of a table of @level, above 1, leads where the guest's does. */
bool shadow_same_target(const struct shadow *s, u32 level, u64 entry, u64 guest);

/* The table in @frame may be written from now on, until the next shadow_sync(). */
void shadow_unsync(struct shadow *s, u64 frame);

/*
 * Bring the tables in @frame back in step. True: a processor may still write there by what its TLB
 * has.
 */
bool shadow_sync_frame(struct shadow *s, u64 frame);

#endif
