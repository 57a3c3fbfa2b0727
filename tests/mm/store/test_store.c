// SPDX-License-Identifier: Apache-2.0
/* The store: each promise of store.h on its own, failures of the tier below included. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "mm/base/inject.h"
#include "tests/mm/store/store_fixture.h"

/* ---- One promise each ---- */

static void test_patterns(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id id[8];
	u64 value, empty = store_bytes(f->store);
	struct store_stats s;

	(void)state;
	for (u64 i = 0; i < 8; i++) {
		value = i % 4 * 0x0101010101010101;
		for (u64 w = 0; w < PAGE_WORDS; w++)
			f->page[w] = value;
		assert_int_equal(store_put(f->store, f->page, &id[i]), 0);
		assert_true(store_pattern(f->store, id[i], &value));
		assert_int_equal(value, i % 4 * 0x0101010101010101);
		assert_false(store_is_below(f->store, id[i]));
		assert_true(store_same(f->store, id[i], f->page));
		f->page[i * 60] ^= 1;
		assert_false(store_same(f->store, id[i], f->page));
		f->page[i * 60] ^= 1;
		assert_int_equal(store_get(f->store, id[i], f->back), 0);
		assert_memory_equal(f->page, f->back, PAGE_SIZE);
		if (i >= 4)
			assert_int_equal(id[i], id[i - 4]);
	}
	store_get_stats(f->store, &s);
	assert_int_equal(s.pages, 8);
	assert_int_equal(s.patterns, 8);
	assert_int_equal(s.shared + s.blocks + s.raw + s.pool_bytes, 0);
	assert_int_equal(store_bytes(f->store), empty);
	assert_int_equal(store_demote(f->store, MiB), 0);
	assert_int_equal(f->fake->groups, 0);
	for (u64 i = 0; i < 8; i++)
		store_drop(f->store, id[i]);
	fixture_free(f);
}

static void test_sharing(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	u64 number = number_of(2, 0);
	store_id a = fixture_put(f, number), b = fixture_put(f, number), c;
	u64 bytes = store_bytes(f->store), value;
	struct store_stats s;

	(void)state;
	assert_int_equal(a, b);
	assert_false(store_pattern(f->store, a, &value));
	for (u32 i = 2; i < 70000; i++)
		assert_int_not_equal(fixture_put(f, number), STORE_NONE);
	store_get_stats(f->store, &s);
	assert_int_equal(s.pages, 70000);
	assert_int_equal(s.blocks, 2); /* one entry counts no further than 65535 */
	assert_int_equal(s.shared, 70000 - 2);
	assert_true(store_bytes(f->store) <= bytes + PAGE_SIZE);
	c = fixture_put(f, number);
	assert_int_not_equal(c, a);
	for (u32 i = 0; i < UINT16_MAX; i++)
		store_drop(f->store, a);
	fixture_get(f, c, number);
	for (u32 i = UINT16_MAX; i < 70001; i++)
		store_drop(f->store, c);
	fixture_free(f);
}

static void test_raw(void **state)
{
	struct fixture *f = fixture_new(false, 0, false), *g = fixture_new(false, 0, true);
	u64 number = number_of(1, 0);
	store_id id = fixture_put(f, number), other = STORE_NONE;
	struct store_stats s;

	(void)state;
	fixture_get(f, id, number);
	store_get_stats(f->store, &s);
	assert_int_equal(s.raw, 1);
	assert_int_equal(s.payload_bytes, PAGE_SIZE);
	assert_int_equal(store_demote(f->store, 1), -ENODEV);
	store_drop(f->store, id);
	fixture_free(f);

	make_page(g->page, number);
	assert_int_equal(store_put(g->store, g->page, &other), -E2BIG);
	assert_int_equal(other, STORE_NONE);
	id = fixture_put(g, number_of(2, 0));
	store_drop(g->store, id);
	fixture_free(g);
}

/* A page is kept compressed up to the threshold, raw beyond. */
static void test_threshold(void **state)
{
	(void)state;
	for (u64 words = 20; words < PAGE_WORDS - 20; words += 37) {
		struct fixture *f = fixture_new(false, 2000, false);
		struct store_stats s;
		store_id id;

		for (u64 i = 0; i < PAGE_WORDS; i++)
			f->page[i] = i < words ? random_of(words, i) : 5;
		assert_int_equal(store_put(f->store, f->page, &id), 0);
		store_get_stats(f->store, &s);
		assert_int_equal(s.blocks, words * 8 <= 1980);
		assert_int_equal(s.raw, words * 8 > 1980);
		store_drop(f->store, id);
		fixture_free(f);
	}
	assert_int_equal(store_create(&(struct store *){NULL},
				      &(struct store_config){.threshold = PAGE_SIZE}, NULL),
			 -EINVAL);
}

