// SPDX-License-Identifier: Apache-2.0
/* What the tests of connections share. Contract in wire_fixture.h. */
#include "tests/mm/wire/wire_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char wire_dir[] = "/tmp/test_wire.XXXXXX";
char unix_address[64], key_path[64], other_key_path[64];

const struct wire_config plain = {.timeout_ms = HUNG_MS};
struct wire_config with_key = {.timeout_ms = HUNG_MS};
struct wire_config other_key = {.timeout_ms = HUNG_MS};

void wire_write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

int wire_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(wire_dir))
		return -1;
	snprintf(unix_address, sizeof(unix_address), "unix:%s/s", wire_dir);
	snprintf(key_path, sizeof(key_path), "%s/key", wire_dir);
	snprintf(other_key_path, sizeof(other_key_path), "%s/other", wire_dir);
	wire_write_file(key_path, "quire:000102030405060708090a0b0c0d0e0f\n", 0600);
	wire_write_file(other_key_path, "quire:000102030405060708090a0b0c0d0eff\n", 0600);
	with_key.psk_file = key_path;
	other_key.psk_file = other_key_path;
	return 0;
}

int wire_tear_down(void **state)
{
	(void)state;
	unlink(key_path);
	unlink(other_key_path);
	return rmdir(wire_dir); /* which shows that no socket is left */
}

void *accept_one(void *arg)
{
	struct acceptor *a = arg;

	a->ret = wire_accept(a->l, a->timeout_ms, &a->w, a->first, &a->err);
	return NULL;
}

struct pair make_pair(const char *address, const struct wire_config *cfg)
{
	struct pair p;
	struct acceptor acceptor = {.timeout_ms = -1};
	struct err err = {.text = ""};
	pthread_t thread;

	if (wire_listen(&p.listener, address, cfg, &err))
		fail_msg("%s", err.text);
	acceptor.l = p.listener;
	pthread_create(&thread, NULL, accept_one, &acceptor);
	if (wire_connect(&p.a, wire_address(p.listener), cfg, &err))
		fail_msg("%s", err.text);
	pthread_join(thread, NULL);
	if (acceptor.ret)
		fail_msg("%s", acceptor.err.text);
	p.b = acceptor.w;
	return p;
}

void drop_pair(struct pair *p)
{
	wire_close(p->a);
	wire_close(p->b);
	wire_unlisten(p->listener);
}

void wire_fill(u8 *data, u32 size, u32 seed)
{
	u64 x = seed * 0x9e3779b97f4a7c15 + 1;

	for (u32 i = 0; i < size; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (u8)(x >> 56);
	}
}

void expect_message(struct wire *w, u32 type, const void *data, u32 size)
{
	struct wire_message msg;
	struct err err = {.text = ""};

	if (wire_receive(w, QUICK, &msg, &err))
		fail_msg("%s", err.text);
	assert_int_equal(msg.type, type);
	assert_int_equal(msg.size, size);
	assert_int_equal((uintptr_t)msg.data % 16, 0);
	if (size)
		assert_memory_equal(msg.data, data, size);
	assert_int_equal(msg.fd, -1);
}
