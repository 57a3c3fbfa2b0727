// SPDX-License-Identifier: Apache-2.0
/*
 * Strangers at a destination that waits for a guest (vmm/migrate/incoming.h): who connects and says
 * nothing, or not all of what he should, keeps neither the source waiting nor who ends it. With a
 * key and without.
 */
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/wire/impl.h"
#include "tests/lib/descriptors.h"
#include "tests/vmm/migrate/incoming_fixture.h"
#include "vmm/vm/vm.h"

/* ms of quiet time: what is not to wait takes a few; to wait was 10 s. */
#define NO_TIME 2000

/* ---- A crowd ---- */

/* How far a stranger gets. */
enum words { NOTHING, HALF_A_GREETING, A_GREETING, HALF_A_HELLO, NR_WORDS };

#define MOST 60

struct crowd {
	int fds[MOST];
	u32 nr;
};

/* What all of them say, of which some leave out the end. */
static u32 script(u8 text[64], bool with_key, enum words words)
{
	struct wire_greeting g = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.flags = with_key ? WIRE_HAS_TLS : 0,
	};
	const struct wire_header h = {.type = MIGRATE_HELLO, .size = sizeof(struct migrate_hello)};
	const u8 tls[] = {22, 3, 1, 1, 0, 1}; /* a record with a handshake's first byte */

	memcpy(text, &g, sizeof(g));
	memcpy(text + sizeof(g), &h, sizeof(h));
	if (with_key)
		memcpy(text + sizeof(g), tls, sizeof(tls));
	switch (words) {
	case NOTHING:
		return 0;
	case HALF_A_GREETING:
		return sizeof(g) / 2;
	case A_GREETING:
		return sizeof(g);
	default:
		return with_key ? sizeof(g) + sizeof(tls) : sizeof(g) + sizeof(h) + 20;
	}
}

static int connect_stranger(const struct incoming *in)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, incoming_address(in) + strlen("unix:"));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void come(struct crowd *c, const struct incoming *in, u32 nr, bool with_key,
		 enum words words)
{
	u8 text[64] = {0};
	u32 size = script(text, with_key, words);

	for (c->nr = 0; c->nr < nr; c->nr++) {
		c->fds[c->nr] = connect_stranger(in);
		/* one that had to go for another cannot be told anything any more */
		send(c->fds[c->nr], text, size, MSG_NOSIGNAL);
	}
}

static void leave(struct crowd *c)
{
	for (u32 i = 0; i < c->nr; i++)
		close(c->fds[i]);
}

static struct incoming *open_in(bool with_key)
{
	return with_key ? incoming_open_with_key() : incoming_open(NULL);
}

static void expect_soon(u64 since)
{
	u64 took = (quiet_ns() - since) / 1000000;

	if (took > NO_TIME)
		fail_msg("it took %llu ms", (unsigned long long)took);
}

/* ---- The source gets in ---- */

static void the_source_gets_in(void **state)
{
	const u32 numbers[] = {1, WIRE_MOST_WAITING, MOST};
	struct crowd crowd;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(numbers) * NR_WORDS * 2; i++) {
		bool with_key = i % 2;
		struct incoming *in = open_in(with_key);
		u64 since = quiet_ns();
		struct wire *w;

		come(&crowd, in, numbers[i / 2 / NR_WORDS], with_key, i / 2 % NR_WORDS);
		w = source_greet(in, MIGRATE_MAIN);
		expect_soon(since);
		wire_close(w);
		leave(&crowd);
		incoming_shut(in, NO_TIME);
	}
}

/* The same for its further connections. */
static void so_do_its_streams(void **state)
{
	struct migrate_setup setup = source_setup(0);
	struct vm vm = {.mem = NULL};
	struct crowd crowd[2];
	struct wire *w[3];

	(void)state;
	setup.streams = 2;
	setup.postcopy = 1;
	for (u32 i = 0; i < NR_WORDS * 2; i++) {
		bool with_key = i % 2;
		struct incoming *in = open_in(with_key);
		u64 since = quiet_ns();

		w[0] = source_set_up(in, &setup, &vm);
		come(&crowd[0], in, 20, with_key, i / 2);
		w[1] = source_greet(in, MIGRATE_STREAM);
		come(&crowd[1], in, 20, with_key, i / 2);
		w[2] = source_greet(in, MIGRATE_URGENT);
		expect_status(in, MIGRATE_ACTIVE);
		expect_soon(since);
		for (u32 j = 0; j < ARRAY_SIZE(w); j++)
			wire_close(w[j]);
		leave(&crowd[0]);
		leave(&crowd[1]);
		incoming_shut(in, NO_TIME);
	}
}

