// SPDX-License-Identifier: Apache-2.0
/*
 * Images: what is written comes back, by every way of reading, after any number of links; and
 * whatever fails while one is written, the chain is as it was.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mm/image/image_fixture.h"

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", image_test_dir, name);
	return path;
}

/* ---- What comes back ---- */

static void test_kinds(void **state)
{
	const struct image_writer_config cfg = {.nr_pages = 300};
	struct image_written written;
	struct image_writer *w;
	struct image *image;
	struct err err = {.text = ""};
	static u8 page[6][PAGE_SIZE];
	u8 got[PAGE_SIZE];
	u32 size;

	(void)state;
	for (u32 i = 0; i < 6; i++)
		image_test_page(page[i], (u64[]){0, 9, 10, 11, 12, 11}[i]);
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	/* in no order; 299 is the last page, in a region that is not whole */
	assert_int_equal(image_put(w, 299, page[3]), 0);
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(image_put(w, 5 - i, page[5 - i]), 0);
	assert_int_equal(image_commit(w, NULL, 0, "", &written, &err), 0);
	assert_int_equal(written.number, 1);
	assert_int_equal(written.pages, 6); /* all but the zeros */
	assert_int_equal(written.patterns, 1);
	assert_int_equal(written.shared, 2);
	assert_int_equal(written.raw, 1);
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), 0);
	for (u32 i = 0; i < 6; i++) {
		assert_int_equal(image_read(image, i, 1, got, &err), 0);
		assert_memory_equal(got, page[i], PAGE_SIZE);
	}
	assert_int_equal(image_read(image, 299, 1, got, &err), 0);
	assert_memory_equal(got, page[3], PAGE_SIZE);
	assert_int_equal(image_is_zero(image, 298, &err), 1);
	assert_non_null(image_state(image, &size));
	assert_int_equal(size, 0);
	assert_string_equal(image_config(image), "");
	image_close(image);
	image_close(NULL);
}

/* A guest whose state is large, and one that is nothing but zeros. */
static void test_blobs(void **state)
{
	const struct image_writer_config cfg = {.nr_pages = 1};
	const u32 sizes[] = {0, 1, 4095, 100000, 3 * MiB};
	u8 *blob = malloc(3 * MiB);
	const void *got;
	struct image_writer *w;
	struct image *image;
	u32 size;

	(void)state;
	for (u32 i = 0; i < 3 * MiB; i++)
		blob[i] = (u8)(i * 31 + i / 997);
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(image_begin(&w, image_test_dir, &cfg, NULL), 0);
		assert_int_equal(image_commit(w, blob, sizes[i], "{}", NULL, NULL), 0);
		assert_int_equal(image_open(&image, image_test_dir, 1, NULL), 0);
		got = image_state(image, &size);
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(got, blob, size);
		assert_string_equal(image_config(image), "{}");
		assert_int_equal(image_is_zero(image, 0, NULL), 1);
		image_close(image);
		image_test_remove(image_test_dir);
	}
	free(blob);
}

/* Twenty increments; every link is what the guest was when it was written. */
static void test_chain(void **state)
{
	static struct image_model m[21];
	struct image_link_info info[32];
	struct image_written written;
	struct err err = {.text = ""};
	u64 seed = 99;

	(void)state;
	memset(m, 0, sizeof(m));
	image_test_change(&m[0], &seed, 1500);
	assert_int_equal(image_test_write(image_test_dir, &m[0], NULL, &written), 0);
	for (u32 i = 1; i < 21; i++) {
		m[i] = m[i - 1];
		image_test_change(&m[i], &seed, image_test_draw(&seed, 60));
		assert_int_equal(image_test_write(image_test_dir, &m[i], &m[i - 1], &written), 0);
		assert_int_equal(written.number, i + 1);
	}
	for (u32 i = 0; i < 21; i++)
		image_test_check(image_test_dir, i + 1, &m[i]);
	image_test_check(image_test_dir, 0, &m[20]);
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), 0);
	assert_int_equal(image_list(image_test_dir, info, 32, &err), 21);
	assert_int_equal(info[20].number, 21);
	assert_int_equal(info[20].parent, 20);
	assert_int_equal(info[0].parent, 0);
	assert_int_equal(info[20].nr_pages, IMAGE_TEST_PAGES);
	assert_int_equal(info[20].bytes, written.bytes);
	assert_int_equal(info[20].pages, written.pages);
	assert_int_equal(image_list(image_test_dir, info, 3, &err), 3);
	assert_int_equal(info[2].number, 3);
}

