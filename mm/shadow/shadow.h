// SPDX-License-Identifier: Apache-2.0
/*
 * Shadow page tables: the tables that the processor walks in place of the guest's own.
 *
 *      guest-virtual --[ the guest's tables ]--> guest-physical --[ where() ]--> machine address
 *            |                                                                        ^
 *            `------------------------[ shadow tables ]-------------------------------'
 *
 * The guest's tables are data in its memory. A shadow table stands for one guest table, or for one
 * large guest page cut into small ones, in one view; its entries are composed of the guest's
 * entries and the address of the frame on the machine. Nothing that a guest writes into its tables
 * makes a shadow entry point at anything but the guest's own frames.
 *
 *   An entry is made on the first fault that needs it, together with its neighbours in the table
 *   whose accessed bit is set (they cost no fault then). It is writable only when the guest's is,
 *   and dirty: a first write faults, and sets the guest's dirty bit.
 *
 *   A guest table that has a shadow is write-protected: no entry maps its frame writable. On a
 *   write to it, one of level 1 becomes unsynchronised: writable until the guest next flushes its
 *   TLB, when shadow_sync() compares it and protects it again. Shadows of tables of higher levels,
 *   and of tables that the guest maps writable (it does not keep tables there any more), are
 *   dropped. If such a table soon has a shadow again, or the write itself needs it to get there, it
 *   becomes unsynchronised too, or an instruction that writes to a table on its own way would never
 *   end.
 *
 *   The guest's kernel maps its tables read-only, and may write them all the same, as under Xen: in
 *   the view SHADOW_KERNEL, by a 4 KiB entry that is read-only while those above it are not, and
 *   that only the kernel may use by its U/S bits: a process's read-only page is shared, and stays
 *   as it is. A frame is a table in this sense from its first shadow on (or shadow_note_table()),
 *   until shadow_forget_table() or a write by a writable mapping; it stays one without a shadow.
 *
 * The guest sees what hardware would do: to loosen an entry takes effect on a fault at the latest,
 * to tighten one at its TLB flush. All entries can be dropped at any time, and come back by faults.
 * (Who restores a guest elsewhere has to note its tables again: shadow_next_table().)
 *
 * Views. The guest kernel runs at CPL 3 like its processes do, as under Xen: what it may see and
 * they may not is therefore a matter of tables. In the view SHADOW_KERNEL the U/S bit does not
 * count and every entry is open to CPL 3; in SHADOW_USER entries without it do not exist.
 *
 * The arena, where shadow tables live, is memory of the VMM which the guest has no frame for.
 * Entries are changed there at once. But a KVM that does paging in software looks at tables once
 * and then waits for the guest to write them: it learns of an entry that was changed or removed
 * only when code in the guest writes there. Such places are collected, for the monitor:
 * shadow_touches().
 *
 * Locking: none here; one caller at a time.
 *
 * The face of mm/shadow/, which owns the shadow tables and the reverse maps; the guest's memory and
 * its frames' places are asked of the owner (struct shadow_guest). It uses mm/base and mm/x86.
 * Begin here and with fill.c, where a fault becomes entries; impl.h has the structures, what is
 * always true of them, and the order of the files.
 */
#ifndef QUIRE_MM_SHADOW_SHADOW_H
#define QUIRE_MM_SHADOW_SHADOW_H

#include "mm/x86/ptwalk.h"

#define SHADOW_ENTRIES 512

enum shadow_view {
	SHADOW_KERNEL,
	SHADOW_USER,
	SHADOW_NR_VIEWS,
};

/* The guest's memory, as its owner gives it to us. Frames are numbered as in its tables. */
struct shadow_guest {
	void *opaque;
	/* Entries of its tables, of 8 bytes; see mm/x86/ptwalk.h. Both functions are needed. */
	struct ptwalk_memory entries;
	/* All entries of a table at once. False: no memory there. */
	bool (*table)(void *opaque, u64 frame, u64 entries[SHADOW_ENTRIES]);
	/*
	 * The second step: the machine address of a frame, page-aligned, which no other frame has.
	 * False: there is none. Before it changes, shadow_unmap_frame().
	 */
	bool (*where)(void *opaque, u64 frame, u64 *machine);
	u64 nr_frames; /* one more than the highest there is */
};

