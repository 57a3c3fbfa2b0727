// SPDX-License-Identifier: Apache-2.0
/*
 * Merging links: the contents of every link that stays are what they were, at each step, whoever
 * writes or reads meanwhile, and wherever a merge was cut short.
 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/quiet.h"
#include "tests/mm/image/image_fixture.h"

#define MAX_LINKS 64

static struct image_model model[MAX_LINKS]; /* of link i + 1 */
static u32 nr_links;

static void add_links(u32 n, u64 *seed, u32 change)
{
	for (; n; n--) {
		struct image_model *m = &model[nr_links];

		if (nr_links)
			*m = m[-1];
		image_test_change(m, seed, nr_links ? change : 1200);
		assert_int_equal(image_test_write(image_test_dir, m, nr_links ? m - 1 : NULL, NULL),
				 0);
		nr_links++;
	}
}

/* Every link of the chain, whichever these are; returns how many. */
static u32 check_all(const char *dir)
{
	struct image_link_info info[MAX_LINKS];
	struct err err = {.text = ""};
	int n = image_list(dir, info, MAX_LINKS, &err);

	if (n < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < n; i++) {
		assert_in_range(info[i].number, 1, nr_links);
		image_test_check(dir, info[i].number, &model[info[i].number - 1]);
	}
	assert_int_equal(info[n - 1].number, nr_links);
	return (u32)n;
}

static int setup(void **state)
{
	memset(model, 0, sizeof(model));
	nr_links = 0;
	return image_test_setup(state);
}

/* ---- Merging ---- */

static void test_merge(void **state)
{
	struct err err = {.text = ""};
	u64 seed = 31;

	(void)state;
	add_links(3, &seed, 30);
	assert_int_equal(image_merge(image_test_dir, 3, &err), 0);
	for (u32 i = 0; i < 40; i++) {
		u32 before = check_all(image_test_dir), most = i % 10 ? 5 : 2;
		int went;

		add_links(1, &seed, 10 + i % 7 * 20);
		went = image_merge(image_test_dir, most, &err);
		assert_true(went >= 0 && (u32)went <= before);
		assert_int_equal(check_all(image_test_dir), before + 1 - (u32)went);
		assert_true(before + 1 - (u32)went <= most);
		/* the links, and the lock */
		assert_int_equal(image_test_files(image_test_dir), before + 2 - (u32)went);
	}
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), 0);
}

/* A page is written but a few times however long the chain grows. */
static void test_merge_is_cheap(void **state)
{
	struct image_link_info info[16];
	u64 seed = 77, copied = 0, added = 0;

	(void)state;
	add_links(1, &seed, 0);
	for (u32 i = 0; i < 60; i++) {
		int n;

		add_links(1, &seed, 4);
		added += 4;
		if (!image_merge(image_test_dir, 6, NULL))
			continue;
		n = image_list(image_test_dir, info, 16, NULL);
		assert_in_range(n, 2, 6);
		/* what was merged is the one before the newest */
		copied += info[n - 2].pages;
	}
	assert_true(copied < 8 * added + 1200);
}

/* ---- Flattening ---- */

static void test_flatten(void **state)
{
	struct image_link_info info[16];
	struct err err = {.text = ""};
	u64 seed = 41;

	(void)state;
	add_links(8, &seed, 100);
	assert_int_equal(image_flatten(image_test_dir, 9, NULL, NULL, NULL, &err), -ENOENT);
	assert_int_equal(image_flatten(image_test_dir, 3, NULL, NULL, NULL, &err), 0);
	assert_int_equal(check_all(image_test_dir), 6);
	assert_int_equal(image_list(image_test_dir, info, 16, &err), 6);
	assert_int_equal(info[0].number, 3);
	assert_int_equal(info[0].parent, 0);
	assert_int_equal(info[1].parent, 3);
	assert_int_equal(image_flatten(image_test_dir, 0, NULL, NULL, NULL, &err), 0);
	assert_int_equal(check_all(image_test_dir), 1);
	assert_int_equal(image_flatten(image_test_dir, 0, NULL, NULL, NULL, &err), 0);
	add_links(2, &seed, 100);
	assert_int_equal(check_all(image_test_dir), 3);
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), 0);
}

