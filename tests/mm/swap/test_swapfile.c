// SPDX-License-Identifier: Apache-2.0
/* The swap file against a model, what it costs, and what --swap can name. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/swap/swapfile.h"
#include "mm/swap/map.h"
#include "tests/mm/swap/swap_model.h"

static char dir[] = "/tmp/quire-test-swap-XXXXXX";

static struct tier *make(u64 limit)
{
	return swap_make(dir, limit);
}

/* ---- random operations ---- */

static void test_model(void **state)
{
	static struct swap_object objects[3000];
	struct tier *tier = make(0);
	u64 seed = 12345;

	(void)state;
	memset(objects, 0, sizeof(objects));
	for (int step = 0; step < 3000; step++) {
		u32 n = 1 + (u32)(swap_next(&seed) % (step % 10 ? 8 : 200));
		u32 at = (u32)(swap_next(&seed) % (ARRAY_SIZE(objects) - n));

		switch (swap_next(&seed) % 3) {
		case 0: /* replace a stretch */
			swap_release_all(tier, objects + at, n);
			assert_int_equal(swap_write(tier, objects + at, n, &seed, 0), 0);
			break;
		case 1:
			swap_release_all(tier, objects + at, n / 2);
			break;
		default:
			swap_check(tier, objects + at, n);
		}
		if (step % 100 == 0)
			swap_check_counts(tier, objects, ARRAY_SIZE(objects));
	}
	swap_check(tier, objects, ARRAY_SIZE(objects));
	assert_true(swap_stats(tier).moved_objects > 0);
	assert_int_equal(swap_stats(tier).errors, 0);
	swap_release_all(tier, objects, ARRAY_SIZE(objects));
	swap_check_counts(tier, objects, ARRAY_SIZE(objects));
	assert_int_equal(swap_stats(tier).used_bytes, 0);
	tier->ops->destroy(tier);
}

struct crowd {
	struct tier *tier;
	struct swap_object objects[2000];
	_Atomic bool stop;
	_Atomic u32 reads, wrong;
};

static void *keep_reading(void *arg)
{
	struct crowd *c = arg;
	u64 seed = 77 + (u64)(uintptr_t)&seed;

	while (!c->stop) {
		struct swap_object *o = &c->objects[swap_next(&seed) % ARRAY_SIZE(c->objects)];
		bool same = true;

		pthread_mutex_lock(&o->lock);
		if (o->place && (swap_read(c->tier, o, &same) || !same))
			c->wrong++;
		/* releases come from the threads that handle faults, too */
		if (o->place && swap_next(&seed) % 8 == 0)
			swap_release(c->tier, o);
		pthread_mutex_unlock(&o->lock);
		c->reads++;
	}
	return NULL;
}

/* Replace random stretches while others read and release. */
static void test_threads(void **state)
{
	static struct crowd c;
	pthread_t threads[2];
	u64 seed = 4242;

	(void)state;
	c.tier = make(0);
	for (size_t i = 0; i < ARRAY_SIZE(c.objects); i++)
		pthread_mutex_init(&c.objects[i].lock, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_reading, &c), 0);
	for (int step = 0; step < 400 || c.reads < 5000; step++) {
		u32 n = 1 + (u32)(swap_next(&seed) % 50);
		u32 at = (u32)(swap_next(&seed) % (ARRAY_SIZE(c.objects) - n));

		for (u32 i = at; i < at + n; i++)
			pthread_mutex_lock(&c.objects[i].lock);
		swap_release_all(c.tier, c.objects + at, n);
		assert_int_equal(swap_write(c.tier, c.objects + at, n, &seed, 0), 0);
		for (u32 i = at; i < at + n; i++)
			pthread_mutex_unlock(&c.objects[i].lock);
	}
	c.stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	swap_check(c.tier, c.objects, ARRAY_SIZE(c.objects));
	swap_check_counts(c.tier, c.objects, ARRAY_SIZE(c.objects));
	c.tier->ops->destroy(c.tier);
}

