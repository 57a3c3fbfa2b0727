// SPDX-License-Identifier: Apache-2.0
/*
 * The microguest's memory: what is taken for the guest itself, and how the rest is mapped to work
 * in.
 *
 *   physical   1 MiB     image_end         2 MiB boundary                 end of RAM regions
 *   ... |-- the image ----|-- heap: tables ----|======= arena: whole 2 MiB chunks =======|
 *
 *   virtual    0 to 4 GiB       one to one, from entry.S
 *              ARENA_WINDOW     the arena, its chunks one after the other however they lie in
 *                               physical memory, in pages of 2 MiB or of 4 KiB
 *              CHURN_WINDOW     job=churn maps and unmaps here (churn.h)
 *
 * As a Xen PV guest (xen.h) only the first 1 MiB, the image and the heap are mapped one to one, and
 * all pages are of 4 KiB, with accessed and dirty bits set.
 *
 * Tables are written while nothing points at them, because a host that shadows page tables makes
 * each write to a table in use cost an exit; only then are they hung into the root.
 */
#ifndef QUIRE_GUEST_MICRO_MEMORY_H
#define QUIRE_GUEST_MICRO_MEMORY_H

#include <stdint.h>

#include "guest/abi.h"
#include "guest/micro/boot.h"
#include "guest/work/options.h"

#define ARENA_WINDOW ((uint64_t)1 << 39) /* slot 1 of the root table */
#define CHURN_WINDOW ((uint64_t)2 << 39)

/* Bits of page-table entries (Intel SDM 3A, 4.5). */
#define PTE_PRESENT   ((uint64_t)1)
#define PTE_READ_ONLY ((uint64_t)1) /* present; and not user: see xen_mmu.c */
#define PTE_TABLE     ((uint64_t)7) /* and writable */
#define PTE_PAGE      ((uint64_t)7)
#define PTE_ACCESSED  ((uint64_t)0x20)
#define PTE_USED      ((uint64_t)0x60) /* accessed, dirty */
#define PTE_LARGE     ((uint64_t)0x80)
#define PTE_NX	      ((uint64_t)1 << 63)
#define PTE_ADDRESS   (((uint64_t)1 << 52) - GUEST_PAGE_SIZE)

#define TABLE_ENTRIES 512

struct memory {
	uint64_t heap;	   /* next free byte, physical = virtual, page-aligned */
	uint64_t heap_end; /* a chunk boundary */
	unsigned int nr_regions;
	struct region regions[BOOT_MAX_REGIONS]; /* the arena, in whole chunks */
	uint64_t arena_pages;
	uint32_t *generations; /* one a page, zeros */
};

extern uint64_t pml4[TABLE_ENTRIES]; /* entry.S: the root table */

/*
 * Divide the RAM of @boot, and map as @options want it. Returns NULL, or why that cannot be done.
 */
const char *memory_init(struct memory *memory, const struct boot *boot,
			const struct work_options *options);

/* A page of zeros from the heap, for a table of @level. There are always enough. */
uint64_t *memory_table(struct memory *memory, unsigned int level);

/* Let an entry of the root table point to a table. */
void memory_link(uint64_t address, const uint64_t *table);

/* Write an entry of a table that memory_table() gave. No flush. */
void memory_set_entry(uint64_t *entry, uint64_t value);

/* Guest-physical address of an arena page. */
uint64_t memory_physical(const struct memory *memory, uint64_t page);

#endif