struct shadow_config {
	struct shadow_guest guest;
	/*
	 * The arena: @pages pages at @arena, which the processor finds at machine address @machine.
	 * What is in them at first does not matter. Beside them there are 4 KiB of links for each.
	 */
	void *arena;
	u64 machine;
	u32 pages;
	u8 maxphyaddr; /* the guest's; entries with higher bits are reserved */
	/*
	 * Entries of level 4 that are the VMM's own, in every root: @nr from number @first on, with
	 * these values. The guest's are not looked at.
	 */
	u32 first;
	u32 nr;
	const u64 *fixed; /* kept by the caller */
	u32 nr_cpus;
};

struct shadow;

/*
 * -EINVAL: the arena is too small (6 roots for each processor, and 16 pages) or too large (2^22
 * pages), no processors, over 2^30 frames, or a function is missing; -ENOMEM.
 */
int shadow_create(struct shadow **out, const struct shadow_config *cfg);
void shadow_destroy(struct shadow *s); /* NULL is allowed */

/*
 * What processor @cpu runs on from now: the root of each view, by the frame of the guest's table of
 * level 4. @cr3 gets the machine addresses, which stay good until this processor's next call.
 * Those on which it entered the guest before are kept, too, with the VMM's own entries, since it is
 * on them until it has loaded the new ones: shadow_flushed(). SHADOW_NO_ROOT: this view has none,
 * and gets an empty one. A frame that does not exist is like an empty table.
 */
#define SHADOW_NO_ROOT (~(u64)0)
void shadow_set_roots(struct shadow *s, u32 cpu, const u64 frames[SHADOW_NR_VIEWS],
		      u64 cr3[SHADOW_NR_VIEWS]);

enum shadow_outcome {
	SHADOW_FILLED,	  /* try again */
	SHADOW_STARVED,	  /* try again, when others have flushed their TLBs: no page was left */
	SHADOW_FAULT,	  /* the guest's own: a page fault with @error */
	SHADOW_NO_MEMORY, /* its tables, or the page, lie where it has no memory */
};

/*
 * Processor @cpu met a page fault at @linear in @view, with this error code from the processor. On
 * SHADOW_FAULT @error becomes the one that the guest is to see; its U/S bit says whether the view
 * was SHADOW_USER. The VMM's own part of the address space is always the guest's fault.
 */
enum shadow_outcome shadow_fault(struct shadow *s, u32 cpu, enum shadow_view view, u64 linear,
				 u32 *error);

/*
 * The VMM wrote entry @index of the table in @frame for the guest: from @old to @new. Its shadows
 * follow at once, if it has any.
 */
void shadow_entry_written(struct shadow *s, u64 frame, u32 index, u64 old, u64 new);

/*
 * The VMM wrote something else there for the guest, as by a writable mapping: a frame that must not
 * be written is no table any more.
 */
void shadow_data_written(struct shadow *s, u64 frame);

/* The guest flushes a TLB: what is unsynchronised follows the guest's tables again. */
void shadow_sync(struct shadow *s);

/* The frame is a table (it was pinned): the kernel may write it by read-only mappings. */
void shadow_note_table(struct shadow *s, u64 frame);

/*
 * The frame is no table any more (it was unpinned, or is the guest's to use as data). A root that a
 * processor runs on becomes empty, and a table again on the next fault.
 */
void shadow_forget_table(struct shadow *s, u64 frame);

/*
 * Whether it has a shadow now, in any view; of which level (0: none; the highest, if it has
 * several), and whether it is in step (@synced may be NULL).
 */
u32 shadow_table_level(const struct shadow *s, u64 frame, bool *synced);

