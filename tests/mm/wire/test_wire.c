// SPDX-License-Identifier: Apache-2.0
/*
 * Connections of a migration that go as they should: addresses, listeners, messages of every size
 * both ways; and how connections end, by themselves or cut while somebody waits in them.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/mm/wire/wire_fixture.h"

/* ---- Addresses ---- */

static void test_addresses(void **state)
{
	static const char *const good[] = {"tcp:localhost:0", "tcp:1.2.3.4:65535",
					   "tcp:[::1]:1",     "tcp:[fe80::1%eth0]:9",
					   "unix:a",	      "unix:/tmp/x:y"};
	static const char *const bad[] = {
		"",
		"tcp",
		"tcp:",
		"tcp:host",
		"tcp:host:",
		"tcp::1",
		"tcp:host:65536",
		"tcp:host:-1",
		"tcp:host:1x",
		"tcp:host:000001",
		"tcp:::1:1",
		"tcp:[::1]",
		"tcp:[::1]1",
		"tcp:[]:1",
		"tcp:[::1:1",
		"unix:",
		"udp:host:1",
		"/tmp/x",
		"host:1",
	};
	char text[600] = "unix:";
	struct err err;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(wire_check_address(good[i], NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = '\0';
		assert_int_equal(wire_check_address(bad[i], &err), -EINVAL);
		assert_true(err.text[0]);
	}
	memset(text + 5, 'x', 107);
	assert_int_equal(wire_check_address(text, NULL), 0);
	text[5 + 107] = 'x';
	assert_int_equal(wire_check_address(text, NULL), -EINVAL);
	memset(text, 'x', 300);
	memcpy(text, "tcp:", 4);
	strcpy(text + 300, ":1");
	assert_int_equal(wire_check_address(text, NULL), -EINVAL);
}

static void test_listening(void **state)
{
	struct wire_listener *l, *other;
	struct wire *w;
	const char *path = unix_address + 5;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	(void)state;
	/* a file that somebody left behind is replaced; only its owner can connect */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	assert_int_equal(wire_connect(&w, unix_address, &plain, NULL), -ECONNREFUSED);
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(wire_address(l), unix_address);
	/* one that somebody listens on is not, and whoever asked so is no connection */
	assert_int_equal(wire_listen(&other, unix_address, &plain, NULL), -EADDRINUSE);
	assert_int_equal(wire_accept(l, 50, &w, NULL, NULL), -ETIMEDOUT);
	wire_unlisten(l);
	assert_int_equal(access(path, F_OK), -1);
	/* what is no socket stays */
	wire_write_file(path, "precious", 0600);
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	/* nor is another's file removed */
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	unlink(path);
	wire_write_file(path, "precious", 0600);
	wire_unlisten(l);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(wire_connect(&w, unix_address, &plain, NULL), -ENOENT);
	wire_unlisten(NULL);
	wire_close(NULL);
}

static void test_tcp_listening(void **state)
{
	struct wire_listener *l, *other;
	struct wire *w;
	unsigned int port;
	char address[64];

	(void)state;
	assert_int_equal(wire_listen(&l, "tcp:127.0.0.1:0", &plain, NULL), 0);
	assert_int_equal(sscanf(wire_address(l), "tcp:127.0.0.1:%u", &port), 1);
	assert_true(port);
	assert_int_equal(wire_listen(&other, wire_address(l), &plain, NULL), -EADDRINUSE);
	strcpy(address, wire_address(l));
	wire_unlisten(l);
	assert_int_equal(wire_connect(&w, address, &plain, NULL), -ECONNREFUSED);
	assert_int_equal(wire_listen(&l, "tcp:no.such.host.invalid:1", &plain, NULL),
			 -EHOSTUNREACH);
}

/* ---- Messages ---- */

static const u32 sizes[] = {0,	      1,
			    2,	      3,
			    4,	      7,
			    8,	      9,
			    15,	      16,
			    17,	      64,
			    127,      129,
			    240,      241,
			    4095,     4096,
			    16367,    16368,
			    16369,    16384,
			    65535,    65536,
			    65537,    (u32)MiB - 16,
			    (u32)MiB, (u32)MiB + 1,
			    BIG - 1,  BIG};

struct talk {
	struct wire *w;
	u8 *data;
	u32 type, nr;
	int ret;
};

static void *send_sizes(void *arg)
{
	struct talk *t = arg;

	for (u32 round = 0; round < t->nr && !t->ret; round++)
		for (u32 i = 0; i < ARRAY_SIZE(sizes) && !t->ret; i++)
			t->ret = wire_send(t->w, t->type + i, t->data + i, sizes[i], NULL);
	return NULL;
}

/* Every size each way, first one way at a time, then both at once, in two parts too. */
static void exchange(const char *address, const struct wire_config *cfg)
{
	struct pair p = make_pair(address, cfg);
	u8 *data = malloc(BIG + ARRAY_SIZE(sizes));
	struct talk talk[2] = {{.w = p.a, .data = data, .type = 100, .nr = 1},
			       {.w = p.b, .data = data, .type = UINT32_MAX - 50, .nr = 1}};
	pthread_t thread[2];
	u64 bytes = 0;

	assert_non_null(data);
	wire_fill(data, BIG + ARRAY_SIZE(sizes), 5);
	for (u32 way = 0; way < 2; way++) {
		pthread_create(&thread[0], NULL, send_sizes, &talk[way]);
		for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
			expect_message(way ? p.a : p.b, talk[way].type + i, data + i, sizes[i]);
		pthread_join(thread[0], NULL);
	}
	for (u32 way = 0; way < 2; way++)
		pthread_create(&thread[way], NULL, send_sizes, &talk[way]);
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		expect_message(p.b, talk[0].type + i, data + i, sizes[i]);
		expect_message(p.a, talk[1].type + i, data + i, sizes[i]);
		bytes += 2 * (sizes[i] + sizeof(struct wire_header));
	}
	for (u32 way = 0; way < 2; way++) {
		pthread_join(thread[way], NULL);
		assert_int_equal(talk[way].ret, 0);
	}
	assert_int_equal(wire_sent(p.a), bytes);
	assert_int_equal(wire_received(p.b), bytes);
	for (u32 cut = 0; cut <= 40; cut++) {
		assert_int_equal(wire_send2(p.a, cut, data, cut, data + cut, 40 - cut, -1, NULL),
				 0);
		expect_message(p.b, cut, data, 40);
	}
	free(data);
	drop_pair(&p);
}

