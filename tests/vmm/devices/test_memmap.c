// SPDX-License-Identifier: Apache-2.0
/* The address map against what it must say of each address, for guests of every shape. */
#include "tests/lib/test.h"

#include "vmm/devices/memmap.h"

static const u64 sizes[] = {16 * MiB,	       18 * MiB, 3 * GiB - 2 * MiB, 3 * GiB,
			    3 * GiB + 2 * MiB, 8 * GiB,	 1024 * GiB};

struct map {
	struct space *space;
	struct memmap_entry entries[MEMMAP_MAX_ENTRIES];
	unsigned int nr;
};

static struct map map_of(u64 size)
{
	struct map m;

	assert_int_equal(space_create(&m.space, size, SPACE_MEMFD), 0);
	m.nr = memmap_build(m.space, m.entries);
	assert_in_range(m.nr, 1, MEMMAP_MAX_ENTRIES);
	return m;
}

/* The type of the entry that @at lies in; 0: none. */
static u32 type_at(const struct map *m, u64 at)
{
	for (unsigned int i = 0; i < m->nr; i++)
		if (at >= m->entries[i].start && at - m->entries[i].start < m->entries[i].size)
			return m->entries[i].type;
	return 0;
}

/* What memmap.h draws, written down a second time. */
static u32 expected_type(u64 size, u64 at)
{
	u64 below = size < 3 * GiB ? size : 3 * GiB;

	if (at < 0x9fc00 || (at >= 1 * MiB && at < below))
		return MEMMAP_RAM;
	if (at < 0xa0000 || (at >= 0xe0000 && at < 1 * MiB))
		return MEMMAP_RESERVED;
	if (at >= 0xfffbc000 && at < 0xfffc0000)
		return MEMMAP_RESERVED;
	return at >= 4 * GiB && at - 4 * GiB < size - below ? MEMMAP_RAM : 0;
}

static void test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct map m = map_of(sizes[i]);

		/* every page of the first MiB, then both sides of each edge that there is */
		for (u64 at = 0; at < 2 * MiB; at += 0x400)
			assert_int_equal(type_at(&m, at), expected_type(sizes[i], at));
		for (unsigned int e = 0; e < m.nr; e++)
			for (int side = 0; side < 4; side++) {
				u64 edge = m.entries[e].start + (side < 2 ? 0 : m.entries[e].size) -
					   (side & 1);

				assert_int_equal(type_at(&m, edge), expected_type(sizes[i], edge));
			}
		for (u64 at = 0; at < 6 * GiB; at += 1 * MiB)
			assert_int_equal(type_at(&m, at), expected_type(sizes[i], at));
		space_destroy(m.space);
	}
}

static void test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct map m = map_of(sizes[i]);

		for (unsigned int e = 0; e < m.nr; e++) {
			assert_true(m.entries[e].size > 0);
			if (e)
				assert_true(m.entries[e].start >=
					    m.entries[e - 1].start + m.entries[e - 1].size);
		}
		space_destroy(m.space);
	}
}

/* All RAM is told of, but for what lies between 0x9fc00 and 1 MiB. */
static void test_sum(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct map m = map_of(sizes[i]);
		u64 sum = 0;

		for (unsigned int e = 0; e < m.nr; e++)
			if (m.entries[e].type == MEMMAP_RAM)
				sum += m.entries[e].size;
		assert_int_equal(sum, sizes[i] - (1 * MiB - 0x9fc00));
		space_destroy(m.space);
	}
}

/* A range may be loaded just if each page of it is free RAM, and no edge is crossed. */
static void test_loadable(void **state)
{
	struct map m = map_of(3 * GiB + 2 * MiB);
	static const struct {
		u64 start, len;
		bool loadable;
	} cases[] = {
		{0, 1, false},
		{0x6000, 1, false},
		{0xffff, 1, false},
		{0xf000, 0x1000, false},
		{0xffff, 2, false},
		{0x10000, 1, true},
		{0x10000, 0x8fc00, true},
		{0x10000, 0x8fc01, false},
		{0x9fbff, 1, true},
		{0x9fc00, 1, false},
		{0xe0000, 0x20000, false},
		{0xfffff, 1, false},
		{0xfffff, 2, false},
		{0x100000, 1, true},
		{0x100000, 3 * GiB - 1 * MiB, true},
		{0x100000, 3 * GiB - 1 * MiB + 1, false},
		{0x10000, 1 * GiB, false},
		{3 * GiB, 1, false},
		{3 * GiB - 1, 1, true},
		{3 * GiB - 1, 2, false},
		{3 * GiB - 1, 1 * GiB + 2, false},
		{4 * GiB - 1, 2, false},
		{4 * GiB, 2 * MiB, true},
		{4 * GiB, 2 * MiB + 1, false},
		{4 * GiB + 2 * MiB, 1, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX, UINT64_MAX, false},
		{1 * MiB, UINT64_MAX, false},
		{1 * MiB, UINT64_MAX - 1 * MiB + 1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (memmap_is_loadable(m.space, gpa(cases[i].start), cases[i].len) !=
		    cases[i].loadable)
			fail_msg("case %zu is wrong", i);
	space_destroy(m.space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_loadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
