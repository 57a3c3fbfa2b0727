// SPDX-License-Identifier: Apache-2.0
/*
 * A destination whose guest runs, and which has been told that all pages were sent, while some are
 * still on their way: it is done when the last one has come, on whichever connection, and whoever
 * ends it meanwhile waits for nothing. The source is played by the test. Needs /dev/kvm and
 * build/guest/micro.elf.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/wire/batch.h"
#include "tests/lib/quiet.h"
#include "tests/lib/vm_fixture.h"
#include "tests/vmm/migrate/incoming_fixture.h"
#include "vmm/migrate/talk.h"
#include "vmm/state/state.h"

#define NR_PAGES ((u32)(INCOMING_MEMORY >> PAGE_SHIFT))
#define FIRST	 5000
#define MISSING	 300

/* Of quiet time: far less than it would wait for pages. */
#define SOON_MS 3000

/* A destination whose guest is its own, paused, and lacks pages [FIRST, FIRST + MISSING). */
struct half {
	struct incoming *in;
	struct runner runner;
	struct wire *main, *urgent;
};

/* Of a machine like the one that it will be. */
static void make_state(struct state_buf *state)
{
	struct err err = {.text = ""};
	struct runner r;

	runner_make(&r, INCOMING_MEMORY, 1, "job=edge passes=0 time=0 size=1M");
	if (vm_start(r.vm, VM_PAUSE, &err))
		fail_msg("%s", err.text);
	vm_freeze(r.vm);
	if (state_save(r.vm, state, &err))
		fail_msg("%s", err.text);
	vm_thaw(r.vm);
	runner_destroy(&r);
}

static void half_set_up(struct half *h, const struct state_buf *state)
{
	struct migrate_setup setup = source_setup(state->size);
	const struct incoming_guest *guest;
	struct err err = {.text = ""};

	setup.postcopy = 1;
	h->in = incoming_open(NULL);
	h->main = source_greet(h->in, MIGRATE_MAIN);
	assert_int_equal(wire_send2(h->main, MIGRATE_SETUP, &setup, sizeof(setup), state->data,
				    state->size, -1, &err),
			 0);
	expect_status(h->in, MIGRATE_SETTING_UP);
	assert_true(incoming_wants_vm(h->in, &guest));
	if (runner_receive(&h->runner, guest, &err))
		fail_msg("%s", err.text);
	incoming_give_vm(h->in, h->runner.vm);
	source_expect(h->main, MIGRATE_READY);
	h->urgent = source_greet(h->in, MIGRATE_URGENT);
}

static void half_open(struct half *h)
{
	struct state_buf state = {.data = NULL};
	u64 missing[NR_PAGES / 64] = {0};
	struct err err = {.text = ""};

	for (u32 no = FIRST; no < FIRST + MISSING; no++)
		missing[no / 64] |= (u64)1 << no % 64;
	make_state(&state);
	half_set_up(h, &state);
	if (migrate_send_bitmap(h->main, MIGRATE_MISSING, missing, NR_PAGES / 64, &err))
		fail_msg("%s", err.text);
	source_say(h->main, MIGRATE_STATE, state.data, state.size);
	source_expect(h->main, MIGRATE_LOADED);
	source_say(h->main, MIGRATE_GO, NULL, 0);
	source_expect(h->main, MIGRATE_RUNNING);
	expect_status(h->in, MIGRATE_POSTCOPY_ACTIVE);
	free(state.data);
}

static void half_close(struct half *h)
{
	u64 since = quiet_ns(), took;

	incoming_stop(h->in);
	took = (quiet_ns() - since) / 1000000;
	runner_destroy(&h->runner);
	incoming_destroy(h->in);
	wire_close(h->main);
	wire_close(h->urgent);
	if (took > SOON_MS)
		fail_msg("stopping took %llu ms", (unsigned long long)took);
}

/* Of [first, first + n), all the same. */
static void send_pages(struct wire *w, u32 first, u32 n)
{
	const struct batch_config cfg = {.nr_pages = NR_PAGES};
	struct batch_encoder *e;
	u8 page[PAGE_SIZE];
	const void *data;
	u32 size;

	memset(page, 7, sizeof(page));
	assert_int_equal(batch_encoder_create(&e, &cfg, NULL), 0);
	for (u32 no = first; no < first + n; no++) {
		assert_int_equal(batch_put(e, no, page), 0);
		if (batch_is_full(e) || no == first + n - 1) {
			data = batch_finish(e, &size);
			source_say(w, MIGRATE_PAGES, data, size);
		}
	}
	batch_encoder_destroy(e);
}

/* ---- Tests ---- */

static void whoever_ends_it_does_not_wait(void **state)
{
	struct half h;

	(void)state;
	runner_need_kvm();
	half_open(&h);
	send_pages(h.urgent, FIRST, MISSING - 1);
	source_say(h.main, MIGRATE_PUSHED, NULL, 0);
	usleep(100000); /* it waits for the last by now, or does so in a moment */
	half_close(&h);
}

static void the_last_page_ends_it(void **state)
{
	struct half h;
	u64 since;

	(void)state;
	runner_need_kvm();
	half_open(&h);
	source_say(h.main, MIGRATE_PUSHED, NULL, 0);
	send_pages(h.urgent, FIRST, MISSING - 1);
	usleep(20000);
	since = quiet_ns();
	send_pages(h.urgent, FIRST + MISSING - 1, 1);
	source_expect(h.main, MIGRATE_DONE);
	assert_true(quiet_ns() - since < (u64)SOON_MS * 1000000);
	expect_status(h.in, MIGRATE_COMPLETED);
	source_say(h.main, MIGRATE_DONE, NULL, 0);
	half_close(&h);
}

/* There is nothing to wait for on a connection that is no more: the source may come back. */
static void a_lost_connection_ends_the_wait(void **state)
{
	struct half h;

	(void)state;
	runner_need_kvm();
	half_open(&h);
	source_say(h.main, MIGRATE_PUSHED, NULL, 0);
	usleep(20000);
	wire_close(h.urgent);
	h.urgent = NULL;
	expect_status(h.in, MIGRATE_POSTCOPY_PAUSED);
	half_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_ends_it_does_not_wait),
		cmocka_unit_test(the_last_page_ends_it),
		cmocka_unit_test(a_lost_connection_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, incoming_set_up, incoming_tear_down);
}
