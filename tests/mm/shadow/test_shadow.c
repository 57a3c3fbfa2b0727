// SPDX-License-Identifier: Apache-2.0
/*
 * The rules of mm/shadow/shadow.h one by one: entries, views, large pages, what the VMM asks for.
 * Writes to tables are in test_tables.c.
 */
#include "tests/lib/test.h"

#include <errno.h>

#include "tests/mm/shadow/shadow_fixture.h"

/* ---- Entries ---- */

static void test_fill(void **state)
{
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L1][5] = POINTS(PAGES, E_PAGE & ~(E_A | E_D));
	reaches(w, 0, SHADOW_KERNEL, AT(5), PTWALK_READ, PAGES, 1);
	assert_int_equal(w->ram[L1][5], POINTS(PAGES, E_PAGE & ~E_D));
	assert_int_equal(w->ram[ROOT][0], POINTS(L3, E_TABLE | E_A));
	reaches(w, 0, SHADOW_KERNEL, AT(5), PTWALK_READ, PAGES, 0);
	assert_int_equal(world_stats(w).fills, 1);
	assert_int_equal(world_stats(w).tables_made, 3 + 2); /* with two roots */
	/* the page is clean: a write faults */
	reaches(w, 0, SHADOW_KERNEL, AT(5), PTWALK_WRITE, PAGES, 1);
	assert_int_equal(w->ram[L1][5], POINTS(PAGES, E_PAGE));
	assert_int_equal(world_stats(w).dirty_sets, 1);
	world_end(w);
}

static void test_neighbours(void **state)
{
	struct world *w = world_guest(1);

	(void)state;
	for (u32 i = 0; i < 512; i++)
		w->ram[L1][i] = POINTS(PAGES + i % 100, i % 2 ? E_PAGE : E_PAGE & ~E_D);
	w->ram[L1][6] &= ~E_A;
	/* a new table: all that were accessed come with the first */
	reaches(w, 0, SHADOW_KERNEL, AT(3), PTWALK_READ, PAGES + 3, 1);
	assert_int_equal(world_stats(w).entries, 511);
	assert_int_equal(world_stats(w).prefills, 510);
	reaches(w, 0, SHADOW_KERNEL, AT(401), PTWALK_WRITE, PAGES + 1, 0);
	reaches(w, 0, SHADOW_KERNEL, AT(402), PTWALK_WRITE, PAGES + 2, 1);
	/* later: those of the group of 16, where there is none */
	for (u32 i = 32; i < 64; i++)
		world_write(w, L1, i, 0);
	assert_int_equal(world_stats(w).entries, 511 - 32);
	for (u32 i = 32; i < 64; i++)
		w->ram[L1][i] = POINTS(PAGES, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, AT(40), PTWALK_READ, PAGES, 1);
	assert_int_equal(world_stats(w).entries, 511 - 16);
	assert_true(w->ram[L1][6] == POINTS(PAGES + 6, E_TABLE));
	world_end(w);
}

static void test_guest_faults(void **state)
{
	const u32 p = PTWALK_ERROR_PRESENT, wr = PTWALK_ERROR_WRITE, u = PTWALK_ERROR_USER;
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_P | E_U);
	w->ram[L1][1] = POINTS(PAGES, E_P | E_W | E_X);
	w->ram[L1][2] = POINTS(PAGES, E_PAGE) | (u64)1 << 45;
	w->ram[L1][4] = POINTS(NR_FRAMES, E_PAGE);
	fails(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, p | wr);
	fails(w, 0, SHADOW_USER, AT(0), PTWALK_WRITE, p | wr | u);
	fails(w, 0, SHADOW_USER, AT(1), PTWALK_READ, p | u);
	fails(w, 0, SHADOW_KERNEL, AT(1), PTWALK_FETCH, p | PTWALK_ERROR_FETCH);
	fails(w, 0, SHADOW_KERNEL, AT(2), PTWALK_READ, p | PTWALK_ERROR_RESERVED);
	fails(w, 0, SHADOW_KERNEL, AT(3), PTWALK_READ, 0);
	fails(w, 0, SHADOW_USER, (u64)1 << 50, PTWALK_READ, u);
	fails(w, 0, SHADOW_USER, LINEAR(FIXED_AT, 0, 0, 0), PTWALK_READ, u);
	assert_int_equal(world_stats(w).guest_faults, 8);
	assert_int_equal(w->ram[L1][0], POINTS(PAGES, E_P | E_U));
	world_end(w);
}

