// SPDX-License-Identifier: Apache-2.0
/*
 * The walker of page tables against a second model, by enumeration of flags and modes; fixed cases
 * for each kind of paging and page; and memory that changes under it.
 */
#include "tests/lib/test.h"

#include <string.h>

#include "mm/x86/ptwalk.h"
#include "tests/mm/x86/ptwalk_model.h"

#define MAXPHYADDR 46
#define RWU	   (PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_USER)
#define RWUA	   (RWU | PTWALK_ACCESSED)

/* Somebody who changes entries first, so many times; how often bits were to be set. */
static u32 losses, swaps;
static u64 loss_clears;

static bool ram_cmpxchg(void *opaque, gpa_t at, u32 size, u64 old, u64 new)
{
	(void)opaque;
	swaps++;
	if (losses) {
		losses--;
		/* what every entry ignores changes, and what the test says */
		poke(at.v, size, (peek(at.v, size) ^ BIT(9)) & ~loss_clears);
	}
	if (peek(at.v, size) != old)
		return false;
	poke(at.v, size, new);
	return true;
}

static const struct ptwalk_memory memory = {.read = ram_read, .cmpxchg = ram_cmpxchg};

/* Walk, compare with the second model, and put back what was there. */
static void compare(const struct ptwalk_mode *m, const struct ptwalk_access *a, u64 linear)
{
	struct ptwalk_result r;
	struct expected e;
	bool same;

	expect(m, a, linear, &e);
	same = ptwalk(m, &memory, a, linear, &r) == e.outcome && r.nr_steps == e.c.n;
	if (e.outcome == PTWALK_FAULT)
		same &= r.error == e.error;
	if (e.outcome == PTWALK_DONE)
		same &= r.at.v == e.at && r.shift == e.shift && r.key == e.key && !r.error &&
			r.writable == e.w && r.user == e.u && r.executable == e.x;
	for (u32 i = 0; i < e.c.n && same; i++) {
		same &= r.steps[i].at.v == e.c.at[i] && r.steps[i].entry == e.c.entry[i] &&
			r.steps[i].level == e.c.levels - i;
		if (e.c.at[i] >= RAM_SIZE || (i == 0 && m->pdptes))
			continue;
		same &= peek(e.c.at[i], e.c.size) == e.c.after[i];
		if (e.c.after[i] != e.c.entry[i])
			poke(e.c.at[i], e.c.size, e.c.entry[i]);
	}
	if (!same)
		fail_msg("cr0 %lx cr4 %lx efer %lx ac %d pkru %x, kind %d by %d, entries %lx %lx "
			 "%lx %lx: error %x, not %x",
			 m->cr0, m->cr4, m->efer, on(m->rflags, RFLAGS_AC), m->pkru, a->kind, a->by,
			 e.c.entry[0], e.c.entry[1], e.c.entry[2], e.c.entry[3], r.error, e.error);
}

static void compare_accesses(const struct ptwalk_mode *m, u64 linear)
{
	for (u32 kind = PTWALK_READ; kind <= PTWALK_FETCH; kind++)
		for (u32 by = PTWALK_BY_USER; by <= PTWALK_BY_IMPLICIT; by++)
			compare(m, &(struct ptwalk_access){kind, by}, linear);
}

#define LINEAR 0x00345678u /* index 0 above the page directory, in each mode */

/* Every combination of the modes' bits that count for @base. */
static void compare_modes(const struct ptwalk_mode *base)
{
	static const u32 pkrus[] = {0, 1 << 10, 2 << 10, ~(3u << 10)}; /* of key 5 */
	bool lma = on(base->efer, EFER_LMA);
	struct ptwalk_mode m = *base;

	for (u32 i = 0; i < 32; i++) {
		m.cr0 = CR0_PG | (i & 1 ? CR0_WP : 0);
		m.cr4 = base->cr4 | (i & 2 ? CR4_SMEP : 0) | (i & 4 ? CR4_SMAP : 0);
		m.efer = base->efer | (i & 8 ? EFER_NXE : 0);
		m.rflags = i & 16 ? RFLAGS_AC : 0;
		m.pkru = ~0u; /* means nothing without PKE */
		compare_accesses(&m, LINEAR);
		m.cr4 |= CR4_PKE;
		for (u32 k = 0; k < (lma ? ARRAY_SIZE(pkrus) : 1); k++) {
			m.pkru = lma ? pkrus[k] : ~0u;
			compare_accesses(&m, LINEAR);
		}
	}
}

