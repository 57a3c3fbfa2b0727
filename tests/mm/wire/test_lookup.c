// SPDX-License-Identifier: Apache-2.0
/*
 * Names of hosts whose name server is slow, or does not answer: nobody waits for it longer than he
 * likes, whether he connects or listens, and what comes too late is not kept. getaddrinfo() is ours
 * here: "slow.test" takes half a second, "never.test" until it is told to, and they are this host.
 */
#include "tests/lib/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/mm/wire/wire_fixture.h"

/* ms: what takes no time, on a busy host; by itself the name server would take 20 s. */
#define SOON	 2000 /* of quiet time */
#define TOO_LONG HUNG_MS

static atomic_uint nr_asked, nr_answered;
static atomic_bool answer;

static void be_slow(const char *host)
{
	u32 ms = 0;

	atomic_fetch_add(&nr_asked, 1);
	if (!strcmp(host, "slow.test"))
		poll(NULL, 0, 500);
	while (!strcmp(host, "never.test") && !atomic_load(&answer) && ms++ < TOO_LONG)
		poll(NULL, 0, 1);
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		struct addrinfo **found)
{
	static __typeof__(getaddrinfo) *real;
	bool ours = strstr(host, ".test") && !(hints->ai_flags & AI_NUMERICHOST);
	int ret;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (ours)
		be_slow(host);
	ret = real(ours ? "127.0.0.1" : host, port, hints, found);
	if (ours)
		atomic_fetch_add(&nr_answered, 1);
	return ret;
}

static int set_up(void **state)
{
	(void)state;
	atomic_store(&nr_asked, 0);
	atomic_store(&nr_answered, 0);
	atomic_store(&answer, false);
	return 0;
}

/* What nobody waits for any more goes by itself: the sanitizer looks whether all of it does. */
static int tear_down(void **state)
{
	(void)state;
	atomic_store(&answer, true);
	for (u32 i = 0; i < TOO_LONG && atomic_load(&nr_answered) < atomic_load(&nr_asked); i++)
		poll(NULL, 0, 1);
	poll(NULL, 0, 50);
	return atomic_load(&nr_answered) < atomic_load(&nr_asked);
}

/* It took so many milliseconds at least, and soon was over. */
static void expect_soon(u64 since, u64 quiet, u64 least_ms)
{
	assert_true(now_ns() - since >= least_ms * 1000000);
	assert_true(quiet_ns() - quiet < SOON * (u64)1000000);
}

static void expect_words(const struct err *err, const char *words)
{
	if (!strstr(err->text, words))
		fail_msg("\"%s\" without \"%s\"", err->text, words);
}

/* ---- Who gets an answer ---- */

/* One that is late, but not too late; for a listener, too. */
static void slow_names_are_waited_for(void **state)
{
	struct pair p = make_pair("tcp:slow.test:0", &plain);
	char address[64], *colon = strrchr(wire_address(p.listener), ':');
	struct acceptor a = {.l = p.listener, .timeout_ms = -1};
	struct err err = {.text = ""};
	pthread_t thread;
	struct wire *w;

	(void)state;
	assert_int_equal(atomic_load(&nr_asked), 1);
	snprintf(address, sizeof(address), "tcp:slow.test%s", colon);
	pthread_create(&thread, NULL, accept_one, &a);
	if (wire_connect(&w, address, &plain, &err))
		fail_msg("%s", err.text);
	pthread_join(thread, NULL);
	assert_int_equal(a.ret, 0);
	assert_int_equal(atomic_load(&nr_asked), 2);
	wire_close(w);
	wire_close(a.w);
	drop_pair(&p);
}

/* Digits are no name. */
static void numbers_are_not_asked_for(void **state)
{
	static const char *const addresses[] = {"tcp:127.0.0.1:1", "tcp:[::1]:1",
						"tcp:[fe80::1%lo]:1"};
	struct wire *w;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct err err = {.text = ""};

		assert_true(wire_connect(&w, addresses[i], &plain, &err) < 0);
		expect_words(&err, "cannot connect");
	}
	assert_int_equal(atomic_load(&nr_asked), 0);
}

/* ---- Who gets none ---- */

static void it_has_a_deadline(void **state)
{
	const struct wire_config quick = {.timeout_ms = 100};
	struct err err = {.text = ""};
	struct wire_listener *l;
	u64 since = now_ns(), quiet = quiet_ns();
	struct wire *w;

	(void)state;
	assert_int_equal(wire_connect(&w, "tcp:never.test:1", &quick, &err), -ETIMEDOUT);
	expect_words(&err, "tcp:never.test:1: no name server answers (");
	err.text[0] = '\0';
	assert_int_equal(wire_listen(&l, "tcp:never.test:0", &quick, &err), -ETIMEDOUT);
	expect_words(&err, "no name server answers");
	expect_soon(since, quiet, 200);
	assert_int_equal(atomic_load(&nr_asked), 2);
}

static bool is_cancelled(void *opaque)
{
	return now_ns() > *(u64 *)opaque;
}

/* Looking up, connecting and the greeting are all ended, soon. */
static void it_can_be_cancelled(void **state)
{
	u64 at = now_ns() + 50000000;
	const struct wire_config cfg = {
		.timeout_ms = TOO_LONG, .is_cancelled = is_cancelled, .opaque = &at};
	const char *const addresses[] = {"tcp:never.test:1", unix_address};
	struct wire_listener *l; /* nobody is accepted there */

	(void)state;
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct err err = {.text = ""};
		u64 since = now_ns(), quiet = quiet_ns();
		struct wire *w;

		at = since + 50000000;
		assert_int_equal(wire_connect(&w, addresses[i], &cfg, &err), -ECANCELED);
		expect_words(&err, "was ended here");
		expect_soon(since, quiet, 50);
		/* nor is it begun */
		assert_int_equal(wire_connect(&w, addresses[i], &cfg, &err), -ECANCELED);
	}
	wire_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slow_names_are_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_are_not_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_has_a_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_can_be_cancelled, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
