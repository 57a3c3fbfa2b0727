// SPDX-License-Identifier: Apache-2.0
/*
 * Damaged images: a link cut short anywhere, with any one bit flipped, or with anything behind it,
 * is refused, or all that is read from it is right.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image/format.h"
#include "tests/mm/image/image_fixture.h"

#define NR 12

/* One guest twice, of pages of each kind; 0 is zeros. The second link changes five of them. */
static const u64 seeds[2][NR] = {
	{3, 11, 2, 9, 0, 3, 19, 0, 0, 17, 0, 27},
	{3, 0, 2, 25, 35, 35, 19, 0, 0, 17, 11, 27},
};

/* As image_test_page(), but what compresses does so very well: there are fewer bits to flip. */
static void make_page(u8 *page, u64 seed)
{
	image_test_page(page, seed);
	if (seed % 8 == 3)
		memset(page + 100, (int)seed, PAGE_SIZE - 100);
}

static int fd;	   /* of the link that is damaged */
static u8 *whole;  /* what it is when it is not */
static u64 length; /* of that */

static void write_link(u32 number)
{
	const struct image_writer_config cfg = {.nr_pages = NR, .incremental = number > 0};
	struct image_writer *w;
	u8 page[PAGE_SIZE];

	assert_int_equal(image_begin(&w, image_test_dir, &cfg, NULL), 0);
	for (u32 no = 0; no < NR; no++) {
		if (number && seeds[1][no] == seeds[0][no])
			continue;
		make_page(page, seeds[number][no]);
		assert_int_equal(image_put(w, no, page), 0);
	}
	assert_int_equal(image_commit(w, "some state", 10, "{\"some\": 1}", NULL, NULL), 0);
}

static void open_whole(u32 number)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%08u.link", image_test_dir, number);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	length = (u64)lseek(fd, 0, SEEK_END);
	whole = malloc(length);
	assert_int_equal(pread(fd, whole, length, 0), length);
}

/* One line that names a file. */
static void check_sentence(const struct err *err)
{
	assert_int_equal(strncmp(err->text, image_test_dir, strlen(image_test_dir)), 0);
	assert_null(strchr(err->text, '\n'));
}

/* Whether all of it can be read; what can be is right. */
static bool reads_right(void)
{
	struct err err = {.text = ""};
	u8 right[PAGE_SIZE], page[PAGE_SIZE];
	struct image *image;
	bool all = true;
	u32 size;

	if (image_open(&image, image_test_dir, 2, &err)) {
		check_sentence(&err);
		return false;
	}
	assert_int_equal(image_nr_pages(image), NR);
	assert_memory_equal(image_state(image, &size), "some state", 11);
	assert_int_equal(size, 10);
	assert_string_equal(image_config(image), "{\"some\": 1}");
	for (u32 no = 0; no < NR; no++) {
		make_page(right, seeds[1][no]);
		if (image_read(image, no, 1, page, &err)) {
			check_sentence(&err);
			all = false;
			continue;
		}
		assert_memory_equal(page, right, PAGE_SIZE);
		assert_true(image_same(image, no, right));
	}
	image_close(image);
	return all;
}

/* Damaged at all, then it is found by whoever looks at everything. */
static bool verifies(void)
{
	struct err err = {.text = ""};
	int ret = image_verify(image_test_dir, NULL, NULL, &err);

	if (ret)
		check_sentence(&err);
	return !ret;
}