static void test_no_memory(void **state)
{
	struct world *w = world_guest(1);
	u64 machine;
	u32 error;

	(void)state;
	w->ram[L1][0] = POINTS(NR_FRAMES, E_PAGE);
	w->ram[L1][1] = POINTS(700, E_PAGE);
	w->ram[L2][1] = POINTS(NR_FRAMES + 5, E_TABLE);
	w->hole[700] = true;
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(
			cpu_access(w, 0, SHADOW_KERNEL, AT(i), PTWALK_READ, &machine, &error, NULL),
			SHADOW_NO_MEMORY);
	assert_int_equal(cpu_access(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, &machine,
				    &error, NULL),
			 SHADOW_NO_MEMORY);
	world_end(w);
}

/* The kernel's view opens everything; the rights of entries above hold. */
static void test_views(void **state)
{
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_PAGE & ~E_U);
	w->ram[L1][1] = POINTS(PAGES + 1, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES, 1);
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES + 1, 0);
	reaches(w, 0, SHADOW_USER, AT(1), PTWALK_WRITE, PAGES + 1, 1);
	fails(w, 0, SHADOW_USER, AT(0), PTWALK_READ, PTWALK_ERROR_PRESENT | PTWALK_ERROR_USER);
	assert_int_equal(world_stats(w).tables[SHADOW_USER][1], 1);
	assert_int_equal(world_stats(w).tables[SHADOW_KERNEL][4], 1);
	assert_int_equal(world_stats(w).entries, 3);
	world_end(w);
}

/* One table below two entries with other rights is shadowed once. */
static void test_shared_table(void **state)
{
	const u32 p = PTWALK_ERROR_PRESENT;
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_PAGE);
	w->ram[L2][1] = POINTS(L1, E_P | E_U | E_X);
	reaches(w, 0, SHADOW_USER, AT(0), PTWALK_WRITE, PAGES, 1);
	reaches(w, 0, SHADOW_USER, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES, 1);
	fails(w, 0, SHADOW_USER, LINEAR(0, 0, 1, 0), PTWALK_WRITE,
	      p | PTWALK_ERROR_WRITE | PTWALK_ERROR_USER);
	fails(w, 0, SHADOW_USER, LINEAR(0, 0, 1, 0), PTWALK_FETCH,
	      p | PTWALK_ERROR_FETCH | PTWALK_ERROR_USER);
	reaches(w, 0, SHADOW_USER, AT(0), PTWALK_FETCH, PAGES, 0);
	assert_int_equal(world_stats(w).tables[SHADOW_USER][1], 1);
	world_end(w);
}

/* ---- Large pages ---- */

static void test_large(void **state)
{
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L2][0] = POINTS(0, E_PAGE | E_L);
	reaches(w, 0, SHADOW_USER, AT(37), PTWALK_READ, 37, 1);
	/* the tables are in there, so it is cut; another guest would get one entry */
	assert_int_equal(world_stats(w).tables[SHADOW_USER][1], 1);
	world_end(w);

	w = world_new(100, 1, true);
	w->ram[PAGES][0] = POINTS(PAGES + 1, E_TABLE);
	w->ram[PAGES + 1][0] = POINTS(PAGES + 2, E_TABLE);
	w->ram[PAGES + 2][0] = POINTS(0, (E_PAGE & ~E_D) | E_L);
	w->ram[PAGES + 2][1] = POINTS(512, E_PAGE | E_L);
	world_roots(w, 0, PAGES, SHADOW_NO_ROOT);
	reaches(w, 0, SHADOW_KERNEL, AT(37), PTWALK_READ, 37, 1);
	reaches(w, 0, SHADOW_KERNEL, AT(511), PTWALK_READ, 511, 0);
	reaches(w, 0, SHADOW_KERNEL, AT(511), PTWALK_WRITE, 511, 1);
	reaches(w, 0, SHADOW_KERNEL, AT(3), PTWALK_WRITE, 3, 0);
	assert_int_equal(world_stats(w).entries, 1);
	assert_int_equal(world_stats(w).tables[SHADOW_KERNEL][1], 0);
	/* the machine has this one in pieces: with each page comes its group of 16 */
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 3), PTWALK_WRITE, 515, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 15), PTWALK_WRITE, 527, 0);
	assert_int_equal(world_stats(w).entries, 1 + 16);
	/* a protected frame cuts it; it comes back small */
	assert_int_equal(shadow_protect_frame(w->s, 40), 1);
	reaches(w, 0, SHADOW_KERNEL, AT(37), PTWALK_READ, 37, 1);
	assert_int_equal(shadow_unmap_frame(w->s, 40), 1);
	assert_int_equal(world_stats(w).entries, 16);
	world_end(w);
}

