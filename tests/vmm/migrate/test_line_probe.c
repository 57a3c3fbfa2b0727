// SPDX-License-Identifier: Apache-2.0
/*
 * vmm/migrate/line_probe.h: how fast a line is, by lines that are as fast as the other side reads.
 */
#include "tests/lib/quiet.h"
#include "tests/mm/wire/wire_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "vmm/migrate/line_probe.h"
#include "vmm/migrate/talk.h"

/* The other side: one that serves as it should, or one that reads slowly, or does not answer. */
struct side {
	struct wire_listener *l;
	pthread_t thread;
	u64 bytes_a_second; /* 0: migrate_probe_serve() */
	bool silent, refuses;
	u64 bytes; /* that came */
	u32 role;
};

static void read_slowly(struct side *s, struct wire *w)
{
	struct wire_message msg;
	struct err err;

	while (!wire_receive(w, -1, &msg, &err)) {
		s->bytes += msg.size;
		if (s->bytes_a_second)
			usleep((useconds_t)(msg.size * 1000000ull / s->bytes_a_second));
		if (msg.type == MIGRATE_FLUSH && !s->silent)
			wire_send(w, MIGRATE_READY, NULL, 0, &err);
	}
}

static void *side_thread(void *arg)
{
	const struct err why = {.text = "not here"};
	struct migrate_hello hello;
	struct side *s = arg;
	struct wire *w;
	struct err err;

	if (wire_accept(s->l, QUICK, &w, NULL, &err))
		return NULL;
	if (!migrate_hear_hello(w, QUICK, &hello, &err))
		s->role = hello.role;
	if (s->refuses)
		migrate_refuse(w, &why);
	else
		migrate_say_hello(w, hello.session, MIGRATE_PROBE, 0, &err);
	if (s->bytes_a_second || s->silent)
		read_slowly(s, w);
	else if (!s->refuses)
		migrate_probe_serve(w);
	s->bytes = MAX(s->bytes, wire_received(w));
	wire_close(w);
	return NULL;
}

static int probe(struct side *s, const struct migrate_probe_order *order, struct migrate_probe *p,
		 struct err *err)
{
	int ret;

	assert_int_equal(wire_listen(&s->l, unix_address, &plain, err), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, side_thread, s), 0);
	ret = migrate_probe(order, p, err);
	pthread_join(s->thread, NULL);
	wire_unlisten(s->l);
	assert_int_equal(s->role, MIGRATE_PROBE);
	return ret;
}

static void measures_until_it_took_long_enough(void **state)
{
	const struct migrate_probe_order order = {.address = unix_address};
	struct side side = {.bytes = 0};
	struct migrate_probe p;
	struct err err;
	u64 since = now_ns();

	(void)state;
	assert_int_equal(probe(&side, &order, &p, &err), 0);
	/* what it says is what came, in about that time */
	assert_true(side.bytes > 64 * KiB);
	assert_true(p.rate > 0);
	assert_true(p.answer_ns > 0 && p.connect_ns > 0);
	/* half of it came the last time */
	assert_true((double)side.bytes / 2.1 / p.rate < (double)(now_ns() - since) / 1e9);
}

static void a_slow_line_is_slow(void **state)
{
	static const u64 rates[] = {500 * KiB, 4 * MiB, 32 * MiB};
	const struct migrate_probe_order order = {.address = unix_address};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(rates); i++) {
		struct side side = {.bytes_a_second = rates[i]};
		struct migrate_probe p;
		struct err err;
		u64 since = quiet_ns();

		assert_int_equal(probe(&side, &order, &p, &err), 0);
		/* no faster than it is; slower where the host is busy */
		assert_true(p.rate < 1.2 * (double)rates[i]);
		assert_true(p.rate > 0);
		assert_true(quiet_ns() - since < 2000000000);
	}
}

static atomic_uint asked;

static bool after_a_few(void *opaque)
{
	return atomic_fetch_add(&asked, 1) > *(unsigned int *)opaque;
}

static void a_silent_side_can_be_left(void **state)
{
	unsigned int few = 3;
	const struct migrate_probe_order order = {unix_address, NULL, after_a_few, &few};
	struct side side = {.silent = true};
	struct migrate_probe p;
	struct err err;
	u64 since = quiet_ns();

	(void)state;
	assert_int_equal(probe(&side, &order, &p, &err), -ECANCELED);
	assert_true(quiet_ns() - since < 5000000000);
}

static void a_refusal_is_told(void **state)
{
	const struct migrate_probe_order order = {.address = unix_address};
	struct side side = {.refuses = true};
	struct migrate_probe p;
	struct err err;

	(void)state;
	assert_int_equal(probe(&side, &order, &p, &err), -EREMOTEIO);
	assert_string_equal(err.text, "the other side refuses: not here");
}

static void nobody_is_there(void **state)
{
	const struct migrate_probe_order order = {.address = unix_address};
	struct migrate_probe p;
	struct err err;

	(void)state;
	assert_int_equal(migrate_probe(&order, &p, &err), -ENOENT);
}

/* Whoever says what is no part of it is hung up on, and whoever says nothing as well. */
static void serves_nobody_for_ever(void **state)
{
	struct pair p = make_pair(unix_address, &plain);
	struct wire_message msg;
	struct err err;
	u64 since = quiet_ns();

	(void)state;
	assert_int_equal(wire_send(p.a, MIGRATE_GO, NULL, 0, &err), 0);
	migrate_probe_serve(p.b);
	assert_true(quiet_ns() - since < 2000000000);
	migrate_probe_serve(p.b); /* silence */
	assert_true(quiet_ns() - since < 10000000000);
	assert_int_equal(wire_receive(p.a, 0, &msg, &err), -ETIMEDOUT);
	drop_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measures_until_it_took_long_enough),
		cmocka_unit_test(a_slow_line_is_slow),
		cmocka_unit_test(a_silent_side_can_be_left),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(nobody_is_there),
		cmocka_unit_test(serves_nobody_for_ever),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