/*
 * The frames that are tables, as noted or found, whether they have a shadow now or not: the first
 * from *@frame on. False: there are no more.
 */
bool shadow_next_table(const struct shadow *s, u64 *frame);

/* By the reverse map: no entry maps the frame; none maps it writable. How many did. */
u32 shadow_unmap_frame(struct shadow *s, u64 frame);
u32 shadow_protect_frame(struct shadow *s, u64 frame);

/* Everything but the processors' roots, which become empty. */
void shadow_drop_all(struct shadow *s);

/* The same, and no frame is a table any more: the guest's memory has become another's. */
void shadow_forget_all(struct shadow *s);

/*
 * A processor must flush its TLB before it enters the guest when this has changed since it last did
 * so: something was removed or tightened.
 */
u64 shadow_generation(const struct shadow *s);

/*
 * Processor @cpu is about to enter the guest, on the roots that it has; the first thing there is to
 * load them, and to flush its TLB if need be, as of @generation. To be called at each entry.
 *
 * Pages of tables that were dropped are not used for others until every processor in the guest has
 * flushed its TLB since. With one processor that is always so: while we run, it does not. With
 * more, shadow_fault() may find no page for a table: it drops some, returns SHADOW_STARVED, and the
 * processor faults again, until all have flushed: the monitor has to make the others come.
 */
void shadow_flushed(struct shadow *s, u32 cpu, u64 generation);

/*
 * Processor @cpu has left the guest: nothing waits for its flush until it is about to enter again,
 * with what has changed since. At first all are outside.
 */
void shadow_left(struct shadow *s, u32 cpu);

/* A place in the arena that code in the guest must write to, as it is, for KVM to look at it. */
struct shadow_touch {
	u32 page;
	u32 index; /* of the entry; SHADOW_ENTRIES: KVM is to forget the whole table */
};

/*
 * Take up to @max of them. Of those that are left there are never more than one for each page of
 * the arena and SHADOW_MAX_TOUCHES: many in one table become one for the whole of it.
 */
#define SHADOW_MAX_TOUCHES 64
u32 shadow_touches(struct shadow *s, struct shadow_touch *touches, u32 max);

/* Counters since the creation, unless they say "now". */
struct shadow_stats {
	u64 faults;	  /* calls of shadow_fault(); what they were is below */
	u64 guest_faults; /* the guest's own */
	u64 fills;	  /* an entry was missing, or had fewer rights than the guest's */
	u64 dirty_sets;	  /* it was there, and the guest's had to become dirty */
	u64 table_writes; /* a write to a table: it became unsynchronised, or lost its shadow */
	u64 spurious;	  /* it was there: somebody else had been faster */
	u64 starved;	  /* no page was left for a table: see shadow_generation() */
	u64 prefills;	  /* entries that were made beside the one that faulted, or after a write */
	u64 unsyncs;	  /* tables that became unsynchronised */
	u64 syncs;	  /* and were brought back */
	u64 tables_made;
	u64 tables_reclaimed;		/* dropped to make room */
	u64 tables_dropped;		/* dropped for other reasons */
	u32 tables[SHADOW_NR_VIEWS][5]; /* now, by level: [1] to [4] */
	u32 pages_free;			/* now, and those that wait for a flush */
	u64 entries;			/* now, of level 1 and large ones: mapped pages */
};
void shadow_get_stats(const struct shadow *s, struct shadow_stats *stats);

/*
 * Compare every shadow entry with the guest's tables: each must map what the guest's own entry
 * says, with no more rights; each mapped frame must be in the reverse map, and each link in it be
 * of an entry; no table that is in step may be mapped writable. Entries of unsynchronised tables
 * are only counted, and those that the guest has changed and not yet flushed are its own doing only
 * there. Returns the number of disagreements, of which the first is described in @why (NULL: not).
 */
struct shadow_check {
	u64 tables;
	u64 entries;
	u64 unsynced;
};
u64 shadow_self_check(const struct shadow *s, struct shadow_check *seen, char why[128]);

#endif
