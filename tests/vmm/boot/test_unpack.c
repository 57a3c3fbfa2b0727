// SPDX-License-Identifier: Apache-2.0
/*
 * The three decoders by themselves: what went in comes out, in order and whole, at all sizes around
 * their windows; what is cut off, bent or lies about its size is refused.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vmm/boot/loading.h"
#include "vmm/boot/unpack.h"

/* A sink that compares. */
struct expectation {
	const struct image *image;
	u64 done;
	u64 stop_at; /* fail with -ECANCELED when this offset has been passed */
	unsigned int pieces;
	u64 first; /* length of the first piece */
	bool same;
};

static int compare(void *opaque, const struct image_piece *piece, struct err *err)
{
	struct expectation *e = opaque;

	assert_int_equal(piece->offset, e->done);
	assert_true(piece->len > 0 && range_fits(piece->offset, piece->len, piece->total));
	if (!e->pieces++)
		e->first = piece->len;
	if (!range_fits(piece->offset, piece->len, e->image->len) ||
	    memcmp(e->image->data + piece->offset, piece->data, piece->len))
		e->same = false;
	e->done += piece->len;
	if (e->done > e->stop_at)
		return err_set(err, -ECANCELED, "test: has had enough (go on)");
	return 0;
}

/* Unpack @len bytes at @offset of the file that holds @packed. */
static int run(const struct image *packed, u64 offset, u64 len, struct expectation *e,
	       struct err *err)
{
	struct unpack_source src = {.offset = offset, .len = len};
	struct image_file f;
	struct hostfile file;
	int ret;

	image_file_open(&f, packed->data, packed->len);
	assert_int_equal(hostfile_open(&file, "kernel", f.path, NULL), 0);
	src.file = &file;
	e->done = e->pieces = 0;
	e->same = true;
	ret = unpack(&src, compare, e, err);
	hostfile_close(&file);
	image_file_close(&f);
	return ret;
}

static struct image bytes_of(size_t len)
{
	struct image image = {.data = malloc(len), .len = len};

	assert_non_null(image.data);
	image_fill(image.data, len, (u32)len);
	if (len > 64 * KiB)
		memset(image.data + len / 4, 0, len / 2);
	return image;
}

static void test_round_trip(void **state)
{
	static const u64 sizes[] = {1,	     2,	       4095,	    MiB - 1, MiB,
				    MiB + 1, 2 * MiB,  8 * MiB - 1, 8 * MiB, 8 * MiB + 1,
				    9 * MiB, 16 * MiB, 17 * MiB + 3};

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		struct image image = bytes_of(sizes[i / 3]);
		struct image packed = packed_image(PACK_LZ4 + i % 3, &image);
		struct expectation e = {.image = &image, .stop_at = UINT64_MAX};
		struct err err = {0};

		assert_int_equal(run(&packed, 0, packed.len, &e, &err), 0);
		assert_int_equal(e.done, image.len);
		assert_true(e.same);
		assert_true(e.first >= MIN(image.len, 1 * MiB));
		assert_string_equal(err.text, "");
		image_free(&packed);
		image_free(&image);
	}
}

/* The payload is a part of a file; what lies around it must not be looked at. */
static void test_inside_file(void **state)
{
	struct image image = bytes_of(5000);

	(void)state;
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct image packed = packed_image(p, &image);
		struct image file = bytes_of(packed.len + 300);
		struct expectation e = {.image = &image, .stop_at = UINT64_MAX};

		memcpy(file.data + 100, packed.data, packed.len);
		assert_int_equal(run(&file, 100, packed.len, &e, NULL), 0);
		assert_true(e.same && e.done == image.len);
		image_free(&file);
		image_free(&packed);
	}
	image_free(&image);
}

static void test_truncated(void **state)
{
	struct image image = bytes_of(3000);

	(void)state;
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct image packed = packed_image(p, &image);

		for (u64 len = 0; len < packed.len; len++) {
			struct expectation e = {.image = &image, .stop_at = UINT64_MAX};
			struct err err = {0};
			int ret = run(&packed, 0, len, &e, &err);

			if (len < 8)
				assert_int_equal(ret, -ENOTSUP);
			else
				assert_int_equal(ret, -ENOEXEC);
			assert_int_equal(is_sentence(&err), ret == -ENOEXEC);
		}
		image_free(&packed);
	}
	image_free(&image);
}

/*
 * Each bit of a payload. gzip and zstd frames made by their tools carry checksums, but ours of zstd
 * and those of LZ4 do not: there a success may be of other bytes, though never of another number of
 * them.
 */
