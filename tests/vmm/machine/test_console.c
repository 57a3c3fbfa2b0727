// SPDX-License-Identifier: Apache-2.0
/*
 * What becomes of the guest's last words: written before its end is told, or an error. The console
 * alone, with a loop that never turns: nothing but console_flush() and console_finish() can write.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "vmm/machine/console.h"

struct fixture {
	uv_loop_t loop;
	struct console *console;
	struct console_host host;
	struct err err;
	unsigned int nr_drained;
};

static void drained(void *opaque)
{
	struct fixture *f = opaque;

	f->nr_drained++;
}

static void failed(void *opaque, const struct err *why)
{
	(void)opaque;
	fail_msg("told beside what is returned: %s", why->text);
}

static void open_console(struct fixture *f, const char *spec)
{
	*f = (struct fixture){.host = {.opaque = f, .drained = drained, .failed = failed}};
	uv_loop_init(&f->loop);
	assert_int_equal(console_create(&f->console, &f->loop, spec, &f->host, &f->err), 0);
}

static void close_console(struct fixture *f)
{
	console_destroy(f->console);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void print(struct fixture *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		console_put(f->console, (u8)('a' + i % 26));
}

static void last_words_are_written(void **state)
{
	char dir[] = "/tmp/quire-test-XXXXXX", spec[64];
	struct fixture f;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof(spec), "file:%s/out", dir);
	open_console(&f, spec);
	print(&f, 70000);
	assert_true(console_congested(f.console));
	assert_int_equal(console_flush(f.console, &f.err), 0);
	assert_false(console_congested(f.console));
	assert_int_equal(f.nr_drained, 1);
	print(&f, 5);
	assert_int_equal(console_finish(f.console, &f.err), 0);
	assert_int_equal(stat(spec + strlen("file:"), &st), 0);
	assert_int_equal(st.st_size, 70005);
	close_console(&f);
	unlink(spec + strlen("file:"));
	rmdir(dir);
}

static void last_words_on_a_full_disk(void **state)
{
	struct fixture f;

	(void)state;
	open_console(&f, "file:/dev/full");
	assert_int_equal(console_flush(f.console, &f.err), 0); /* it printed nothing */
	print(&f, 1);
	assert_int_equal(console_flush(f.console, &f.err), -ENOSPC);
	assert_string_equal(f.err.text, "serial output: No space left on device");
	/* it is told once */
	print(&f, 1);
	assert_int_equal(console_finish(f.console, &f.err), 0);
	close_console(&f);
	open_console(&f, "file:/dev/full");
	print(&f, 1);
	assert_int_equal(console_finish(f.console, &f.err), -ENOSPC);
	close_console(&f);
}

static void a_reader_that_has_stopped(void **state)
{
	char dir[] = "/tmp/quire-test-XXXXXX", spec[64];
	struct fixture f;
	int reader;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof(spec), "file:%s/fifo", dir);
	assert_int_equal(mkfifo(spec + strlen("file:"), 0600), 0);
	reader = open(spec + strlen("file:"), O_RDWR | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_true(fcntl(reader, F_SETPIPE_SZ, 4096) >= 4096);
	open_console(&f, spec);
	print(&f, 10000);
	assert_int_equal(console_flush(f.console, &f.err), 0); /* it may go on reading */
	assert_int_equal(console_finish(f.console, &f.err), -ETIMEDOUT);
	close_console(&f);
	close(reader);
	unlink(spec + strlen("file:"));
	rmdir(dir);
}

static void nobody_to_read(void **state)
{
	char dir[] = "/tmp/quire-test-XXXXXX", spec[64];
	struct fixture f;

	(void)state;
	open_console(&f, "none");
	print(&f, 1000);
	assert_int_equal(console_finish(f.console, &f.err), 0);
	close_console(&f);
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof(spec), "unix:%s/sock", dir);
	open_console(&f, spec);
	print(&f, 1000);
	assert_int_equal(console_finish(f.console, &f.err), 0);
	close_console(&f);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_words_are_written),
		cmocka_unit_test(last_words_on_a_full_disk),
		cmocka_unit_test(a_reader_that_has_stopped),
		cmocka_unit_test(nobody_to_read),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