/* An increment that puts zeros where there was something, and nothing at all. */
static void test_zeros_hide(void **state)
{
	static struct image_model m, zeros;

	(void)state;
	for (u32 i = 0; i < IMAGE_TEST_PAGES; i++)
		m.seed[i] = i + 1;
	assert_int_equal(image_test_write(image_test_dir, &m, NULL, NULL), 0);
	assert_int_equal(image_test_write(image_test_dir, &zeros, &m, NULL), 0);
	assert_int_equal(image_test_write(image_test_dir, &zeros, &zeros, NULL), 0);
	image_test_check(image_test_dir, 1, &m);
	image_test_check(image_test_dir, 2, &zeros);
	image_test_check(image_test_dir, 3, &zeros);
}

/* Equal checksums are not equal contents: what is compared decides. */
static void test_forged_sum(void **state)
{
	const struct image_writer_config cfg = {.nr_pages = 4};
	struct codec_block b = {.kind = CODEC_RAW, .size = PAGE_SIZE};
	struct image_written written;
	struct image_writer *w;
	struct image *image;
	u8 one[PAGE_SIZE], other[PAGE_SIZE], got[4 * PAGE_SIZE];
	struct err err = {.text = ""};

	(void)state;
	image_test_page(one, 2);
	image_test_page(other, 10);
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, NULL), 0);
	assert_int_equal(image_put(w, 0, one), 0);
	b.sum = codec_sum(one);
	b.data = other; /* as a guest would have it that can make checksums collide */
	assert_int_equal(image_put_block(w, 1, &b), 0);
	b.data = one;
	assert_int_equal(image_put_block(w, 2, &b), 0);
	assert_int_equal(image_commit(w, "", 0, "", &written, NULL), 0);
	assert_int_equal(written.shared, 1);
	assert_int_equal(image_open(&image, image_test_dir, 1, NULL), 0);
	assert_int_equal(image_read(image, 0, 1, got, NULL), 0);
	assert_memory_equal(got, one, PAGE_SIZE);
	assert_int_equal(image_read(image, 2, 1, got, NULL), 0);
	assert_memory_equal(got, one, PAGE_SIZE);
	assert_int_equal(image_read(image, 1, 1, got, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "page 1, at byte"));
	assert_int_equal(image_read(image, 0, 4, got, NULL), -EBADMSG);
	image_close(image);
}

/* ---- Who may write ---- */

static void test_begin_refuses(void **state)
{
	struct image_writer_config cfg = {.nr_pages = 100, .incremental = true};
	struct image_writer *w, *other;
	struct err err = {.text = ""};

	(void)state;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), -ENOENT);
	assert_int_equal(access(image_test_dir, F_OK), -1); /* made for nothing, so it went again */
	cfg.incremental = false;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	assert_int_equal(image_begin(&other, image_test_dir, &cfg, &err), -EBUSY);
	assert_non_null(strstr(err.text, "somebody else is writing"));
	assert_int_equal(image_commit(w, "s", 1, "c", NULL, &err), 0);
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), -EEXIST);
	cfg.incremental = true;
	cfg.nr_pages = 101;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), -EINVAL);
	cfg.nr_pages = 100;
	cfg.parent = 2;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), -ESTALE);
	cfg.parent = 1;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	image_abort(w);
	assert_int_equal(image_test_files(image_test_dir), 1);
	assert_int_equal(image_begin(&w, "/dev/null", &cfg, &err), -ENOTDIR);
	assert_int_equal(image_begin(&w, path_of("a/b"), &cfg, &err), -ENOENT);
}

