// SPDX-License-Identifier: Apache-2.0
/*
 * Page tables that a Xen PV guest finds made: four levels, pages of 4 KiB, entries that hold frames
 * and not pfns. A stretch of addresses brings its own tables for the three lower levels, in the
 * order in which Linux expects them, all of a level behind each other:
 *
 *   level 3 ...  level 2 ...  level 1 ...
 *
 * The top table is shared: two stretches must not use the same entry of it, 512 GiB each.
 *
 * Source: Intel SDM volume 3, "4-Level Paging"; Xen, public/xen.h, "Start-of-day memory layout".
 */
#ifndef QUIRE_VMM_BOOT_PV_TABLES_H
#define QUIRE_VMM_BOOT_PV_TABLES_H

#include "mm/space/space.h"

/* What is mapped, and where the tables for it go. All of it lies in slot 0: pfns are frames. */
struct pv_tables {
	u64 va;	    /* page-aligned and canonical, as are all up to the last */
	u64 nr;	    /* pages, at least 1 */
	u64 pfn;    /* of the first of them */
	u64 root;   /* pfn of the top table */
	u64 tables; /* pfn of the first table of level 3 */
	/* Pages that are mapped read-only, as page tables have to be. */
	u64 ro_pfn;
	u64 ro_nr;
};

/* How many tables of levels 3 to 1 map @nr pages at @va. */
u64 pv_tables_count(u64 va, u64 nr);

/* Write them, over zeros, and their entries in the top table. */
void pv_tables_write(struct space *space, const struct pv_tables *t);

/* The top table's entries for @nr pages at @va: the first, and the last. */
static inline u64 pv_tables_first(u64 va)
{
	return va >> 39 & 511;
}

static inline u64 pv_tables_last(u64 va, u64 nr)
{
	return pv_tables_first(va + ((nr - 1) << PAGE_SHIFT));
}

#endif
