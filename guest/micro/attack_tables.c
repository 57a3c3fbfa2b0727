// SPDX-License-Identifier: Apache-2.0
/*
 * Attempts by page tables: see attack.h. The window is a slot of the root with one table of each
 * level below it, mapped one to one besides, read-only as Xen wants them. Entries may be refused
 * when they are written, or when they are used; what counts is that nothing is to be had by them.
 */
#include <stddef.h>

#include "guest/micro/attack.h"

#define WINDOW ((uint64_t)3 << 39) /* slot 3 of the root; 4 to 6 are for other attempts */
#define GIB    ((uint64_t)1 << 30)
#define CHUNK  ((uint64_t)2 << 20)

#define RW (PTE_PAGE | PTE_USED)
#define TO (PTE_TABLE | PTE_ACCESSED)

#define SLOT(n)	     ((uint64_t)(n) << 39)
#define PAGE(n)	     (WINDOW + (uint64_t)(n)*GUEST_PAGE_SIZE)
#define HYPERVISOR   ((uint64_t)0xffff000000000000)
#define MONITOR_SLOT 271
#define FRAMES_SLOT  257

struct window {
	struct attack *attack;
	uint64_t *root, *l3, *l2, *l1;
	uint64_t page; /* physical address of a page of the arena, which holds .stamp */
	uint64_t stamp;
};

/* Answers do not matter. */
static void set(volatile uint64_t *entry, uint64_t value)
{
	xen_set_entry(entry, value);
	xen_flush();
}

static uint64_t physical(const uint64_t *table)
{
	return (uint64_t)table;
}

/* The page is where it has to be: tables are sound again. */
static void check_page(const struct window *w, const char *what, uint64_t at)
{
	uint64_t found = attack_read(w->attack, what, at);

	attack_check(w->attack, what, found, found == w->stamp);
}

/* Entries of all levels to memory that is not there, or is not ours. */
static void try_frame(const struct window *w, uint64_t at)
{
	volatile uint64_t *const levels[] = {&w->l1[1], &w->l2[1], &w->l3[1], &w->root[4]};
	static const uint64_t addresses[] = {PAGE(1), WINDOW + CHUNK, WINDOW + GIB, SLOT(4)};

	for (size_t i = 0; i < 4; i++) {
		set(levels[i], at | (i ? TO : RW));
		attack_no_access(w->attack, "a frame that is not ours", addresses[i], 0);
		set(levels[i], 0);
	}
}

static void foreign_frames(const struct window *w)
{
	const uint64_t list[] = {
		w->attack->end,
		w->attack->machine,
		w->attack->machine + 0x1000,
		w->attack->machine + 0x2000,
		w->attack->machine + 0x4000,
		w->attack->machine + 0x8000,
		w->attack->machine + 0x10000,
		w->attack->machine + 0x40000,
		0xfee00000,
		0xfec00000,
		0xd0000000,
		(uint64_t)1 << 40,
		(uint64_t)1 << 46,
		PTE_ADDRESS,
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i] >= w->attack->end)
			try_frame(w, list[i]);
	check_page(w, "the page after foreign frames", PAGE(0));
}

/* Tables that are mapped writable, and written by that. */
static void writable_tables(const struct window *w)
{
	volatile uint64_t *l1 = (volatile uint64_t *)PAGE(2), *root = (volatile uint64_t *)PAGE(3);

	set(&w->l1[2], physical(w->l1) | RW);
	set(&w->l1[3], physical(w->root) | RW);
	for (unsigned int i = 0; i < 3; i++) {
		l1[4] = w->page | RW;
		xen_flush();
		check_page(w, "a page mapped by a plain write", PAGE(4));
		l1[4] = w->attack->machine | RW;
		xen_flush();
		attack_no_access(w->attack, "the monitor by a plain write", PAGE(4), 0);
		l1[4] = 0;
		xen_flush();
		attack_no_access(w->attack, "what a plain write took away", PAGE(4), 0);
	}
	for (unsigned int slot = 256; slot < 272; slot++)
		attack_check(w->attack, "a root shows its hypervisor", slot, !root[slot]);
	root[MONITOR_SLOT] = root[FRAMES_SLOT] = physical(w->l3) | TO;
	xen_flush();
	attack_no_access(w->attack, "the monitor's slot", HYPERVISOR | SLOT(MONITOR_SLOT), 0);
	attack_check(w->attack, "the slot of the table of frames", 5,
		     attack_read(w->attack, "the table of frames",
				 (HYPERVISOR | SLOT(FRAMES_SLOT)) + 5 * sizeof(uint64_t)) == 5);
	root[MONITOR_SLOT] = root[FRAMES_SLOT] = 0;
	set(&w->l1[2], 0);
	set(&w->l1[3], 0);
	check_page(w, "the page after writable tables", PAGE(0));
}