static void flip_every_bit(u32 number)
{
	struct image_region root;
	struct image_footer footer;

	open_whole(number);
	memcpy(&footer, whole + length - sizeof(footer), sizeof(footer));
	memcpy(&root, whole + footer.root_at, sizeof(root));
	for (u64 bit = 0; bit < length * 8; bit++) {
		u8 flipped = whole[bit / 8] ^ (u8)(1 << bit % 8);
		bool right, verified;

		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
		right = reads_right();
		verified = verifies();
		/* only LZ4 data can differ and mean the same */
		if (verified)
			assert_true(right && range_fits(bit / 8, 1, root.at));
		assert_int_equal(pwrite(fd, &whole[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	assert_true(reads_right() && verifies());
	free(whole);
	close(fd);
}

static void cut_everywhere(u32 number)
{
	open_whole(number);
	for (u64 size = length; size--;) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		assert_false(reads_right());
		assert_false(verifies());
	}
	assert_int_equal(pwrite(fd, whole, length, 0), length);
	assert_true(reads_right() && verifies());
	free(whole);
	close(fd);
}

static int setup(void **state)
{
	if (image_test_setup(state))
		return -1;
	write_link(0);
	write_link(1);
	return 0;
}

static void test_flips(void **state)
{
	(void)state;
	assert_true(reads_right() && verifies());
	flip_every_bit(1);
	flip_every_bit(2);
}

static void test_cuts(void **state)
{
	(void)state;
	cut_everywhere(1);
	cut_everywhere(2);
}

/* Something behind it, and holes in it, as a file system may leave after a crash. */
static void test_more_and_less(void **state)
{
	static const u8 more[300];
	static u8 zeros[PAGE_SIZE];

	(void)state;
	open_whole(2);
	for (u64 n = 1; n <= sizeof(more); n += 37) {
		assert_int_equal(pwrite(fd, more, n, (off_t)length), n);
		assert_false(reads_right());
		assert_int_equal(ftruncate(fd, (off_t)length), 0);
	}
	/* a second footer is no better than the first one */
	assert_int_equal(pwrite(fd, whole + length - sizeof(struct image_footer),
				sizeof(struct image_footer), (off_t)length),
			 sizeof(struct image_footer));
	assert_false(reads_right());
	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	for (u64 at = 0; at + 512 <= length; at += 512) {
		assert_int_equal(pwrite(fd, zeros, 512, (off_t)at), 512);
		assert_false(verifies());
		assert_int_equal(pwrite(fd, whole, length, 0), length);
	}
	assert_true(reads_right() && verifies());
	free(whole);
	close(fd);
}

/* ---- Good checksums over nonsense: an image is not trusted ---- */

/* The structures of the link, taken out of it, and put back changed. */
struct forged {
	struct image_header header;
	struct image_footer footer;
	struct image_region root;
	struct {
		struct image_index fixed;
		struct image_entry entry[NR];
	} index;
};

static void take_out(struct forged *f)
{
	memcpy(&f->header, whole, sizeof(f->header));
	memcpy(&f->footer, whole + length - sizeof(f->footer), sizeof(f->footer));
	memcpy(&f->root, whole + f->footer.root_at, sizeof(f->root));
	memcpy(&f->index, whole + f->root.at, image_index_size(f->root.count));
}

/* With all checksums right again, it is refused for what it says. @old: as it was. */
static void expect_refused(struct forged *f, const struct forged *old)
{
	u64 index_size = image_index_size(old->root.count);
	struct err err = {.text = ""};
	u8 *bytes = malloc(length);

	memcpy(bytes, whole, length);
	memcpy(bytes, &f->header, sizeof(f->header));
	memcpy(bytes + old->root.at, &f->index, index_size);
	f->root.sum = image_sum(&f->index, index_size);
	memcpy(bytes + old->footer.root_at, &f->root, sizeof(f->root));
	f->footer.root_sum = image_sum(&f->root, sizeof(f->root));
	f->footer.header_sum = image_sum(&f->header, sizeof(f->header));
	f->footer.sum = image_sum(&f->footer, offsetof(struct image_footer, sum));
	memcpy(bytes + length - sizeof(f->footer), &f->footer, sizeof(f->footer));
	assert_int_equal(pwrite(fd, bytes, length, 0), length);
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), -EBADMSG);
	check_sentence(&err);
	assert_false(reads_right());
	free(bytes);
}

static void test_forged(void **state)
{
	struct forged f, old;
	struct image_entry *entry = f.index.entry;

	(void)state;
	open_whole(2);
	take_out(&old);
#define REFUSED(change) (f = old, change, expect_refused(&f, &old))
	f = old;
	assert_int_equal(f.root.count, 5);
	REFUSED(f.header.version = 0);
	REFUSED(f.header.version = IMAGE_VERSION + 1);
	REFUSED(f.header.number = 3);
	REFUSED(f.header.parent = 2);
	REFUSED(f.header.parent = 3);
	REFUSED(f.header.parent = 0);
	REFUSED(f.header.parent_id.byte[3] ^= 1);
	REFUSED(f.header.nr_pages = 0);
	REFUSED(f.header.nr_pages = NR - 1);
	REFUSED(f.header.nr_pages = NR + 1); /* its parent has fewer */
	REFUSED(f.header.nr_pages = UINT32_MAX);
	REFUSED(f.footer.size++);
	REFUSED(f.footer.zero = 1);
	REFUSED(f.footer.pages++);
	REFUSED(f.footer.nr_regions = 2);
	REFUSED(f.footer.nr_regions = UINT32_MAX);
	REFUSED(f.footer.root_at = UINT64_MAX);
	REFUSED(f.footer.root_at = length - 1);
	REFUSED(f.footer.state_at = UINT64_MAX - 3);
	REFUSED(f.footer.state_size = UINT32_MAX);
	REFUSED(f.footer.config_size = UINT32_MAX);
	REFUSED(f.footer.config_at = length);
	REFUSED(f.root.region = 1);
	REFUSED(f.root.region = UINT32_MAX);
	REFUSED((f.root.count++, f.footer.pages++));
	REFUSED((f.root.count = 0, f.footer.pages = 0));
	REFUSED((f.root.count = 257, f.footer.pages = 257));
	REFUSED(f.root.at = UINT64_MAX - 10);
	REFUSED(f.root.at = length - 200);
	REFUSED(f.index.fixed.present[0] |= (u64)1 << NR);
	REFUSED(f.index.fixed.present[0] &= f.index.fixed.present[0] - 1);
	REFUSED(f.index.fixed.present[3] |= (u64)1 << 63);
	REFUSED(entry[0].place = 0);
	REFUSED(entry[0].place = image_place(CODEC_PATTERN, 1, 0));
	REFUSED(entry[0].place = image_place(CODEC_PACKED, 64, 0));
	REFUSED(entry[0].place = image_place(CODEC_PACKED, 64, 4097));
	REFUSED(entry[0].place = image_place(CODEC_RAW, 64, 4095));
	REFUSED(entry[0].place = image_place(CODEC_PACKED, length - 130, 11));
	REFUSED(entry[0].place = image_place(CODEC_PACKED, IMAGE_MAX_OFFSET - 1, 100));
	REFUSED(entry[0].place |= (u64)1 << 61);
	REFUSED(entry[0].sum.word[3] = 1);
#undef REFUSED
	assert_int_equal(pwrite(fd, whole, length, 0), length);
	assert_true(reads_right() && verifies());
	free(whole);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, image_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flips),
		TEST(test_cuts),
		TEST(test_more_and_less),
		TEST(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
