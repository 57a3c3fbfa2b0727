// SPDX-License-Identifier: Apache-2.0
/*
 * What both sides of a migration say: greetings that are none, refusals that are meant for a
 * terminal, lists of pages of all shapes and with all damages.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/codec/codec.h"
#include "tests/mm/wire/wire_fixture.h"
#include "vmm/migrate/talk.h"

#define PIECE_WORDS 512u /* 32768 pages */

static const u8 session[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Both ends, with room for what is sent before it is read. */
static int set_up(void **state)
{
	static struct pair pair;
	const int room = 1 << 20;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
		return -1;
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	pair = (struct pair){.listener = NULL};
	*state = &pair;
	return wire_wrap(&pair.a, fds[0], true, "a", QUICK, NULL) ||
	       wire_wrap(&pair.b, fds[1], true, "b", QUICK, NULL);
}

static int tear_down(void **state)
{
	drop_pair(*state);
	return 0;
}

static void say(struct wire *w, u32 type, const void *data, u32 size)
{
	struct err err = {.text = ""};

	if (wire_send(w, type, data, size, &err))
		fail_msg("%s", err.text);
}

static void expect_words(const struct err *err, const char *words)
{
	if (!strstr(err->text, words))
		fail_msg("\"%s\" without \"%s\"", err->text, words);
}

/* ---- Greetings ---- */

static void greetings_arrive(void **state)
{
	struct pair *p = *state;
	struct migrate_hello hello;
	u64 before = wall_ns();

	assert_int_equal(migrate_say_hello(p->a, session, MIGRATE_STREAM, 7, NULL), 0);
	assert_int_equal(migrate_hear_hello(p->b, QUICK, &hello, NULL), 0);
	assert_memory_equal(hello.magic, "quiremig", 8);
	assert_memory_equal(hello.session, session, 16);
	assert_int_equal(hello.version, 1);
	assert_int_equal(hello.features, MIGRATE_FEATURES);
	assert_int_equal(hello.role, MIGRATE_STREAM);
	assert_int_equal(hello.index, 7);
	assert_in_range(hello.wall_ns, before, wall_ns());
}

static struct migrate_hello good_hello(void)
{
	struct migrate_hello hello = {.version = MIGRATE_VERSION, .role = MIGRATE_MAIN};

	memcpy(hello.magic, MIGRATE_MAGIC, sizeof(hello.magic));
	memcpy(hello.session, session, sizeof(session));
	return hello;
}

static void expect_hello(struct pair *p, const void *data, u32 size, int ret, const char *words)
{
	struct migrate_hello hello;
	struct err err = {.text = ""};

	say(p->a, MIGRATE_HELLO, data, size);
	assert_int_equal(migrate_hear_hello(p->b, QUICK, &hello, &err), ret);
	if (ret)
		expect_words(&err, words);
}

static void other_versions_are_told_which(void **state)
{
	const u32 versions[] = {0, 2, 3, 0x01000000, UINT32_MAX};
	struct migrate_hello hello = good_hello();
	char words[64];

	expect_hello(*state, &hello, sizeof(hello), 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		hello.version = versions[i];
		snprintf(words, sizeof(words), "speaks version %u of migration, this one 1",
			 versions[i]);
		expect_hello(*state, &hello, sizeof(hello), -EPROTO, words);
	}
	/* what this version does not know of is no reason */
	hello = good_hello();
	hello.features = hello.role = hello.index = UINT32_MAX;
	expect_hello(*state, &hello, sizeof(hello), 0, NULL);
}

static void no_quire_is_refused(void **state)
{
	struct migrate_hello hello;

	for (u32 i = 0; i < sizeof(hello.magic); i++) {
		hello = good_hello();
		hello.magic[i] ^= 0x20;
		expect_hello(*state, &hello, sizeof(hello), -EPROTO, "is no quire");
	}
}

static void short_greetings_are_refused(void **state)
{
	struct {
		struct migrate_hello hello;
		u8 more[16]; /* a later one may say more */
	} big = {.hello = good_hello()};
	char words[32];

	for (u32 size = 0; size < sizeof(big.hello); size++) {
		snprintf(words, sizeof(words), "a greeting of %u bytes", size);
		expect_hello(*state, &big, size, -EPROTO, words);
	}
	expect_hello(*state, &big, sizeof(big), 0, NULL);
}

static void something_else_is_no_greeting(void **state)
{
	struct pair *p = *state;
	struct migrate_hello hello = good_hello();
	struct err err = {.text = ""};

	say(p->a, MIGRATE_GO, &hello, sizeof(hello));
	assert_int_equal(migrate_hear_hello(p->b, QUICK, &hello, &err), -EPROTO);
	assert_string_equal(err.text, "message 10 came where 1 was expected");
	say(p->a, MIGRATE_REFUSE, "go away", 7);
	assert_int_equal(migrate_hear_hello(p->b, QUICK, &hello, &err), -EREMOTEIO);
	assert_string_equal(err.text, "the other side refuses: go away");
	assert_int_equal(migrate_hear_hello(p->b, 1, &hello, &err), -ETIMEDOUT);
	wire_cut(p->a);
	assert_int_equal(migrate_hear_hello(p->b, QUICK, &hello, &err), -EPIPE);
}

/* ---- Refusals ---- */

static void refusals_are_sentences(void **state)
{
	const struct err why = {.text = "its state: something (do something)"};
	struct pair *p = *state;
	struct wire_message msg;
	struct err err = {.text = ""};

	migrate_refuse(p->a, &(struct err){.text = ""}); /* before anything has a buffer */
	assert_int_equal(migrate_receive(p->b, QUICK, &msg, &err), -EREMOTEIO);
	assert_string_equal(err.text, "the other side refuses: ");
	migrate_refuse(p->a, &why);
	assert_int_equal(migrate_expect(p->b, MIGRATE_READY, QUICK, &msg, &err), -EREMOTEIO);
	assert_string_equal(err.text,
			    "the other side refuses: its state: something (do something)");
	wire_cut(p->b); /* whoever is gone is not told, and nothing comes of it */
	migrate_refuse(p->a, &why);
}

/* It ends up on a terminal: of what a hostile one sends only what can be seen gets there. */
static void refusals_are_harmless(void **state)
{
	const u32 sizes[] = {1, 159, 160, 161, 320, 4096, 100000};
	u8 *text = malloc(100000);
	struct pair *p = *state;
	struct wire_message msg;
	struct err err;

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		wire_fill(text, sizes[k], (u32)k);
		memset(&err, 'x', sizeof(err));
		say(p->a, MIGRATE_REFUSE, text, sizes[k]);
		assert_int_equal(migrate_receive(p->b, QUICK, &msg, &err), -EREMOTEIO);
		assert_non_null(memchr(err.text, '\0', sizeof(err.text)));
		for (const char *c = err.text; *c; c++)
			assert_in_range(*c, ' ', '~');
		expect_words(&err, "the other side refuses: ");
		assert_true(strlen(err.text) >= 24 + MIN(sizes[k], 159u) - 1);
	}
	for (u32 c = 0; c < 256; c++) {
		text[0] = (u8)c;
		say(p->a, MIGRATE_REFUSE, text, 1);
		assert_int_equal(migrate_receive(p->b, QUICK, &msg, &err), -EREMOTEIO);
		assert_int_equal(err.text[24], c < ' ' || c > '~' ? '?' : c);
	}
	free(text);
}