static void note_progress(void *opaque, u64 done, u64 all)
{
	u64 *last = opaque;

	assert_true(done >= *last && done <= all);
	*last = done;
}

static void test_flatten_elsewhere(void **state)
{
	struct err err = {.text = ""};
	u64 seed = 43, last = 0;
	char to[128];

	(void)state;
	snprintf(to, sizeof(to), "%s.flat", image_test_dir);
	add_links(5, &seed, 100);
	assert_int_equal(image_flatten(image_test_dir, 4, to, note_progress, &last, &err), 0);
	assert_int_equal(last, IMAGE_TEST_PAGES * PAGE_SIZE);
	assert_int_equal(image_test_files(to), 1);
	assert_int_equal(image_test_files(image_test_dir), 5);
	image_test_check(to, 4, &model[3]);
	assert_int_equal(check_all(image_test_dir), 5);
	assert_int_equal(image_flatten(image_test_dir, 0, to, NULL, NULL, &err), -EEXIST);
	/* it can be gone on with */
	assert_int_equal(image_test_write(to, &model[4], &model[3], NULL), 0);
	image_test_check(to, 5, &model[4]);
	last = 0;
	assert_int_equal(image_verify(to, note_progress, &last, &err), 0);
	assert_true(last > 0);
	image_test_remove(to);
}

/* Contents that do not match their checksum are copied as they are, and still do not. */
static void test_damage_is_kept(void **state)
{
	struct err err = {.text = ""};
	u64 seed = 47;
	char path[128];
	u8 byte;
	int fd;

	(void)state;
	add_links(3, &seed, 100);
	snprintf(path, sizeof(path), "%s/00000001.link", image_test_dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, 100000), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 100000), 1);
	close(fd);
	assert_false(image_test_right_or_refused(image_test_dir, 0, &model[2]));
	assert_int_equal(image_flatten(image_test_dir, 0, NULL, NULL, NULL, &err), 0);
	assert_false(image_test_right_or_refused(image_test_dir, 0, &model[2]));
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), -EBADMSG);
}

/* ---- Cut short ---- */

/* Keep a second name for each file, which image_merge() does not know. */
static void keep_copies(const char *dir, const char *copies)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char from[400], to[400];

	assert_int_equal(mkdir(copies, 0700), 0);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, ".link"))
			continue;
		snprintf(from, sizeof(from), "%s/%s", dir, e->d_name);
		snprintf(to, sizeof(to), "%s/%s", copies, e->d_name);
		assert_int_equal(link(from, to), 0);
	}
	closedir(d);
}

/* The first @n of the links that merging removed are there again: it got no further. */
static void bring_back(const char *dir, const char *copies, u32 n)
{
	char from[400], to[400];

	for (u32 number = 1; number <= nr_links && n; number++) {
		snprintf(from, sizeof(from), "%s/%08u.link", copies, number);
		snprintf(to, sizeof(to), "%s/%08u.link", dir, number);
		if (access(from, F_OK) || link(from, to))
			continue;
		n--;
	}
}

/* Between the rename and the removal of the last part, at each step. */
static void test_cut_short(void **state)
{
	struct err err = {.text = ""};
	char copies[128];

	(void)state;
	snprintf(copies, sizeof(copies), "%s.copies", image_test_dir);
	for (u32 left = 0; left < 5; left++) {
		u64 seed = 51;
		u32 in_chain;

		nr_links = 0;
		memset(model, 0, sizeof(model));
		add_links(6, &seed, 80);
		keep_copies(image_test_dir, copies);
		if (left % 2)
			assert_int_equal(image_merge(image_test_dir, 2, &err), 4);
		else
			assert_int_equal(image_flatten(image_test_dir, 5, NULL, NULL, NULL, &err),
					 0);
		in_chain = check_all(image_test_dir);
		bring_back(image_test_dir, copies, left);
		assert_int_equal(image_test_files(image_test_dir), in_chain + MIN(left, 4u) + 1);
		/* it is as if they were not there, but who asks for them gets them */
		assert_int_equal(check_all(image_test_dir), in_chain);
		if (left)
			image_test_check(image_test_dir, 1, &model[0]);
		add_links(1, &seed, 80);
		assert_int_equal(check_all(image_test_dir), in_chain + 1);
		/* the next merge removes them, though there is nothing to merge */
		assert_int_equal(image_merge(image_test_dir, 10, &err), 0);
		assert_int_equal(image_test_files(image_test_dir), in_chain + 2);
		assert_int_equal(check_all(image_test_dir), in_chain + 1);
		image_test_remove(copies);
		image_test_remove(image_test_dir);
	}
}