static void test_order_of_demotion(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id raw[10], block[400];

	(void)state;
	for (u32 i = 0; i < 400; i++)
		block[i] = fixture_put(f, number_of(2, i));
	for (u32 i = 0; i < 10; i++)
		raw[i] = fixture_put(f, number_of(1, i));
	assert_true(store_demote(f->store, 10 * PAGE_SIZE) >= 0);
	for (u32 i = 0; i < 10; i++)
		assert_true(store_is_below(f->store, raw[i]));
	for (u32 i = 0; i < 400; i++)
		assert_false(store_is_below(f->store, block[i]));
	/* nothing is old yet: one round makes all of them so, and the first ones go */
	assert_true(store_demote(f->store, 1) >= 0);
	assert_true(store_is_below(f->store, block[0]));
	assert_false(store_is_below(f->store, block[399]));
	/* those that were read meanwhile get their second chance */
	for (u32 i = 100; i < 200; i++)
		fixture_get(f, block[i], number_of(2, i));
	assert_true(store_demote(f->store, 300 * KiB) > 0);
	for (u32 i = 100; i < 200; i++)
		assert_false(store_is_below(f->store, block[i]));
	assert_true(f->fake->largest > 10); /* in groups */
	/* all of it, then nothing more */
	assert_true(store_demote(f->store, GiB) > 0);
	for (u32 i = 0; i < 400; i++) {
		assert_true(store_is_below(f->store, block[i]));
		fixture_get(f, block[i], number_of(2, i));
		assert_true(store_is_below(f->store, block[i]));
	}
	assert_int_equal(store_demote(f->store, GiB), 0);
	for (u32 i = 0; i < 400; i++)
		store_drop(f->store, block[i]);
	for (u32 i = 0; i < 10; i++)
		store_drop(f->store, raw[i]);
	fixture_free(f);
}

/* Down below an entry is not shared, but a reference to it is still recognised. */
static void test_same_below(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	u64 number = number_of(2, 3);
	store_id a = fixture_put(f, number), b;

	(void)state;
	assert_true(store_demote(f->store, 1) >= 0);
	assert_true(store_is_below(f->store, a));
	make_page(f->page, number);
	assert_true(store_same(f->store, a, f->page));
	f->page[9] ^= 1;
	assert_false(store_same(f->store, a, f->page));
	b = fixture_put(f, number);
	assert_int_not_equal(a, b);
	assert_false(store_is_below(f->store, b));
	store_drop(f->store, a);
	store_drop(f->store, b);
	fixture_free(f);
}

static void test_demote_errors(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id id[100], raw;
	struct store_stats before, after;

	(void)state;
	for (u32 i = 0; i < 100; i++)
		id[i] = fixture_put(f, number_of(2, i));
	raw = fixture_put(f, number_of(1, 0));
	store_get_stats(f->store, &before);
	f->fake->write_error = -ENOSPC;
	assert_int_equal(store_demote(f->store, MiB), -ENOSPC);
	f->fake->write_error = -EIO;
	assert_int_equal(store_demote(f->store, MiB), -EIO);
	store_get_stats(f->store, &after);
	assert_int_equal(after.payload_bytes, before.payload_bytes);
	assert_false(store_is_below(f->store, raw));
	store_audit(f->store);
	/* it works again: the raw one is still the first to go */
	f->fake->write_error = 0;
	assert_true(store_demote(f->store, 1) >= 0);
	assert_true(store_is_below(f->store, raw));
	f->fake->read_error = -EIO;
	assert_int_equal(store_get(f->store, raw, f->back), -EIO);
	f->fake->read_error = 0;
	f->fake->flip = true;
	assert_int_equal(store_get(f->store, raw, f->back), -EBADMSG);
	f->fake->flip = false;
	fixture_get(f, raw, number_of(1, 0));
	store_drop(f->store, raw);
	for (u32 i = 0; i < 100; i++)
		store_drop(f->store, id[i]);
	fixture_free(f);
}

/* ---- As they are kept, and for how long ---- */