/* The @i-th combination of the bits in @bits. */
static u64 combination(const u64 *bits, u32 n, u32 i)
{
	u64 entry = 0;

	for (u32 b = 0; b < n; b++)
		entry |= i >> b & 1 ? bits[b] : 0;
	return entry;
}

struct flags {
	u64 bits[10];
	u32 n;
};

/*
 * Tables at pages 1 on, from the root, whose entries grant everything; but that at @leaf, and that
 * at @upper unless it is 0, take every combination of flags. An entry that is not present is tried
 * empty and with all flags: there the rest does not count.
 */
static void compare_flags(const struct ptwalk_mode *m, u32 leaf, const struct flags *leaf_flags,
			  u32 upper, const struct flags *upper_flags)
{
	u64 leaf_base, upper_base;
	struct collected c;

	memset(ram, 0, RAM_SIZE);
	for (u32 i = 0; i < PTWALK_MAX_LEVELS; i++) {
		collect(m, LINEAR, &c);
		if (i >= c.levels)
			break;
		poke(c.at[i], c.size, (2 + i) * PAGE_SIZE | (c.levels == 3 && !i ? 1 : RWUA));
	}
	leaf_base = leaf == 1 ? 0x12000 : BIT(30) | BIT(7);
	upper_base = upper ? (2 + c.levels - upper) * PAGE_SIZE : 0;
	for (u32 i = 0; i < 1u << leaf_flags->n; i++) {
		u64 entry = combination(leaf_flags->bits, leaf_flags->n, i);

		if (!(entry & 1) && i && i != (1u << leaf_flags->n) - 2)
			continue;
		poke(c.at[c.levels - leaf], c.size, leaf_base | entry);
		for (u32 j = 0; j < (upper ? 1u << upper_flags->n : 1); j++) {
			entry = combination(upper_flags->bits, upper_flags->n, j);
			if (!(entry & 1) && j && j != (1u << upper_flags->n) - 2)
				continue;
			if (upper)
				poke(c.at[c.levels - upper], c.size, upper_base | entry);
			compare_modes(m);
		}
	}
}

/* "Present" is first in all of them. */
static const struct flags full = {{1, 2, 4, 32, 64, BIT(63), BIT(MAXPHYADDR), (u64)5 << 59}, 8};
static const struct flags full_32 = {{1, 2, 4, 32, 64, BIT(21)}, 6};
static const struct flags few = {{1, 2, 4, 64, BIT(63), (u64)5 << 59}, 6};
static const struct flags above = {{1, 2, 4, 32, BIT(63), BIT(51)}, 6};
static const struct flags above_few = {{1, 2, 4, BIT(63), BIT(7), BIT(8)}, 6};
static const struct flags above_pae = {{1, 2, 64, BIT(63), BIT(MAXPHYADDR)}, 5};
static const struct flags above_32 = {{1, 2, 4, 32, 64}, 5};

static const struct ptwalk_mode long_mode = {.cr0 = CR0_PG,
					     .cr3 = PAGE_SIZE,
					     .cr4 = CR4_PAE,
					     .efer = EFER_LMA,
					     .maxphyaddr = MAXPHYADDR,
					     .gib_pages = true};
static const struct ptwalk_mode pae_mode = {
	.cr0 = CR0_PG, .cr3 = PAGE_SIZE, .cr4 = CR4_PAE, .maxphyaddr = MAXPHYADDR};
static const struct ptwalk_mode mode_32 = {
	.cr0 = CR0_PG, .cr3 = PAGE_SIZE, .cr4 = CR4_PSE, .maxphyaddr = MAXPHYADDR, .pse36 = true};

static void every_flag_in_4_levels(void **state)
{
	(void)state;
	compare_flags(&long_mode, 1, &full, 2, &above);
}

