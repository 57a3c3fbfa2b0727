// SPDX-License-Identifier: Apache-2.0
/*
 * The store against an array of which page each reference stands for: random operations with a tier
 * below that fails now and then, operations in the middle of a demotion, and several threads.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "tests/mm/store/store_fixture.h"

/* ---- Random operations ---- */

#define NR_REFS	   3000u
#define NR_NUMBERS 4000u

struct model {
	store_id id[NR_REFS];
	u64 number[NR_REFS];
	u32 pages;
	u64 seed;
};

/* One more reference to what @from stands for becomes @to. */
static void random_ref(struct fixture *f, struct model *m, u32 from, u32 to)
{
	assert_int_equal(store_ref(f->store, m->id[from], &m->id[to]), 0);
	assert_int_equal(m->id[to], m->id[from]);
	m->number[to] = m->number[from];
	m->pages++;
}

static void random_step(struct fixture *f, struct model *m)
{
	u32 i = (u32)random_below(&m->seed, NR_REFS);
	u32 to = (u32)random_below(&m->seed, NR_REFS);
	u64 other = random_below(&m->seed, NR_NUMBERS);

	if (!m->id[i]) {
		m->number[i] = other;
		m->id[i] = fixture_put(f, other);
		m->pages++;
	} else if (other % 4 == 0) {
		store_drop(f->store, m->id[i]);
		m->id[i] = STORE_NONE;
		m->pages--;
	} else if (other % 4 == 1) {
		make_page(f->page, m->number[i]);
		assert_true(store_same(f->store, m->id[i], f->page));
		f->page[other % PAGE_WORDS] ^= 1;
		assert_false(store_same(f->store, m->id[i], f->page));
	} else if (other % 8 == 2 && !m->id[to]) {
		random_ref(f, m, i, to);
	} else if (other % 8 == 3) {
		fixture_export(f, m->id[i], m->number[i]);
	} else {
		fixture_get(f, m->id[i], m->number[i]);
	}
}

static void random_demote(struct fixture *f, struct model *m)
{
	static const int errors[] = {0, 0, 0, -ENOSPC, -EIO};
	struct store_stats before, after;
	s64 ret;

	store_get_stats(f->store, &before);
	f->fake->write_error = errors[random_below(&m->seed, ARRAY_SIZE(errors))];
	ret = store_demote(f->store, random_below(&m->seed, 600 * KiB));
	store_get_stats(f->store, &after);
	if (f->fake->write_error) {
		assert_true(ret >= 0 || ret == f->fake->write_error);
		assert_int_equal(after.tier_entries, before.tier_entries);
		assert_int_equal(after.payload_bytes, before.payload_bytes);
	} else {
		assert_true(ret >= 0);
		assert_int_equal(before.payload_bytes - after.payload_bytes,
				 after.tier_bytes - before.tier_bytes);
	}
	assert_int_equal(after.tier_bytes, f->fake->bytes);
	assert_int_equal(after.tier_entries, f->fake->live);
}

static void test_random(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	struct model *m = calloc(1, sizeof(*m));
	struct store_stats s;

	(void)state;
	assert_non_null(m);
	m->seed = 1;
	for (u32 step = 0; step < 60000; step++) {
		random_step(f, m);
		if (step % 500 == 0)
			random_demote(f, m);
		if (step % 700 == 0)
			store_compact(f->store);
		if (step % 10000 == 0) {
			store_audit(f->store);
			store_get_stats(f->store, &s);
			assert_int_equal(s.pages, m->pages);
			assert_int_equal(store_bytes(f->store), s.pool_bytes + s.metadata_bytes);
		}
	}
	store_get_stats(f->store, &s);
	assert_true(s.tier_reads && s.tier_writes && s.compactions && s.moved && s.shared);
	for (u32 i = 0; i < NR_REFS; i++) {
		if (!m->id[i])
			continue;
		fixture_get(f, m->id[i], m->number[i]);
		store_drop(f->store, m->id[i]);
	}
	fixture_free(f);
	free(m);
}

/* ---- What happens while a group is being written ---- */

