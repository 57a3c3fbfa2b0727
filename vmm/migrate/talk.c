// SPDX-License-Identifier: Apache-2.0
/*
 * How the two sides of a migration talk. Contract in talk.h.
 *
 * Nothing is kept here: whoever calls owns the connection, and is the only one to receive on it.
 * What comes is not trusted: sizes are looked at before anything else is, a sentence of the other
 * side's is made fit for a terminal, and a descriptor is closed wherever none may come.
 */
#include "vmm/migrate/talk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/codec/codec.h"

static int refused(const struct wire_message *msg, struct err *err)
{
	char text[sizeof(err->text) / 2];
	u32 n = MIN(msg->size, (u32)sizeof(text) - 1);

	if (n)
		memcpy(text, msg->data, n);
	text[n] = '\0';
	for (u32 i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?'; /* it goes to a terminal */
	return err_set(err, -EREMOTEIO, "the other side refuses: %s", text);
}

/* Nobody looks for one here: a hostile side must not fill our table with them. */
static void drop_descriptor(struct wire_message *msg)
{
	if (msg->fd >= 0)
		close(msg->fd);
	msg->fd = -1;
}

/* What may come with which message, and whether it is a refusal. */
static int look_at(struct wire_message *msg, struct err *err)
{
	if (msg->type != MIGRATE_SETUP)
		drop_descriptor(msg);
	return msg->type == MIGRATE_REFUSE ? refused(msg, err) : 0;
}

static int must_be(struct wire_message *msg, u32 type, struct err *err)
{
	if (msg->type == type)
		return 0;
	drop_descriptor(msg);
	return err_set(err, -EPROTO, "message %u came where %u was expected", msg->type, type);
}

int migrate_receive(struct wire *w, int timeout_ms, struct wire_message *msg, struct err *err)
{
	int ret = wire_receive(w, timeout_ms, msg, err);

	return ret ? ret : look_at(msg, err);
}

int migrate_expect(struct wire *w, u32 type, int timeout_ms, struct wire_message *msg,
		   struct err *err)
{
	int ret = migrate_receive(w, timeout_ms, msg, err);

	return ret ? ret : must_be(msg, type, err);
}

void migrate_refuse(struct wire *w, const struct err *why)
{
	struct err ignored;

	wire_send(w, MIGRATE_REFUSE, why->text, (u32)strlen(why->text), &ignored);
}

int migrate_say_hello(struct wire *w, const u8 session[16], enum migrate_role role, u32 index,
		      struct err *err)
{
	struct migrate_hello hello = {
		.version = MIGRATE_VERSION,
		.features = MIGRATE_FEATURES,
		.role = role,
		.index = index,
		.wall_ns = wall_ns(),
	};

	memcpy(hello.magic, MIGRATE_MAGIC, sizeof(hello.magic));
	memcpy(hello.session, session, sizeof(hello.session));
	return wire_send(w, MIGRATE_HELLO, &hello, sizeof(hello), err);
}

int migrate_check_hello(const struct wire_message *msg, struct migrate_hello *hello,
			struct err *err)
{
	if (msg->size < sizeof(*hello))
		return err_set(err, -EPROTO, "a greeting of %u bytes", msg->size);
	memcpy(hello, msg->data, sizeof(*hello));
	if (memcmp(hello->magic, MIGRATE_MAGIC, sizeof(hello->magic)))
		return err_set(err, -EPROTO, "the other side is no quire");
	if (!hello->version || hello->version > MIGRATE_VERSION)
		return err_set(err, -EPROTO,
			       "the other side speaks version %u of migration, this one %u "
			       "(use the older quire there too)",
			       hello->version, MIGRATE_VERSION);
	return 0;
}

int migrate_take_hello(struct wire_message *msg, struct migrate_hello *hello, struct err *err)
{
	int ret = look_at(msg, err);

	if (!ret)
		ret = must_be(msg, MIGRATE_HELLO, err);
	return ret ? ret : migrate_check_hello(msg, hello, err);
}

int migrate_hear_hello(struct wire *w, int timeout_ms, struct migrate_hello *hello, struct err *err)
{
	struct wire_message msg;
	int ret = wire_receive(w, timeout_ms, &msg, err);

	return ret ? ret : migrate_take_hello(&msg, hello, err);
}

/* ---- Lists of pages ---- */

#define PIECE_WORDS (MIGRATE_BITMAP_PAGES / 64)

_Static_assert(PIECE_WORDS * sizeof(u64) == PAGE_SIZE, "a piece is packed like a page");

static int send_piece(struct wire *w, u32 type, const u64 *all, u32 words, u32 word,
		      struct err *err)
{
	u64 bits[PIECE_WORDS] = {0}, any = 0;
	const struct migrate_bitmap head = {.first = word * 64};
	u32 n = MIN(words - word, (u32)PIECE_WORDS), size;
	u8 packed[PAGE_SIZE];

	memcpy(bits, all + word, n * sizeof(u64));
	for (u32 i = 0; i < n; i++)
		any |= bits[i];
	if (!any)
		return 0;
	size = codec_pack(bits, packed, PAGE_SIZE - 1);
	return wire_send2(w, type, &head, sizeof(head), size ? (void *)packed : bits,
			  size ? size : (u32)sizeof(bits), -1, err);
}

int migrate_send_bitmap(struct wire *w, u32 type, const u64 *bits, u32 words, struct err *err)
{
	const struct migrate_bitmap end = {.last = 1};
	int ret = 0;

	for (u32 word = 0; word < words && !ret; word += PIECE_WORDS)
		ret = send_piece(w, type, bits, words, word, err);
	return ret ? ret : wire_send(w, type, &end, sizeof(end), err);
}

int migrate_unpack_bitmap(const struct wire_message *msg, u64 *bits, u32 words, bool *last,
			  struct err *err)
{
	struct migrate_bitmap head;
	u64 piece[PIECE_WORDS];
	u32 size, n;
	int ret = 0;

	if (msg->size < sizeof(head))
		return err_set(err, -EPROTO, "a list of pages of %u bytes", msg->size);
	memcpy(&head, msg->data, sizeof(head));
	*last = head.last;
	if (head.last)
		return 0;
	size = msg->size - (u32)sizeof(head);
	if (head.first % MIGRATE_BITMAP_PAGES || head.first / 64 >= words)
		ret = -EPROTO;
	else if (size == sizeof(piece))
		memcpy(piece, (const u8 *)msg->data + sizeof(head), sizeof(piece));
	else
		ret = codec_unpack((const u8 *)msg->data + sizeof(head), size, piece);
	if (ret)
		return err_set(err, -EPROTO, "a list of pages that is none");
	n = MIN(words - head.first / 64, (u32)PIECE_WORDS);
	memcpy(bits + head.first / 64, piece, n * sizeof(u64));
	return 0;
}