static void every_flag_of_large_pages(void **state)
{
	struct ptwalk_mode m = long_mode;

	(void)state;
	compare_flags(&m, 2, &full_32, 4, &above_few); /* bit 21 is of the address there */
	compare_flags(&m, 3, &full, 0, &above);
	m.amd = true;
	compare_flags(&m, 2, &few, 4, &above_few);
	m.gib_pages = false;
	compare_flags(&m, 3, &full, 0, &above);
}

static void every_flag_in_pae(void **state)
{
	static const u64 pdptes[4] = {2 * PAGE_SIZE | 1};
	struct ptwalk_mode m = pae_mode;

	(void)state;
	compare_flags(&m, 1, &full, 2, &above_32);
	compare_flags(&m, 2, &full, 0, &above);
	compare_flags(&m, 1, &above, 3, &above_pae);
	m.pdptes = pdptes;
	compare_flags(&m, 1, &above, 3, &above_pae);
}

static void every_flag_in_32_bit(void **state)
{
	struct ptwalk_mode m = mode_32;

	(void)state;
	compare_flags(&m, 1, &full_32, 2, &above_32);
	compare_flags(&m, 2, &full_32, 0, &above);
	m.cr4 = 0; /* bit 7 means nothing: a table at 1 GiB */
	compare_flags(&m, 2, &full_32, 0, &above);
}

/* Each bit alone in each entry, with each page size: is it reserved? */
static void every_bit_of_every_entry(void **state)
{
	static const u8 widths[] = {32, 36, 40, MAXPHYADDR, 52};
	const struct ptwalk_access read = {PTWALK_READ, PTWALK_BY_SUPERVISOR};

	(void)state;
	for (u32 i = 0; i < 4 * 2 * ARRAY_SIZE(widths) * 4; i++) {
		struct ptwalk_mode m = i % 4 == 0 ? mode_32 : i % 4 == 1 ? pae_mode : long_mode;
		u32 large = i / 40 % 4; /* the level, 0 for none */
		struct collected c;

		m.maxphyaddr = widths[i / 8 % 5];
		m.amd = m.gib_pages = m.pse36 = i / 4 % 2;
		m.efer |= i / 4 % 2 ? EFER_NXE : 0;
		m.cr4 |= i % 4 == 3 ? CR4_LA57 : 0;
		memset(ram, 0, RAM_SIZE);
		for (u32 j = 0; j < PTWALK_MAX_LEVELS; j++) {
			collect(&m, LINEAR, &c);
			if (j < c.levels)
				poke(c.at[j], c.size, (2 + j) * PAGE_SIZE | 1);
		}
		if (large > 1 && large <= c.levels)
			poke(c.at[c.levels - large], c.size, BIT(31) | BIT(7) | 1);
		for (u32 j = 0; j < c.levels; j++)
			for (u32 b = 0; b < 8 * c.size; b++) {
				u64 was = peek(c.at[j], c.size);

				poke(c.at[j], c.size, was ^ BIT(b));
				compare(&m, &read, LINEAR);
				poke(c.at[j], c.size, was);
			}
	}
}

static const struct ptwalk_access reads = {PTWALK_READ, PTWALK_BY_SUPERVISOR};
static const struct ptwalk_access writes = {PTWALK_WRITE, PTWALK_BY_SUPERVISOR};

/* Map @linear to @page with @shift, through the tables at pages 1 on; upper entries grant all. */
static void map(const struct ptwalk_mode *m, u64 linear, u32 shift, u64 leaf)
{
	struct collected c;

	memset(ram, 0, RAM_SIZE);
	for (u32 i = 0;; i++) {
		u32 level, width;

		collect(m, linear, &c);
		level = c.levels - i;
		width = c.size == 4 ? 10 : 9;
		if (12 + width * (level - 1) == shift) {
			poke(c.at[i], c.size, leaf);
			return;
		}
		poke(c.at[i], c.size, (2 + i) * PAGE_SIZE | (c.levels == 3 && !i ? 1 : RWU));
	}
}