struct meanwhile {
	struct fixture *f;
	store_id id[60];
	store_id added;
	bool done;
};

static void meddle(void *opaque)
{
	struct meanwhile *m = opaque;

	if (m->done)
		return;
	m->done = true;
	for (u32 i = 0; i < 20; i++)
		store_drop(m->f->store, m->id[i]);
	/* dropped, on its way down: must not be found again, nor its id be given away */
	m->added = fixture_put(m->f, number_of(2, 0));
	for (u32 i = 20; i < 40; i++) {
		assert_int_equal(fixture_put(m->f, number_of(2, i)), m->id[i]); /* still shared */
		fixture_get(m->f, m->id[i], number_of(2, i));
	}
	store_compact(m->f->store);
	store_audit(m->f->store);
}

static void test_meanwhile(void **state)
{
	(void)state;
	for (int error = 0; error >= -EIO; error -= EIO) {
		struct fixture *f = fixture_new(true, 0, false);
		struct meanwhile m = {.f = f};

		for (u32 i = 0; i < 60; i++)
			m.id[i] = fixture_put(f, number_of(2, i));
		f->fake->during_write = meddle;
		f->fake->opaque = &m;
		f->fake->write_error = error;
		store_demote(f->store, 200 * KiB);
		assert_true(m.done);
		store_audit(f->store);
		for (u32 i = 0; i < 20; i++)
			assert_int_not_equal(m.added, m.id[i]);
		fixture_get(f, m.added, number_of(2, 0));
		for (u32 i = 20; i < 60; i++) {
			fixture_get(f, m.id[i], number_of(2, i));
			store_drop(f->store, m.id[i]);
			if (i < 40)
				store_drop(f->store, m.id[i]);
		}
		store_drop(f->store, m.added);
		fixture_free(f);
	}
}

/* ---- Threads ---- */

#define NR_THREADS 3
#define NR_MINE	   300

struct worker {
	struct fixture *f;
	u64 seed;
	pthread_t thread;
};

/* A reference of one's own, its contents as they are kept, and away with it. */
static void work_on_copy(struct store *store, store_id id, const u64 *page)
{
	struct codec_block block;
	u8 room[PAGE_SIZE];
	u64 back[PAGE_WORDS];
	store_id ref;

	assert_int_equal(store_ref(store, id, &ref), 0);
	assert_int_equal(store_export(store, ref, &block, room), 0);
	if (block.kind == CODEC_PACKED) {
		assert_int_equal(codec_unpack(room, block.size, back), 0);
		assert_memory_equal(page, back, PAGE_SIZE);
	} else if (block.kind == CODEC_RAW) {
		assert_memory_equal(page, room, PAGE_SIZE);
	} else {
		assert_int_equal(block.value, page[0]);
	}
	store_drop(store, ref);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	store_id id[NR_MINE] = {0};
	u64 number[NR_MINE] = {0}, page[PAGE_WORDS], back[PAGE_WORDS];

	for (u32 step = 0; step < 12000; step++) {
		u64 i = random_below(&w->seed, NR_MINE);

		if (!id[i]) {
			number[i] = random_below(&w->seed, 500);
			make_page(page, number[i]);
			assert_int_equal(store_put(w->f->store, page, &id[i]), 0);
		} else if (step % 3) {
			make_page(page, number[i]);
			assert_int_equal(store_get(w->f->store, id[i], back), 0);
			assert_memory_equal(page, back, PAGE_SIZE);
			assert_true(store_same(w->f->store, id[i], page));
			work_on_copy(w->f->store, id[i], page);
		} else {
			store_drop(w->f->store, id[i]);
			id[i] = STORE_NONE;
		}
	}
	for (u32 i = 0; i < NR_MINE; i++)
		if (id[i])
			store_drop(w->f->store, id[i]);
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	struct worker workers[NR_THREADS];

	(void)state;
	for (u32 i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){.f = f, .seed = i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (u32 i = 0; i < 60; i++) {
		assert_true(store_demote(f->store, 100 * KiB) >= 0);
		store_compact(f->store);
		store_bytes(f->store);
		store_audit(f->store);
	}
	for (u32 i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