/* Whether frames 512 to 1023, mapped by one entry, come as one. */
static bool is_one(bool first, bool others, u64 shift)
{
	struct world *w = world_new(100, 1, true);
	bool one;

	for (u32 i = 512; i < 1024; i++)
		w->swapped[i] = i < 514 ? first : others;
	w->shift = shift;
	w->ram[0][0] = POINTS(1, E_TABLE);
	w->ram[1][0] = POINTS(2, E_TABLE);
	w->ram[2][0] = POINTS(512, E_PAGE | E_L);
	world_roots(w, 0, 0, SHADOW_NO_ROOT);
	reaches(w, 0, SHADOW_KERNEL, AT(100), PTWALK_WRITE, 612, 1);
	one = !world_stats(w).tables[SHADOW_KERNEL][1];
	world_end(w);
	return one;
}

static void test_in_one_piece(void **state)
{
	(void)state;
	assert_true(is_one(true, true, 0));
	assert_true(is_one(true, true, 512));
	assert_false(is_one(true, false, 0));
	assert_false(is_one(false, true, 0));
	assert_false(is_one(true, true, 2));
}

static void test_gib(void **state)
{
	struct world *w = world_new(100, 1, true);

	(void)state;
	w->ram[PAGES][0] = POINTS(PAGES + 1, E_TABLE);
	w->ram[PAGES + 1][0] = POINTS(0, (E_PAGE & ~E_D) | E_L | E_X);
	world_roots(w, 0, PAGES, SHADOW_NO_ROOT);
	reaches(w, 0, SHADOW_KERNEL, AT(7), PTWALK_READ, 7, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 8), PTWALK_READ, 520, 1);
	fails(w, 0, SHADOW_KERNEL, AT(7), PTWALK_FETCH, PTWALK_ERROR_PRESENT | PTWALK_ERROR_FETCH);
	/* the dirty bit is one for all, and so is the right in the entry above */
	reaches(w, 0, SHADOW_KERNEL, AT(7), PTWALK_WRITE, 7, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 9), PTWALK_WRITE, 521, 0);
	assert_int_equal(w->ram[PAGES + 1][0], POINTS(0, E_PAGE | E_L | E_X));
	assert_int_equal(world_stats(w).tables[SHADOW_KERNEL][2], 1);
	assert_int_equal(world_stats(w).tables[SHADOW_KERNEL][1], 1);
	/* the guest's root lies in there, too */
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, PAGES - 512), PTWALK_READ, PAGES, 1);
	world_end(w);
}

/* ---- What the VMM asks for ---- */

static void test_entry_written(void **state)
{
	struct world *w = world_guest(1);
	u64 generation;

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES, 1);
	generation = shadow_generation(w->s);
	/* a new one is there at once, and no TLB knows of what was there before */
	world_write(w, L1, 1, POINTS(PAGES + 1, E_PAGE));
	assert_int_equal(shadow_generation(w->s), generation);
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES + 1, 0);
	/* another page, fewer rights, none */
	world_write(w, L1, 0, POINTS(PAGES + 2, E_PAGE));
	assert_true(shadow_generation(w->s) > generation);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES + 2, 0);
	world_write(w, L1, 0, POINTS(PAGES + 2, E_PAGE & ~E_W));
	fails(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PTWALK_ERROR_PRESENT | PTWALK_ERROR_WRITE);
	world_write(w, L1, 0, 0);
	fails(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, 0);
	world_write(w, L1, 1, POINTS(PAGES + 1, E_PAGE));
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_FETCH, PAGES + 1, 0);
	world_write(w, L1, 1, POINTS(PAGES + 1, E_PAGE | E_X));
	fails(w, 0, SHADOW_KERNEL, AT(1), PTWALK_FETCH, PTWALK_ERROR_PRESENT | PTWALK_ERROR_FETCH);
	/* accessed and dirty bits that are taken back are set again */
	world_write(w, L1, 1, POINTS(PAGES + 1, E_TABLE | E_A));
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_READ, PAGES + 1, 0);
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES + 1, 1);
	world_write(w, L1, 1, POINTS(PAGES + 1, E_TABLE));
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES + 1, 1);
	/* a table's place */
	world_write(w, L2, 0, POINTS(OTHER, E_TABLE | E_A));
	fails(w, 0, SHADOW_KERNEL, AT(1), PTWALK_READ, 0);
	world_write(w, L2, 0, POINTS(L1, E_TABLE));
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES + 1, 1);
	world_write(w, ROOT, 0, POINTS(L3, E_TABLE | E_A | E_L));
	fails(w, 0, SHADOW_KERNEL, AT(1), PTWALK_READ,
	      PTWALK_ERROR_PRESENT | PTWALK_ERROR_RESERVED);
	world_end(w);
}