/* The address that takes entry @a of level 4, @b of level 3, ... */
static uint64_t address_of(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (a >= 256 ? HYPERVISOR : 0) | a << 39 | b << 30 | c << 21 | d << 12;
}

/* A root that is its own table of all levels: it shows itself, and not what it does not hold. */
static void root_loop(const struct window *w)
{
	uint64_t self = address_of(4, 4, 4, 4);
	volatile uint64_t *loop = (volatile uint64_t *)self;
	static const uint64_t slots[] = {256, FRAMES_SLOT, 260, MONITOR_SLOT};

	set(&w->root[4], physical(w->root) | TO);
	attack_check(w->attack, "a root in itself", 4,
		     (attack_read(w->attack, "a root in itself", self + 4 * 8) & PTE_ADDRESS) ==
			     physical(w->root));
	attack_check(w->attack, "a table by the root", 0,
		     (attack_read(w->attack, "a table by the root", address_of(4, 4, 4, 3)) &
		      PTE_ADDRESS) == physical(w->l2));
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		attack_check(w->attack, "a root shows its hypervisor", slots[i], !loop[slots[i]]);
		attack_no_access(w->attack, "the hypervisor by a loop",
				 address_of(4, 4, 4, slots[i]), 0);
		attack_no_access(w->attack, "the hypervisor by a loop",
				 address_of(4, 4, slots[i], 8), 0);
		attack_no_access(w->attack, "the hypervisor by a loop",
				 address_of(4, slots[i], 1, 8), 0);
	}
	for (unsigned int i = 0; i < 3; i++) {
		loop[5] = physical(w->l3) | TO;
		xen_flush();
		check_page(w, "the page by a write through the loop", SLOT(5));
		loop[5] = 0;
		xen_flush();
		attack_no_access(w->attack, "what was taken away through the loop", SLOT(5), 0);
	}
	set(&w->root[4], 0);
	attack_no_access(w->attack, "the loop when it is gone", self, 0);
	check_page(w, "the page after loops of the root", PAGE(0));
}

static void lower_loops(const struct window *w)
{
	const uint64_t l1 = PAGE(7), l2 = WINDOW + 7 * CHUNK + 7 * GUEST_PAGE_SIZE;

	/* a table as its own page; of level 2 as level 1; of level 1 as level 3 and 2 */
	set(&w->l1[7], physical(w->l1) | RW);
	set(&w->l2[7], physical(w->l2) | TO);
	attack_check(w->attack, "a table as its page", l1,
		     (attack_read(w->attack, "a table as its page", l1) & PTE_ADDRESS) == w->page);
	attack_check(w->attack, "a table in itself", l2,
		     (attack_read(w->attack, "a table in itself", l2) & PTE_ADDRESS) ==
			     physical(w->l1));
	*(volatile uint64_t *)(l1 + 8 * 8) = w->page | RW;
	xen_flush();
	check_page(w, "the page by a table as its page", PAGE(8));
	set(&w->root[4], physical(w->l1) | TO);
	attack_read(w->attack, "a table of level 1 as one of 3", address_of(4, 7, 7, 0));
	set(&w->l3[1], physical(w->root) | TO);
	attack_read(w->attack, "a root as a table of level 2", address_of(3, 1, 3, 0));
	set(&w->l3[1], 0);
	set(&w->root[4], 0);
	set(&w->l2[7], 0);
	set(&w->l1[7], 0);
	set(&w->l1[8], 0);
	check_page(w, "the page after loops", PAGE(0));
}

