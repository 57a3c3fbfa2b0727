// SPDX-License-Identifier: Apache-2.0
/*
 * For tests of images: a directory for one, and guests whose contents follow from a seed for each
 * page, so that a model needs to remember no more than that.
 */
#ifndef QUIRE_TESTS_MM_IMAGE_IMAGE_FIXTURE_H
#define QUIRE_TESTS_MM_IMAGE_IMAGE_FIXTURE_H

#include "mm/image/image.h"

/* Three regions and a bit. */
#define IMAGE_TEST_PAGES 800

struct image_model {
	u64 seed[IMAGE_TEST_PAGES]; /* 0: zeros */
};

/* cmocka's setup and teardown: image_test_dir does not exist, and is removed with what is in it. */
extern char image_test_dir[64];
int image_test_setup(void **state);
int image_test_teardown(void **state);

/* Remove a directory and the files in it. */
void image_test_remove(const char *dir);

/* A random number below @below (xorshift). */
u32 image_test_draw(u64 *seed, u32 below);

/* Zeros, patterns, text, half random, random: as the seed will have it. */
void image_test_page(void *page, u64 seed);

/* Change about @n pages; some become equal to others, some zeros. */
void image_test_change(struct image_model *m, u64 *seed, u32 n);

/*
 * Write a link with what differs from @before (NULL: a base), every third page as a block. The
 * number of the link is its configuration and state. -errno from image_begin() or image_commit().
 */
int image_test_write(const char *dir, const struct image_model *m, const struct image_model *before,
		     struct image_written *written);

/* Link @number of @dir (0: the newest) has exactly the contents of @m; by every way of reading. */
void image_test_check(const char *dir, u32 number, const struct image_model *m);

/* Its contents are those of @m or it says that it is damaged. Whether all could be read. */
bool image_test_right_or_refused(const char *dir, u32 number, const struct image_model *m);

/* How many files the directory has. */
u32 image_test_files(const char *dir);

#endif
