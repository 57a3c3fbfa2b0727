// SPDX-License-Identifier: Apache-2.0
/*
 * Reference traces: what is written comes back, every way to be malformed is refused, and a trace
 * cut off anywhere is the whole lines before the cut.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/policy/trace_file.h"

#define NR 3000

struct reference {
	u64 time;
	u32 page;
	bool write;
};

static char path[] = "/tmp/test_trace_file.XXXXXX";

static int make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd);
}

static int drop_path(void **state)
{
	(void)state;
	return unlink(path);
}

static u32 draw(u64 *seed, u32 below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (u32)(*seed >> 33) % below;
}

/* Of all magnitudes, also the largest there are. */
static void make_references(struct reference *refs, u32 nr, u32 nr_pages)
{
	u64 seed = 7, time = draw(&seed, 1000);

	for (u32 i = 0; i < nr; i++) {
		time += draw(&seed, 1u << draw(&seed, 20));
		if (i == nr - 1)
			time = UINT64_MAX;
		refs[i] = (struct reference){.time = time,
					     .page = draw(&seed, 1u << draw(&seed, 20)),
					     .write = draw(&seed, 3) == 0};
		if (i % 100 == 0)
			refs[i].page = nr_pages - 1;
	}
}

static void write_trace(const struct reference *refs, u32 nr, u32 nr_pages)
{
	struct trace_file *f;

	assert_int_equal(trace_create(&f, path, nr_pages, NULL), 0);
	for (u32 i = 0; i < nr; i++)
		trace_add(f, refs[i].time, refs[i].page, refs[i].write);
	assert_int_equal(trace_close(f), 0);
}

static int read_trace(struct trace *t, struct err *err)
{
	int fd = open(path, O_RDONLY), ret;

	assert_true(fd >= 0);
	ret = trace_read(t, path, fd, err);
	close(fd);
	return ret;
}

/* Dense numbers begin at 0, come in the order of first use, and stand for the right pages. */
static void check_dense(const struct trace *t)
{
	u32 known = 0;

	for (u32 i = 0; i < t->nr_refs; i++) {
		assert_true(t->refs[i] <= known);
		known += t->refs[i] == known;
	}
	assert_int_equal(known, t->nr_pages);
	for (u32 a = 1; a < t->nr_pages && a < 300; a++)
		for (u32 b = 0; b < a; b++)
			assert_true(t->pages[a] != t->pages[b]);
}

static void test_round_trip(void **state)
{
	static struct reference refs[NR];
	struct trace t;
	u32 writes = 0;

	(void)state;
	make_references(refs, NR, UINT32_MAX);
	write_trace(refs, NR, UINT32_MAX);
	assert_int_equal(read_trace(&t, NULL), 0);
	assert_int_equal(t.nr_refs, NR);
	for (u32 i = 0; i < NR; i++) {
		assert_int_equal(t.pages[t.refs[i]], refs[i].page);
		writes += refs[i].write;
	}
	check_dense(&t);
	assert_int_equal(t.nr_writes, writes);
	assert_int_equal(t.duration_us, UINT64_MAX - refs[0].time);
	assert_true(t.recorded);
	assert_false(t.cut);
	trace_free(&t);
}

/* Threads may take the time before they take the lock. */
static void test_time_never_goes_back(void **state)
{
	const struct reference refs[] = {{10, 1, false}, {9, 2, false}, {12, 1, true}};
	struct trace t;

	(void)state;
	write_trace(refs, 3, 3);
	assert_int_equal(read_trace(&t, NULL), 0);
	assert_int_equal(t.nr_refs, 3);
	assert_int_equal(t.duration_us, 2);
	trace_free(&t);
}