/* One of each kind: repeated, raw, compressed; from the pool and from below the same block. */
static void test_export(void **state)
{
	static const enum codec_kind kinds[] = {CODEC_PATTERN, CODEC_RAW, CODEC_PACKED};
	struct fixture *f = fixture_new(true, 0, false);
	store_id id[3];

	(void)state;
	for (u64 i = 0; i < 3; i++)
		id[i] = fixture_put(f, number_of(i, 0));
	for (int below = 0; below < 2; below++) {
		for (u64 i = 0; i < 3; i++) {
			struct codec_block block = fixture_export(f, id[i], number_of(i, 0));

			assert_int_equal(block.kind, kinds[i]);
			assert_int_equal(store_is_below(f->store, id[i]), below && i);
		}
		assert_true(store_demote(f->store, MiB) >= 0);
	}
	f->fake->read_error = -EIO;
	assert_int_equal(store_export(f->store, id[1], &(struct codec_block){0}, f->back), -EIO);
	f->fake->read_error = 0;
	for (u64 i = 0; i < 3; i++)
		store_drop(f->store, id[i]);
	fixture_free(f);
}

/* From one store into another: the same block, once for the same contents. */
static void test_import(void **state)
{
	struct fixture *f = fixture_new(false, 0, false), *to = fixture_new(false, 64, false);
	struct store_stats s;
	store_id from[3], id[2][3];
	u8 room[PAGE_SIZE], back[PAGE_SIZE];

	(void)state;
	for (u64 i = 0; i < 3; i++) {
		struct codec_block block, came;

		from[i] = fixture_put(f, number_of(i, 0));
		assert_int_equal(store_export(f->store, from[i], &block, room), 0);
		for (int k = 0; k < 2; k++)
			assert_int_equal(store_import(to->store, &block, &id[k][i]), 0);
		assert_int_equal(id[0][i], id[1][i]);
		fixture_get(to, id[0][i], number_of(i, 0));
		assert_int_equal(store_export(to->store, id[0][i], &came, back), 0);
		assert_int_equal(came.kind, block.kind);
		assert_int_equal(came.size, block.size);
		assert_memory_equal(back, room, block.size);
		assert_true(codec_sum_equal(&came.sum, &block.sum));
	}
	store_get_stats(to->store, &s);
	assert_int_equal(s.blocks, 1); /* its own threshold would have kept it raw */
	assert_int_equal(s.raw, 1);
	assert_int_equal(s.shared, 2);
	for (u64 i = 0; i < 3; i++) {
		store_drop(f->store, from[i]);
		store_drop(to->store, id[0][i]);
		store_drop(to->store, id[1][i]);
	}
	fixture_free(f);
	fixture_free(to);
}

/* What is no block of a page does not come in; a pattern is one however it was packed. */
static void test_import_checks(void **state)
{
	struct fixture *f = fixture_new(false, 0, true);
	u8 packed[PAGE_SIZE];
	struct codec_block block = {.kind = CODEC_RAW, .size = PAGE_SIZE, .data = f->page};
	store_id id;
	u64 value;

	(void)state;
	make_page(f->page, number_of(1, 0));
	block.sum = codec_sum(f->page);
	assert_int_equal(store_import(f->store, &block, &id), -E2BIG);
	block.size--;
	assert_int_equal(store_import(f->store, &block, &id), -EBADMSG);
	make_page(f->page, number_of(2, 0));
	block = (struct codec_block){.kind = CODEC_PACKED, .data = packed};
	block.size = codec_pack(f->page, packed, PAGE_SIZE);
	assert_int_equal(store_import(f->store, &block, &id), -EBADMSG); /* no checksum */
	block.sum = codec_sum(f->page);
	packed[block.size - 1] ^= 1;
	assert_int_equal(store_import(f->store, &block, &id), -EBADMSG);
	block.kind = CODEC_NONE;
	assert_int_equal(store_import(f->store, &block, &id), -EBADMSG);
	codec_fill(f->page, 77);
	block.kind = CODEC_PACKED;
	block.size = codec_pack(f->page, packed, PAGE_SIZE);
	block.sum = codec_sum(f->page);
	assert_int_equal(store_import(f->store, &block, &id), 0);
	assert_true(store_pattern(f->store, id, &value));
	assert_int_equal(value, 77);
	store_drop(f->store, id);
	fixture_free(f);
}

/* What is damaged is handed out as it is, with the sum that tells. */
static void test_export_damaged(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id id = fixture_put(f, number_of(1, 0));
	struct codec_block block;
	struct codec_sum sum;

	(void)state;
	assert_true(store_demote(f->store, MiB) >= 0);
	f->fake->flip = true;
	assert_int_equal(store_export(f->store, id, &block, f->back), 0);
	sum = codec_sum(f->back);
	assert_false(codec_sum_equal(&sum, &block.sum));
	f->fake->flip = false;
	store_drop(f->store, id);
	fixture_free(f);
}