static void test_flipped_bits(void **state)
{
	struct image image = bytes_of(3000);

	(void)state;
	memset(image.data + 500, 0, 1500);
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct image packed = packed_image(p, &image);
		unsigned int refused = 0;

		for (size_t bit = 0; bit < packed.len * 8; bit++) {
			struct expectation e = {.image = &image, .stop_at = UINT64_MAX};
			struct err err = {0};
			int ret;

			packed.data[bit / 8] ^= (u8)(1u << bit % 8);
			ret = run(&packed, 0, packed.len, &e, &err);
			packed.data[bit / 8] ^= (u8)(1u << bit % 8);
			refused += ret != 0;
			if (ret)
				assert_true(ret == -ENOTSUP || is_sentence(&err));
			else
				assert_true(e.done == image.len && (e.same || p != PACK_GZIP));
		}
		assert_in_range(refused, 32, packed.len * 8);
		image_free(&packed);
	}
	image_free(&image);
}

/* A size field that lies, up and down, by little and by much. */
static void test_lying_size(void **state)
{
	static const u32 sizes[] = {0, 1, 2999, 3001, 512u << 20, (512u << 20) + 1, UINT32_MAX};
	struct image image = bytes_of(3000);

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		struct image packed = packed_image(PACK_LZ4 + i % 3, &image);
		struct expectation e = {.image = &image, .stop_at = UINT64_MAX};
		struct err err = {0};

		memcpy(packed.data + packed.len - 4, &sizes[i / 3], 4);
		assert_int_equal(run(&packed, 0, packed.len, &e, &err), -ENOEXEC);
		assert_true(is_sentence(&err));
		image_free(&packed);
	}
	image_free(&image);
}

/* LZ4 blocks that name lengths which reach out of the payload, or out of any block. */
static void test_lying_block(void **state)
{
	static const u32 lengths[] = {0, 1, 100000, 8 << 20, 9 << 20, 1u << 31, UINT32_MAX};
	struct image image = bytes_of(3000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct image packed = packed_image(PACK_LZ4, &image);
		struct expectation e = {.image = &image, .stop_at = UINT64_MAX};

		memcpy(packed.data + 4, &lengths[i], 4);
		assert_int_equal(run(&packed, 0, packed.len, &e, NULL), -ENOEXEC);
		image_free(&packed);
	}
	image_free(&image);
}

/* Frames one after the other are one kernel, as for `lz4 -d`. */
static void test_lz4_concatenated(void **state)
{
	static const u8 magic[] = {0x02, 0x21, 0x4c, 0x18};
	struct image image = bytes_of(3000), packed = packed_image(PACK_LZ4, &image);
	struct image twice = {.data = malloc(packed.len + 8), .len = packed.len + 8};
	struct expectation e = {.image = &image, .stop_at = UINT64_MAX};

	(void)state;
	assert_non_null(twice.data);
	memcpy(twice.data, magic, 4); /* an empty frame first, and one last */
	memcpy(twice.data + 4, packed.data, packed.len - 4);
	memcpy(twice.data + packed.len, magic, 4);
	memcpy(twice.data + packed.len + 4, packed.data + packed.len - 4, 4);
	assert_int_equal(run(&twice, 0, twice.len, &e, NULL), 0);
	assert_true(e.same && e.done == image.len);
	image_free(&twice);
	image_free(&packed);
	image_free(&image);
}

/* What the sink says ends the matter, and is what comes back. */
static void test_sink_fails(void **state)
{
	struct image image = bytes_of(20 * MiB);

	(void)state;
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct image packed = packed_image(p, &image);
		struct expectation e = {.image = &image, .stop_at = 0};
		struct err err = {0};

		assert_int_equal(run(&packed, 0, packed.len, &e, &err), -ECANCELED);
		assert_int_equal(e.pieces, 1);
		assert_string_equal(err.text, "test: has had enough (go on)");
		image_free(&packed);
	}
	image_free(&image);
}

static void test_unknown(void **state)
{
	struct image image = bytes_of(3000), packed = packed_image(PACK_XZ, &image);
	struct expectation e = {.image = &image, .stop_at = UINT64_MAX};
	struct err err = {0};

	(void)state;
	assert_int_equal(run(&packed, 0, packed.len, &e, &err), -ENOTSUP);
	assert_int_equal(e.pieces, 0);
	assert_string_equal(err.text, "");
	image_free(&packed);
	image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	 cmocka_unit_test(test_inside_file),
		cmocka_unit_test(test_truncated),	 cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_lying_size),	 cmocka_unit_test(test_lying_block),
		cmocka_unit_test(test_lz4_concatenated), cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
