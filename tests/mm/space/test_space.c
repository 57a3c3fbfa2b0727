// SPDX-License-Identifier: Apache-2.0
/*
 * Guest memory: its shape for every size, the door against a naive model of what is RAM, and clones
 * against what their base holds.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm/space/space.h"

static struct space *create(u64 size, enum space_backing backing)
{
	struct space *s = NULL;

	assert_int_equal(space_create(&s, size, backing), 0);
	assert_non_null(s);
	return s;
}

static void test_bad_sizes(void **state)
{
	static const u64 bad[] = {0,
				  1,
				  PAGE_SIZE,
				  SPACE_MIN_SIZE - 2 * MiB,
				  SPACE_MIN_SIZE + PAGE_SIZE,
				  SPACE_MAX_SIZE + 2 * MiB,
				  UINT64_MAX,
				  UINT64_MAX - 2 * MiB + 1};
	struct space *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(space_create(&s, bad[i], SPACE_MEMFD), -EINVAL);
}

/* Slots cover the size, in order, around the hole. */
static void test_shape(void **state)
{
	static const u64 sizes[] = {SPACE_MIN_SIZE,
				    64 * MiB,
				    SPACE_HOLE_START - 2 * MiB,
				    SPACE_HOLE_START,
				    SPACE_HOLE_START + 2 * MiB,
				    8 * GiB};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct space *s = create(sizes[i], SPACE_MEMFD);
		u64 total = 0;

		assert_int_equal(space_nr_slots(s), sizes[i] > SPACE_HOLE_START ? 2 : 1);
		for (unsigned int n = 0; n < space_nr_slots(s); n++) {
			const struct space_slot *slot = space_slot(s, n);

			assert_int_equal(slot->start.v, n ? SPACE_HOLE_END : 0);
			assert_int_equal(slot->offset, total);
			assert_int_equal((uintptr_t)slot->guest % (2 * MiB), 0);
			total += slot->size;
		}
		assert_int_equal(total, sizes[i]);
		space_destroy(s);
	}
}

/* Whether [start, start + len) is RAM of a guest with a slot of @below bytes and one of @above. */
static bool model(u64 start, u64 len, u64 below, u64 above)
{
	unsigned __int128 end = (unsigned __int128)start + len;

	return end <= below ||
	       (start >= SPACE_HOLE_END && end <= (unsigned __int128)SPACE_HOLE_END + above);
}

static void test_door(void **state)
{
	const u64 above = 2 * MiB;
	struct space *s = create(SPACE_HOLE_START + above, SPACE_MEMFD);
	const u64 edges[] = {0,
			     PAGE_SIZE,
			     SPACE_HOLE_START,
			     SPACE_HOLE_END,
			     SPACE_HOLE_END + above,
			     UINT64_MAX - PAGE_SIZE,
			     UINT64_MAX};
	const u64 lengths[] = {0,
			       1,
			       PAGE_SIZE,
			       above,
			       SPACE_HOLE_START,
			       SPACE_HOLE_END,
			       UINT64_MAX / 2,
			       UINT64_MAX - 1,
			       UINT64_MAX};
	unsigned int inside = 0;

	(void)state;
	for (size_t e = 0; e < ARRAY_SIZE(edges); e++)
		for (s64 d = -2; d <= 2; d++)
			for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
				u64 start = edges[e] + (u64)d;
				bool want = model(start, lengths[l], SPACE_HOLE_START, above);

				assert_int_equal(space_ptr(s, gpa(start), lengths[l]) != NULL,
						 want);
				assert_int_equal(space_ptr_mut(s, gpa(start), lengths[l]) != NULL,
						 want);
				inside += want;
			}
	assert_true(inside > 20);
	space_destroy(s);
}

/* Both mappings show the same bytes, and slots do not alias each other. */
static void check_contents(enum space_backing backing)
{
	struct space *s = create(SPACE_HOLE_START + 2 * MiB, backing);
	const char low[] = "below the hole", high[] = "above the hole";
	char back[sizeof(low)];

	assert_int_equal(space_write(s, gpa(SPACE_HOLE_START - sizeof(low)), low, sizeof(low)), 0);
	assert_int_equal(space_write(s, gpa(SPACE_HOLE_END), high, sizeof(high)), 0);
	assert_int_equal(space_write(s, gpa(SPACE_HOLE_START - 1), low, 2), -EFAULT);
	assert_int_equal(space_read(s, gpa(SPACE_HOLE_START), back, 1), -EFAULT);
	assert_int_equal(space_read(s, gpa(SPACE_HOLE_START - sizeof(low)), back, sizeof(back)), 0);
	assert_string_equal(back, low);
	assert_memory_equal(space_slot(s, 1)->guest, high, sizeof(high));
	space_destroy(s);
}