/* Being exported is no use: what else is not used goes down in its order. */
static void test_export_keeps_age(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id id[20];

	(void)state;
	for (u32 i = 0; i < 20; i++)
		id[i] = fixture_put(f, number_of(2, i));
	assert_true(store_demote(f->store, 1) >= 0); /* one goes, none is young now */
	assert_true(store_is_below(f->store, id[0]));
	fixture_export(f, id[1], number_of(2, 1));
	fixture_get(f, id[2], number_of(2, 2));
	assert_true(store_demote(f->store, 1) >= 0);
	assert_true(store_is_below(f->store, id[1]));
	assert_true(store_demote(f->store, 1) >= 0);
	assert_false(store_is_below(f->store, id[2]));
	assert_true(store_is_below(f->store, id[3]));
	for (u32 i = 0; i < 20; i++)
		store_drop(f->store, id[i]);
	fixture_free(f);
}

/* Contents of each kind, in the pool and below, live until the last reference goes. */
static void test_ref(void **state)
{
	(void)state;
	for (u64 kind = 0; kind < 3; kind++)
		for (int below = 0; below < 2; below++) {
			struct fixture *f = fixture_new(true, 0, false);
			u64 number = number_of(kind, 1);
			store_id id = fixture_put(f, number), ref[5];
			struct store_stats s;

			if (below)
				assert_true(store_demote(f->store, MiB) >= 0);
			for (u32 i = 0; i < 5; i++) {
				assert_int_equal(store_ref(f->store, id, &ref[i]), 0);
				assert_int_equal(ref[i], id);
			}
			store_get_stats(f->store, &s);
			assert_int_equal(s.pages, 6);
			assert_int_equal(s.patterns, kind ? 0 : 6);
			assert_int_equal(s.shared, kind ? 5 : 0);
			store_drop(f->store, id);
			for (u32 i = 0; i < 5; i++) {
				fixture_get(f, ref[i], number);
				store_drop(f->store, ref[i]);
			}
			fixture_free(f);
		}
}

/* Beyond what an entry can count: the same contents under another id, wherever they are. */
static void ref_many(u64 number, bool below)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id id = fixture_put(f, number), ref, other[2];

	for (u32 i = 1; i < UINT16_MAX; i++) {
		assert_int_equal(store_ref(f->store, id, &ref), 0);
		assert_int_equal(ref, id);
	}
	if (below) {
		assert_true(store_demote(f->store, MiB) >= 0);
		f->fake->read_error = -EIO;
		assert_int_equal(store_ref(f->store, id, &ref), -EIO);
		f->fake->read_error = 0;
	}
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(store_ref(f->store, id, &other[i]), 0);
	assert_int_not_equal(other[0], id);
	assert_int_equal(other[0], other[1]);
	store_audit(f->store);
	for (u32 i = 0; i < UINT16_MAX; i++)
		store_drop(f->store, id);
	fixture_get(f, other[0], number);
	store_drop(f->store, other[0]);
	store_drop(f->store, other[1]);
	fixture_free(f);
}

static void test_ref_many(void **state)
{
	struct fixture *f = fixture_new(false, 0, false);
	store_id zero, ref;

	(void)state;
	ref_many(number_of(0, 1), false);
	ref_many(number_of(1, 0), false);
	ref_many(number_of(2, 0), true);
	memset(f->page, 0, sizeof(f->page));
	assert_int_equal(store_put(f->store, f->page, &zero), 0);
	for (u32 i = 0; i < 70000; i++) {
		assert_int_equal(store_ref(f->store, zero, &ref), 0);
		assert_int_equal(ref, zero); /* zeros are not counted in an entry */
	}
	for (u32 i = 0; i < 70001; i++)
		store_drop(f->store, zero);
	fixture_free(f);
}

/* ---- Failure points ---- */

