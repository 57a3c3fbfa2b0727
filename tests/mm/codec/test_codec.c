// SPDX-License-Identifier: Apache-2.0
/*
 * The codec: every page comes back, nothing but the page comes back, and bytes that are not a
 * page's compressed form never lead outside of them. Buffers that are decoded are exactly as large
 * as said, so that a sanitizer sees one byte too many.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "mm/codec/codec.h"

#define WORDS  (PAGE_SIZE / sizeof(u64))
#define CANARY 0xa5

static u64 page[WORDS], back[WORDS];

/* The first @n words are random, the last of them is repeated to the end. */
static void fill_prefix(u64 seed, u64 n)
{
	for (u64 i = 0; i < WORDS; i++)
		page[i] = random_of(seed, MIN(i, n - 1));
}

/* Bytes of few different values, in runs of random length: all kinds of matches. */
static void fill_runs(u64 seed)
{
	u8 *bytes = (u8 *)page;

	for (u64 at = 0, n = 0; at < PAGE_SIZE; n++) {
		u64 roll = random_of(seed, n), len = MIN(1 + roll % 40, PAGE_SIZE - at);

		memset(bytes + at, (int)(roll >> 32 & 7), len);
		at += len;
	}
}

/* Compress, look for bytes written beyond, decompress, compare. Returns the size. */
static u32 round_trip(u32 max)
{
	u8 packed[PAGE_SIZE + 1];
	u32 size;

	memset(packed, CANARY, sizeof(packed));
	size = codec_pack(page, packed, max);
	assert_true(size <= max);
	for (u32 i = max; i < sizeof(packed); i++)
		assert_int_equal(packed[i], CANARY);
	if (size) {
		u8 *exact = malloc(size);

		memcpy(exact, packed, size);
		memset(back, CANARY, sizeof(back));
		assert_int_equal(codec_unpack(exact, size, back), 0);
		assert_memory_equal(page, back, PAGE_SIZE);
		free(exact);
	}
	return size;
}

static void test_round_trip(void **state)
{
	(void)state;
	for (u64 i = 0; i < 2000; i++) {
		u32 size;

		if (i % 2)
			fill_runs(i);
		else
			fill_prefix(i, 1 + random_mix(i) % WORDS);
		size = round_trip(PAGE_SIZE);
		if (!size)
			continue;
		/* exactly as much room as it takes, and one byte less */
		assert_int_equal(round_trip(size), size);
		assert_int_equal(round_trip(size - 1), 0);
	}
}

/* A repeated tail costs nothing, wherever it begins and whatever it repeats. */
static void test_tails(void **state)
{
	(void)state;
	for (u64 n = 1; n < WORDS; n++) {
		u32 size;

		fill_prefix(n, n);
		size = round_trip(PAGE_SIZE);
		/* LZ4's most for what does not compress: one byte in 255, and some */
		if (n * sizeof(u64) + n * sizeof(u64) / 255 + 16 <= PAGE_SIZE)
			assert_in_range(size, n * 8, n * 8 + n * 8 / 255 + 2);
		memset(page + n, 0, (WORDS - n) * sizeof(u64));
		round_trip(PAGE_SIZE);
	}
}

static void test_noise(void **state)
{
	(void)state;
	fill_prefix(1, WORDS);
	assert_int_equal(round_trip(PAGE_SIZE), 0);
	assert_int_equal(round_trip(0), 0);
}

static void test_pattern(void **state)
{
	static const u64 values[] = {0, 1, UINT64_MAX, 0x0123456789abcdef};
	u64 value;

	(void)state;
	for (u32 v = 0; v < ARRAY_SIZE(values); v++) {
		for (u64 i = 0; i < WORDS; i++)
			page[i] = values[v];
		value = ~values[v];
		assert_true(codec_pattern(page, &value));
		assert_int_equal(value, values[v]);
		memset(back, CANARY, sizeof(back));
		codec_fill(back, value);
		assert_memory_equal(page, back, PAGE_SIZE);
		/* one bit anywhere, and it is none */
		for (u64 i = 0; i < PAGE_SIZE; i++) {
			((u8 *)page)[i] ^= (u8)(1 << i % 8);
			assert_false(codec_pattern(page, &value));
			((u8 *)page)[i] ^= (u8)(1 << i % 8);
		}
	}
}

