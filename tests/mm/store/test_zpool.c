// SPDX-License-Identifier: Apache-2.0
/*
 * The pool against an array of what should be in it. Every object is filled with bytes of its own,
 * so that two that overlap, or one that was moved wrongly, are seen.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "mm/store/zpool.h"

struct object {
	zpool_loc loc; /* 0: free */
	u32 size;
	u8 fill;
};

struct model {
	struct zpool *pool;
	u64 seed, nr_live, payload;
	u32 nr;
	struct object *objects;
};

static void model_init(struct model *m, u32 nr)
{
	*m = (struct model){.seed = 1, .nr = nr, .objects = calloc(nr, sizeof(struct object))};
	assert_non_null(m->objects);
	assert_int_equal(zpool_create(&m->pool, NULL), 0);
}

static void model_fini(struct model *m)
{
	zpool_destroy(m->pool);
	free(m->objects);
}

static void add(struct model *m, u32 i, u32 size)
{
	struct object *o = &m->objects[i];

	o->size = size;
	o->fill = (u8)random_next(&m->seed);
	assert_int_equal(zpool_alloc(m->pool, size, &o->loc), 0);
	assert_int_not_equal(o->loc, 0);
	memset(zpool_ptr(m->pool, o->loc), o->fill, size);
	m->nr_live++;
	m->payload += size;
}

static void check_one(struct model *m, const struct object *o)
{
	const u8 *p = zpool_ptr(m->pool, o->loc);

	assert_int_equal(p[0], o->fill);
	assert_memory_equal(p, p + 1, o->size - 1);
}

static void del(struct model *m, u32 i)
{
	struct object *o = &m->objects[i];

	check_one(m, o);
	zpool_free(m->pool, o->loc);
	m->nr_live--;
	m->payload -= o->size;
	o->loc = 0;
}

static void check_all(struct model *m)
{
	assert_int_equal(zpool_audit(m->pool), m->nr_live);
	for (u32 i = 0; i < m->nr; i++)
		if (m->objects[i].loc)
			check_one(m, &m->objects[i]);
}

static void begin(struct model *m)
{
	for (u32 c = 0; c < zpool_nr_classes(m->pool); c++)
		zpool_compact_begin(m->pool, c);
}

static void end(struct model *m)
{
	for (u32 c = 0; c < zpool_nr_classes(m->pool); c++)
		zpool_compact_end(m->pool, c);
}

/* Returns how many had to move and could not. */
static u32 move_all(struct model *m)
{
	u32 stuck = 0;

	for (u32 i = 0; i < m->nr; i++)
		if (m->objects[i].loc && zpool_must_move(m->pool, m->objects[i].loc))
			stuck += zpool_move(m->pool, &m->objects[i].loc) != 0;
	return stuck;
}

/* Every size there is, several of each, none touching another. */
static void test_sizes(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 4 * PAGE_SIZE);
	for (u32 i = 0; i < m.nr; i++)
		add(&m, i, 1 + i % (u32)PAGE_SIZE);
	check_all(&m);
	for (u32 i = 0; i < m.nr; i += 2)
		del(&m, i);
	check_all(&m);
	for (u32 i = 0; i < m.nr; i += 2)
		add(&m, i, 1 + i % (u32)PAGE_SIZE);
	check_all(&m);
	for (u32 i = 0; i < m.nr; i++)
		del(&m, i);
	assert_int_equal(zpool_audit(m.pool), 0);
	assert_int_equal(zpool_bytes(m.pool), 0);
	model_fini(&m);
}

/* What is lost: rounding, slab ends, and a last slab, for objects of one size at a time. */
static void test_waste(void **state)
{
	(void)state;
	for (u32 size = 64; size <= PAGE_SIZE; size += 61) {
		struct model m;
		u64 bytes;

		model_init(&m, (u32)(2 * MiB / size));
		for (u32 i = 0; i < m.nr; i++)
			add(&m, i, size);
		bytes = zpool_bytes(m.pool);
		assert_true(bytes >= m.payload);
		/* at most a class step each, a hundredth at the ends, a page at the very end */
		assert_in_range(bytes - m.payload, 0,
				m.nr * (size > 1536 ? 31u : 15u) + m.payload / 100 + PAGE_SIZE);
		assert_in_range(zpool_metadata_bytes(m.pool), 1, 32 * KiB);
		model_fini(&m);
	}
}

static void test_random(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 3000);
	for (u32 step = 0; step < 60000; step++) {
		u32 i = (u32)random_below(&m.seed, m.nr);
		/* few sizes at first, so that slabs fill; then any */
		u32 size = 1 + (u32)random_below(&m.seed, step < 30000 ? 8 : PAGE_SIZE);

		if (m.objects[i].loc)
			del(&m, i);
		else
			add(&m, i, step < 30000 ? size * 480 : size);
		if (step % 5000 == 0)
			check_all(&m);
	}
	check_all(&m);
	model_fini(&m);
}

/* After compaction, all of a class but its last slab are full, to the page. */
static void test_compact(void **state)
{
	static const u32 sizes[] = {40, 700, 1072, 2064, 3000, 4096};
	struct model m;
	u64 before, promised;

	(void)state;
	model_init(&m, 6000);
	for (u32 round = 0; round < 4; round++) {
		for (u32 i = 0; i < m.nr; i++)
			if (!m.objects[i].loc)
				add(&m, i, sizes[random_below(&m.seed, ARRAY_SIZE(sizes))]);
		for (u32 i = 0; i < m.nr; i++)
			if (random_below(&m.seed, 5) > round)
				del(&m, i);
		before = zpool_bytes(m.pool);
		promised = zpool_compactable(m.pool);
		assert_true(promised);
		begin(&m);
		assert_int_equal(move_all(&m), 0);
		assert_int_equal(move_all(&m), 0);
		end(&m);
		check_all(&m);
		assert_int_equal(before - zpool_bytes(m.pool), promised);
		assert_int_equal(zpool_compactable(m.pool), 0);
		assert_in_range(zpool_bytes(m.pool), m.payload,
				m.payload + m.payload / 50 + ARRAY_SIZE(sizes) * PAGE_SIZE);
	}
	model_fini(&m);
}

/* Allocating and freeing between the steps of a compaction, which may then remain undone. */
static void test_compact_meanwhile(void **state)
{
	struct model m;
	u32 moved = 0;

	(void)state;
	model_init(&m, 4000);
	for (u32 round = 0; round < 40; round++) {
		for (u32 n = 0; n < 3000; n++) {
			u32 i = (u32)random_below(&m.seed, m.nr);

			if (m.objects[i].loc)
				del(&m, i);
			else
				add(&m, i, 500 * (1 + (u32)random_below(&m.seed, 8)));
		}
		begin(&m);
		for (u32 n = 0; n < 6000; n++) {
			u32 i = (u32)random_below(&m.seed, m.nr);
			struct object *o = &m.objects[i];

			if (o->loc && zpool_must_move(m.pool, o->loc))
				moved += !zpool_move(m.pool, &o->loc);
			else if (o->loc && n % 5 == 0)
				del(&m, i);
			else if (!o->loc && n % 3 == 0)
				add(&m, i, 500 * (1 + (u32)random_below(&m.seed, 8)));
			if (n % 2000 == 0)
				zpool_audit(m.pool);
		}
		if (round % 2)
			move_all(&m);
		end(&m);
		check_all(&m);
	}
	assert_true(moved > 1000);
	model_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_waste),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_compact_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
