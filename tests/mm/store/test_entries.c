// SPDX-License-Identifier: Apache-2.0
/*
 * The store's entries and their index against an array, while both grow to many and shrink to none.
 * Checksums are drawn from few values, so that chains hold equal ones.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "mm/store/entries.h"

#define NR 40000u

/* Entry i of the model has the checksum of number[i]. */
struct model {
	struct entries t;
	entry_id id[NR];
	u64 number[NR];
	u32 nr, indexed;
	bool in_index[NR];
};

static struct codec_sum sum_of(u64 number)
{
	u64 mixed = random_mix(number);

	return (struct codec_sum){.word = {(u32)number, 0, (u32)mixed, (u32)(mixed >> 32)}};
}

static void add(struct model *m, u32 i, u64 number)
{
	assert_int_equal(entries_alloc(&m->t, ENTRY_POOL, &m->id[i]), 0);
	assert_int_not_equal(m->id[i], 0);
	entries_at(&m->t, m->id[i])->sum = sum_of(number);
	entries_at(&m->t, m->id[i])->loc = i;
	entries_index(&m->t, m->id[i]);
	m->number[i] = number;
	m->in_index[i] = true;
	m->indexed++;
	m->nr++;
}

static void del(struct model *m, u32 i)
{
	assert_int_equal(entries_at(&m->t, m->id[i])->loc, i);
	if (m->in_index[i]) {
		entries_unindex(&m->t, m->id[i]);
		m->indexed--;
	}
	entries_free(&m->t, m->id[i]);
	m->id[i] = 0;
	m->nr--;
}

static void unindex(struct model *m, u32 i)
{
	if (!m->in_index[i])
		return;
	entries_unindex(&m->t, m->id[i]);
	m->in_index[i] = false;
	m->indexed--;
}

/* What is found is indexed, of that kind and checksum; what is indexed is found. */
static void check_found(struct model *m, u32 i)
{
	struct codec_sum sum = sum_of(m->number[i]);
	entry_id id = entries_find(&m->t, &sum, ENTRY_POOL);

	assert_int_equal(entries_find(&m->t, &sum, ENTRY_PATTERN), 0);
	if (m->in_index[i])
		assert_int_not_equal(id, 0);
	if (id) {
		u32 j = entries_at(&m->t, id)->loc;

		assert_int_equal(m->id[j], id);
		assert_true(m->in_index[j]);
		assert_int_equal(m->number[j], m->number[i]);
	}
}

static void check_all(struct model *m)
{
	u32 seen = 0;

	assert_int_equal(entries_audit(&m->t), m->indexed);
	for (entry_id id = entries_next(&m->t, 1); id < entries_end(&m->t);
	     id = entries_next(&m->t, id + 1), seen++)
		assert_int_equal(m->id[entries_at(&m->t, id)->loc], id);
	assert_int_equal(seen, m->nr);
	for (u32 i = 0; i < NR; i++)
		if (m->id[i])
			check_found(m, i);
}

static void test_random(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	u64 seed = 1, least, most = 0;

	(void)state;
	assert_non_null(m);
	assert_int_equal(entries_init(&m->t), 0);
	least = entries_bytes(&m->t);
	for (u32 step = 0; step < 400000; step++) {
		u32 i = (u32)random_below(&seed, NR);
		/* mostly more in the first half, mostly fewer in the second */
		bool want = random_below(&seed, 100) < (step < 200000 ? 90 : 10);

		if (want && !m->id[i])
			add(m, i, random_below(&seed, 3 * NR / 2));
		else if (!want && m->id[i] && step % 3 == 0)
			unindex(m, i);
		else if (!want && m->id[i])
			del(m, i);
		if (step % 40000 == 0)
			check_all(m);
		most = MAX(most, entries_bytes(&m->t));
	}
	assert_in_range(most, least + 20000 * 30, least + NR * 34);
	for (u32 i = 0; i < NR; i++)
		if (m->id[i])
			del(m, i);
	check_all(m);
	assert_in_range(entries_bytes(&m->t), least, least + 128 * KiB);
	entries_fini(&m->t);
	free(m);
}

/* An entry with all the references that it can count is passed over for the next. */
static void test_full(void **state)
{
	struct codec_sum sum = sum_of(7);
	struct entries t;
	entry_id a, b;

	(void)state;
	assert_int_equal(entries_init(&t), 0);
	assert_int_equal(entries_alloc(&t, ENTRY_POOL, &a), 0);
	assert_int_equal(entries_alloc(&t, ENTRY_POOL, &b), 0);
	entries_at(&t, a)->sum = entries_at(&t, b)->sum = sum;
	entries_index(&t, a);
	entries_at(&t, a)->refs = ENTRY_MAX_REFS - 1;
	assert_int_equal(entries_find(&t, &sum, ENTRY_POOL), a);
	entries_at(&t, a)->refs = ENTRY_MAX_REFS;
	assert_int_equal(entries_find(&t, &sum, ENTRY_POOL), 0);
	entries_index(&t, b);
	assert_int_equal(entries_find(&t, &sum, ENTRY_POOL), b);
	entries_at(&t, b)->refs = ENTRY_MAX_REFS;
	entries_at(&t, a)->refs = 1;
	assert_int_equal(entries_find(&t, &sum, ENTRY_POOL), a);
	entries_fini(&t);
}

/* A stale id is answered, not followed into memory that is gone. */
static void test_live(void **state)
{
	struct entries t;
	entry_id id, last = 0;

	(void)state;
	assert_int_equal(entries_init(&t), 0);
	assert_false(entries_live(&t, 1));
	assert_false(entries_live(&t, 1u << 31));
	for (u32 i = 0; i < 5000; i++) {
		assert_int_equal(entries_alloc(&t, ENTRY_POOL, &id), 0);
		assert_true(entries_live(&t, id));
		last = MAX(last, id);
	}
	for (id = entries_next(&t, 1); id < entries_end(&t); id = entries_next(&t, id + 1))
		entries_free(&t, id);
	assert_false(entries_live(&t, 1));
	assert_false(entries_live(&t, last));
	assert_false(entries_live(&t, last + 1));
	assert_int_equal(t.nr_used, 1);
	entries_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
