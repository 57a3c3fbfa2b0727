// SPDX-License-Identifier: Apache-2.0
/*
 * A destination once it takes pages, without a VM: they go into a memory engine that has no machine
 * around it. What comes out of turn, or is damaged, ends it with a sentence, on whichever
 * connection; and it can be stopped at every point.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/wire/batch.h"
#include "mm/base/clock.h"
#include "mm/engine/impl.h"
#include "mm/wire/impl.h"
#include "tests/vmm/migrate/incoming_fixture.h"
#include "tests/mm/engine/mem_fixture.h"
#include "tests/vmm/state/state_fixture.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

/* A destination with memory, and its source, ready for pages. */
struct half {
	struct guest guest;
	struct vm vm;
	struct incoming *in;
	struct wire *main, *stream, *urgent;
};

static void half_open(struct half *h, u32 streams, bool postcopy)
{
	const struct mem_config cfg = {.check = true, .nr_cpus = 1};
	struct migrate_setup setup = source_setup(0);

	guest_open(&h->guest, &cfg);
	h->vm = (struct vm){.mem = h->guest.mem, .space = h->guest.space};
	h->in = incoming_open(NULL);
	setup.streams = streams;
	setup.postcopy = postcopy;
	h->main = source_set_up(h->in, &setup, &h->vm);
	h->stream = streams > 1 ? source_greet(h->in, MIGRATE_STREAM) : NULL;
	h->urgent = postcopy ? source_greet(h->in, MIGRATE_URGENT) : NULL;
	expect_status(h->in, MIGRATE_ACTIVE);
}

static void half_close(struct half *h)
{
	wire_close(h->main);
	wire_close(h->stream);
	wire_close(h->urgent);
	incoming_shut(h->in, AT_ONCE);
	guest_close(&h->guest);
}

/* ---- Pages ---- */

static void send_pages(struct wire *w, u32 first, u32 n, u32 generation)
{
	const struct batch_config cfg = {.nr_pages = NR_PAGES};
	struct batch_encoder *e;
	u64 page[512];
	const void *data;
	u32 size;

	assert_int_equal(batch_encoder_create(&e, &cfg, NULL), 0);
	for (u32 no = first; no < first + n; no++) {
		contents_of(page, no, generation);
		assert_int_equal(batch_put(e, no, page), 0);
		if (batch_is_full(e) || no == first + n - 1) {
			data = batch_finish(e, &size);
			source_say(w, MIGRATE_PAGES, data, size);
		}
	}
	batch_encoder_destroy(e);
}

static void pages_arrive_by_both_streams(void **state)
{
	struct half h;

	(void)state;
	half_open(&h, 2, false);
	for (u32 generation = 1; generation <= 3; generation++) {
		send_pages(h.main, 0, 600, generation);
		send_pages(h.stream, 5000, 600, generation);
	}
	source_say(h.stream, MIGRATE_FLUSH, NULL, 0);
	source_say(h.main, MIGRATE_FLUSH, NULL, 0);
	source_expect(h.main, MIGRATE_FLUSHED);
	/* both streams have been read when this is refused */
	source_say(h.main, MIGRATE_STATE, "none", 4);
	source_expect_refusal(h.main, "state: ");
	h.main = NULL;
	expect_failure(h.in, "state: ");
	for (u32 i = 0; i < 600; i++)
		h.guest.generation[i] = h.guest.generation[5000 + i] = 3;
	check_all(&h.guest);
	half_close(&h);
}

/* The engine takes charge of what has come, and goes on taking what comes. */
static void a_prepared_one_takes_pages(void **state)
{
	struct half h;

	(void)state;
	half_open(&h, 1, true);
	send_pages(h.main, 0, 600, 1);
	assert_false(atomic_load(&h.guest.mem->in_charge));
	for (u32 i = 0; i < 2; i++) {
		source_say(h.main, MIGRATE_PREPARE, NULL, 0);
		source_expect(h.main, MIGRATE_PREPARED);
		assert_true(atomic_load(&h.guest.mem->in_charge));
	}
	send_pages(h.main, 300, 600, 2);
	source_say(h.main, MIGRATE_STATE, "none", 4);
	source_expect_refusal(h.main, "state: ");
	h.main = NULL;
	expect_failure(h.in, "state: ");
	for (u32 i = 0; i < 900; i++)
		h.guest.generation[i] = i < 300 ? 1 : 2;
	check_all(&h.guest);
	half_close(&h);
}