/* ---- Lists of pages ---- */

/* Pieces with a bit in them. */
static u32 count_pieces(const u64 *bits, u32 words)
{
	u32 n = 0;

	for (u32 word = 0, next = 0; word < words; word++)
		if (word >= next && bits[word]) {
			next = (word / PIECE_WORDS + 1) * PIECE_WORDS;
			n++;
		}
	return n;
}

/* Over the connection and back, with what the bits may not touch around them. */
static void expect_back(struct pair *p, const u64 *bits, u32 words)
{
	u64 *back = malloc((words + 2) * sizeof(u64));
	struct wire_message msg;
	bool last = false;
	u32 n = 0;

	memset(back, 0, (words + 2) * sizeof(u64));
	back[0] = back[words + 1] = 0x5a5a5a5a5a5a5a5a;
	assert_int_equal(migrate_send_bitmap(p->a, MIGRATE_MISSING, bits, words, NULL), 0);
	while (!last) {
		assert_int_equal(migrate_expect(p->b, MIGRATE_MISSING, QUICK, &msg, NULL), 0);
		assert_int_equal(migrate_unpack_bitmap(&msg, back + 1, words, &last, NULL), 0);
		n += !last;
	}
	assert_int_equal(n, count_pieces(bits, words));
	assert_memory_equal(back + 1, bits, words * sizeof(u64));
	assert_true(back[0] == 0x5a5a5a5a5a5a5a5a && back[words + 1] == back[0]);
	free(back);
}

