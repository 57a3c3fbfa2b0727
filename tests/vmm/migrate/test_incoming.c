// SPDX-License-Identifier: Apache-2.0
/*
 * A destination whose source is broken or hostile, without a VM: who is refused is told why, and
 * nothing that comes makes it hang, or take what it should not. Where pages come, they go into a
 * memory engine that has no machine around it.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/wire/batch.h"
#include "mm/wire/impl.h"
#include "tests/lib/descriptors.h"
#include "tests/vmm/migrate/incoming_fixture.h"
#include "tests/mm/engine/mem_fixture.h"
#include "tests/vmm/state/state_fixture.h"
#include "vmm/vm/vm.h"

/* ---- Before anybody has come ---- */

static void expect_stranger(struct incoming *in, const void *hello, u32 size, const char *words)
{
	struct wire *w = source_connect(in);

	source_say(w, MIGRATE_HELLO, hello, size);
	source_expect_refusal(w, words);
}

static void strangers_are_turned_away(void **state)
{
	const u32 roles[] = {MIGRATE_STREAM,  MIGRATE_URGENT,	 MIGRATE_RECOVER,
			     MIGRATE_CONFIRM, MIGRATE_PROBE + 1, UINT32_MAX};
	struct incoming *in = incoming_open(NULL);
	struct migrate_hello hello = source_hello(MIGRATE_MAIN);
	struct wire *w;

	(void)state;
	expect_stranger(in, &hello, sizeof(hello) - 1, "a greeting of 47 bytes");
	hello.version = 2;
	expect_stranger(in, &hello, sizeof(hello), "speaks version 2 of migration");
	hello.magic[0] = 'Q';
	expect_stranger(in, &hello, sizeof(hello), "is no quire");
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		hello = source_hello(roles[i]);
		expect_stranger(in, &hello, sizeof(hello), "waits for another guest");
	}
	w = source_connect(in);
	source_say(w, MIGRATE_GO, NULL, 0);
	source_expect_refusal(w, "message 10 came where 1 was expected");
	wire_close(source_connect(in)); /* and one that says nothing */
	expect_status(in, MIGRATE_NONE);
	wire_close(source_greet(in, MIGRATE_MAIN));
	incoming_shut(in, AT_ONCE);
}

/* However often: each is answered, and the guest is waited for as before. */
static void probes_are_answered(void **state)
{
	struct incoming *in = incoming_open(NULL);
	static const u8 nonsense[64 * KiB];
	struct wire *w;

	(void)state;
	for (u32 i = 0; i < 3; i++) {
		w = source_greet(in, MIGRATE_PROBE);

		source_expect(w, MIGRATE_HELLO);
		source_say(w, MIGRATE_FLUSH, NULL, 0);
		source_expect(w, MIGRATE_READY);
		for (u32 j = 0; j < 3; j++)
			source_say(w, MIGRATE_PAGES, nonsense, sizeof(nonsense));
		source_say(w, MIGRATE_FLUSH, NULL, 0);
		source_expect(w, MIGRATE_READY);
		if (i == 1) /* that ends it, and nothing else */
			source_say(w, MIGRATE_GO, NULL, 0);
		wire_close(w);
		expect_status(in, MIGRATE_NONE);
	}
	wire_close(source_greet(in, MIGRATE_MAIN));
	incoming_shut(in, AT_ONCE);

	/* nor does one that is under way keep anybody who ends */
	in = incoming_open(NULL);
	w = source_greet(in, MIGRATE_PROBE);
	source_expect(w, MIGRATE_HELLO);
	incoming_shut(in, AT_ONCE);
	wire_close(w);
}

/* Bytes that are not even a connection of ours. */
static void noise_is_passed_over(void **state)
{
	struct incoming *in = incoming_open("tcp:127.0.0.1:0");
	u8 noise[4096];

	(void)state;
	memset(noise, 'x', sizeof(noise));
	for (u32 size = 0; size < 64; size += 7) {
		struct wire *w = source_connect(in);

		assert_int_equal(send(w->fd, noise, size, MSG_NOSIGNAL), size);
		wire_close(w);
	}
	expect_status(in, MIGRATE_NONE);
	wire_close(source_greet(in, MIGRATE_MAIN));
	incoming_shut(in, AT_ONCE);
}

