// SPDX-License-Identifier: Apache-2.0
/*
 * The second step of a translation, made visible: where a guest-physical address is on the machine,
 * by entries in the layout of EPT's.
 *
 * The tables that the hardware walks are KVM's, and KVM shows them to nobody. This is quire's map:
 * what those tables may hold at this moment. KVM may have fewer entries, where the guest has not
 * touched a page since it could, and where a page is idle; but for the moment in which a page comes
 * in, it has none for a page that is not present here. Each entry is made when it is asked for, of
 * what the memory engine knows of the page (mm/engine/page.h), or of the space alone where there is
 * no engine. Nothing is kept, so it cannot be out of step with pages that come and go.
 *
 * "The machine" is what KVM is given, its addresses are those of KVM's memory slots: the map is the
 * identity inside of them, and holds nothing outside.
 *
 * What stands in an entry (Intel SDM volume 3, "EPT paging structures"; always write-back memory):
 *
 *	page           present  writable           accessed  dirty
 *	resident       yes      if not protected   yes       unless protected since it was clean
 *	idle, evicting yes      if not protected   no        likewise
 *	absent, filling, stored no
 *	mapped (there is no engine)
 *	               yes      yes                neither: nobody keeps count
 *
 * "Clean" is what the engine knows to be so: its stored copy is good (PAGE_PROTECT_EVICT), or dirty
 * tracking has seen no write (PAGE_PROTECT_TRACK). An idle page is out of the guest mapping, but in
 * memory, which is what present means here; a touch makes it resident without anything being read.
 *
 * An entry that leads to a table is present if anything below can be. The tables are nowhere, so it
 * has no address. Accessed stands in that of level 2 if it does below; at levels 3 and 4, always.
 *
 * Any thread may call any of these.
 */
#ifndef QUIRE_VMM_INSPECT_NESTED_H
#define QUIRE_VMM_INSPECT_NESTED_H

#include "mm/base/addr.h"
#include "mm/engine/stats.h"
#include "mm/space/space.h"

#define NESTED_READ	  ((u64)1 << 0)
#define NESTED_WRITE	  ((u64)1 << 1)
#define NESTED_EXECUTE	  ((u64)1 << 2)
#define NESTED_WRITE_BACK ((u64)6 << 3) /* the memory type, of entries that map a page */
#define NESTED_LARGE	  ((u64)1 << 7)
#define NESTED_ACCESSED	  ((u64)1 << 8)
#define NESTED_DIRTY	  ((u64)1 << 9)
#define NESTED_ADDRESS	  ((((u64)1 << 52) - 1) & ~(PAGE_SIZE - 1))

#define NESTED_LEVELS 4

/* A guest's map. */
struct nested {
	const struct space *space;
	struct mem *mem; /* NULL: there is none */
	bool huge;	 /* memory is made of pages of 2 MiB, as SPACE_HUGETLB is; no engine then */
};

enum nested_kind {
	NESTED_HOLE,   /* no memory there */
	NESTED_MAPPED, /* memory without an engine */
	NESTED_PAGE,   /* a page that the engine knows */
};

/* Levels count down to 1. An entry is present if it can be read. */
struct nested_step {
	u32 level;
	u32 index;
	u64 entry;
};

/* The way of one address. */
struct nested_walk {
	enum nested_kind kind;
	struct mem_page page; /* NESTED_PAGE */
	gpa_t machine; /* where it is, down to the byte, once it is present; not NESTED_HOLE */
	u32 shift;     /* log2 of the size of what the last entry maps, or would */
	u32 nr_steps;  /* down to the first that is not present; 0: beyond 48 bits */
	struct nested_step steps[NESTED_LEVELS];
};

/* A frame's address on the machine. False: it is in no slot. */
bool nested_where(const struct space *space, gfn_t frame, gpa_t *machine);

void nested_walk(const struct nested *map, gpa_t at, struct nested_walk *walk);

/* "resident", "idle", ..., "mapped", "no memory". */
const char *nested_state_name(const struct nested_walk *walk);

/* All entries that map a page, by its size. Takes about 2 ms for each GiB of memory. */
struct nested_count {
	u64 present, writable, accessed, dirty;
};

enum { NESTED_4K, NESTED_2M, NESTED_NR_SIZES };

void nested_count(const struct nested *map, struct nested_count counts[NESTED_NR_SIZES]);

#endif