/* Nobody replaces but one at a time: the worst for density. The file must not grow for it. */
static void test_no_growth(void **state)
{
	static struct swap_object objects[4096];
	struct tier *tier = make(0);
	struct tier_stats s;
	u64 seed = 99, most = 0, written;

	(void)state;
	memset(objects, 0, sizeof(objects));
	for (u32 at = 0; at < ARRAY_SIZE(objects); at += 256)
		assert_int_equal(swap_write(tier, objects + at, 256, &seed, 0), 0);
	written = swap_stats(tier).object_bytes;
	for (int i = 0; i < 10000; i++) {
		u32 n = i % 2 ? 1 : 8;
		u32 at = (u32)(swap_next(&seed) % (ARRAY_SIZE(objects) - n));

		swap_release_all(tier, objects + at, n);
		for (u32 k = 0; k < n; k++)
			written += objects[at + k].size;
		assert_int_equal(swap_write(tier, objects + at, n, &seed, 0), 0);
		most = MAX(most, swap_stats(tier).used_bytes);
	}
	swap_check(tier, objects, ARRAY_SIZE(objects));
	s = swap_stats(tier);
	assert_true(most <= s.object_bytes * 21 / 10 + MiB);
	print_message("live %.1f MiB, most used %.1f MiB; %.1f MiB given, %.1f MiB written\n",
		      (double)s.object_bytes / MiB, (double)most / MiB, (double)written / MiB,
		      (double)s.written_bytes / MiB);
	tier->ops->destroy(tier);
}

/* ---- what it costs ---- */

/* Objects read in the order in which they were written cost two reads a cluster, not one each. */
static void test_neighbours(void **state)
{
	static struct swap_object objects[2560];
	struct tier *tier = make(0);
	u64 seed = 5, before, order, random;

	(void)state;
	memset(objects, 0, sizeof(objects));
	for (u32 at = 0; at < ARRAY_SIZE(objects); at += 256)
		assert_int_equal(swap_write(tier, objects + at, 256, &seed, 0), 0);
	before = swap_stats(tier).reads;
	swap_check(tier, objects, ARRAY_SIZE(objects));
	order = swap_stats(tier).reads - before;
	assert_true(order <= 2 * (swap_stats(tier).used_bytes / SWAP_CLUSTER) + 2);
	before = swap_stats(tier).read_bytes;
	for (u32 i = 0; i < ARRAY_SIZE(objects); i++)
		swap_check(tier, &objects[i * 997 % ARRAY_SIZE(objects)], 1);
	/* at random no more than the blocks of each, but for chance meetings */
	random = swap_stats(tier).read_bytes - before;
	assert_true(random < ARRAY_SIZE(objects) * 4 * SWAP_BLOCK);
	print_message("%zu objects: %llu reads in order, %llu bytes each at random\n",
		      ARRAY_SIZE(objects), (unsigned long long)order,
		      (unsigned long long)(random / ARRAY_SIZE(objects)));
	tier->ops->destroy(tier);
}

/* Memory for a million objects would be 8 MiB. Here: 20,000, and the buffers are not counted. */
static void test_memory(void **state)
{
	static struct swap_object objects[20000];
	struct tier *tier = make(0);
	u64 seed = 6, before = swap_stats(tier).memory_bytes;

	(void)state;
	memset(objects, 0, sizeof(objects));
	for (u32 at = 0; at < ARRAY_SIZE(objects); at += 200)
		assert_int_equal(swap_write(tier, objects + at, 200, &seed, 300), 0);
	assert_true(swap_stats(tier).memory_bytes - before < ARRAY_SIZE(objects) * 9 + 4096 * 8);
	tier->ops->destroy(tier);
}

static u64 disk_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (u64)st.st_blocks * 512;
}