static void test_inject(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	store_id none = STORE_NONE, id[3] = {
					    fixture_put(f, number_of(0, 0)),
					    fixture_put(f, number_of(1, 0)),
					    fixture_put(f, number_of(2, 0)),
				    };

	(void)state;
	assert_int_equal(inject_init("store-memory", NULL), 0);
	assert_int_equal(store_put(f->store, f->page, &none), -ENOMEM);
	assert_int_equal(none, STORE_NONE);
	assert_int_equal(inject_init("store-corrupt", NULL), 0);
	assert_int_equal(store_get(f->store, id[0], f->back), 0);
	for (u32 n = 0; n < 300; n++) {
		store_id other = fixture_put(f, number_of(2, n));

		assert_int_equal(store_get(f->store, other, f->back), -EBADMSG);
		store_drop(f->store, other);
	}
	assert_int_equal(store_get(f->store, id[1], f->back), -EBADMSG);
	assert_true(store_demote(f->store, MiB) >= 0);
	assert_int_equal(store_get(f->store, id[1], f->back), -EBADMSG);
	assert_int_equal(store_get(f->store, id[2], f->back), -EBADMSG);
	assert_int_equal(inject_init(NULL, NULL), 0);
	for (u64 i = 0; i < 3; i++) {
		fixture_get(f, id[i], number_of(i, 0));
		store_drop(f->store, id[i]);
	}
	fixture_free(f);
}

/* ---- Memory ---- */

/* Compaction gives back what dropping every second page left behind. */
static void test_compact(void **state)
{
	struct fixture *f = fixture_new(false, 0, false);
	static store_id id[4000];
	struct store_stats s;
	u64 before, freed;

	(void)state;
	for (u32 i = 0; i < 4000; i++)
		id[i] = fixture_put(f, number_of(2, 0) + i * 1000);
	for (u32 i = 0; i < 4000; i++)
		if (i % 4)
			store_drop(f->store, id[i]);
	before = store_bytes(f->store);
	freed = store_compact(f->store);
	assert_int_equal(before - store_bytes(f->store), freed);
	store_get_stats(f->store, &s);
	assert_true(s.moved);
	/* half a page for each of 175 classes, and the rounding to their sizes */
	assert_in_range(s.pool_bytes, s.payload_bytes, s.payload_bytes + 600 * KiB);
	assert_int_equal(store_compact(f->store), 0);
	for (u32 i = 0; i < 4000; i += 4) {
		fixture_get(f, id[i], number_of(2, 0) + i * 1000);
		store_drop(f->store, id[i]);
	}
	fixture_free(f);
}

/* Demotion, too, gives back what it promises, although what goes leaves holes in all classes. */
static void test_demote_gives_back(void **state)
{
	struct fixture *f = fixture_new(true, 0, false);
	static store_id id[3000];
	u64 before, bytes;
	s64 freed;

	(void)state;
	for (u32 i = 0; i < 3000; i++)
		id[i] = fixture_put(f, i);
	for (u32 round = 0; round < 2; round++) {
		before = store_bytes(f->store);
		bytes = before / 3;
		freed = store_demote(f->store, bytes);
		assert_int_equal(before - store_bytes(f->store), freed);
		assert_in_range(freed, bytes * 7 / 8, bytes * 9 / 8);
	}
	for (u32 i = 0; i < 3000; i++) {
		fixture_get(f, id[i], i);
		store_drop(f->store, id[i]);
	}
	fixture_free(f);
}

/* What an entry costs beyond its block: the target is stated in docs/store.md. */
static void test_price(void **state)
{
	struct fixture *f = fixture_new(false, 0, false);
	static store_id id[20000];
	struct store_stats s;

	(void)state;
	for (u32 i = 0; i < 20000; i++) {
		for (u64 w = 0; w < PAGE_WORDS; w++)
			f->page[w] = w < 60 ? random_of(i, w) : 0;
		assert_int_equal(store_put(f->store, f->page, &id[i]), 0);
	}
	store_get_stats(f->store, &s);
	assert_int_equal(s.blocks, 20000);
	assert_in_range(s.metadata_bytes, 20000 * 28, 20000 * 34);
	assert_in_range(store_bytes(f->store) - s.payload_bytes, 20000 * 28, 20000 * 44);
	for (u32 i = 0; i < 20000; i++)
		store_drop(f->store, id[i]);
	store_get_stats(f->store, &s);
	assert_in_range(s.metadata_bytes, 1, 200 * KiB);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_order_of_demotion),
		cmocka_unit_test(test_same_below),
		cmocka_unit_test(test_demote_errors),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_checks),
		cmocka_unit_test(test_export_damaged),
		cmocka_unit_test(test_export_keeps_age),
		cmocka_unit_test(test_ref),
		cmocka_unit_test(test_ref_many),
		cmocka_unit_test(test_inject),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_demote_gives_back),
		cmocka_unit_test(test_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
