// SPDX-License-Identifier: Apache-2.0
/* The swap file when the world fails it: full, broken, meddled with, or forbidden. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm/base/inject.h"
#include "mm/swap/swapfile.h"
#include "mm/swap/io.h"
#include "tests/mm/swap/swap_model.h"

static char dir[] = "/tmp/quire-test-swap-XXXXXX";

static struct tier *make(u64 limit)
{
	return swap_make(dir, limit);
}

/* ---- full ---- */

static void check_full(struct tier *tier, u64 limit)
{
	static struct swap_object objects[4000];
	u32 n = 0;
	u64 seed = 31;

	memset(objects, 0, sizeof(objects));
	while (n + 32 <= ARRAY_SIZE(objects)) {
		int ret = swap_write(tier, objects + n, 32, &seed, 0);

		if (ret) {
			assert_int_equal(ret, -ENOSPC);
			break;
		}
		n += 32;
	}
	assert_true(n > 0 && n + 32 <= ARRAY_SIZE(objects));
	assert_true(swap_stats(tier).used_bytes <= limit);
	swap_check(tier, objects, n);
	swap_check_counts(tier, objects, n);
	/* every third goes; with what the rest leaves in each cluster there is room again */
	for (u32 i = 0; i < n; i += 3)
		swap_release(tier, &objects[i]);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(swap_write(tier, objects + n + i, 1, &seed, 0), 0);
	assert_int_equal(swap_write(tier, objects + n + 4, 16, &seed, 0), 0);
	assert_true(swap_stats(tier).used_bytes <= limit);
	swap_check(tier, objects, n + 20);
	swap_check_counts(tier, objects, n + 20);
	swap_release_all(tier, objects, n + 20);
	assert_int_equal(swap_stats(tier).used_bytes, 0);
}

static void test_limit(void **state)
{
	static const u64 limits[] = {512 * KiB, MiB, 3 * MiB + 12345};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct tier *tier = make(limits[i]);

		assert_int_equal(swap_stats(tier).capacity_bytes, limits[i]);
		check_full(tier, limits[i]);
		assert_true(swap_stats(tier).moved_objects > 0);
		tier->ops->destroy(tier);
	}
}

/* A small file system of @type at @path, gone with this process. */
static bool mount_at(const char *path, const char *type, const char *options)
{
	static bool tried, works;

	if (!tried) {
		tried = true;
		works = !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	}
	if (!works || mkdir(path, 0700) || mount("none", path, type, 0, options)) {
		print_message("SKIP: cannot mount %s here (be root)\n", type);
		return false;
	}
	return true;
}

static void test_file_system_full(void **state)
{
	static struct swap_object objects[2000];
	char path[64];
	struct tier *tier;
	u64 seed = 3;
	u32 n = 0;
	int ret;

	(void)state;
	memset(objects, 0, sizeof(objects));
	snprintf(path, sizeof(path), "%s/full", dir);
	if (!mount_at(path, "tmpfs", "size=2m"))
		skip();
	tier = swap_make(path, 0);
	do {
		ret = swap_write(tier, objects + n, 32, &seed, 0);
		n += ret ? 0 : 32;
	} while (!ret);
	assert_int_equal(ret, -ENOSPC);
	assert_true(n > 200);
	swap_check(tier, objects, n);
	swap_check_counts(tier, objects, n);
	assert_int_equal(swap_write(tier, objects + n, 32, &seed, 0), -ENOSPC);
	/* several clusters at once, of which some or none find room */
	assert_int_equal(swap_write(tier, objects + n, 256, &seed, 4096), -ENOSPC);
	swap_check(tier, objects, n);
	swap_check_counts(tier, objects, n);
	swap_release_all(tier, objects, n / 2);
	assert_int_equal(swap_write(tier, objects, 32, &seed, 0), 0);
	swap_check(tier, objects, n);
	tier->ops->destroy(tier);
	umount(path);
	rmdir(path);
}

/* No O_DIRECT and no holes: everything works all the same. */
static void test_ramfs(void **state)
{
	static struct swap_object objects[400];
	struct swapfile_config cfg = {0};
	struct swapio io;
	char path[64];
	struct tier *tier;
	u64 seed = 3;

	(void)state;
	memset(objects, 0, sizeof(objects));
	snprintf(path, sizeof(path), "%s/ram", dir);
	if (!mount_at(path, "ramfs", NULL))
		skip();
	cfg.path = path;
	assert_int_equal(swapio_open(&io, &cfg, NULL), 0);
	assert_false(io.direct);
	swapio_close(&io);
	tier = swap_make(path, 0);
	for (int round = 0; round < 4; round++) {
		assert_int_equal(swap_write(tier, objects, 200, &seed, 0), 0);
		assert_int_equal(swap_write(tier, objects + 200, 200, &seed, 0), 0);
		swap_check(tier, objects, 400);
		swap_release_all(tier, objects, 400);
	}
	assert_int_equal(swap_stats(tier).errors, 0);
	tier->ops->destroy(tier);
	umount(path);
	rmdir(path);
}