static void test_contents(void **state)
{
	(void)state;
	check_contents(SPACE_MEMFD);
	check_contents(SPACE_ANON);
}

static void test_punch(void **state)
{
	struct space *s = create(SPACE_MIN_SIZE, SPACE_MEMFD);
	u64 before, after;
	char byte = 1;

	(void)state;
	for (u64 at = 0; at < MiB; at += PAGE_SIZE)
		assert_int_equal(space_write(s, gpa(at), &byte, 1), 0);
	assert_int_equal(space_resident(s, &before), 0);
	assert_true(before >= MiB);
	assert_int_equal(space_punch(s, gpa(PAGE_SIZE), MiB / 2), 0);
	assert_int_equal(space_resident(s, &after), 0);
	assert_int_equal(before - after, MiB / 2);
	assert_int_equal(space_read(s, gpa(PAGE_SIZE), &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(space_read(s, gpa(0), &byte, 1), 0);
	assert_int_equal(byte, 1);
	assert_int_equal(space_punch(s, gpa(1), PAGE_SIZE), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), 1), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), SPACE_MIN_SIZE + PAGE_SIZE), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), 0), 0);
	space_destroy(s);
}

/* ---- Bases and clones ---- */

#define BASE_PAGES 64u /* that are filled, each with its number and 1 */

static void fill_base(void *map)
{
	for (u64 i = 0; i < BASE_PAGES; i++)
		memset((u8 *)map + i * PAGE_SIZE, (int)i + 1, PAGE_SIZE);
}

static int base_new(u64 size)
{
	void *map;
	int fd;

	assert_int_equal(space_base_create(&fd, size, &map), 0);
	fill_base(map);
	assert_int_equal(space_base_seal(fd, map, size), 0);
	return fd;
}

static struct space *clone_of(int fd)
{
	struct space *s = NULL;

	assert_int_equal(space_create_clone(&s, fd), 0);
	assert_non_null(s);
	return s;
}

static u64 resident(const struct space *s)
{
	u64 bytes = UINT64_MAX;

	assert_int_equal(space_resident(s, &bytes), 0);
	return bytes;
}

/* The page is full of @byte, through the door and in the mapping that KVM gets. */
static void expect_page(const struct space *s, u64 page, u8 byte)
{
	u8 want[PAGE_SIZE], got[PAGE_SIZE];

	memset(want, byte, sizeof(want));
	assert_int_equal(space_read(s, gpa(page * PAGE_SIZE), got, sizeof(got)), 0);
	assert_memory_equal(got, want, sizeof(got));
	assert_memory_equal((u8 *)space_slot(s, 0)->guest + page * PAGE_SIZE, want, PAGE_SIZE);
}

static void write_page(struct space *s, u64 page, u8 byte)
{
	u8 bytes[PAGE_SIZE];

	memset(bytes, byte, sizeof(bytes));
	assert_int_equal(space_write(s, gpa(page * PAGE_SIZE), bytes, sizeof(bytes)), 0);
}

static void test_clones(void **state)
{
	int fd = base_new(SPACE_MIN_SIZE);
	struct space *a = clone_of(fd), *b = clone_of(fd);

	(void)state;
	assert_int_equal(close(fd), 0); /* not needed by clones that exist */
	assert_int_equal(space_size(a), SPACE_MIN_SIZE);
	assert_int_equal((uintptr_t)space_slot(a, 0)->guest % (2 * MiB), 0);
	for (u64 i = 0; i < BASE_PAGES; i++) {
		expect_page(a, i, (u8)(i + 1));
		expect_page(b, i, (u8)(i + 1));
	}
	expect_page(a, BASE_PAGES, 0);
	assert_int_equal(resident(a) + resident(b), 0); /* nothing of their own */
	write_page(a, 3, 0xaa);
	write_page(a, 5, 0xab);
	write_page(b, 5, 0xbb);
	write_page(b, BASE_PAGES + 1, 0xbc);
	expect_page(a, 3, 0xaa);
	expect_page(b, 3, 4);
	expect_page(a, 5, 0xab);
	expect_page(b, 5, 0xbb);
	expect_page(a, BASE_PAGES + 1, 0);
	assert_int_equal(resident(a), 2 * PAGE_SIZE);
	assert_int_equal(resident(b), 2 * PAGE_SIZE);
	space_destroy(a);
	expect_page(b, 3, 4);
	expect_page(b, 5, 0xbb);
	space_destroy(b);
}

