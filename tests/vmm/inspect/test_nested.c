// SPDX-License-Identifier: Apache-2.0
/*
 * The second step's entries: every state and protection of a page, against a table of what they
 * must say; the shape of memory, by enumeration of its edges. What the engine knows is the test's.
 */
#include "mm/engine/stats.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/inspect/nested.h"

#define SIZE	 (4 * GiB) /* 1 GiB of it above the hole */
#define NR_PAGES (SIZE >> PAGE_SHIFT)
#define EDGE	 (1 * GiB)

#define R NESTED_READ
#define W NESTED_WRITE
#define X NESTED_EXECUTE
#define A NESTED_ACCESSED
#define D NESTED_DIRTY
#define M NESTED_WRITE_BACK

/* The engine: one page that is something, all others absent. */
static struct mem_page one;
static u64 one_no;

int mem_get_pages(struct mem *mem, page_no no, u32 n, struct mem_page *pages)
{
	assert_non_null(mem);
	if (!range_fits(no, n, NR_PAGES))
		return -EINVAL;
	memset(pages, 0, n * sizeof(pages[0]));
	if (one_no - no < n)
		pages[one_no - no] = one;
	return 0;
}

static struct nested open_map(enum space_backing backing, bool engine)
{
	struct space *space;

	assert_int_equal(space_create(&space, SIZE, backing), 0);
	return (struct nested){.space = space, .mem = engine ? (struct mem *)&one : NULL};
}

static void close_map(struct nested *map)
{
	space_destroy((struct space *)map->space);
}

static struct nested_walk walk(const struct nested *map, u64 at)
{
	struct nested_walk w;

	nested_walk(map, gpa(at), &w);
	return w;
}

/* The bits that the last entry must have, without its address. */
static u64 expected_bits(enum page_state state, unsigned int protect)
{
	static const u64 bits[PAGE_NR_STATES] = {
		[PAGE_RESIDENT] = R | W | X | M | A | D,
		[PAGE_IDLE] = R | W | X | M | D,
		[PAGE_EVICTING] = R | W | X | M | D,
	};
	u64 expected = bits[state];

	if (protect)
		expected &= ~W;
	if (protect & (PAGE_PROTECT_EVICT | PAGE_PROTECT_TRACK))
		expected &= ~D;
	return expected;
}

static void check_way(const struct nested_walk *w, u64 at, u64 bits)
{
	u64 accessed = bits & A;

	assert_int_equal(w->nr_steps, 4);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(w->steps[i].level, 4 - i);
		assert_int_equal(w->steps[i].index, at >> (39 - 9 * i) & 511);
	}
	assert_int_equal(w->steps[0].entry, R | W | X | A);
	assert_int_equal(w->steps[1].entry, R | W | X | A);
	assert_int_equal(w->steps[2].entry, R | W | X | accessed);
	assert_int_equal(w->steps[3].entry, bits ? bits | (at & ~(PAGE_SIZE - 1)) : 0);
	assert_int_equal(w->machine.v, at);
	assert_int_equal(w->shift, 12);
}

static void each_state_has_its_entry(void **state)
{
	const u64 at[] = {0x0,
			  0x1fffff,
			  0x200abc,
			  SPACE_HOLE_START - 1,
			  SPACE_HOLE_END,
			  SPACE_HOLE_END + EDGE - 1};
	struct nested map = open_map(SPACE_MEMFD, true);

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		assert_true(space_page_of(map.space, gpa(at[i]), 1, &one_no));
		for (int s = 0; s < PAGE_NR_STATES; s++)
			for (unsigned int protect = 0; protect < 16; protect++) {
				struct nested_walk w;

				one = (struct mem_page){.state = s, .protect = protect};
				w = walk(&map, at[i]);
				assert_int_equal(w.kind, NESTED_PAGE);
				assert_string_equal(nested_state_name(&w), page_state_names[s]);
				check_way(&w, at[i], expected_bits(s, protect));
			}
	}
	close_map(&map);
}

/* What the engine knows of a page is handed on, also where no entry shows it. */
static void the_page_itself_is_told(void **state)
{
	struct nested map = open_map(SPACE_MEMFD, true);
	struct nested_walk w;

	(void)state;
	one_no = 7;
	one = (struct mem_page){.state = PAGE_ABSENT, .in_origin = true, .owed = true};
	w = walk(&map, 7 * PAGE_SIZE);
	assert_true(w.page.in_origin && w.page.owed);
	assert_false(walk(&map, 8 * PAGE_SIZE).page.in_origin);
	close_map(&map);
}

/* Accessed at level 2 is of its 512 pages, and of no other. */
static void a_table_is_accessed_with_its_pages(void **state)
{
	struct nested map = open_map(SPACE_MEMFD, true);

	(void)state;
	one = (struct mem_page){.state = PAGE_RESIDENT};
	for (one_no = 511; one_no < 1026; one_no++) {
		bool first = one_no < 512, third = one_no >= 1024;

		assert_int_equal(walk(&map, 0).steps[2].entry & A, first ? A : 0);
		assert_int_equal(walk(&map, 2 * MiB).steps[2].entry & A, first || third ? 0 : A);
		assert_int_equal(walk(&map, 4 * MiB).steps[2].entry & A, third ? A : 0);
	}
	one.state = PAGE_IDLE;
	one_no = 0;
	assert_int_equal(walk(&map, 0).steps[2].entry, R | W | X);
	close_map(&map);
}