/* What was freed goes back to the file system. */
static void test_punching(void **state)
{
	static struct swap_object objects[4096];
	char path[64];
	struct tier *tier;
	u64 seed = 8, full, left;

	(void)state;
	memset(objects, 0, sizeof(objects));
	snprintf(path, sizeof(path), "%s/punch", dir);
	close(open(path, O_CREAT | O_RDWR, 0600));
	tier = swap_make(path, 0);
	for (u32 at = 0; at < ARRAY_SIZE(objects); at += 256)
		assert_int_equal(swap_write(tier, objects + at, 256, &seed, 4096), 0);
	full = disk_bytes(path);
	assert_true(full >= ARRAY_SIZE(objects) * 4096);
	swap_release_all(tier, objects, ARRAY_SIZE(objects));
	for (int i = 0; i < 4; i++)
		assert_int_equal(swap_write(tier, objects + i, 1, &seed, 0), 0);
	left = disk_bytes(path);
	assert_true(left <= 5 * MiB);
	swap_check(tier, objects, 4);
	tier->ops->destroy(tier);
	/* it existed before, so it is still there, but what was in it is not */
	assert_int_equal(disk_bytes(path), 0);
	unlink(path);
}

/* ---- what --swap can name ---- */

static u32 names_in_dir(void)
{
	struct stat st;
	char cmd[128];
	FILE *f;
	u32 n = 0;

	assert_int_equal(stat(dir, &st), 0);
	snprintf(cmd, sizeof(cmd), "ls -A %s", dir);
	f = popen(cmd, "r");
	assert_non_null(f);
	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	pclose(f);
	return n;
}

/* @code 0: whichever. */
static void refused(const char *path, u64 limit, int code, const char *why)
{
	struct swapfile_config cfg = {.path = path, .limit = limit};
	struct err err = {0};
	struct tier *tier;
	char start[128];
	int ret;

	ret = swapfile_create(&tier, &cfg, &err);
	assert_true(code ? ret == code : ret < 0);
	snprintf(start, sizeof(start), "--swap %s: ", path);
	assert_int_equal(strncmp(err.text, start, strlen(start)), 0);
	assert_non_null(strstr(err.text, why));
	assert_int_equal(err.text[strlen(err.text) - 1], ')');
}

static void test_names(void **state)
{
	char path[64], deep[96];
	struct tier *tier, *second;

	(void)state;
	snprintf(path, sizeof(path), "%s/name", dir);
	snprintf(deep, sizeof(deep), "%s/name/deeper", dir);
	/* unnamed, and named but new: nothing is to be seen, and two do not meet */
	tier = swap_make(dir, 0);
	second = swap_make(path, 0);
	assert_int_equal(names_in_dir(), 0);
	second->ops->destroy(second);
	second = swap_make(path, 0);
	tier->ops->destroy(tier);
	second->ops->destroy(second);
	/* one that exists: for one guest at a time */
	close(open(path, O_CREAT | O_RDWR, 0600));
	tier = swap_make(path, 0);
	refused(path, 0, -EBUSY, "in use by another guest");
	tier->ops->destroy(tier);
	tier = swap_make(path, 0);
	tier->ops->destroy(tier);
	assert_int_equal(names_in_dir(), 1);
	refused(deep, 0, -ENOTDIR, "Not a directory");
	refused(path, 1000, -EINVAL, "too few");
	unlink(path);
	refused(deep, 0, -ENOENT, "cannot make it");
	refused("/dev/null", 0, -EINVAL, "neither");
	refused("/proc/self", 0, 0, "cannot make a file");
}

static void test_default_name(void **state)
{
	struct swapfile_config cfg = {0};
	struct tier *tier;
	struct err err = {0};

	(void)state;
	setenv("TMPDIR", "/no/such/directory", 1);
	assert_int_equal(swapfile_create(&tier, &cfg, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/no/such/directory"));
	setenv("TMPDIR", dir, 1);
	assert_int_equal(swapfile_create(&tier, &cfg, &err), 0);
	tier->ops->destroy(tier);
	unsetenv("TMPDIR");
	assert_int_equal(swapfile_create(&tier, &cfg, &err), 0);
	tier->ops->destroy(tier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_default_name),
		cmocka_unit_test(test_model),	  cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_growth), cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_memory),	  cmocka_unit_test(test_punching),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