static void descriptors_are_not_kept(void **state)
{
	const struct migrate_hello hello = source_hello(MIGRATE_STREAM);
	struct incoming *in = incoming_open(NULL);
	u32 before = nr_descriptors(), after = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct wire *w = source_connect(in);

		assert_int_equal(wire_send2(w, i % 2 ? MIGRATE_HELLO : MIGRATE_SETUP, &hello,
					    sizeof(hello), NULL, 0, STDERR_FILENO, NULL),
				 0);
		source_expect_refusal(w, "");
	}
	for (int i = 0; i < 1000; i++) { /* the last is hung up on by and by */
		after = nr_descriptors();
		if (after <= before)
			break;
		usleep(1000);
	}
	assert_int_equal(after, before);
	incoming_shut(in, AT_ONCE);
}

/* Who measures the line is served, leaves nothing behind, and it goes on waiting. */
static void probes_come_and_go(void **state)
{
	struct migrate_hello hello = source_hello(MIGRATE_PROBE);
	struct incoming *in = incoming_open(NULL);
	u32 before = nr_descriptors(), after;
	struct wire_message msg;
	struct wire *w;

	(void)state;
	for (int i = 0; i < 3; i++) {
		w = source_connect(in);
		source_say(w, MIGRATE_HELLO, &hello, sizeof(hello));
		assert_int_equal(wire_receive(w, PATIENCE, &msg, NULL), 0);
		assert_int_equal(msg.type, MIGRATE_HELLO);
		for (int k = 0; k < 30; k++)
			assert_int_equal(wire_send2(w, MIGRATE_PAGES, "nonsense", 8, NULL, 0,
						    STDERR_FILENO, NULL),
					 0);
		source_say(w, MIGRATE_FLUSH, NULL, 0);
		source_expect(w, MIGRATE_READY);
		if (i)
			source_say(w, MIGRATE_SETUP, NULL, 0); /* no part of it: hung up on */
		wire_close(w);
	}
	expect_status(in, MIGRATE_NONE);
	w = source_greet(in, MIGRATE_MAIN);
	after = nr_descriptors();
	assert_int_equal(after, before + 2); /* both ends of this one */
	wire_close(w);
	incoming_shut(in, AT_ONCE);
}

/* ---- Set-ups ---- */

/* One with @more bytes behind it must be refused with these words. */
static void expect_bad_setup(const struct migrate_setup *setup, u32 size, u32 more,
			     const char *words)
{
	struct incoming *in = incoming_open(NULL);
	struct wire *w = source_greet(in, MIGRATE_MAIN);
	const struct incoming_guest *guest;
	u8 *bytes = calloc(1, size + more + 1);

	memcpy(bytes, setup, size);
	source_say(w, MIGRATE_SETUP, bytes, size + more);
	free(bytes);
	source_expect_refusal(w, words);
	expect_failure(in, words);
	assert_false(incoming_wants_vm(in, &guest));
	incoming_shut(in, AT_ONCE);
}

static void short_setups_are_refused(void **state)
{
	const struct migrate_setup setup = source_setup(0);
	char words[40];

	(void)state;
	for (u32 size = 0; size < sizeof(setup); size += size < 8 ? 1 : 8) {
		snprintf(words, sizeof(words), "a set-up of %u bytes", size);
		expect_bad_setup(&setup, size, 0, words);
	}
}

static void states_of_other_sizes_are_refused(void **state)
{
	const u32 said[] = {0, 99, 101, 4096, UINT32_MAX, UINT32_MAX - 95};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct migrate_setup setup = source_setup(said[i]);

		expect_bad_setup(&setup, sizeof(setup), 100, "a set-up of 196 bytes");
	}
}