/* Entries of a large page, and of a table, in each other's place. */
static void test_large_written(void **state)
{
	struct world *w = world_guest(1);
	u64 linear = LINEAR(0, 0, 1, 7);

	(void)state;
	w->ram[L2][1] = POINTS(512, E_TABLE);
	w->ram[512][7] = POINTS(PAGES, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_READ, PAGES, 1);
	world_write(w, L2, 1, POINTS(512, E_PAGE | E_L));
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_READ, 519, 1);
	world_write(w, L2, 1, POINTS(512, E_PAGE));
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_READ, PAGES, 1);
	world_write(w, L2, 1, POINTS(513, E_PAGE | E_L)); /* bit 12 is of PAT */
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_READ, 519, 1);
	world_write(w, L2, 1, POINTS(513, (E_PAGE & ~E_D) | E_L));
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_READ, 519, 0);
	reaches(w, 0, SHADOW_KERNEL, linear, PTWALK_WRITE, 519, 1);
	world_write(w, L2, 1, POINTS(514, E_PAGE | E_L));
	fails(w, 0, SHADOW_KERNEL, linear, PTWALK_READ,
	      PTWALK_ERROR_PRESENT | PTWALK_ERROR_RESERVED);
	world_end(w);
}

static void test_frames(void **state)
{
	struct world *w = world_guest(1);

	(void)state;
	w->ram[L1][0] = w->ram[L1][1] = POINTS(PAGES, E_PAGE);
	w->ram[L1][2] = POINTS(PAGES, E_PAGE & ~E_W);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES, 1);
	reaches(w, 0, SHADOW_USER, AT(0), PTWALK_READ, PAGES, 1);
	assert_int_equal(shadow_protect_frame(w->s, PAGES), 4);
	assert_int_equal(shadow_protect_frame(w->s, PAGES), 0);
	reaches(w, 0, SHADOW_KERNEL, AT(1), PTWALK_WRITE, PAGES, 1);
	assert_int_equal(shadow_unmap_frame(w->s, PAGES), 6);
	assert_int_equal(shadow_unmap_frame(w->s, PAGES), 0);
	assert_int_equal(shadow_unmap_frame(w->s, NR_FRAMES), 0);
	assert_int_equal(shadow_protect_frame(w->s, ~(u64)0), 0);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES, 1);
	world_end(w);
}

static void test_roots(void **state)
{
	struct world *w = world_guest(1);
	u64 cr3;

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_PAGE);
	cr3 = w->cpus[0].cr3[SHADOW_KERNEL];
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	world_roots(w, 0, SHADOW_NO_ROOT, NR_FRAMES);
	assert_int_equal(w->cpus[0].cr3[SHADOW_KERNEL], w->cpus[0].cr3[SHADOW_USER]);
	fails(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, 0);
	fails(w, 0, SHADOW_USER, AT(0), PTWALK_READ, PTWALK_ERROR_USER);
	world_roots(w, 0, ROOT, ROOT);
	assert_int_equal(w->cpus[0].cr3[SHADOW_KERNEL], cr3);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 0);
	/* a root in use is emptied, not dropped */
	shadow_forget_table(w->s, ROOT);
	assert_int_equal(shadow_table_level(w->s, ROOT, NULL), 0);
	world_check(w);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	assert_int_equal(shadow_table_level(w->s, ROOT, NULL), 4);
	shadow_forget_table(w->s, ROOT);
	world_roots(w, 0, ROOT, ROOT);
	assert_int_equal(shadow_table_level(w->s, ROOT, NULL), 4);
	shadow_drop_all(w->s);
	world_check(w);
	assert_int_equal(world_stats(w).entries, 0);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	world_end(w);
}