/* What a dead writer left goes; what is not a writer's stays. */
static void test_leftovers(void **state)
{
	static const char *const names[] = {"00000001.tmp", "00000007.tmp", "7.tmp", "notes"};
	struct image_writer_config cfg = {.nr_pages = 100};
	struct image_writer *w;

	(void)state;
	assert_int_equal(mkdir(image_test_dir, 0700), 0);
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(close(open(path_of(names[i]), O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, NULL), 0);
	assert_int_equal(image_test_files(image_test_dir), 3);
	image_abort(w);
	assert_int_equal(image_test_files(image_test_dir), 2);
}

/* A writer that is killed at its work. */
static void test_killed_writer(void **state)
{
	static struct image_model m, changed;
	u64 seed = 5;
	pid_t pid;

	(void)state;
	image_test_change(&m, &seed, 1000);
	assert_int_equal(image_test_write(image_test_dir, &m, NULL, NULL), 0);
	pid = fork();
	if (!pid) {
		const struct image_writer_config cfg = {.nr_pages = IMAGE_TEST_PAGES,
							.incremental = true};
		u8 page[PAGE_SIZE];
		struct image_writer *w;

		image_begin(&w, image_test_dir, &cfg, NULL);
		for (u32 i = 0; i < IMAGE_TEST_PAGES; i++) {
			image_test_page(page, i * 8 + 2);
			image_put(w, i, page);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(image_test_files(image_test_dir), 2);
	image_test_check(image_test_dir, 0, &m);
	changed = m;
	image_test_change(&changed, &seed, 50);
	assert_int_equal(image_test_write(image_test_dir, &changed, &m, NULL), 0);
	assert_int_equal(image_test_files(image_test_dir), 2);
	image_test_check(image_test_dir, 2, &changed);
	image_test_check(image_test_dir, 1, &m);
}

/* ---- What fails ---- */

static int write_with_limit(const struct image_model *m, const struct image_model *before,
			    rlim_t limit)
{
	struct rlimit least = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY}, old;
	int ret;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	least.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
	ret = image_test_write(image_test_dir, m, before, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	return ret;
}

/* The file may not grow beyond some size, wherever that is: nothing comes of it. */
static void test_no_space(void **state)
{
	static struct image_model m, changed;
	struct image_written written;
	u64 seed = 17, step;

	(void)state;
	image_test_change(&m, &seed, 1500);
	assert_int_equal(write_with_limit(&m, NULL, 100000), -EFBIG);
	assert_int_equal(access(image_test_dir, F_OK), -1);
	assert_int_equal(image_test_write(image_test_dir, &m, NULL, &written), 0);
	assert_true(written.bytes > MiB / 2);
	changed = m;
	image_test_change(&changed, &seed, 2000);
	step = written.bytes / 10;
	for (u64 limit = 0; limit < written.bytes - step; limit += step) {
		assert_int_equal(write_with_limit(&changed, &m, limit), -EFBIG);
		assert_int_equal(image_test_files(image_test_dir), 1);
	}
	image_test_check(image_test_dir, 0, &m);
	assert_int_equal(image_test_write(image_test_dir, &changed, &m, NULL), 0);
	image_test_check(image_test_dir, 0, &changed);
	image_test_check(image_test_dir, 1, &m);
}

/* The limit comes when the writer is at its work: the kernel refuses, in the middle of a write. */
static void test_refused_write(void **state)
{
	const struct image_writer_config cfg = {.nr_pages = 2000};
	struct rlimit least, old;
	struct err err = {.text = ""};
	struct image_writer *w;
	u8 page[PAGE_SIZE];
	int first = 0;

	(void)state;
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	least = old;
	least.rlim_cur = 2 * MiB + 12345;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
	for (u32 i = 0; i < 2000; i++) {
		image_test_page(page, i * 8 + 2);
		first = first ? first : image_put(w, i, page);
		if (first)
			assert_int_equal(image_put(w, i, page), -EFBIG);
	}
	assert_int_equal(first, -EFBIG);
	assert_int_equal(image_writer_bytes(w) / MiB, 3); /* it stopped there */
	assert_int_equal(image_commit(w, "", 0, "", NULL, &err), -EFBIG);
	assert_non_null(strstr(err.text, "cannot write link 1: File too large"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(access(image_test_dir, F_OK), -1);
}

/* ---- Parents ---- */

static void rename_link(const char *from, const char *to)
{
	char old[128];

	strcpy(old, path_of(from));
	assert_int_equal(rename(old, path_of(to)), 0);
}

static void test_parents(void **state)
{
	static struct image_model m[3];
	struct image_writer_config cfg = {.nr_pages = 7};
	struct err err = {.text = ""};
	struct image_writer *w;
	struct image *image;
	u64 seed = 3;

	(void)state;
	image_test_change(&m[0], &seed, 500);
	assert_int_equal(image_test_write(image_test_dir, &m[0], NULL, NULL), 0);
	for (u32 i = 1; i < 3; i++) {
		m[i] = m[i - 1];
		image_test_change(&m[i], &seed, 20);
		assert_int_equal(image_test_write(image_test_dir, &m[i], &m[i - 1], NULL), 0);
	}
	rename_link("00000001.link", "saved");
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no link 1, which others need"));

	/* others of the same number: of the same guest, and of another */
	rename_link("00000002.link", "saved2");
	rename_link("00000003.link", "saved3");
	assert_int_equal(image_test_write(image_test_dir, &m[0], NULL, NULL), 0);
	rename_link("saved2", "00000002.link");
	rename_link("saved3", "00000003.link");
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "00000001.link: not the link that link 2 was made after"));
	image_test_check(image_test_dir, 1, &m[0]);
	assert_int_equal(image_verify(image_test_dir, NULL, NULL, &err), -EBADMSG);
	rename_link("00000001.link", "x");
	rename_link("00000002.link", "saved2");
	rename_link("00000003.link", "saved3");
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	assert_int_equal(image_commit(w, "", 0, "", NULL, &err), 0);
	rename_link("saved2", "00000002.link");
	rename_link("saved3", "00000003.link");
	assert_int_equal(image_open(&image, image_test_dir, 2, &err), -EBADMSG);

	/* in another's place */
	rename_link("saved", "00000001.link");
	image_test_check(image_test_dir, 0, &m[2]);
	rename_link("00000003.link", "00000004.link");
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "is link 3 by its contents"));
	image_test_check(image_test_dir, 2, &m[1]);
}

static void test_not_files(void **state)
{
	struct err err = {.text = ""};
	struct image *image;

	(void)state;
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -ENOENT);
	assert_int_equal(mkdir(image_test_dir, 0700), 0);
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no image of a guest"));
	assert_int_equal(mkfifo(path_of("00000001.link"), 0600), 0);
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -EBADMSG);
	assert_int_equal(unlink(path_of("00000001.link")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("00000001.link")), 0);
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), -ELOOP);
}