static void fields_out_of_range_are_refused(void **state)
{
	const u64 sizes[] = {0,
			     1,
			     SPACE_MIN_SIZE - 2 * MiB,
			     64 * MiB + 4096,
			     SPACE_MAX_SIZE + 2 * MiB,
			     (u64)1 << 63,
			     UINT64_MAX};
	const u32 streams[] = {0, MIGRATE_MAX_STREAMS + 1, UINT32_MAX};
	struct migrate_setup setup;
	char words[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		setup = source_setup(0);
		setup.memory = sizes[i];
		snprintf(words, sizeof(words), "a guest of %llu bytes",
			 (unsigned long long)sizes[i]);
		expect_bad_setup(&setup, sizeof(setup), 0, words);
	}
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		setup = source_setup(0);
		setup.streams = streams[i];
		snprintf(words, sizeof(words), "%u streams", streams[i]);
		expect_bad_setup(&setup, sizeof(setup), 0, words);
	}
	setup = source_setup(0);
	memset(setup.name, 'n', sizeof(setup.name));
	expect_bad_setup(&setup, sizeof(setup), 0, "a set-up of");
	setup = source_setup(0);
	setup.handover = 1;
	expect_bad_setup(&setup, sizeof(setup), 0, "memory was announced, and none came");
}

static void a_right_one_is_told(void **state)
{
	struct migrate_setup setup = source_setup(5);
	struct incoming *in = incoming_open(NULL);
	struct wire *w = source_greet(in, MIGRATE_MAIN);
	const struct incoming_guest *guest;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	setup.handover = setup.runs = 1;
	setup.nr_cpus = 77;
	assert_int_equal(wire_send2(w, MIGRATE_SETUP, &setup, sizeof(setup), "state", 5, fd, NULL),
			 0);
	expect_status(in, MIGRATE_SETTING_UP);
	assert_true(incoming_wants_vm(in, &guest));
	assert_string_equal(guest->name, "guest");
	assert_int_equal(guest->memory, INCOMING_MEMORY);
	assert_int_equal(guest->nr_cpus, 77); /* the state says what can be */
	assert_int_equal(guest->state_size, 5);
	assert_memory_equal(guest->state, "state", 5);
	assert_true(guest->runs && !guest->pager);
	assert_true(guest->memory_fd >= 0 && fcntl(guest->memory_fd, F_GETFD) >= 0);
	assert_int_equal(guest->clock, STATE_CLOCK_JUMP); /* our clocks agree */
	close(fd);
	wire_close(w);
	incoming_shut(in, AT_ONCE);
}

static void whose_clock_is_wrong_gets_no_time(void **state)
{
	const s64 off[] = {(s64)200000000, -(s64)200000000, (s64)1 << 62};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct migrate_hello hello = source_hello(MIGRATE_MAIN);
		const struct migrate_setup setup = source_setup(0);
		struct incoming *in = incoming_open(NULL);
		const struct incoming_guest *guest;
		struct wire *w = source_connect(in);

		hello.wall_ns += (u64)off[i];
		source_say(w, MIGRATE_HELLO, &hello, sizeof(hello));
		source_say(w, MIGRATE_SETUP, &setup, sizeof(setup));
		expect_status(in, MIGRATE_SETTING_UP);
		assert_true(incoming_wants_vm(in, &guest));
		assert_int_equal(guest->clock, STATE_CLOCK_CONTINUE);
		wire_close(w);
		incoming_shut(in, AT_ONCE);
	}
}

static void the_owner_may_refuse(void **state)
{
	const struct err why = {.text = "guest guest: too large for this host"};
	const struct migrate_setup setup = source_setup(0);
	struct incoming *in = incoming_open(NULL);
	struct wire *w = source_greet(in, MIGRATE_MAIN);

	(void)state;
	source_say(w, MIGRATE_SETUP, &setup, sizeof(setup));
	expect_status(in, MIGRATE_SETTING_UP);
	incoming_refuse(in, &why);
	source_expect_refusal(w, why.text);
	expect_failure(in, why.text);
	incoming_shut(in, AT_ONCE);
}

/* ---- Whether it can run here ---- */

static void expect_verdict(const struct incoming_guest *guest, int ret, const char *words)
{
	struct err err = {.text = ""};

	assert_int_equal(incoming_check(guest, &err), ret);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" without \"%s\"", err.text, words);
}