/* Bits that may not be set, and rights. */
static void odd_bits(const struct window *w)
{
	const uint64_t misplaced = (uint64_t)1 << 13 | PTE_LARGE | TO | PTE_USED;
	struct attack *a = w->attack;

	set(&w->root[4], physical(w->l3) | TO | PTE_LARGE);
	attack_no_access(a, "a large page of level 4", SLOT(4), ERROR_RESERVED);
	set(&w->root[4], 0);
	set(&w->l3[1], misplaced);
	attack_no_access(a, "a page of 1 GiB, misplaced", WINDOW + GIB, ERROR_RESERVED);
	set(&w->l3[1], 0);
	set(&w->l2[1], misplaced);
	attack_no_access(a, "a page of 2 MiB, misplaced", WINDOW + CHUNK, ERROR_RESERVED);

	/* large pages, which Xen has none of, that hold what is not ours */
	set(&w->l2[1], w->attack->machine | PTE_LARGE | RW);
	attack_no_access(a, "2 MiB of the monitor", WINDOW + CHUNK, 0);
	attack_no_access(a, "2 MiB of the monitor", WINDOW + CHUNK + 0x5000, 0);
	set(&w->l2[1], 0);
	set(&w->l3[1], w->attack->machine | PTE_LARGE | RW);
	attack_no_access(a, "1 GiB of the monitor", WINDOW + GIB, 0);
	attack_no_access(a, "1 GiB of the monitor", WINDOW + GIB + 0x208000, 0);
	set(&w->l3[1], w->attack->end / GIB * GIB | PTE_LARGE | RW);
	if (w->attack->end % GIB)
		attack_no_access(a, "beyond memory by 1 GiB", WINDOW + GIB + w->attack->end % GIB,
				 0);
	set(&w->l3[1], 0);
	check_page(w, "the page after odd bits", PAGE(0));
}

static void rights(const struct window *w)
{
	struct attack *a = w->attack;

	set(&w->l1[1], w->page | RW | PTE_NX);
	attack_try(a, "a page without the right to run it", PAGE(1),
		   &(struct xen_attempt){code_jump, PAGE(1), 0}, EXCEPTION(VECTOR_PF));
	attack_check(a, "its error code", xen_caught.error, xen_caught.error & ERROR_FETCH);
	set(&w->l1[1], w->page | PTE_READ_ONLY | PTE_USED);
	attack_try(a, "a read-only page", PAGE(1), &(struct xen_attempt){code_write, PAGE(1), 0},
		   EXCEPTION(VECTOR_PF));
	attack_check(a, "its error code", xen_caught.error,
		     (xen_caught.error & 3) == (ERROR_WRITE | ERROR_PRESENT));
	check_page(w, "a read-only page", PAGE(1));

	/* accessed and dirty bits, by whoever is the processor here */
	set(&w->l1[1], w->page | PTE_PAGE);
	check_page(w, "a page not accessed", PAGE(1));
	attack_check(a, "accessed, not dirty", w->l1[1], (w->l1[1] & PTE_USED) == PTE_ACCESSED);
	attack_try(a, "a page not dirty", PAGE(1),
		   &(struct xen_attempt){code_write, PAGE(1), (uint8_t)w->stamp}, NONE);
	attack_check(a, "accessed and dirty", w->l1[1], (w->l1[1] & PTE_USED) == PTE_USED);
	set(&w->l1[1], 0);
}

static void open_window(struct window *w, struct attack *attack)
{
	struct memory *memory = attack->memory;

	*w = (struct window){
		.attack = attack,
		.root = xen_root(),
		.l3 = memory_table(memory, 3),
		.l2 = memory_table(memory, 2),
		.l1 = memory_table(memory, 1),
		.page = memory_physical(memory, 0),
		.stamp = 0x6d696372616b6365,
	};
	*(volatile uint64_t *)attack->platform->arena = w->stamp;
	memory_set_entry(&w->l1[0], w->page | RW);
	memory_set_entry(&w->l2[0], physical(w->l1) | TO);
	memory_set_entry(&w->l3[0], physical(w->l2) | TO);
	memory_link(WINDOW, w->l3);
	xen_flush();
}

void attack_tables(struct attack *attack)
{
	struct window w;

	open_window(&w, attack);
	check_page(&w, "the page", PAGE(0));
	foreign_frames(&w);
	writable_tables(&w);
	root_loop(&w);
	lower_loops(&w);
	odd_bits(&w);
	rights(&w);
}