/* ---- Readers ---- */

struct crowd {
	struct image *image;
	const struct image_model *model;
	_Atomic u32 wrong;
};

static void *read_at_random(void *arg)
{
	struct crowd *c = arg;
	u64 seed = (u64)(uintptr_t)&seed | 1;
	u8 *pages = malloc(100 * PAGE_SIZE), right[PAGE_SIZE];

	for (int i = 0; i < 300; i++) {
		u32 n = 1 + image_test_draw(&seed, 100);
		u32 no = image_test_draw(&seed, IMAGE_TEST_PAGES - n);

		if (image_read(c->image, no, n, pages, NULL))
			c->wrong++;
		for (u32 k = 0; k < n; k++) {
			image_test_page(right, c->model->seed[no + k]);
			c->wrong += memcmp(pages + k * PAGE_SIZE, right, PAGE_SIZE) != 0;
		}
	}
	free(pages);
	return NULL;
}

static void test_threads(void **state)
{
	static struct image_model m[3];
	struct crowd c = {.model = &m[2]};
	pthread_t threads[4];
	u64 seed = 8;

	(void)state;
	image_test_change(&m[0], &seed, 1500);
	assert_int_equal(image_test_write(image_test_dir, &m[0], NULL, NULL), 0);
	for (u32 i = 1; i < 3; i++) {
		m[i] = m[i - 1];
		image_test_change(&m[i], &seed, 200);
		assert_int_equal(image_test_write(image_test_dir, &m[i], &m[i - 1], NULL), 0);
	}
	assert_int_equal(image_open(&c.image, image_test_dir, 0, NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &c), 0);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	image_close(c.image);
}

