// SPDX-License-Identifier: Apache-2.0
/*
 * Connections with a key: what must not be seen on the wire, keys that do not fit, and files that
 * are no key. What such connections have in common with others is in test_wire.c.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/mm/wire/wire_fixture.h"

/* Read what went over the wire: with a key, none of it is in the clear. */
static void test_no_clear_text(void **state)
{
	static const char secret[] = "nobody may read this but who has the key";
	struct pair p = make_pair(unix_address, &with_key);
	struct wire_message msg;
	char seen[1000];
	ssize_t n;

	(void)state;
	assert_false(wire_is_local(p.a) || wire_is_local(p.b));
	assert_int_equal(wire_send(p.a, 1, secret, sizeof(secret), NULL), 0);
	n = recv(p.b->fd, seen, sizeof(seen), MSG_PEEK);
	assert_true(n > (ssize_t)sizeof(secret));
	assert_null(memmem(seen, (size_t)n, secret, 10));
	expect_message(p.b, 1, secret, sizeof(secret));
	/* and what is changed on its way is found */
	assert_int_equal(wire_send(p.a, 1, secret, sizeof(secret), NULL), 0);
	n = recv(p.b->fd, seen, sizeof(seen), 0);
	seen[n - 1] ^= 1;
	assert_int_equal(send(p.a->fd, seen, (size_t)n, 0), n);
	assert_int_equal(wire_receive(p.b, -1, &msg, NULL), -EBADMSG);
	drop_pair(&p);
}

/* Both sides find out, soon, and say why. */
static void refuse(const char *address, const struct wire_config *listens,
		   const struct wire_config *connects)
{
	struct acceptor a = {.timeout_ms = -1};
	struct wire_listener *l;
	struct wire *w;
	struct err err = {.text = ""};
	pthread_t thread;

	assert_int_equal(wire_listen(&l, address, listens, NULL), 0);
	a.l = l;
	pthread_create(&thread, NULL, accept_one, &a);
	assert_int_equal(wire_connect(&w, wire_address(l), connects, &err), -EACCES);
	pthread_join(thread, NULL);
	assert_int_equal(a.ret, -EACCES);
	assert_non_null(strstr(err.text, "key"));
	assert_non_null(strstr(a.err.text, "key"));
	wire_unlisten(l);
}

static void test_wrong_keys(void **state)
{
	static const char *const addresses[] = {unix_address, "tcp:127.0.0.1:0"};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
		refuse(addresses[i], &with_key, &other_key);
		refuse(addresses[i], &other_key, &with_key);
		refuse(addresses[i], &with_key, &plain);
		refuse(addresses[i], &plain, &with_key);
	}
	/* the right key of another */
	wire_write_file(other_key_path, "other:000102030405060708090a0b0c0d0e0f\n", 0600);
	refuse(unix_address, &with_key, &other_key);
	/* longer ones */
	wire_write_file(other_key_path, "quire:000102030405060708090a0b0c0d0e0f10", 0600);
	refuse(unix_address, &with_key, &other_key);
}

static void test_key_files(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		int ret;
	} files[] = {
		{"a:00112233445566778899aabbccddeeff", 0600, 0},
		{"a:00112233445566778899AABBCCDDEEFF\n", 0400, 0},
		{"a:00112233445566778899aabbccddeeff", 0640, -EINVAL},
		{"a:00112233445566778899aabbccddeeff", 0604, -EINVAL},
		{"a:00112233445566778899aabbccddeeff\nb:00\n", 0600, -EINVAL},
		{"a:00112233445566778899aabbccddeeff ", 0600, -EINVAL},
		{"a:00112233445566778899aabbccddee", 0600, -EINVAL},
		{"a:00112233445566778899aabbccddeef", 0600, -EINVAL},
		{"a:00112233445566778899aabbccddeefg", 0600, -EINVAL},
		{":00112233445566778899aabbccddeeff", 0600, -EINVAL},
		{"a b:00112233445566778899aabbccddeeff", 0600, -EINVAL},
		{"00112233445566778899aabbccddeeff", 0600, -EINVAL},
		{"\na:00112233445566778899aabbccddeeff", 0600, -EINVAL},
		{"a:", 0600, -EINVAL},
		{"", 0600, -EINVAL},
	};
	char file_path[64];
	struct wire_config cfg = {.psk_file = file_path};
	struct wire_listener *l;
	struct wire *w;
	char text[700] = "a:";
	struct err err;

	(void)state;
	snprintf(file_path, sizeof(file_path), "%s/file", wire_dir);
	for (u32 i = 0; i < ARRAY_SIZE(files); i++) {
		wire_write_file(file_path, files[i].text, files[i].mode);
		err.text[0] = '\0';
		assert_int_equal(wire_listen(&l, unix_address, &cfg, &err), files[i].ret);
		if (!files[i].ret)
			wire_unlisten(l);
		else
			assert_non_null(strstr(err.text, file_path));
		unlink(file_path);
	}
	for (u32 size = 128; size <= 600; size += 118) {
		memset(text + 2, 'a', size);
		text[2 + size] = '\0';
		wire_write_file(file_path, text, 0600);
		assert_int_equal(wire_listen(&l, unix_address, &cfg, NULL),
				 size == 128 ? 0 : -EINVAL);
		if (size == 128)
			wire_unlisten(l);
	}
	unlink(file_path);
	cfg.psk_file = wire_dir;
	assert_int_equal(wire_connect(&w, unix_address, &cfg, &err), -EINVAL);
	cfg.psk_file = "/no/such/file";
	assert_int_equal(wire_connect(&w, unix_address, &cfg, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_clear_text),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_key_files),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
