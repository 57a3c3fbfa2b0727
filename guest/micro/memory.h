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
 * Tables are written while nothing points at them, because a host that shadows page tables makes
 * each write to a table in use cost an exit; only then are they hung into the root.
 */
#ifndef QUIRE_GUEST_MICRO_MEMORY_H
#define QUIRE_GUEST_MICRO_MEMORY_H

#include <stdint.h>

#include "guest/micro/boot.h"
#include "guest/work/options.h"

#define ARENA_WINDOW ((uint64_t)1 << 39) /* slot 1 of the root table */
#define CHURN_WINDOW ((uint64_t)2 << 39)

/* Bits of page-table entries (Intel SDM 3A, 4.5). */
#define PTE_TABLE ((uint64_t)7) /* present, writable, user */
#define PTE_PAGE  ((uint64_t)7)
#define PTE_LARGE ((uint64_t)0x80)

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

/* A page of zeros from the heap, for a table. There are always enough. */
uint64_t *memory_table(struct memory *memory);

/* Guest-physical address of an arena page. */
uint64_t memory_physical(const struct memory *memory, uint64_t page);

#endif