static void test_unix(void **state)
{
	(void)state;
	exchange(unix_address, &plain);
}

static void test_tcp(void **state)
{
	(void)state;
	exchange("tcp:127.0.0.1:0", &plain);
}

static void test_ipv6(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && !bind(fd, (struct sockaddr *)&in6, sizeof(in6));

	(void)state;
	if (fd >= 0)
		close(fd);
	if (!has) {
		print_message("this host has no IPv6\n");
		skip();
	}
	exchange("tcp:[::1]:0", &plain);
}

static void test_tls(void **state)
{
	(void)state;
	exchange("tcp:127.0.0.1:0", &with_key);
	exchange(unix_address, &with_key);
}

static void test_names(void **state)
{
	struct pair p = make_pair("tcp:localhost:0", &plain);

	(void)state;
	assert_false(wire_is_local(p.a) || wire_is_local(p.b));
	drop_pair(&p);
	p = make_pair(unix_address, &plain);
	assert_true(wire_is_local(p.a) && wire_is_local(p.b));
	drop_pair(&p);
}

/* ---- Ends ---- */

static void test_ends(void **state)
{
	static const char *const addresses[] = {unix_address, "tcp:127.0.0.1:0"};
	struct wire_message msg;
	u8 *data = calloc(1, BIG);
	int ret;

	(void)state;
	for (u32 i = 0; i < 4; i++) {
		struct pair p = make_pair(addresses[i / 2], i % 2 ? &with_key : &plain);

		/* what was sent before the end still comes */
		assert_int_equal(wire_send(p.a, 5, "last", 4, NULL), 0);
		wire_close(p.a);
		expect_message(p.b, 5, "last", 4);
		assert_int_equal(wire_receive(p.b, -1, &msg, NULL), -EPIPE);
		ret = 0;
		for (u32 j = 0; j < 100 && !ret; j++)
			ret = wire_send(p.b, 1, data, BIG, NULL);
		assert_int_equal(ret, -EPIPE);
		p.a = NULL;
		drop_pair(&p);
	}
	free(data);
}

/* ---- Cutting ---- */

struct waiter {
	struct wire *w;
	bool sends;
	int ret;
	_Atomic u32 rounds;
};

static void *wait_in_it(void *arg)
{
	struct waiter *t = arg;
	struct wire_message msg;
	u8 *data = calloc(1, MiB);

	while (!t->ret) {
		t->ret = t->sends ? wire_send(t->w, 1, data, (u32)MiB, NULL)
				  : wire_receive(t->w, -1, &msg, NULL);
		t->rounds++;
	}
	free(data);
	return NULL;
}

/* Whoever waits in it, for room or for a message, is woken; so are both at once. */
static void cut(const char *address, const struct wire_config *cfg, bool sends, bool receives)
{
	struct pair p = make_pair(address, cfg);
	struct waiter sender = {.w = p.a, .sends = true}, receiver = {.w = p.a};
	struct wire_message msg;
	pthread_t threads[2];

	if (sends)
		pthread_create(&threads[0], NULL, wait_in_it, &sender);
	if (receives)
		pthread_create(&threads[1], NULL, wait_in_it, &receiver);
	poll(NULL, 0, 100);
	wire_cut(p.a);
	wire_cut(p.a);
	if (sends) {
		pthread_join(threads[0], NULL);
		assert_int_equal(sender.ret, -ECANCELED);
	}
	if (receives) {
		pthread_join(threads[1], NULL);
		assert_int_equal(receiver.ret, -ECANCELED);
		assert_int_equal(receiver.rounds, 1);
	}
	assert_int_equal(wire_send(p.a, 1, NULL, 0, NULL), -ECANCELED);
	assert_int_equal(wire_receive(p.a, -1, &msg, NULL), -ECANCELED);
	/* the other side finds out too, after what it has not read yet */
	while (!(sender.ret = wire_receive(p.b, -1, &msg, NULL)))
		;
	assert_int_equal(sender.ret, -EPIPE);
	drop_pair(&p);
}

static void test_cut(void **state)
{
	(void)state;
	for (u32 i = 1; i < 4; i++) {
		cut(unix_address, &plain, i & 1, i & 2);
		cut("tcp:127.0.0.1:0", &plain, i & 1, i & 2);
		cut("tcp:127.0.0.1:0", &with_key, i & 1, i & 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),     cmocka_unit_test(test_listening),
		cmocka_unit_test(test_tcp_listening), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_tcp),	      cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_tls),	      cmocka_unit_test(test_names),
		cmocka_unit_test(test_ends),	      cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