static void lists_come_back(void **state)
{
	/* sizes of guests in pieces of 2 MiB, and others: the last piece is short */
	const u32 sizes[] = {1, 8, 64, 511, 512, 513, 520, 1024, 1536 + 8, 2 * 512 + 511};
	u64 *bits = malloc(2048 * sizeof(u64));

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u32 words = sizes[i];

		memset(bits, 0, words * sizeof(u64));
		expect_back(*state, bits, words);
		bits[words - 1] = (u64)1 << 63;
		expect_back(*state, bits, words);
		memset(bits, 0xff, words * sizeof(u64));
		expect_back(*state, bits, words);
		wire_fill((u8 *)bits, words * (u32)sizeof(u64), words);
		expect_back(*state, bits, words);
		memset(bits, 0, words * sizeof(u64));
		for (u32 k = 0; k < words * 64; k += 977)
			bits[k / 64] |= (u64)1 << k % 64;
		expect_back(*state, bits, words);
	}
	free(bits);
}

/* A piece as it is given to the reader: exactly so large, so that a sanitizer sees more. */
static int unpack(u32 first, u32 last, const void *data, u32 size, u64 *bits, u32 words)
{
	const struct migrate_bitmap head = {.first = first, .last = last};
	u8 *bytes = malloc(sizeof(head) + size);
	struct wire_message msg = {
		.type = MIGRATE_MISSING, .size = (u32)sizeof(head) + size, .data = bytes, .fd = -1};
	struct err err = {.text = ""};
	bool is_last;
	int ret;

	memcpy(bytes, &head, sizeof(head));
	if (size)
		memcpy(bytes + sizeof(head), data, size);
	ret = migrate_unpack_bitmap(&msg, bits, words, &is_last, &err);
	assert_true(!ret || (ret == -EPROTO && err.text[0]));
	if (!ret)
		assert_int_equal(is_last, last != 0);
	free(bytes);
	return ret;
}

static void pieces_in_wrong_places_are_refused(void **state)
{
	const u32 words = PIECE_WORDS + 8;
	u64 *bits = calloc(words, sizeof(u64)), piece[PIECE_WORDS];

	(void)state;
	memset(piece, 0xff, sizeof(piece));
	for (u32 first = 1; first; first <<= 1)
		if (first != MIGRATE_BITMAP_PAGES)
			assert_int_equal(unpack(first, 0, piece, sizeof(piece), bits, words),
					 -EPROTO);
	assert_int_equal(unpack(UINT32_MAX, 0, piece, sizeof(piece), bits, words), -EPROTO);
	assert_int_equal(unpack(0xffff8000, 0, piece, sizeof(piece), bits, words), -EPROTO);
	assert_int_equal(unpack(2 * MIGRATE_BITMAP_PAGES, 0, piece, sizeof(piece), bits, words),
			 -EPROTO);
	for (u32 i = 0; i < words; i++)
		assert_true(!bits[i]);
	/* and the one before is cut to what there is */
	assert_int_equal(unpack(MIGRATE_BITMAP_PAGES, 0, piece, sizeof(piece), bits, words), 0);
	for (u32 i = 0; i < words; i++)
		assert_true(bits[i] == (i < PIECE_WORDS ? 0 : UINT64_MAX));
	free(bits);
}