static u32 count_touches(struct world *w, u32 *whole)
{
	struct shadow_touch touches[256];
	u32 n = shadow_touches(w->s, touches, ARRAY_SIZE(touches));

	*whole = 0;
	for (u32 i = 0; i < n; i++)
		*whole += touches[i].index == SHADOW_ENTRIES;
	assert_int_equal(shadow_touches(w->s, touches, 1), 0);
	return n;
}

static void test_touches(void **state)
{
	struct world *w = world_guest(1);
	u64 generation;
	u32 whole;

	(void)state;
	for (u32 i = 0; i < 512; i++)
		w->ram[L1][i] = POINTS(PAGES + i % 100, i < 16 ? E_PAGE : E_PAGE & ~E_D);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	assert_int_equal(count_touches(w, &whole), 0); /* first entries only */
	generation = shadow_generation(w->s);
	reaches(w, 0, SHADOW_KERNEL, AT(20), PTWALK_WRITE, PAGES + 20, 1);
	assert_int_equal(shadow_generation(w->s), generation);
	assert_int_equal(w->touches, 1);
	/* eight of a table are single ones, and one that is touched again is the same */
	for (u32 i = 0; i < 8; i++)
		world_write(w, L1, i, 0);
	for (u32 i = 0; i < 4; i++)
		world_write(w, L1, i, POINTS(PAGES, E_PAGE));
	for (u32 i = 0; i < 4; i++)
		world_write(w, L1, i, 0);
	assert_true(shadow_generation(w->s) > generation);
	assert_int_equal(count_touches(w, &whole), 8);
	assert_int_equal(whole, 0);
	for (u32 i = 16; i < 25; i++)
		world_write(w, L1, i, 0);
	assert_int_equal(count_touches(w, &whole), 1);
	assert_int_equal(whole, 1);
	shadow_forget_table(w->s, L1); /* the table, and the entry that led to it */
	assert_int_equal(count_touches(w, &whole), 2);
	assert_int_equal(whole, 1);
	world_free(w);
}

static void test_create(void **state)
{
	struct world *w = world_guest(1);
	struct shadow_config cfg = w->cfg;
	struct shadow *s;

	(void)state;
	cfg.pages = 21;
	assert_int_equal(shadow_create(&s, &cfg), -EINVAL);
	cfg.pages = 22;
	cfg.nr_cpus = 2;
	assert_int_equal(shadow_create(&s, &cfg), -EINVAL);
	cfg.nr_cpus = 0;
	assert_int_equal(shadow_create(&s, &cfg), -EINVAL);
	cfg.nr_cpus = 1;
	cfg.first = 511;
	assert_int_equal(shadow_create(&s, &cfg), -EINVAL);
	cfg.first = 510;
	cfg.guest.where = NULL;
	assert_int_equal(shadow_create(&s, &cfg), -EINVAL);
	shadow_destroy(NULL);
	world_end(w);
}

/* What is wrong is found: an entry, a link, a table that can be written. */
static void test_self_check(void **state)
{
	struct world *w = world_guest(1);
	u64 *entry = NULL, right;

	(void)state;
	w->ram[L1][0] = POINTS(PAGES, E_PAGE);
	w->ram[L1][1] = POINTS(L1, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_WRITE, PAGES, 1);
	world_check(w);
	for (u32 i = 0; i < w->cfg.pages * 512 && !entry; i++) {
		if ((&w->arena[0][0])[i] >> 20 == 0x50258000u >> 20)
			entry = &(&w->arena[0][0])[i];
	}
	assert_non_null(entry);
	right = *entry;
	for (u32 i = 0; i < 4; i++) {
		const u64 wrong[] = {0, right ^ PAGE_SIZE, right & ~E_D, right | (u64)1 << 51};
		char why[128] = "";

		*entry = wrong[i];
		assert_true(shadow_self_check(w->s, NULL, why));
		assert_true(why[0]);
	}
	*entry = right;
	world_check(w);
	entry[1] |= E_W;
	assert_true(shadow_self_check(w->s, NULL, NULL));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill),	      cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_guest_faults),  cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_views),	      cmocka_unit_test(test_shared_table),
		cmocka_unit_test(test_large),	      cmocka_unit_test(test_gib),
		cmocka_unit_test(test_in_one_piece),  cmocka_unit_test(test_large_written),

		cmocka_unit_test(test_entry_written), cmocka_unit_test(test_frames),
		cmocka_unit_test(test_roots),	      cmocka_unit_test(test_touches),
		cmocka_unit_test(test_create),	      cmocka_unit_test(test_self_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