/* How far a way goes that leads nowhere. */
static void holes_have_no_entry(void **state)
{
	static const struct {
		u64 at;
		u32 nr_steps;
	} holes[] = {
		{SPACE_HOLE_START, 2}, {SPACE_HOLE_END - 1, 2}, {SPACE_HOLE_END + EDGE, 2},
		{511 * GiB, 2},	       {512 * GiB, 1},		{((u64)1 << 48) - 1, 1},
		{(u64)1 << 48, 0},     {((u64)1 << 52) - 1, 0}, {UINT64_MAX, 0},
	};
	struct nested map = open_map(SPACE_MEMFD, true);

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(holes); i++) {
		struct nested_walk w = walk(&map, holes[i].at);

		assert_int_equal(w.kind, NESTED_HOLE);
		assert_string_equal(nested_state_name(&w), "no memory");
		assert_int_equal(w.nr_steps, holes[i].nr_steps);
		for (u32 k = 0; k < w.nr_steps; k++)
			assert_int_equal(!w.steps[k].entry, k == w.nr_steps - 1);
	}
	close_map(&map);
}

static void frames_are_where_they_are(void **state)
{
	const u64 first_high = SPACE_HOLE_END >> PAGE_SHIFT;
	const struct {
		u64 frame;
		bool there;
	} frames[] = {
		{0, true},
		{(SPACE_HOLE_START >> PAGE_SHIFT) - 1, true},
		{SPACE_HOLE_START >> PAGE_SHIFT, false},
		{first_high - 1, false},
		{first_high, true},
		{first_high + (EDGE >> PAGE_SHIFT) - 1, true},
		{first_high + (EDGE >> PAGE_SHIFT), false},
		{(u64)1 << 52, false}, /* as an address it would wrap to 0 */
		{UINT64_MAX, false},
	};
	struct nested map = open_map(SPACE_MEMFD, true);

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(frames); i++) {
		gfn_t frame = {frames[i].frame};
		gpa_t at = gpa(1);

		assert_int_equal(nested_where(map.space, frame, &at), frames[i].there);
		assert_int_equal(at.v, frames[i].there ? frame.v << PAGE_SHIFT : 1);
	}
	close_map(&map);
}

static void without_an_engine_all_is_mapped(void **state)
{
	struct nested map = open_map(SPACE_ANON, false);
	struct nested_count counts[NESTED_NR_SIZES];
	struct nested_walk w = walk(&map, 0x12345678);

	(void)state;
	assert_int_equal(w.kind, NESTED_MAPPED);
	assert_string_equal(nested_state_name(&w), "mapped");
	assert_int_equal(w.nr_steps, 4);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(w.steps[i].entry, R | W | X);
	assert_int_equal(w.steps[3].entry, 0x12345000 | R | W | X | M);
	assert_int_equal(walk(&map, SPACE_HOLE_START).kind, NESTED_HOLE);
	nested_count(&map, counts);
	assert_int_equal(counts[NESTED_4K].present, NR_PAGES);
	assert_int_equal(counts[NESTED_4K].writable, NR_PAGES);
	assert_int_equal(counts[NESTED_4K].accessed, 0);
	assert_int_equal(counts[NESTED_2M].present, 0);
	close_map(&map);
}

/* What memory is really made of does not matter here, and few hosts have huge pages to spare. */
static void huge_pages_are_large_entries(void **state)
{
	struct nested map = open_map(SPACE_ANON, false);
	struct nested_count counts[NESTED_NR_SIZES];
	struct nested_walk w;

	(void)state;
	map.huge = true;
	w = walk(&map, SPACE_HOLE_END + 0x345678);
	assert_int_equal(w.nr_steps, 3);
	assert_int_equal(w.shift, 21);
	assert_int_equal(w.machine.v, SPACE_HOLE_END + 0x345678);
	assert_int_equal(w.steps[2].entry,
			 (SPACE_HOLE_END + 2 * MiB) | R | W | X | M | NESTED_LARGE);
	nested_count(&map, counts);
	assert_int_equal(counts[NESTED_2M].present, NR_PAGES / 512);
	assert_int_equal(counts[NESTED_4K].present, 0);
	close_map(&map);
}

static void all_entries_are_counted(void **state)
{
	struct nested map = open_map(SPACE_MEMFD, true);
	struct nested_count c[NESTED_NR_SIZES];

	(void)state;
	one_no = NR_PAGES - 1;
	for (int s = 0; s < PAGE_NR_STATES; s++)
		for (unsigned int protect = 0; protect < 16; protect++) {
			u64 bits = expected_bits(s, protect);

			one = (struct mem_page){.state = s, .protect = protect};
			nested_count(&map, c);
			assert_int_equal(c[NESTED_4K].present, !!(bits & R));
			assert_int_equal(c[NESTED_4K].writable, !!(bits & W));
			assert_int_equal(c[NESTED_4K].accessed, !!(bits & A));
			assert_int_equal(c[NESTED_4K].dirty, !!(bits & D));
			assert_int_equal(c[NESTED_2M].present, 0);
		}
	close_map(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_has_its_entry),
		cmocka_unit_test(the_page_itself_is_told),
		cmocka_unit_test(a_table_is_accessed_with_its_pages),
		cmocka_unit_test(holes_have_no_entry),
		cmocka_unit_test(frames_are_where_they_are),
		cmocka_unit_test(without_an_engine_all_is_mapped),
		cmocka_unit_test(huge_pages_are_large_entries),
		cmocka_unit_test(all_entries_are_counted),
	};

	return cmocka_run_group_tests_name("nested", tests, NULL, NULL);
}