static void each_size_of_page(void **state)
{
	struct ptwalk_mode l5 = long_mode;
	const struct {
		const struct ptwalk_mode *m;
		u64 linear;
		u32 shift;
		u64 leaf, at;
		u32 steps;
	} t[] = {
		{&mode_32, 0xfedcb123, 12, 0x89abc007, 0x89abc123, 2},
		{&mode_32, 0xfedcb123, 22, 0x89800087, 0x899cb123, 1},
		{&mode_32, 0xfedcb123, 22, 0x89802087, 0x1899cb123, 1}, /* bit 13: bit 32 */
		{&mode_32, 0xfedcb123, 22, 0x89900087, 0x80899cb123, 1},
		{&pae_mode, 0xfedcb123, 12, 0x345689abc007, 0x345689abc123, 3},
		{&pae_mode, 0xfedcb123, 21, 0x345689a01087, 0x345689bcb123, 2},
		{&long_mode, 0xffffabcdfedcb123, 12, 0x345689abc007, 0x345689abc123, 4},
		{&long_mode, 0xffffabcdfedcb123, 21, 0x345689a00087, 0x345689bcb123, 3},
		{&long_mode, 0xffffabcdfedcb123, 30, 0x345680000087, 0x3456bedcb123, 2},
		{&l5, 0xff12abcdfedcb123, 12, 0x345689abc007, 0x345689abc123, 5},
		{&l5, 0xff12abcdfedcb123, 21, 0x345689a00087, 0x345689bcb123, 4},
		{&l5, 0xff12abcdfedcb123, 30, 0x345680000087, 0x3456bedcb123, 3},
	};
	struct ptwalk_result r;

	(void)state;
	l5.cr4 |= CR4_LA57;
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		map(t[i].m, t[i].linear, t[i].shift, t[i].leaf);
		assert_int_equal(ptwalk(t[i].m, &memory, &reads, t[i].linear, &r), PTWALK_DONE);
		assert_int_equal(r.at.v, t[i].at);
		assert_int_equal(r.shift, t[i].shift);
		assert_int_equal(r.nr_steps, t[i].steps);
		assert_int_equal(r.steps[r.nr_steps - 1].entry, t[i].leaf);
		compare_accesses(t[i].m, t[i].linear);
	}
}

static void without_paging(void **state)
{
	const struct ptwalk_mode m = {.cr3 = PAGE_SIZE, .cr4 = CR4_SMEP, .maxphyaddr = 46};
	struct ptwalk_result r;

	(void)state;
	assert_int_equal(ptwalk(&m, &memory, &writes, 0x1fedcb123, &r), PTWALK_DONE);
	assert_int_equal(r.at.v, 0xfedcb123);
	assert_int_equal(r.nr_steps, 0);
	assert_true(r.writable && r.user && r.executable);
}