/* ---- failures ---- */

/* A write that fails leaves everything as it was, and a later one works. */
static void check_failed_write(const char *fault, int want)
{
	static struct swap_object objects[1000];
	struct tier *tier = make(0);
	struct tier_stats before, after;
	u64 seed = 17;

	memset(objects, 0, sizeof(objects));
	assert_int_equal(swap_write(tier, objects, 100, &seed, 0), 0);
	before = swap_stats(tier);
	assert_int_equal(inject_init(fault, NULL), 0);
	assert_int_equal(swap_write(tier, objects + 100, 256, &seed, 4096), want);
	assert_int_equal(swap_write(tier, objects + 100, 1, &seed, 1), want);
	for (int i = 0; i < 40; i++)
		assert_int_equal(swap_write(tier, objects + 100, 256, &seed, 50), want);
	inject_init(NULL, NULL);
	after = swap_stats(tier);
	assert_int_equal(after.memory_bytes, before.memory_bytes);
	assert_int_equal(after.objects, before.objects);
	assert_int_equal(after.object_bytes, before.object_bytes);
	assert_int_equal(after.used_bytes, before.used_bytes);
	swap_check(tier, objects, 100);
	assert_int_equal(swap_write(tier, objects + 100, 200, &seed, 0), 0);
	swap_check(tier, objects, 300);
	swap_check_counts(tier, objects, 300);
	swap_release_all(tier, objects, 300);
	assert_int_equal(swap_stats(tier).used_bytes, 0);
	tier->ops->destroy(tier);
}

static void test_failed_writes(void **state)
{
	(void)state;
	check_failed_write("swap-write", -EIO);
	check_failed_write("swap-full", -ENOSPC);
}

/* The second of several submissions of one call fails: nothing of the first is left over. */
static void test_failed_late(void **state)
{
	static struct swap_object objects[256];
	struct tier *tier = make(0);
	u64 seed = 17;

	(void)state;
	memset(objects, 0, sizeof(objects));
	assert_int_equal(inject_init("swap-write@2", NULL), 0);
	assert_int_equal(swap_write(tier, objects, 256, &seed, 4096), -EIO);
	assert_int_equal(inject_count(INJECT_SWAP_WRITE), 1);
	inject_init(NULL, NULL);
	swap_check_counts(tier, objects, 256);
	assert_int_equal(swap_stats(tier).used_bytes, 0);
	tier->ops->destroy(tier);
}

static void test_failed_reads(void **state)
{
	static struct swap_object objects[100];
	struct tier *tier = make(0);
	bool same;
	u64 seed = 18;

	(void)state;
	memset(objects, 0, sizeof(objects));
	assert_int_equal(swap_write(tier, objects, 100, &seed, 0), 0);
	inject_init("swap-read:1", NULL);
	assert_int_equal(swap_read(tier, &objects[50], &same), -EIO);
	assert_int_equal(swap_stats(tier).errors, 1);
	assert_int_equal(swap_read(tier, &objects[50], &same), 0);
	assert_true(same);
	inject_init("swap-corrupt:1", NULL);
	assert_int_equal(swap_read(tier, &objects[50], &same), 0);
	assert_false(same);
	assert_int_equal(swap_read(tier, &objects[50], &same), 0);
	assert_true(same);
	inject_init(NULL, NULL);
	swap_check(tier, objects, 100);
	tier->ops->destroy(tier);
}

/*
 * Sparse clusters that cannot be read or rewritten stay where they are, with what lives in them,
 * and writing goes on.
 */
static void check_failed_compaction(const char *fault, enum inject_point point)
{
	static struct swap_object objects[2048];
	struct tier *tier = make(0);
	u64 seed = 19;

	memset(objects, 0, sizeof(objects));
	for (u32 at = 0; at < 1792; at += 256)
		assert_int_equal(swap_write(tier, objects + at, 256, &seed, 2000), 0);
	for (u32 i = 0; i < 1792; i++)
		if (i % 4)
			swap_release(tier, &objects[i]);
	assert_int_equal(inject_init(fault, NULL), 0);
	assert_int_equal(swap_write(tier, objects + 1792, 8, &seed, 0), 0);
	assert_true(inject_count(point) > 0);
	inject_init(NULL, NULL);
	swap_check(tier, objects, ARRAY_SIZE(objects));
	swap_check_counts(tier, objects, ARRAY_SIZE(objects));
	for (u32 i = 0; i < 20; i++)
		assert_int_equal(swap_write(tier, objects + 1800 + i, 1, &seed, 0), 0);
	swap_check(tier, objects, ARRAY_SIZE(objects));
	swap_check_counts(tier, objects, ARRAY_SIZE(objects));
	swap_release_all(tier, objects, ARRAY_SIZE(objects));
	assert_int_equal(swap_stats(tier).used_bytes, 0);
	tier->ops->destroy(tier);
}

