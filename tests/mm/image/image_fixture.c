// SPDX-License-Identifier: Apache-2.0
/* Guests to make images of. Contract in image_fixture.h. */
#include "tests/mm/image/image_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

char image_test_dir[64];

void image_test_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	closedir(d);
	assert_int_equal(rmdir(dir), 0);
}

u32 image_test_files(const char *dir)
{
	DIR *d = opendir(dir);
	u32 n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

int image_test_setup(void **state)
{
	(void)state;
	strcpy(image_test_dir, "/tmp/quire-test-image-XXXXXX");
	return !mkdtemp(image_test_dir) || rmdir(image_test_dir);
}

int image_test_teardown(void **state)
{
	(void)state;
	image_test_remove(image_test_dir);
	return 0;
}

static u64 next(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

u32 image_test_draw(u64 *seed, u32 below)
{
	return (u32)(next(seed) >> 20) % below;
}

void image_test_page(void *page, u64 seed)
{
	u64 state = seed * 0x9e3779b97f4a7c15, words[PAGE_SIZE / sizeof(u64)];
	u32 random_words = 0;

	memset(words, 0, sizeof(words));
	if (seed && seed % 8 == 1)
		codec_fill(words, seed);
	else if (seed % 8 == 2)
		random_words = ARRAY_SIZE(words);
	else if (seed % 8 == 3)
		for (u32 i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = 0x7f0000000000 + (next(&state) & 0xfff0);
	else if (seed)
		random_words = ARRAY_SIZE(words) / 2;
	for (u32 i = 0; i < random_words; i++)
		words[i] = next(&state);
	memcpy(page, words, sizeof(words));
}

void image_test_change(struct image_model *m, u64 *seed, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u32 no = image_test_draw(seed, IMAGE_TEST_PAGES);

		switch (image_test_draw(seed, 6)) {
		case 0:
			m->seed[no] = 0;
			break;
		case 1:
			m->seed[no] = m->seed[image_test_draw(seed, IMAGE_TEST_PAGES)];
			break;
		default:
			m->seed[no] = next(seed);
		}
	}
}

/* As the store would hand it over. */
static void put_block(struct image_writer *w, page_no no, const u8 *page)
{
	struct codec_block b = {.kind = CODEC_PACKED, .sum = codec_sum(page)};
	u8 packed[PAGE_SIZE];

	b.data = packed;
	b.size = codec_pack(page, packed, PAGE_SIZE * 7 / 8);
	if (codec_pattern(page, &b.value)) {
		b.kind = CODEC_PATTERN;
	} else if (!b.size) {
		b.kind = CODEC_RAW;
		b.size = PAGE_SIZE;
		b.data = page;
	}
	image_put_block(w, no, &b);
}

int image_test_write(const char *dir, const struct image_model *m, const struct image_model *before,
		     struct image_written *written)
{
	const struct image_writer_config cfg = {.nr_pages = IMAGE_TEST_PAGES,
						.incremental = before != NULL};
	struct image_written done;
	struct image_writer *w;
	char config[32];
	u8 page[PAGE_SIZE];
	struct err err;
	u32 number = 1;
	int ret = image_begin(&w, dir, &cfg, &err);

	if (ret)
		return ret;
	for (u32 no = 0; no < IMAGE_TEST_PAGES; no++) {
		if (before && before->seed[no] == m->seed[no])
			continue;
		image_test_page(page, m->seed[no]);
		if (no % 3)
			image_put(w, no, page);
		else
			put_block(w, no, page);
		number++;
	}
	snprintf(config, sizeof(config), "{\"put\": %u}", number - 1);
	ret = image_commit(w, config, (u32)strlen(config) + 1, config, &done, &err);
	if (written && !ret)
		*written = done;
	return ret;
}

static void check_page(struct image *image, page_no no, const u8 *right, struct err *err)
{
	struct codec_block block;
	struct codec_sum sum = codec_sum(right);
	u8 page[PAGE_SIZE], room[PAGE_SIZE];
	u64 value = 1;
	bool zero = codec_pattern(right, &value) && !value;

	assert_int_equal(image_read(image, no, 1, page, err), 0);
	assert_memory_equal(page, right, PAGE_SIZE);
	assert_int_equal(image_is_zero(image, no, err), zero);
	assert_true(image_same(image, no, right));
	page[no % PAGE_SIZE] ^= 1;
	assert_false(image_same(image, no, page));
	assert_int_equal(image_read_block(image, no, &block, room, err), 0);
	assert_true(codec_sum_equal(&block.sum, &sum));
	assert_int_equal(codec_open(&block, page), 0);
	assert_memory_equal(page, right, PAGE_SIZE);
}

void image_test_check(const char *dir, u32 number, const struct image_model *m)
{
	static u8 right[IMAGE_TEST_PAGES * PAGE_SIZE], pages[IMAGE_TEST_PAGES * PAGE_SIZE];
	struct err err = {.text = ""};
	struct image *image;
	const char *text;
	u32 size;

	if (image_open(&image, dir, number, &err))
		fail_msg("%s", err.text);
	assert_int_equal(image_nr_pages(image), IMAGE_TEST_PAGES);
	if (number)
		assert_int_equal(image_number(image), number);
	text = image_state(image, &size);
	assert_int_equal(size, strlen(image_config(image)) + 1);
	assert_string_equal(text, image_config(image));
	for (u32 no = 0; no < IMAGE_TEST_PAGES; no++) {
		image_test_page(right + no * PAGE_SIZE, m->seed[no]);
		check_page(image, no, right + no * PAGE_SIZE, &err);
	}
	assert_int_equal(image_read(image, 0, IMAGE_TEST_PAGES, pages, &err), 0);
	assert_memory_equal(pages, right, sizeof(right));
	assert_int_equal(image_read(image, 250, 13, pages, &err), 0);
	assert_memory_equal(pages, right + 250 * PAGE_SIZE, 13 * PAGE_SIZE);
	image_close(image);
}

bool image_test_right_or_refused(const char *dir, u32 number, const struct image_model *m)
{
	struct err err = {.text = ""};
	u8 right[PAGE_SIZE], page[PAGE_SIZE];
	struct image *image;
	bool all = true;
	int ret = image_open(&image, dir, number, &err);

	if (ret) {
		assert_true(err.text[0]);
		return false;
	}
	for (u32 no = 0; no < image_nr_pages(image); no++) {
		image_test_page(right, m->seed[no]);
		ret = image_read(image, no, 1, page, &err);
		all = all && !ret;
		if (ret)
			assert_true(err.text[0]);
		else
			assert_memory_equal(page, right, PAGE_SIZE);
	}
	image_close(image);
	return all;
}