/* Error codes by hand: one rule of the access rights each, and what comes of two at once. */
static void error_codes(void **state)
{
	const u64 wp = CR0_WP, smep = CR4_SMEP, smap = CR4_SMAP;
	const u64 pke = CR4_PKE, nxe = EFER_NXE, ac = RFLAGS_AC;
	const u64 key_1 = BIT(59), nx = PTWALK_NX;
	const int user = PTWALK_BY_USER, sup = PTWALK_BY_SUPERVISOR, imp = PTWALK_BY_IMPLICIT;
	const struct {
		u64 leaf, cr0, cr4, efer, rflags;
		u32 pkru;
		int kind, by;
		u32 error; /* 0: no fault */
	} t[] = {
		{0, 0, 0, 0, 0, 0, PTWALK_READ, user, 4},
		{0, 0, 0, 0, 0, 0, PTWALK_FETCH, user, 4}, /* neither NXE nor SMEP: no I/D */
		{0, 0, smep, 0, 0, 0, PTWALK_FETCH, user, 0x14},
		{0, 0, 0, nxe, 0, 0, PTWALK_FETCH, sup, 0x10},
		{nx | 2, 0, 0, 0, 0, 0, PTWALK_WRITE, sup, 2}, /* not present: nothing reserved */
		{nx | 3, 0, 0, 0, 0, 0, PTWALK_READ, sup, 9},
		{nx | 3, 0, 0, nxe, 0, 0, PTWALK_READ, sup, 0},
		{nx | 7, 0, 0, nxe, 0, 0, PTWALK_FETCH, user, 0x15},
		{3, 0, 0, 0, 0, 0, PTWALK_READ, user, 5},
		{5, 0, 0, 0, 0, 0, PTWALK_WRITE, user, 7},
		{5, 0, 0, 0, 0, 0, PTWALK_WRITE, sup, 0},
		{5, wp, 0, 0, 0, 0, PTWALK_WRITE, sup, 3},
		{7, 0, smep, 0, 0, 0, PTWALK_FETCH, sup, 0x11},
		{7, 0, smap, 0, 0, 0, PTWALK_READ, sup, 1},
		{7, 0, smap, 0, ac, 0, PTWALK_READ, sup, 0},
		{7, 0, smap, 0, ac, 0, PTWALK_WRITE, imp, 3},
		{key_1 | 7, 0, pke, 0, 0, 1 << 2, PTWALK_READ, user, 0x25},
		{key_1 | 7, 0, pke, 0, 0, 1 << 2, PTWALK_FETCH, user, 0},
		{key_1 | 7, 0, pke, 0, 0, 2 << 2, PTWALK_READ, user, 0},
		{key_1 | 7, 0, pke, 0, 0, 2 << 2, PTWALK_WRITE, user, 0x27},
		{key_1 | 7, 0, pke, 0, 0, 2 << 2, PTWALK_WRITE, sup, 0},
		{key_1 | 7, wp, pke, 0, 0, 2 << 2, PTWALK_WRITE, sup, 0x23},
		{key_1 | 3, wp, pke, 0, 0, 3 << 2, PTWALK_WRITE, sup, 0}, /* not a user page */
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		const struct ptwalk_access a = {(enum ptwalk_kind)t[i].kind,
						(enum ptwalk_by)t[i].by};
		struct ptwalk_mode m = long_mode;
		struct ptwalk_result r;

		m.cr0 |= t[i].cr0;
		m.cr4 |= t[i].cr4;
		m.efer |= t[i].efer;
		m.rflags = t[i].rflags;
		m.pkru = t[i].pkru;
		map(&m, LINEAR, 12, 0x12000 | t[i].leaf);
		assert_int_equal(ptwalk(&m, &memory, &a, LINEAR, &r),
				 t[i].error ? PTWALK_FAULT : PTWALK_DONE);
		assert_int_equal(r.error, t[i].error);
	}
}

static void canonical_addresses(void **state)
{
	struct ptwalk_mode m = long_mode;
	struct ptwalk_result r;

	(void)state;
	memset(ram, 0, RAM_SIZE);
	for (u32 bit = 47; bit <= 56; bit += 9) {
		u64 half = BIT(bit);

		assert_int_equal(ptwalk(&m, &memory, &reads, half - 1, &r), PTWALK_FAULT);
		assert_int_equal(ptwalk(&m, &memory, &reads, half, &r), PTWALK_NOT_CANONICAL);
		assert_int_equal(r.nr_steps, 0);
		assert_int_equal(ptwalk(&m, &memory, &reads, ~half, &r), PTWALK_NOT_CANONICAL);
		assert_int_equal(ptwalk(&m, &memory, &reads, ~(half - 1), &r), PTWALK_FAULT);
		m.cr4 |= CR4_LA57;
	}
}

static void tables_outside_of_memory(void **state)
{
	struct ptwalk_mode m = long_mode;
	struct ptwalk_result r;

	(void)state;
	map(&m, LINEAR, 12, RWU);
	poke(3 * PAGE_SIZE + (LINEAR >> 21) * 8, 8, RAM_SIZE | RWU);
	assert_int_equal(ptwalk(&m, &memory, &reads, LINEAR, &r), PTWALK_NO_MEMORY);
	assert_int_equal(r.nr_steps, 4);
	assert_int_equal(r.steps[3].at.v, RAM_SIZE + (LINEAR >> 12 & 511) * 8);
	assert_int_equal(r.steps[3].entry, 0);
	assert_int_equal(peek(PAGE_SIZE, 8) & PTWALK_ACCESSED, 0);
	m.cr3 = RAM_SIZE;
	assert_int_equal(ptwalk(&m, &memory, &reads, LINEAR, &r), PTWALK_NO_MEMORY);
	assert_int_equal(r.nr_steps, 1);
}