static void test_write_errors(void **state)
{
	struct trace_file *f;
	struct err err;

	(void)state;
	assert_int_equal(trace_create(&f, "/nowhere/at/all", 1, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all: "));
	/* little: it fails at close; much: long before, and is kept */
	for (u32 nr = 1; nr <= 100000; nr += 99999) {
		assert_int_equal(trace_create(&f, "/dev/full", 8, NULL), 0);
		for (u32 i = 0; i < nr; i++)
			trace_add(f, i, i % 8, false);
		if (nr > 1)
			assert_int_equal(trace_flush(f), -ENOSPC);
		assert_int_equal(trace_close(f), -ENOSPC);
	}
}

static int parse(struct trace *t, const char *text, struct err *err)
{
	return trace_parse(t, "NAME", text, strlen(text), err);
}

#define HEAD "quire trace 1 pages 8\n"

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "no references"},
		{" ,\n\t", "no references"},
		{"7,0,x", "NAME:1: not a page number"},
		{"7\n0\n\n1 -2", "NAME:4: not a page number"},
		{"7 0x1", "NAME:1: not a page number"},
		{"7 1.5", "NAME:1: not a page number"},
		{"7 \xc3\xa4", "NAME:1: not a page number"},
		{"9223372036854775808", "NAME:1: not a page number"},
		{"18446744073709551616", "NAME:1: not a page number"},
		{"quire trac", "NAME:1: not a page number"},
		{"quire trace 2 pages 8\n1 1 r\n", "another version"},
		{"quire trace 1 page 8\n1 1 r\n", "another version"},
		{"quire trace 1 pages 8", "first line"},
		{"quire trace 1 pages \n1 1 r\n", "first line"},
		{"quire trace 1 pages 0\n1 1 r\n", "first line"},
		{"quire trace 1 pages 08\n1 1 r\n", "first line"},
		{"quire trace 1 pages -8\n1 1 r\n", "first line"},
		{"quire trace 1 pages 4294967296\n1 1 r\n", "first line"},
		{"quire trace 1 pages 8 \n1 1 r\n", "first line"},
		{"quire trace 1 pages 8\r\n1 1 r\n", "first line"},
		{HEAD, "no references"},
		{HEAD "1 1 r", "no references"},
		{HEAD "\n", "NAME:2: not a reference"},
		{HEAD "1 1 r\n1 1 x\n", "NAME:3: not a reference"},
		{HEAD "1 1 r\n1 1\n", "NAME:3: not a reference"},
		{HEAD "1 1 rw\n", "NAME:2: not a reference"},
		{HEAD "1 1 r \n", "NAME:2: not a reference"},
		{HEAD "1  1 r\n", "NAME:2: not a reference"},
		{HEAD "1\t1 r\n", "NAME:2: not a reference"},
		{HEAD " 1 1 r\n", "NAME:2: not a reference"},
		{HEAD "01 1 r\n", "NAME:2: not a reference"},
		{HEAD "1 00 r\n", "NAME:2: not a reference"},
		{HEAD "-1 1 r\n", "NAME:2: not a reference"},
		{HEAD "1 +1 r\n", "NAME:2: not a reference"},
		{HEAD "18446744073709551616 1 r\n", "NAME:2: not a reference"},
		{HEAD "1 18446744073709551617 r\n", "NAME:2: not a reference"},
		{HEAD "1 8 r\n", "NAME:2: page 8 is beyond the 8 pages"},
		{HEAD "5 7 r\n4 7 r\n", "NAME:3: time goes back"},
	};
	struct trace t, before;
	struct err err;

	(void)state;
	memset(&t, 0x5a, sizeof(t));
	before = t;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(&t, bad[i].text, &err), -EINVAL);
		if (!strstr(err.text, bad[i].why))
			fail_msg("%s: not because of: %s", err.text, bad[i].why);
		assert_memory_equal(&t, &before, sizeof(t));
	}
	assert_int_equal(trace_parse(&t, "NAME", "1 2\0003", 5, &err), -EINVAL);
}

static void test_numbers(void **state)
{
	static const u64 want[] = {7, 0, 9223372036854775807, 2, 0, 7};
	struct trace t;

	(void)state;
	assert_int_equal(parse(&t, " 7,0, 9223372036854775807\n\t2\r\n,,00 007\n", NULL), 0);
	assert_int_equal(t.nr_refs, ARRAY_SIZE(want));
	assert_int_equal(t.nr_pages, 4);
	for (u32 i = 0; i < t.nr_refs; i++)
		assert_int_equal(t.pages[t.refs[i]], want[i]);
	check_dense(&t);
	assert_false(t.recorded);
	assert_false(t.cut);
	trace_free(&t);
	assert_int_equal(trace_from_numbers(&t, want, 0), -EINVAL);
}

/* Cut off at each byte: the whole lines before are the trace, the rest is left out. */
static void test_cut_anywhere(void **state)
{
	static const char text[] = HEAD "5 7 r\n10 0 w\n10 7 r\n123456 3 r\n";
	const size_t head = strlen(HEAD);
	struct trace t;

	(void)state;
	for (size_t len = 0; len <= strlen(text); len++) {
		u32 lines = 0;

		for (size_t i = head; i < len; i++)
			lines += text[i] == '\n';
		if (!lines) {
			assert_int_equal(trace_parse(&t, "NAME", text, len, NULL), -EINVAL);
			continue;
		}
		assert_int_equal(trace_parse(&t, "NAME", text, len, NULL), 0);
		assert_int_equal(t.nr_refs, lines);
		assert_int_equal(t.cut, text[len - 1] != '\n');
		trace_free(&t);
	}
}

static void *feed(void *arg)
{
	int fd = *(int *)arg;

	for (u32 i = 0; i < 50000; i++) {
		char text[24];
		int n = snprintf(text, sizeof(text), "%u,", i * 2654435761u % 20000);

		assert_int_equal(write(fd, text, (size_t)n), n);
	}
	close(fd);
	return NULL;
}

/* From a pipe: in pieces, of no known length, and enough pages to make all tables grow. */
static void test_pipe(void **state)
{
	pthread_t thread;
	struct trace t;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, feed, &fds[1]), 0);
	assert_int_equal(trace_read(&t, "pipe", fds[0], NULL), 0);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(t.nr_refs, 50000);
	for (u32 i = 0; i < t.nr_refs; i++)
		assert_int_equal(t.pages[t.refs[i]], i * 2654435761u % 20000);
	check_dense(&t);
	trace_free(&t);
}

static void test_read_error(void **state)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	struct trace t;
	struct err err;

	(void)state;
	assert_int_equal(trace_read(&t, "directory", fd, &err), -EISDIR);
	assert_non_null(strstr(err.text, "directory: "));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_time_never_goes_back),
		cmocka_unit_test(test_write_errors), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_numbers),	     cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_pipe),	     cmocka_unit_test(test_read_error),
	};

	return cmocka_run_group_tests(tests, make_path, drop_path);
}
