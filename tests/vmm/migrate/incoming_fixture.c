// SPDX-License-Identifier: Apache-2.0
/* A destination and a source for tests; see incoming_fixture.h. */
#include "tests/vmm/migrate/incoming_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"

static char dir[] = "/tmp/test_incoming.XXXXXX";
static char address[64], key_path[64];
static const char *key; /* of the one that was opened last, or NULL */
static unsigned int nr_opened;

const u8 session[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

int incoming_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(key_path, sizeof(key_path), "%s/key", dir);
	return 0;
}

int incoming_tear_down(void **state)
{
	(void)state;
	unlink(key_path);
	return rmdir(dir); /* which shows that no socket is left */
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static struct incoming *open_at(const char *at)
{
	const struct incoming_config cfg = {
		.address = at ? at : address,
		.psk_file = key,
		.changed = nothing,
	};
	struct incoming *in;
	struct err err = {.text = ""};

	/* a new one each time: a test that fails leaves its own behind */
	snprintf(address, sizeof(address), "unix:%s/%u", dir, ++nr_opened);
	if (incoming_start(&in, &cfg, &err))
		fail_msg("%s", err.text);
	return in;
}

struct incoming *incoming_open(const char *at)
{
	key = NULL;
	return open_at(at);
}

struct incoming *incoming_open_with_key(void)
{
	int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "quire:%032x\n", 7), 39);
	close(fd);
	key = key_path;
	return open_at(NULL);
}

void incoming_shut(struct incoming *in, unsigned int ms)
{
	u64 since = quiet_ns(), took;

	incoming_stop(in);
	took = (quiet_ns() - since) / 1000000;
	incoming_destroy(in);
	if (took > ms)
		fail_msg("stopping took %llu ms", (unsigned long long)took);
}

void expect_status(struct incoming *in, enum migrate_status status)
{
	u64 until = now_ns() + (u64)PATIENCE * 1000000;
	struct migrate_progress now;

	for (;;) {
		incoming_progress(in, &now);
		if (now.status == status)
			return;
		if (now.status == MIGRATE_FAILED || now_ns() > until)
			fail_msg("it is %s (%s), not %s", migrate_status_names[now.status],
				 now.why.text, migrate_status_names[status]);
		usleep(500);
	}
}

void expect_failure(struct incoming *in, const char *words)
{
	struct migrate_progress now;

	for (int i = 0; i < PATIENCE; i++) {
		incoming_progress(in, &now);
		if (now.status == MIGRATE_FAILED)
			break;
		usleep(1000);
	}
	assert_int_equal(now.status, MIGRATE_FAILED);
	if (!now.why.text[0] || !strstr(now.why.text, words))
		fail_msg("\"%s\" without \"%s\"", now.why.text, words);
}

/* ---- A source ---- */

struct migrate_hello source_hello(enum migrate_role role)
{
	struct migrate_hello hello = {
		.version = MIGRATE_VERSION,
		.features = MIGRATE_FEATURES,
		.role = role,
		.wall_ns = wall_ns(),
	};

	memcpy(hello.magic, MIGRATE_MAGIC, sizeof(hello.magic));
	memcpy(hello.session, session, sizeof(session));
	return hello;
}

struct wire *source_connect(struct incoming *in)
{
	const struct wire_config cfg = {.psk_file = key, .timeout_ms = PATIENCE};
	struct err err = {.text = ""};
	struct wire *w;

	if (wire_connect(&w, incoming_address(in), &cfg, &err))
		fail_msg("%s", err.text);
	return w;
}

void source_say(struct wire *w, u32 type, const void *data, u32 size)
{
	struct err err = {.text = ""};

	if (wire_send(w, type, data, size, &err))
		fail_msg("message %u: %s", type, err.text);
}

void source_expect(struct wire *w, u32 type)
{
	struct wire_message msg;
	struct err err = {.text = ""};

	if (wire_receive(w, PATIENCE, &msg, &err))
		fail_msg("%s", err.text);
	if (msg.type == MIGRATE_REFUSE)
		fail_msg("it refuses: %.*s", (int)msg.size, (const char *)msg.data);
	assert_int_equal(msg.type, type);
	assert_int_equal(msg.fd, -1);
	if (type == MIGRATE_HELLO) {
		assert_int_equal(msg.size, sizeof(struct migrate_hello));
		assert_memory_equal((const u8 *)msg.data + 16, session, sizeof(session));
	}
}

struct wire *source_greet(struct incoming *in, enum migrate_role role)
{
	const struct migrate_hello hello = source_hello(role);
	struct wire *w = source_connect(in);

	source_say(w, MIGRATE_HELLO, &hello, sizeof(hello));
	if (role == MIGRATE_MAIN || role == MIGRATE_CONFIRM || role == MIGRATE_RECOVER)
		source_expect(w, MIGRATE_HELLO);
	return w;
}

void source_expect_refusal(struct wire *w, const char *words)
{
	struct wire_message msg;
	struct err err = {.text = ""};
	char text[sizeof(err.text)] = "";

	if (wire_receive(w, PATIENCE, &msg, &err))
		fail_msg("no refusal, but: %s", err.text);
	assert_int_equal(msg.type, MIGRATE_REFUSE);
	assert_in_range(msg.size, 1, sizeof(text) - 1);
	memcpy(text, msg.data, msg.size);
	if (!strstr(text, words))
		fail_msg("\"%s\" without \"%s\"", text, words);
	assert_int_equal(wire_receive(w, PATIENCE, &msg, &err), -EPIPE);
	wire_close(w);
}

struct migrate_setup source_setup(u32 size)
{
	return (struct migrate_setup){
		.memory = INCOMING_MEMORY,
		.nr_cpus = 1,
		.streams = 1,
		.state_size = size,
		.name = "guest",
	};
}

struct wire *source_set_up(struct incoming *in, const struct migrate_setup *setup, struct vm *vm)
{
	struct wire *w = source_greet(in, MIGRATE_MAIN);
	const struct incoming_guest *guest;

	source_say(w, MIGRATE_SETUP, setup, sizeof(*setup));
	expect_status(in, MIGRATE_SETTING_UP);
	assert_true(incoming_wants_vm(in, &guest));
	assert_false(incoming_wants_vm(in, &guest));
	incoming_give_vm(in, vm);
	source_expect(w, MIGRATE_READY);
	return w;
}