static void test_revert(void **state)
{
	int fd = base_new(SPACE_MIN_SIZE);
	struct space *s = clone_of(fd), *plain = create(SPACE_MIN_SIZE, SPACE_MEMFD);
	const u64 pages = SPACE_MIN_SIZE / PAGE_SIZE;

	(void)state;
	for (u64 i = 0; i < 10; i++)
		write_page(s, i, 0xcc);
	write_page(s, pages - 1, 0xcd);
	assert_int_equal(resident(s), 11 * PAGE_SIZE);
	assert_int_equal(space_revert(s, 2, 3), 0);
	for (u64 i = 0; i < 10; i++)
		expect_page(s, i, i >= 2 && i < 5 ? (u8)(i + 1) : 0xcc);
	assert_int_equal(resident(s), 8 * PAGE_SIZE);
	write_page(s, 3, 0xce); /* and it can be written again */
	expect_page(s, 3, 0xce);
	assert_int_equal(space_revert(s, pages, 0), 0);
	assert_int_equal(space_revert(s, pages - 1, 2), -EINVAL);
	assert_int_equal(space_revert(s, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(space_revert(s, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(space_revert(plain, 0, 1), -EINVAL);
	assert_int_equal(space_punch(s, gpa(0), PAGE_SIZE), -EOPNOTSUPP);
	expect_page(s, 0, 0xcc);
	assert_int_equal(space_revert(s, 0, pages), 0);
	assert_int_equal(resident(s), 0);
	expect_page(s, 0, 1);
	expect_page(s, pages - 1, 0);
	space_destroy(s);
	space_destroy(plain);
	close(fd);
}

/* What is written goes back, wherever it is and in whatever stretches; what is read stays. */
static void test_revert_own(void **state)
{
	int fd = base_new(SPACE_MIN_SIZE);
	struct space *s = clone_of(fd), *plain = create(SPACE_MIN_SIZE, SPACE_MEMFD);
	const u64 pages = SPACE_MIN_SIZE / PAGE_SIZE;
	u64 own, before;

	(void)state;
	assert_int_equal(space_revert_own(s, &own), 0);
	assert_int_equal(own, 0);
	for (u64 i = 0; i < pages; i++)
		if (i % 7 < 3 || (i >= 500 && i < 530) || i == pages - 1)
			write_page(s, i, 0xcc);
		else
			expect_page(s, i, i < BASE_PAGES ? (u8)(i + 1) : 0);
	before = resident(s);
	assert_int_equal(space_revert_own(s, &own), 0);
	assert_int_equal(own * PAGE_SIZE, before);
	assert_int_equal(resident(s), 0);
	for (u64 i = 0; i < pages; i++)
		expect_page(s, i, i < BASE_PAGES ? (u8)(i + 1) : 0);
	write_page(s, 3, 0xce); /* and it can be written again */
	assert_int_equal(resident(s), PAGE_SIZE);
	assert_int_equal(space_revert_own(plain, &own), -EINVAL);
	space_destroy(s);
	space_destroy(plain);
	close(fd);
}

/* Behind the hole a clone goes on where the file does. */
static void test_clone_slots(void **state)
{
	const u64 size = SPACE_HOLE_START + 2 * MiB;
	const char word[] = "above the hole";
	char back[sizeof(word)];
	struct space *s;
	void *map;
	int fd;

	(void)state;
	assert_int_equal(space_base_create(&fd, size, &map), 0);
	memcpy((u8 *)map + SPACE_HOLE_START, word, sizeof(word));
	assert_int_equal(space_base_seal(fd, map, size), 0);
	s = clone_of(fd);
	close(fd);
	assert_int_equal(space_nr_slots(s), 2);
	assert_int_equal(space_read(s, gpa(SPACE_HOLE_END), back, sizeof(back)), 0);
	assert_string_equal(back, word);
	assert_int_equal(space_write(s, gpa(SPACE_HOLE_END), "B", 1), 0);
	assert_int_equal(resident(s), PAGE_SIZE);
	assert_int_equal(space_revert(s, SPACE_HOLE_START / PAGE_SIZE, 1), 0);
	assert_memory_equal(space_slot(s, 1)->guest, word, sizeof(word));
	space_destroy(s);
}

/* Whatever somebody tries who has the descriptor, also one opened anew. */
static void test_base_is_sealed(void **state)
{
	int fd = base_new(SPACE_MIN_SIZE), again;
	struct space *s = clone_of(fd);
	char path[64], byte = 99;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	assert_true(again >= 0);
	for (int i = 0; i < 2; i++) {
		int it = i ? again : fd;

		assert_int_equal(pwrite(it, &byte, 1, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(ftruncate(it, SPACE_MIN_SIZE / 2), -1);
		assert_int_equal(ftruncate(it, SPACE_MIN_SIZE * 2), -1);
		assert_int_equal(
			fallocate(it, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE),
			-1);
		assert_ptr_equal(mmap(NULL, PAGE_SIZE, PROT_WRITE, MAP_SHARED, it, 0), MAP_FAILED);
		assert_int_equal(fcntl(it, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	}
	expect_page(s, 0, 1);
	close(again);
	close(fd);
	space_destroy(s);
}

static void test_base_errors(void **state)
{
	struct space *s = NULL;
	void *map, *other;
	int fd, pipes[2];

	(void)state;
	assert_int_equal(space_base_create(&fd, SPACE_MIN_SIZE + PAGE_SIZE, &map), -EINVAL);
	assert_int_equal(space_base_create(&fd, 0, &map), -EINVAL);
	assert_int_equal(space_create(&s, SPACE_MIN_SIZE, SPACE_CLONE), -EINVAL);
	assert_int_equal(space_create_clone(&s, -1), -EBADF);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(space_create_clone(&s, pipes[0]), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);

	assert_int_equal(space_base_create(&fd, SPACE_MIN_SIZE, &map), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(space_create_clone(&s, fd), -EPERM); /* not sealed yet */
	other = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(space_base_seal(fd, map, SPACE_MIN_SIZE), -EBUSY);
	assert_int_equal(space_create_clone(&s, fd), -EPERM);
	assert_null(s);
	munmap(other, PAGE_SIZE);
	close(fd);

	fd = memfd_create("small", MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MiB), 0);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL),
		0);
	assert_int_equal(space_create_clone(&s, fd), -EINVAL);
	close(fd);
}

/* What the base has no memory for: reading costs the base a page, writing the clone one more. */
static void test_clone_of_nothing(void **state)
{
	int fd = base_new(SPACE_MIN_SIZE);
	struct space *s = clone_of(fd);
	struct stat before, after;

	(void)state;
	assert_int_equal(fstat(fd, &before), 0);
	expect_page(s, BASE_PAGES + 7, 0);
	assert_int_equal(resident(s), 0);
	write_page(s, BASE_PAGES + 9, 1);
	assert_int_equal(resident(s), PAGE_SIZE);
	assert_int_equal(fstat(fd, &after), 0);
	/* more where the host has huge pages for all files in memory */
	assert_true(after.st_blocks - before.st_blocks >= (s64)(2 * PAGE_SIZE / 512));
	space_destroy(s);
	close(fd);
}

/* ---- Taken over ---- */

static void fill_page_at(struct space *s, u64 page, u8 value)
{
	u8 data[PAGE_SIZE], back[PAGE_SIZE];

	memset(data, value, sizeof(data));
	assert_int_equal(space_put_pages(s, page, 1, data, PAGE_SIZE), 0);
	assert_int_equal(space_copy_pages(s, page, 1, back), 0);
	assert_memory_equal(data, back, PAGE_SIZE);
	assert_memory_equal(data, space_page(s, page), PAGE_SIZE);
}

/* The other process: 0 if it sees what it is to see, and what it writes is seen here. */
static int live_in(int fd)
{
	struct space *s;

	if (space_adopt(&s, fd))
		return 1;
	close(fd);
	if (space_size(s) != 4 * GiB || space_nr_slots(s) != 2)
		return 2;
	for (u64 page = 0; page < 4 * GiB >> PAGE_SHIFT; page += 100003)
		if (*(const u8 *)space_page(s, page) != (page ^ 1) % 251)
			return 3;
	memset(space_ptr_mut(s, gpa(SPACE_HOLE_END), 3), 99, 3);
	space_destroy(s);
	return 0;
}

static void test_adopt(void **state)
{
	struct space *s = create(4 * GiB, SPACE_MEMFD), *same;
	u64 before, after, start, end;
	int status = -1;
	pid_t pid;

	(void)state;
	for (u64 page = 0; page < 4 * GiB >> PAGE_SHIFT; page += 100003)
		fill_page_at(s, page, (u8)((page ^ 1) % 251));
	assert_int_equal(space_resident(s, &before), 0);
	pid = fork();
	if (!pid)
		_exit(live_in(space_fd(s)));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(*(const u8 *)space_ptr(s, gpa(SPACE_HOLE_END + 2), 1), 99);
	assert_int_equal(space_adopt(&same, space_fd(s)), 0);
	assert_int_not_equal(space_fd(same), space_fd(s));
	space_destroy(s); /* what it held stays */
	assert_int_equal(space_resident(same, &after), 0);
	assert_int_equal(after, before + PAGE_SIZE);
	assert_true(space_next_present(same, 1, &start, &end));
	assert_int_equal(start, 100003);
	assert_int_equal(*(const u8 *)space_ptr(same, gpa(SPACE_HOLE_END + 2), 1), 99);
	space_destroy(same);
}

/* A memfd of @size, sealed like this. */
static int memfd_of(u64 size, unsigned int flags, int seals)
{
	int fd = memfd_create("test", flags | MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void refuse(int fd)
{
	struct space *s = NULL;

	assert_int_equal(space_adopt(&s, fd), -EINVAL);
	assert_null(s);
	close(fd);
}

static void test_adopt_refuses(void **state)
{
	const int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct space *s = create(SPACE_MIN_SIZE, SPACE_MEMFD), *anon, *adopted;
	char path[64];
	int fd, pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	close(pipes[1]);
	refuse(pipes[0]);
	refuse(-1);
	refuse(open("/dev/zero", O_RDWR));
	refuse(open("/dev/shm", O_TMPFILE | O_RDWR, 0600));
	refuse(memfd_of(SPACE_MIN_SIZE, 0, 0));
	refuse(memfd_of(SPACE_MIN_SIZE, 0, F_SEAL_GROW | F_SEAL_SHRINK));
	refuse(memfd_of(SPACE_MIN_SIZE, 0, F_SEAL_GROW | F_SEAL_SEAL));
	refuse(memfd_of(SPACE_MIN_SIZE, 0, seals | F_SEAL_WRITE));
	refuse(memfd_of(SPACE_MIN_SIZE, 0, seals | F_SEAL_FUTURE_WRITE));
	refuse(memfd_of(SPACE_MIN_SIZE + PAGE_SIZE, 0, seals));
	refuse(memfd_of(SPACE_MIN_SIZE / 2, 0, seals));
	refuse(memfd_of(0, 0, seals));
	/* not to be written through this descriptor */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", space_fd(s));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	refuse(fd);
	fd = memfd_of(SPACE_MIN_SIZE, 0, seals);
	assert_int_equal(space_adopt(&adopted, fd), 0);
	close(fd);
	space_destroy(adopted);
	assert_int_equal(space_create(&anon, SPACE_MIN_SIZE, SPACE_ANON), 0);
	assert_int_equal(space_fd(anon), -1);
	fill_page_at(anon, 5, 55); /* of any kind */
	space_destroy(anon);
	space_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_sizes),   cmocka_unit_test(test_shape),
		cmocka_unit_test(test_door),	    cmocka_unit_test(test_contents),
		cmocka_unit_test(test_punch),	    cmocka_unit_test(test_clones),
		cmocka_unit_test(test_revert),	    cmocka_unit_test(test_revert_own),
		cmocka_unit_test(test_clone_slots), cmocka_unit_test(test_base_is_sealed),
		cmocka_unit_test(test_base_errors), cmocka_unit_test(test_clone_of_nothing),
		cmocka_unit_test(test_adopt),	    cmocka_unit_test(test_adopt_refuses),
	};

	return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