/* What a merge that was cut short before its rename left does not stand in the way. */
static void test_leftover(void **state)
{
	struct err err = {.text = ""};
	u64 seed = 52;
	char path[128];
	int fd;

	(void)state;
	add_links(4, &seed, 80);
	snprintf(path, sizeof(path), "%s/merge.tmp", image_test_dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	assert_int_equal(check_all(image_test_dir), 4);
	assert_int_equal(image_merge(image_test_dir, 2, &err), 2);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(check_all(image_test_dir), 2);
}

static void test_one_at_a_time(void **state)
{
	struct err err = {.text = ""};
	u64 seed = 53;
	char path[128];
	int fd;

	(void)state;
	add_links(4, &seed, 80);
	snprintf(path, sizeof(path), "%s/merge.lock", image_test_dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(image_merge(image_test_dir, 2, &err), -EBUSY);
	assert_int_equal(image_flatten(image_test_dir, 0, NULL, NULL, NULL, &err), -EBUSY);
	close(fd);
	assert_int_equal(image_merge(image_test_dir, 2, &err), 2);
}

/* ---- All at once ---- */

static _Atomic bool stop;
static _Atomic u32 merged, opened;
static _Atomic int failed;

static void *keep_merging(void *arg)
{
	(void)arg;
	while (!stop) {
		int ret = image_merge(image_test_dir, 3, NULL);

		if (ret < 0)
			failed = ret;
		else
			merged += (u32)ret;
	}
	return NULL;
}

/* Whatever is the newest has the contents that its configuration goes with. */
static void *keep_opening(void *arg)
{
	u8 page[PAGE_SIZE], right[PAGE_SIZE];
	u64 seed = 4;

	(void)arg;
	while (!stop) {
		struct image *image;
		int ret = image_open(&image, image_test_dir, 0, NULL);

		for (u32 i = 0; i < 50 && !ret; i++) {
			u32 no = image_test_draw(&seed, IMAGE_TEST_PAGES);

			ret = image_read(image, no, 1, page, NULL);
			image_test_page(right, model[image_number(image) - 1].seed[no]);
			if (!ret && memcmp(page, right, PAGE_SIZE))
				ret = -EILSEQ;
		}
		if (ret)
			failed = ret;
		else
			image_close(image);
		opened++;
	}
	return NULL;
}

static void test_all_at_once(void **state)
{
	pthread_t threads[3];
	u64 seed = 61;

	(void)state;
	add_links(1, &seed, 0);
	stop = false;
	merged = opened = 0;
	failed = 0;
	assert_int_equal(pthread_create(&threads[0], NULL, keep_merging, NULL), 0);
	for (u32 i = 1; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_opening, NULL), 0);
	add_links(MAX_LINKS - 1, &seed, 40);
	for (u32 i = 0; i < HUNG_MS / 10 && opened < 100; i++)
		usleep(10000);
	stop = true;
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(failed, 0);
	assert_true(merged > 10 && opened >= 100);
	/* the thread may have been stopped before it came to the last of them */
	assert_true(image_merge(image_test_dir, 4, NULL) >= 0);
	assert_true(check_all(image_test_dir) <= 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, image_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_merge),	   TEST(test_merge_is_cheap),
		TEST(test_flatten),	   TEST(test_flatten_elsewhere),
		TEST(test_damage_is_kept), TEST(test_cut_short),
		TEST(test_leftover),	   TEST(test_one_at_a_time),
		TEST(test_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