/* ---- What cannot be ---- */

struct bad {
	u32 type;
	const void *data;
	u32 size;
	const char *words;
};

static void expect_bad(const struct bad *bad, bool postcopy)
{
	struct half h;

	half_open(&h, 1, postcopy);
	source_say(h.main, bad->type, bad->data, bad->size);
	source_expect_refusal(h.main, bad->words);
	h.main = NULL;
	expect_failure(h.in, bad->words);
	half_close(&h);
}

static void what_is_out_of_turn_is_refused(void **state)
{
	static const struct bad bad[] = {
		{0, NULL, 0, "message 0 came out of turn"},
		{MIGRATE_HELLO, NULL, 0, "message 1 came out of turn"},
		{MIGRATE_SETUP, NULL, 0, "message 3 came out of turn"},
		{MIGRATE_READY, NULL, 0, "message 4 came out of turn"},
		{MIGRATE_MISSING, "\0\0\0\0\1\0\0\0", 8, "message 7 came out of turn"},
		{MIGRATE_PREPARE, NULL, 0, "message 16 came out of turn"},
		{MIGRATE_STALE, "\0\0\0\0\1\0\0\0", 8, "message 18 came out of turn"},
		{MIGRATE_LOADED, NULL, 0, "message 9 came out of turn"},
		{MIGRATE_GO, NULL, 0, "message 10 came out of turn"},
		{MIGRATE_RUNNING, NULL, 0, "message 11 came out of turn"},
		{MIGRATE_ASK, "\0\0\0\0\1\0\0\0", 8, "message 12 came out of turn"},
		{MIGRATE_PUSHED, NULL, 0, "message 13 came out of turn"},
		{MIGRATE_DONE, NULL, 0, "message 14 came out of turn"},
		{UINT32_MAX, NULL, 0, "message 4294967295 came out of turn"},
		{MIGRATE_REFUSE, "had\x1b[2J enough", 14, "refuses: had?[2J enough"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_bad(&bad[i], false);
	expect_bad(&bad[6], true); /* GO, likewise */
}

static void damaged_ones_are_refused(void **state)
{
	static const struct bad bad[] = {
		{MIGRATE_PAGES, NULL, 0, ""},
		{MIGRATE_PAGES, "pages", 5, ""},
		{MIGRATE_MISSING, "\0\0\0\0", 4, "a list of pages of 4 bytes"},
		{MIGRATE_MISSING, "\0\0\0\0\0\0\0\0", 8, "a list of pages that is none"},
		{MIGRATE_MISSING, "\0\0\1\0\0\0\0\0junk", 12, "a list of pages that is none"},
		{MIGRATE_STATE, NULL, 0, "state: "},
		{MIGRATE_STATE, "state", 5, "state: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_bad(&bad[i], true);
}

/* A state that is one, and of another machine. */
static void another_shape_is_refused(void **state)
{
	struct state_buf buf = {.data = NULL};
	struct bad bad = {MIGRATE_STATE, NULL, 0, "of a machine of another shape"};

	(void)state;
	fixture_make(&buf, 1, NULL);
	bad.data = buf.data;
	bad.size = buf.size;
	expect_bad(&bad, false);
	free(buf.data);
}

/* A stream is refused by the main connection: there is nobody to hear it on the other. */
static void a_stream_takes_pages_only(void **state)
{
	static const struct bad bad[] = {
		{MIGRATE_GO, NULL, 0, "message 10 on a stream"},
		{MIGRATE_STATE, "state", 5, "message 8 on a stream"},
		{MIGRATE_MISSING, "\0\0\0\0\1\0\0\0", 8, "message 7 on a stream"},
		{MIGRATE_PAGES, "pages", 5, ""},
		{MIGRATE_REFUSE, "no", 2, "refuses: no"},
	};
	struct half h;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		const struct bad *b = &bad[i / 2];

		half_open(&h, 2, true);
		source_say(i % 2 ? h.stream : h.urgent, b->type, b->data, b->size);
		expect_failure(h.in, b->words);
		half_close(&h);
	}
}

static void a_stream_that_ends_ends_all(void **state)
{
	struct half h;

	(void)state;
	half_open(&h, 2, false);
	send_pages(h.main, 0, 10, 1);
	wire_close(h.stream);
	h.stream = NULL;
	expect_failure(h.in, "closed the connection");
	half_close(&h);
}

static void cut_anywhere(void **state)
{
	const u32 sizes[] = {0, 1, 15, 16, 17, 100, 4096};
	struct half h;
	u8 bytes[4096] = {MIGRATE_PAGES, 0, 0, 0, 0, 0, 1, 0}; /* a header of 64 KiB */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		half_open(&h, 1, i % 2);
		assert_int_equal(send(h.main->fd, bytes, sizes[i], MSG_NOSIGNAL), sizes[i]);
		wire_close(h.main);
		h.main = NULL;
		expect_failure(h.in, "closed the connection");
		half_close(&h);
	}
}

/* ---- Stopping ---- */

static void stop_before_setup(void **state)
{
	struct incoming *in = incoming_open(NULL);
	struct wire *w;

	(void)state;
	incoming_shut(in, AT_ONCE); /* nobody came */
	in = incoming_open(NULL);
	w = source_greet(in, MIGRATE_MAIN);
	incoming_shut(in, AT_ONCE);
	wire_close(w);
}

static void stop_while_a_vm_is_made(void **state)
{
	const struct migrate_setup setup = source_setup(0);
	struct incoming *in = incoming_open(NULL);
	struct wire *w = source_greet(in, MIGRATE_MAIN);

	(void)state;
	source_say(w, MIGRATE_SETUP, &setup, sizeof(setup));
	expect_status(in, MIGRATE_SETTING_UP);
	incoming_shut(in, AT_ONCE);
	wire_close(w);
}

static void stop_while_streams_come(void **state)
{
	struct migrate_setup setup = source_setup(0);
	struct vm vm = {.mem = NULL};
	struct wire *w[3];

	(void)state;
	setup.streams = 3;
	for (u32 n = 1; n <= 2; n++) {
		struct incoming *in = incoming_open(NULL);

		w[0] = source_set_up(in, &setup, &vm);
		for (u32 i = 1; i < n; i++)
			w[i] = source_greet(in, MIGRATE_STREAM);
		usleep(1000);
		incoming_shut(in, AT_ONCE);
		for (u32 i = 0; i < n; i++)
			wire_close(w[i]);
	}
}

/* @h.main is cut: nobody asks it to wait any more. */
static void stop_open(struct half *h)
{
	incoming_shut(h->in, AT_ONCE);
	h->in = incoming_open(NULL);
	half_close(h);
}

static void stop_while_pages_come(void **state)
{
	struct half h;

	(void)state;
	half_open(&h, 2, true);
	stop_open(&h);
	half_open(&h, 2, true); /* in the middle of a message */
	assert_int_equal(send(h.main->fd, "\5\0\0\0\0\0\1\0xxxxxxxxxxx", 19, 0), 19);
	assert_int_equal(send(h.stream->fd, "\5\0\0\0\0\0\1\0", 8, 0), 8);
	usleep(1000);
	stop_open(&h);
	half_open(&h, 2, true); /* the state waits for a stream to be flushed */
	send_pages(h.stream, 0, 100, 1);
	source_say(h.main, MIGRATE_STATE, "state", 5);
	usleep(1000);
	stop_open(&h);
}

static void stop_at_any_time(void **state)
{
	u32 x = 7;

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct half h;
		u64 until;

		half_open(&h, 2, i % 2);
		x = x * 1664525 + 1013904223;
		until = now_ns() + (x >> 10);
		while (now_ns() < until)
			send_pages(x & 1 << 9 ? h.main : h.stream, (x >> 12) % 8192, 4, 1);
		stop_open(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_arrive_by_both_streams),
		cmocka_unit_test(a_prepared_one_takes_pages),
		cmocka_unit_test(what_is_out_of_turn_is_refused),
		cmocka_unit_test(damaged_ones_are_refused),
		cmocka_unit_test(another_shape_is_refused),
		cmocka_unit_test(a_stream_takes_pages_only),
		cmocka_unit_test(a_stream_that_ends_ends_all),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(stop_before_setup),
		cmocka_unit_test(stop_while_a_vm_is_made),
		cmocka_unit_test(stop_while_streams_come),
		cmocka_unit_test(stop_while_pages_come),
		cmocka_unit_test(stop_at_any_time),
	};

	return cmocka_run_group_tests(tests, incoming_set_up, incoming_tear_down);
}