/* The usual way to see the tables in the address space: one entry is of every level. */
static void table_that_points_to_itself(void **state)
{
	struct ptwalk_result r;

	(void)state;
	memset(ram, 0, RAM_SIZE);
	poke(PAGE_SIZE + 0xff8, 8, PAGE_SIZE | RWU);
	assert_int_equal(ptwalk(&long_mode, &memory, &writes, ~(u64)7, &r), PTWALK_DONE);
	assert_int_equal(r.at.v, PAGE_SIZE + 0xff8);
	assert_int_equal(r.nr_steps, 4);
	assert_int_equal(peek(PAGE_SIZE + 0xff8, 8), PAGE_SIZE | RWUA | PTWALK_DIRTY);
}

static void bits_are_set_once(void **state)
{
	const struct ptwalk_memory as_is = {.read = ram_read};
	struct ptwalk_result r;

	(void)state;
	losses = swaps = 0;
	map(&long_mode, LINEAR, 12, 0x12000 | RWU);
	assert_int_equal(ptwalk(&long_mode, &as_is, &writes, LINEAR, &r), PTWALK_DONE);
	assert_int_equal(peek(r.steps[3].at.v, 8), 0x12000 | RWU);
	assert_int_equal(ptwalk(&long_mode, &memory, &reads, LINEAR, &r), PTWALK_DONE);
	assert_int_equal(swaps, 4);
	assert_int_equal(ptwalk(&long_mode, &memory, &writes, LINEAR, &r), PTWALK_DONE);
	assert_int_equal(swaps, 5);
	assert_int_equal(peek(r.steps[0].at.v, 8), 2 * PAGE_SIZE | RWUA);
	assert_int_equal(peek(r.steps[3].at.v, 8), 0x12000 | RWUA | PTWALK_DIRTY);
	assert_int_equal(ptwalk(&long_mode, &memory, &writes, LINEAR, &r), PTWALK_DONE);
	assert_int_equal(swaps, 5);
}

static void entries_that_change_meanwhile(void **state)
{
	struct ptwalk_result r;

	(void)state;
	map(&long_mode, LINEAR, 12, 0x12000 | RWU);
	losses = 1;
	loss_clears = 0;
	assert_int_equal(ptwalk(&long_mode, &memory, &reads, LINEAR, &r), PTWALK_DONE);
	assert_int_equal(r.steps[0].entry, 2 * PAGE_SIZE | BIT(9) | RWU);
	assert_int_equal(peek(PAGE_SIZE, 8), 2 * PAGE_SIZE | BIT(9) | RWUA);

	map(&long_mode, LINEAR, 12, 0x12000 | RWU);
	losses = 1;
	loss_clears = PTWALK_PRESENT;
	assert_int_equal(ptwalk(&long_mode, &memory, &writes, LINEAR, &r), PTWALK_FAULT);
	assert_int_equal(r.error, PTWALK_ERROR_WRITE);
	assert_int_equal(r.nr_steps, 1);

	map(&long_mode, LINEAR, 12, 0x12000 | RWU);
	losses = ~0u;
	loss_clears = swaps = 0;
	assert_int_equal(ptwalk(&long_mode, &memory, &reads, LINEAR, &r), PTWALK_RACED);
	assert_int_equal(swaps, PTWALK_TRIES);
	losses = 0;
}

static void references(void **state)
{
	(void)state;
	assert_int_equal(ptwalk_references(4, 0), 4);
	assert_int_equal(ptwalk_references(0, 4), 4);
	assert_int_equal(ptwalk_references(4, 4), 24);
	assert_int_equal(ptwalk_references(3, 4), 19);
	assert_int_equal(ptwalk_references(4, 3), 19);
	assert_int_equal(ptwalk_references(3, 3), 15);
	assert_int_equal(ptwalk_references(5, 5), 35);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flag_in_4_levels),
		cmocka_unit_test(every_flag_of_large_pages),
		cmocka_unit_test(every_flag_in_pae),
		cmocka_unit_test(every_flag_in_32_bit),
		cmocka_unit_test(every_bit_of_every_entry),
		cmocka_unit_test(each_size_of_page),
		cmocka_unit_test(without_paging),
		cmocka_unit_test(error_codes),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(tables_outside_of_memory),
		cmocka_unit_test(table_that_points_to_itself),
		cmocka_unit_test(bits_are_set_once),
		cmocka_unit_test(entries_that_change_meanwhile),
		cmocka_unit_test(references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