static void pieces_of_wrong_sizes_are_refused(void **state)
{
	u64 bits[8] = {0}, piece[PIECE_WORDS + 1];
	u8 packed[PAGE_SIZE];
	u32 size, taken = 0;

	(void)state;
	wire_fill((u8 *)piece, sizeof(piece), 1);
	/* noise is no packed page */
	for (size = 0; size <= sizeof(piece); size++)
		taken += !unpack(0, 0, piece, size, bits, 8);
	assert_in_range(taken, 1, 2); /* 4096 bytes are a piece as it is */
	assert_int_equal(unpack(0, 0, piece, PAGE_SIZE, bits, 8), 0);
	assert_memory_equal(bits, piece, sizeof(bits));
	/* what is packed is one */
	memset(piece, 0, sizeof(piece));
	for (u32 i = 0; i < PIECE_WORDS; i += 3)
		piece[i] = i * 0x0123456789abcdefull;
	size = codec_pack(piece, packed, PAGE_SIZE - 1);
	assert_in_range(size, 2, PAGE_SIZE - 1);
	assert_int_equal(unpack(0, 0, packed, size, bits, 8), 0);
	assert_memory_equal(bits, piece, sizeof(bits));
	/* of a part of one the reader makes what it can: the message's checksum is there for it */
	for (u32 i = 0; i < size; i++)
		unpack(0, 0, packed, i, bits, 8);
}

static void short_ones_are_refused(void **state)
{
	const struct migrate_bitmap head = {.last = 1};
	u64 bits[8] = {0};
	struct err err;
	bool last;

	(void)state;
	for (u32 size = 0; size < sizeof(head); size++) {
		u8 *bytes = malloc(size + !size);
		const struct wire_message msg = {.size = size, .data = bytes, .fd = -1};

		memcpy(bytes, &head, size);
		assert_int_equal(migrate_unpack_bitmap(&msg, bits, 8, &last, &err), -EPROTO);
		expect_words(&err, "a list of pages of");
		free(bytes);
	}
	/* the last needs nothing more, and takes nothing */
	assert_int_equal(unpack(77, 1, "\xff\xff\xff\xff", 4, bits, 8), 0);
	assert_int_equal(unpack(0, UINT32_MAX, NULL, 0, bits, 8), 0);
	for (u32 i = 0; i < 8; i++)
		assert_true(!bits[i]);
}

static void any_damage_is_borne(void **state)
{
	u64 bits[10], piece[PIECE_WORDS] = {0};
	u8 packed[PAGE_SIZE];
	u32 size, x = 1;

	(void)state;
	for (u32 i = 0; i < PIECE_WORDS; i += 5)
		piece[i] = (u64)i << i % 64;
	size = codec_pack(piece, packed, PAGE_SIZE - 1);
	assert_true(size);
	for (u32 n = 0; n < 20000; n++) {
		u8 kept;
		u32 at;

		x = x * 1664525 + 1013904223;
		at = (x >> 8) % size;
		kept = packed[at];
		packed[at] ^= (u8)(1u << (x >> 29));
		bits[0] = bits[9] = 0xa5a5a5a5a5a5a5a5;
		unpack(0, 0, packed, size, bits + 1, 8);
		assert_true(bits[0] == 0xa5a5a5a5a5a5a5a5 && bits[9] == bits[0]);
		packed[at] = kept;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(greetings_arrive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_versions_are_told_which, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_quire_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(short_greetings_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(something_else_is_no_greeting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refusals_are_sentences, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refusals_are_harmless, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lists_come_back, set_up, tear_down),
		cmocka_unit_test(pieces_in_wrong_places_are_refused),
		cmocka_unit_test(pieces_of_wrong_sizes_are_refused),
		cmocka_unit_test(short_ones_are_refused),
		cmocka_unit_test(any_damage_is_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