struct dripper {
	int fd;
	atomic_bool stop;
};

/* One byte after the other, each well before anybody would call it silent. */
static void *drip(void *arg)
{
	struct dripper *d = arg;
	u8 text[64] = {0};
	u32 size = script(text, false, HALF_A_HELLO);

	for (u32 i = 0; i < size && !atomic_load(&d->stop); i++) {
		send(d->fd, text + i, 1, MSG_NOSIGNAL);
		usleep(20000);
	}
	return NULL;
}

static void past_who_speaks_slowly(void **state)
{
	struct incoming *in = incoming_open(NULL);
	struct dripper d = {.fd = connect_stranger(in)};
	pthread_t thread;
	struct wire *w;
	u64 since;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, drip, &d), 0);
	usleep(500000); /* in the midst of its HELLO */
	since = quiet_ns();
	w = source_greet(in, MIGRATE_MAIN);
	expect_soon(since);
	atomic_store(&d.stop, true);
	pthread_join(thread, NULL);
	close(d.fd);
	wire_close(w);
	incoming_shut(in, NO_TIME);
}

/* Who measures the line, and stops doing so. */
static void past_who_measures(void **state)
{
	struct incoming *in = incoming_open(NULL);
	struct wire *probes[6], *w;
	u64 since = quiet_ns();

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(probes); i++) {
		probes[i] = source_greet(in, MIGRATE_PROBE);
		source_expect(probes[i], MIGRATE_HELLO);
	}
	/* the last of them are all served, and those that had to go know it */
	for (u32 i = 0; i < 2; i++)
		assert_int_not_equal(
			wire_receive(probes[i], PATIENCE, &(struct wire_message){0}, NULL), 0);
	for (u32 i = 2; i < ARRAY_SIZE(probes); i++) {
		source_say(probes[i], MIGRATE_FLUSH, NULL, 0);
		source_expect(probes[i], MIGRATE_READY);
	}
	w = source_greet(in, MIGRATE_MAIN);
	expect_soon(since);
	for (u32 i = 0; i < ARRAY_SIZE(probes); i++)
		wire_close(probes[i]);
	wire_close(w);
	incoming_shut(in, NO_TIME);
}

/* ---- Ending it ---- */

static void nor_is_the_end_held_up(void **state)
{
	struct crowd crowd;

	(void)state;
	for (u32 i = 0; i < NR_WORDS * 2; i++) {
		struct incoming *in = open_in(i % 2);

		come(&crowd, in, 1 + i * 5, i % 2, i / 2);
		usleep(10000);
		incoming_shut(in, NO_TIME);
		leave(&crowd);
	}
}

/* Whatever they did, they are forgotten. */
static void nothing_is_kept_of_them(void **state)
{
	u32 before = nr_descriptors();
	struct crowd crowd;

	for (u32 i = 0; i < NR_WORDS * 2; i++) {
		struct incoming *in = open_in(i % 2);
		u32 all;

		come(&crowd, in, MOST, i % 2, i / 2);
		wire_close(source_greet(in, MIGRATE_MAIN)); /* they are all looked at by then */
		all = nr_descriptors();
		assert_in_range(all, before, before + MOST + WIRE_MOST_WAITING + 4);
		leave(&crowd);
		incoming_shut(in, NO_TIME);
		assert_int_equal(nr_descriptors(), before);
	}
	the_source_gets_in(state);
	so_do_its_streams(state);
	assert_int_equal(nr_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_source_gets_in),	  cmocka_unit_test(so_do_its_streams),
		cmocka_unit_test(past_who_speaks_slowly), cmocka_unit_test(past_who_measures),
		cmocka_unit_test(nor_is_the_end_held_up), cmocka_unit_test(nothing_is_kept_of_them),
	};

	return cmocka_run_group_tests(tests, incoming_set_up, incoming_tear_down);
}