static void test_failed_compaction(void **state)
{
	(void)state;
	check_failed_compaction("swap-read:3", INJECT_SWAP_READ);
	check_failed_compaction("swap-write:1", INJECT_SWAP_WRITE);
	check_failed_compaction("swap-full:1", INJECT_SWAP_FULL);
}

/* Somebody cuts a named file short, or writes to it: an error or wrong data, never a crash. */
static void test_meddled_with(void **state)
{
	static struct swap_object objects[2048];
	u8 junk[4096];
	char path[64];
	struct tier *tier;
	bool same;
	u64 seed = 21;
	int fd;

	(void)state;
	memset(objects, 0, sizeof(objects));
	snprintf(path, sizeof(path), "%s/meddled", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	tier = swap_make(path, 0);
	for (u32 at = 0; at < 1792; at += 256)
		assert_int_equal(swap_write(tier, objects + at, 256, &seed, 2000), 0);
	for (u32 i = 0; i < 1792; i++)
		if (i % 4)
			swap_release(tier, &objects[i]);
	for (u64 at = 0; at < 2 * MiB; at += sizeof(junk)) {
		swap_fill(junk, sizeof(junk), at + 1);
		assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)at), sizeof(junk));
	}
	assert_int_equal(ftruncate(fd, 2 * MiB), 0);
	assert_int_equal(swap_read(tier, &objects[1788], &same), -EIO);
	assert_int_equal(swap_read(tier, &objects[0], &same), 0);
	assert_false(same);
	/* emptying what is sparse finds nonsense and nothing; new objects are safe nevertheless */
	for (u32 i = 1792; i < 2048; i += 32)
		assert_int_equal(swap_write(tier, objects + i, 32, &seed, 0), 0);
	swap_check(tier, objects + 1792, 256);
	swap_check_counts(tier, objects, ARRAY_SIZE(objects));
	swap_release_all(tier, objects, ARRAY_SIZE(objects));
	assert_int_equal(swap_stats(tier).used_bytes, 0);
	tier->ops->destroy(tier);
	close(fd);
	unlink(path);
}

/* ---- a process that may do less; each in a child ---- */

static bool in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void must(bool ok)
{
	if (!ok)
		_exit(1);
}

/* ulimit -f would end the process with a signal: it is a limit of the tier instead. */
static void run_file_limit(void)
{
	static struct swap_object objects[4096];
	struct rlimit most = {.rlim_cur = 2 * MiB, .rlim_max = 2 * MiB};
	struct swapfile_config cfg = {.path = dir};
	struct tier *tier;
	u64 seed = 1;
	u32 n = 0;
	int ret;

	must(!setrlimit(RLIMIT_FSIZE, &most) && !swapfile_create(&tier, &cfg, NULL));
	do
		ret = swap_write(tier, objects + n++ % 4000, 1, &seed, 4096);
	while (!ret && n < 2000);
	must(ret == -ENOSPC && n > 300);
	must(swap_stats(tier).capacity_bytes == 2 * MiB);
}

static void test_file_limit(void **state)
{
	(void)state;
	assert_true(in_child(run_file_limit));
}

static void exercise(struct tier *tier)
{
	static struct swap_object objects[256];
	u64 seed = 1;
	bool same;

	must(!swap_write(tier, objects, 256, &seed, 4096));
	for (u32 i = 0; i < 256; i++)
		must(!swap_read(tier, &objects[i], &same) && same);
	must(!swap_stats(tier).errors);
	swap_release_all(tier, objects, 256);
}

/* A seccomp filter that answers @nr with EPERM. */
static void forbid(int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	     !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void run_no_ring(void)
{
	struct swapfile_config cfg = {.path = dir};
	struct tier *tier;
	struct swapio io;

	forbid(425); /* io_uring_setup */
	must(!swapio_open(&io, &cfg, NULL) && !io.ringed);
	swapio_close(&io);
	must(!swapfile_create(&tier, &cfg, NULL));
	exercise(tier);
	tier->ops->destroy(tier);
}

static void run_ring_lost(void)
{
	struct swapfile_config cfg = {.path = dir};
	struct tier *tier;

	must(!swapfile_create(&tier, &cfg, NULL));
	exercise(tier);
	forbid(426); /* io_uring_enter */
	exercise(tier);
	exercise(tier);
	tier->ops->destroy(tier);
}

static void test_no_ring(void **state)
{
	(void)state;
	assert_true(in_child(run_no_ring));
	assert_true(in_child(run_ring_lost));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_failed_writes),
		cmocka_unit_test(test_failed_late),
		cmocka_unit_test(test_failed_reads),
		cmocka_unit_test(test_failed_compaction),
		cmocka_unit_test(test_meddled_with),
		cmocka_unit_test(test_file_limit),
		cmocka_unit_test(test_no_ring),
		/* these leave the mount namespace */
		cmocka_unit_test(test_file_system_full),
		cmocka_unit_test(test_ramfs),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