/* The value that `xxhsum -H2` prints for this page, so that images made elsewhere agree. */
static void test_sum(void **state)
{
	static const struct codec_sum known = {
		.word = {0xeb6f9064, 0x5c722d9c, 0xd37a7191, 0x08ef8fc6},
	};
	u8 *bytes = (u8 *)page;
	struct codec_sum sum;

	(void)state;
	for (u32 i = 0; i < PAGE_SIZE; i++)
		bytes[i] = (u8)(i * 7 + i / 256);
	sum = codec_sum(page);
	assert_true(codec_sum_equal(&sum, &known));
	for (u32 i = 0; i < PAGE_SIZE * 8; i += 7) {
		bytes[i / 8] ^= (u8)(1 << i % 8);
		sum = codec_sum(page);
		assert_false(codec_sum_equal(&sum, &known));
		bytes[i / 8] ^= (u8)(1 << i % 8);
	}
}

/* Decode from a buffer of exactly that size; what comes out does not matter, only that it ends. */
static int try(const u8 *in, u32 size)
{
	u8 *exact = malloc(size ? size : 1), *out = malloc(PAGE_SIZE);
	int ret;

	memcpy(exact, in, size);
	ret = codec_unpack(exact, size, out);
	assert_true(ret == 0 || ret == -EBADMSG);
	free(exact);
	free(out);
	return ret;
}

static void test_cut(void **state)
{
	u8 packed[PAGE_SIZE];
	u32 size;

	(void)state;
	fill_runs(3);
	page[WORDS - 1] ^= 1; /* no tail */
	size = codec_pack(page, packed, PAGE_SIZE);
	assert_true(size);
	assert_int_equal(try(packed, 0), -EBADMSG);
	for (u32 n = 1; n < size; n++)
		try(packed, n);
	assert_int_equal(try(packed, size), 0);
	/* a block of nothing at all, one of three bytes, one of 4100 */
	assert_int_equal(try((const u8 *)"\0", 1), -EBADMSG);
	assert_int_equal(try((const u8 *)"\x30"
					 "abc",
			     4),
			 -EBADMSG);
	memset(packed, 0xff, sizeof(packed));
	assert_int_equal(try(packed, PAGE_SIZE), -EBADMSG);
}

static void test_damage(void **state)
{
	u8 packed[PAGE_SIZE];
	u64 seed = 1;
	u32 size, failed = 0;

	(void)state;
	for (u64 i = 0; i < 20000; i++) {
		if (i % 100 == 0)
			fill_runs(i);
		size = codec_pack(page, packed, PAGE_SIZE);
		for (u64 n = 1 + random_below(&seed, 4); n; n--)
			packed[random_below(&seed, size)] = (u8)random_next(&seed);
		failed += try(packed, size) != 0;
	}
	assert_in_range(failed, 1, 19999); /* both happened */
}

/* The last byte of a block is the last of what it holds: the store's failure point relies on it. */
static void test_last_byte(void **state)
{
	u8 packed[PAGE_SIZE];
	u32 size;

	(void)state;
	for (u64 i = 0; i < 500; i++) {
		if (i % 2)
			fill_runs(i);
		else
			fill_prefix(i, 2 + random_mix(i) % (WORDS - 20));
		size = codec_pack(page, packed, PAGE_SIZE);
		assert_true(size);
		packed[size - 1] ^= 1;
		assert_int_equal(codec_unpack(packed, size, back), 0);
		assert_memory_not_equal(page, back, PAGE_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tails),
		cmocka_unit_test(test_noise),	   cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_sum),	   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damage),	   cmocka_unit_test(test_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
