// SPDX-License-Identifier: Apache-2.0
/* A Xen PV guest's first page tables; see pv_tables.h. */
#include "vmm/boot/pv_tables.h"

#include "mm/x86/ptwalk.h"

#define TABLE_BITS 9u
#define ENTRIES	   (1u << TABLE_BITS)
#define ADDRESS	   (((u64)1 << 48) - 1) /* the bits that tables translate */

#define UPPER (PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_USER | PTWALK_ACCESSED)
#define LEAF  (PTWALK_PRESENT | PTWALK_ACCESSED | PTWALK_DIRTY)

/* How far to shift an address to number the tables of @level from address 0 on. */
static unsigned int table_shift(unsigned int level)
{
	return PAGE_SHIFT + TABLE_BITS * level;
}

static u64 count_of_level(u64 va, u64 nr, unsigned int level)
{
	u64 first = va & ADDRESS, last = first + ((nr - 1) << PAGE_SHIFT);

	return (last >> table_shift(level)) - (first >> table_shift(level)) + 1;
}

u64 pv_tables_count(u64 va, u64 nr)
{
	return count_of_level(va, nr, 3) + count_of_level(va, nr, 2) + count_of_level(va, nr, 1);
}

/* The entry for @va in the table of @level at @pfn. */
static void put_entry(struct space *space, u64 pfn, unsigned int level, u64 va, u64 entry)
{
	u64 *table = space_ptr_mut(space, gpa(pfn << PAGE_SHIFT), PAGE_SIZE);

	ASSERT(table);
	table[va >> table_shift(level - 1) & (ENTRIES - 1)] = entry;
}

void pv_tables_write(struct space *space, const struct pv_tables *t)
{
	u64 va = t->va & ADDRESS, table = t->tables, upper = t->root;

	for (unsigned int level = 3; level; level--) {
		u64 n = count_of_level(va, t->nr, level), first = va >> table_shift(level);
		u64 upper_first = va >> table_shift(level + 1);

		for (u64 i = 0; i < n; i++) {
			u64 at = (first + i) << table_shift(level);
			u64 parent = upper + (at >> table_shift(level + 1)) - upper_first;

			put_entry(space, parent, level + 1, at, (table + i) << PAGE_SHIFT | UPPER);
		}
		upper = table;
		table += n;
	}
	for (u64 i = 0; i < t->nr; i++) {
		u64 at = va + (i << PAGE_SHIFT), pfn = t->pfn + i;
		u64 l1 = upper + (at >> table_shift(1)) - (va >> table_shift(1));
		bool ro = pfn - t->ro_pfn < t->ro_nr;

		put_entry(space, l1, 1, at, pfn << PAGE_SHIFT | LEAF | (ro ? 0 : PTWALK_WRITABLE));
	}
}