/* ---- The working set ---- */

static void test_record(void **state)
{
	const page_no nos[] = {7, 3, 0, 99, 3};
	u8 bytes[24 + sizeof(nos)];
	page_no *got;
	u32 n;
	int fd;

	(void)state;
	assert_int_equal(image_record(image_test_dir, nos, 5, NULL), -ENOENT);
	assert_int_equal(mkdir(image_test_dir, 0700), 0);
	assert_int_equal(image_recorded(image_test_dir, 100, &got, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(image_record(image_test_dir, nos, 2, NULL), 0);
	assert_int_equal(image_record(image_test_dir, nos, 5, NULL), 0);
	assert_int_equal(image_test_files(image_test_dir), 1);
	assert_int_equal(image_recorded(image_test_dir, 100, &got, &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(got, nos, sizeof(nos));
	free(got);
	assert_int_equal(image_recorded(image_test_dir, 99, &got, &n), 0); /* of a larger guest */
	assert_int_equal(n, 0);

	/* any bit, any length */
	fd = open(path_of("working-set"), O_RDWR);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	for (u32 bit = 0; bit < sizeof(bytes) * 8; bit++) {
		u8 flipped = bytes[bit / 8] ^ (u8)(1 << bit % 8);

		assert_int_equal(pwrite(fd, &flipped, 1, bit / 8), 1);
		assert_int_equal(image_recorded(image_test_dir, 100, &got, &n), 0);
		assert_int_equal(n, 0);
		assert_null(got);
		assert_int_equal(pwrite(fd, &bytes[bit / 8], 1, bit / 8), 1);
	}
	for (u32 size = sizeof(bytes); size--;) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(image_recorded(image_test_dir, 100, &got, &n), 0);
		assert_int_equal(n, 0);
	}
	close(fd);
}

/* ---- Without syncing ---- */

static void test_no_sync(void **state)
{
	const struct image_writer_config cfg = {.nr_pages = 10, .no_sync = true};
	struct err err = {.text = ""};
	struct image_writer *w;
	struct image *image;
	u8 page[PAGE_SIZE], got[PAGE_SIZE];

	(void)state;
	image_test_page(page, 4);
	assert_int_equal(image_sync(image_test_dir, &err), -ENOENT);
	assert_int_equal(image_begin(&w, image_test_dir, &cfg, &err), 0);
	assert_int_equal(image_put(w, 9, page), 0);
	assert_int_equal(image_commit(w, "", 0, "", NULL, &err), 0);
	assert_int_equal(image_sync(image_test_dir, &err), 0);
	assert_int_equal(image_open(&image, image_test_dir, 0, &err), 0);
	assert_int_equal(image_read(image, 9, 1, got, &err), 0);
	assert_memory_equal(got, page, PAGE_SIZE);
	image_close(image);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, image_test_setup, image_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),	  TEST(test_blobs),	    TEST(test_chain),
		TEST(test_zeros_hide),	  TEST(test_forged_sum),    TEST(test_begin_refuses),
		TEST(test_leftovers),	  TEST(test_killed_writer), TEST(test_no_space),
		TEST(test_refused_write), TEST(test_parents),	    TEST(test_not_files),
		TEST(test_threads),	  TEST(test_record),	    TEST(test_no_sync),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
