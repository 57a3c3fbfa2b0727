// SPDX-License-Identifier: Apache-2.0
/* Guest memory: its shape for every size, and the door against a naive model of what is RAM. */
#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "mm/space.h"

static struct space *create(u64 size, enum space_backing backing)
{
	struct space *s = NULL;

	assert_int_equal(space_create(&s, size, backing), 0);
	assert_non_null(s);
	return s;
}

static void test_bad_sizes(void **state)
{
	static const u64 bad[] = {0,
				  1,
				  PAGE_SIZE,
				  SPACE_MIN_SIZE - 2 * MiB,
				  SPACE_MIN_SIZE + PAGE_SIZE,
				  SPACE_MAX_SIZE + 2 * MiB,
				  UINT64_MAX,
				  UINT64_MAX - 2 * MiB + 1};
	struct space *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(space_create(&s, bad[i], SPACE_MEMFD), -EINVAL);
}

/* Slots cover the size, in order, around the hole. */
static void test_shape(void **state)
{
	static const u64 sizes[] = {SPACE_MIN_SIZE,
				    64 * MiB,
				    SPACE_HOLE_START - 2 * MiB,
				    SPACE_HOLE_START,
				    SPACE_HOLE_START + 2 * MiB,
				    8 * GiB};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct space *s = create(sizes[i], SPACE_MEMFD);
		u64 total = 0;

		assert_int_equal(space_nr_slots(s), sizes[i] > SPACE_HOLE_START ? 2 : 1);
		for (unsigned int n = 0; n < space_nr_slots(s); n++) {
			const struct space_slot *slot = space_slot(s, n);

			assert_int_equal(slot->start.v, n ? SPACE_HOLE_END : 0);
			assert_int_equal(slot->offset, total);
			assert_int_equal((uintptr_t)slot->guest % (2 * MiB), 0);
			total += slot->size;
		}
		assert_int_equal(total, sizes[i]);
		space_destroy(s);
	}
}

/* Whether [start, start + len) is RAM of a guest with a slot of @below bytes and one of @above. */
static bool model(u64 start, u64 len, u64 below, u64 above)
{
	unsigned __int128 end = (unsigned __int128)start + len;

	return end <= below ||
	       (start >= SPACE_HOLE_END && end <= (unsigned __int128)SPACE_HOLE_END + above);
}

static void test_door(void **state)
{
	const u64 above = 2 * MiB;
	struct space *s = create(SPACE_HOLE_START + above, SPACE_MEMFD);
	const u64 edges[] = {0,
			     PAGE_SIZE,
			     SPACE_HOLE_START,
			     SPACE_HOLE_END,
			     SPACE_HOLE_END + above,
			     UINT64_MAX - PAGE_SIZE,
			     UINT64_MAX};
	const u64 lengths[] = {0,
			       1,
			       PAGE_SIZE,
			       above,
			       SPACE_HOLE_START,
			       SPACE_HOLE_END,
			       UINT64_MAX / 2,
			       UINT64_MAX - 1,
			       UINT64_MAX};
	unsigned int inside = 0;

	(void)state;
	for (size_t e = 0; e < ARRAY_SIZE(edges); e++)
		for (s64 d = -2; d <= 2; d++)
			for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
				u64 start = edges[e] + (u64)d;
				bool want = model(start, lengths[l], SPACE_HOLE_START, above);

				assert_int_equal(space_ptr(s, gpa(start), lengths[l]) != NULL,
						 want);
				assert_int_equal(space_ptr_mut(s, gpa(start), lengths[l]) != NULL,
						 want);
				inside += want;
			}
	assert_true(inside > 20);
	space_destroy(s);
}

/* Both mappings show the same bytes, and slots do not alias each other. */
static void check_contents(enum space_backing backing)
{
	struct space *s = create(SPACE_HOLE_START + 2 * MiB, backing);
	const char low[] = "below the hole", high[] = "above the hole";
	char back[sizeof(low)];

	assert_int_equal(space_write(s, gpa(SPACE_HOLE_START - sizeof(low)), low, sizeof(low)), 0);
	assert_int_equal(space_write(s, gpa(SPACE_HOLE_END), high, sizeof(high)), 0);
	assert_int_equal(space_write(s, gpa(SPACE_HOLE_START - 1), low, 2), -EFAULT);
	assert_int_equal(space_read(s, gpa(SPACE_HOLE_START), back, 1), -EFAULT);
	assert_int_equal(space_read(s, gpa(SPACE_HOLE_START - sizeof(low)), back, sizeof(back)), 0);
	assert_string_equal(back, low);
	assert_memory_equal(space_slot(s, 1)->guest, high, sizeof(high));
	space_destroy(s);
}

static void test_contents(void **state)
{
	(void)state;
	check_contents(SPACE_MEMFD);
	check_contents(SPACE_ANON);
}

static void test_punch(void **state)
{
	struct space *s = create(SPACE_MIN_SIZE, SPACE_MEMFD);
	u64 before, after;
	char byte = 1;

	(void)state;
	for (u64 at = 0; at < MiB; at += PAGE_SIZE)
		assert_int_equal(space_write(s, gpa(at), &byte, 1), 0);
	assert_int_equal(space_resident(s, &before), 0);
	assert_true(before >= MiB);
	assert_int_equal(space_punch(s, gpa(PAGE_SIZE), MiB / 2), 0);
	assert_int_equal(space_resident(s, &after), 0);
	assert_int_equal(before - after, MiB / 2);
	assert_int_equal(space_read(s, gpa(PAGE_SIZE), &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(space_read(s, gpa(0), &byte, 1), 0);
	assert_int_equal(byte, 1);
	assert_int_equal(space_punch(s, gpa(1), PAGE_SIZE), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), 1), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), SPACE_MIN_SIZE + PAGE_SIZE), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), 0), 0);
	space_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_sizes), cmocka_unit_test(test_shape),
		cmocka_unit_test(test_door),	  cmocka_unit_test(test_contents),
		cmocka_unit_test(test_punch),
	};

	return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