static void states_are_checked(void **state)
{
	struct incoming_guest guest = {.memory = FIXTURE_MEMORY, .nr_cpus = 2, .memory_fd = -1};
	struct state_buf buf = {.data = NULL};

	(void)state;
	fixture_make(&buf, 2, NULL);
	guest.state = buf.data;
	guest.state_size = buf.size;
	guest.nr_cpus = 1;
	expect_verdict(&guest, -EPROTO, "a guest of another shape");
	guest.nr_cpus = 2;
	guest.memory += 2 * MiB;
	expect_verdict(&guest, -EPROTO, "a guest of another shape");
	guest.memory = FIXTURE_MEMORY;
	for (u32 size = 0; size < buf.size; size += size < 64 ? 1 : 997) {
		guest.state_size = size;
		expect_verdict(&guest, -EBADMSG, "state: ");
	}
	guest.state_size = buf.size;
	buf.data[buf.size / 2] ^= 1;
	expect_verdict(&guest, -EBADMSG, "state: ");
	buf.data[buf.size / 2] ^= 1;
	if (access("/dev/kvm", R_OK | W_OK))
		print_message("/dev/kvm cannot be opened: not checked against this host\n");
	else /* its features were never a processor's */
		expect_verdict(&guest, -EOPNOTSUPP, "");
	free(buf.data);
}

static void the_first_version_is_still_read(void **state)
{
	struct incoming_guest guest = {.memory = FIXTURE_MEMORY, .nr_cpus = 3, .memory_fd = -1};
	static u64 room[32768];
	FILE *f = fopen("tests/vmm/state/golden/state-v1.bin", "rb");

	(void)state;
	assert_non_null(f);
	guest.state = room;
	guest.state_size = (u32)fread(room, 1, sizeof(room), f);
	fclose(f);
	assert_in_range(guest.state_size, 1, sizeof(room) - 1);
	expect_verdict(&guest, -EPROTO, "a guest of another shape");
	guest.nr_cpus = 1;
	if (!access("/dev/kvm", R_OK | W_OK))
		expect_verdict(&guest, -EOPNOTSUPP, "");
}

/* ---- Further connections ---- */

static void expect_busy(struct incoming *in, enum migrate_role role, u8 other)
{
	struct migrate_hello hello = source_hello(role);

	hello.session[15] = (u8)(hello.session[15] + other);
	expect_stranger(in, &hello, sizeof(hello), "waits for another guest");
}

/* They come in any order, each kind as often as it was announced. */
static void the_others_are_told_apart(void **state)
{
	const enum migrate_role roles[] = {MIGRATE_STREAM, MIGRATE_URGENT};
	struct migrate_setup setup = source_setup(0);
	struct vm vm = {.mem = NULL};
	struct wire *w, *others[2];

	(void)state;
	setup.streams = 2;
	setup.postcopy = 1;
	for (u32 i = 0; i < 2; i++) {
		struct incoming *in = incoming_open(NULL);

		w = source_set_up(in, &setup, &vm);
		expect_busy(in, MIGRATE_MAIN, 0);   /* a second guest */
		expect_busy(in, MIGRATE_STREAM, 1); /* of somebody else */
		expect_busy(in, MIGRATE_URGENT, 1); /* likewise */
		others[0] = source_greet(in, roles[i]);
		expect_busy(in, roles[i], 0); /* one too many */
		others[1] = source_greet(in, roles[!i]);
		expect_status(in, MIGRATE_ACTIVE);
		wire_close(w);
		expect_failure(in, "");
		wire_close(others[0]);
		wire_close(others[1]);
		incoming_shut(in, AT_ONCE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_are_turned_away),
		cmocka_unit_test(probes_are_answered),
		cmocka_unit_test(noise_is_passed_over),
		cmocka_unit_test(descriptors_are_not_kept),
		cmocka_unit_test(probes_come_and_go),
		cmocka_unit_test(short_setups_are_refused),
		cmocka_unit_test(states_of_other_sizes_are_refused),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(a_right_one_is_told),
		cmocka_unit_test(whose_clock_is_wrong_gets_no_time),
		cmocka_unit_test(the_owner_may_refuse),
		cmocka_unit_test(states_are_checked),
		cmocka_unit_test(the_first_version_is_still_read),
		cmocka_unit_test(the_others_are_told_apart),
	};

	return cmocka_run_group_tests(tests, incoming_set_up, incoming_tear_down);
}
