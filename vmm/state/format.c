// SPDX-License-Identifier: Apache-2.0
/*
 * A state as bytes. Contract in format.h, layout in docs/FORMATS.md.
 *
 *	header | section header, data, padding to 8 bytes | ...
 *
 * The header's checksum covers all that follows it, and its own other fields are checked by value:
 * no bit of a state is without a check.
 */
#include "vmm/state/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/codec/sum.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are written as they are");

static const u8 magic[8] = "quirevms";

struct header {
	u8 magic[8];
	u32 version;
	u32 size; /* of everything, this header included */
	u64 sum;  /* XXH3-64 of what follows this header */
};

struct section_header {
	u32 tag, instance;
	u16 version, zero;
	u32 size;
};

_Static_assert(sizeof(struct header) == 24 && sizeof(struct section_header) == 16, "the format");

/* ---- Writing ---- */

static void *grow(struct state_buf *buf, u32 size)
{
	u8 *at;

	if (buf->room - buf->size < size) {
		u32 room = MAX(2 * buf->room, buf->size + size);
		u8 *data = realloc(buf->data, room);

		if (!data)
			return NULL;
		buf->data = data;
		buf->room = room;
	}
	at = buf->data + buf->size;
	memset(at, 0, size);
	buf->size += size;
	return at;
}

int state_begin(struct state_buf *buf)
{
	buf->size = 0;
	return grow(buf, sizeof(struct header)) ? 0 : -ENOMEM;
}

void *state_add(struct state_buf *buf, u32 tag, u32 instance, u16 version, u32 size)
{
	struct section_header *h;

	ASSERT(size <= STATE_SECTION_MAX);
	h = grow(buf, (u32)sizeof(*h) + (u32)align_up(size, 8));
	if (!h)
		return NULL;
	*h = (struct section_header){
		.tag = tag,
		.instance = instance,
		.version = version,
		.size = size,
	};
	return h + 1;
}

void state_end(struct state_buf *buf)
{
	struct header *h = (void *)buf->data;

	memcpy(h->magic, magic, sizeof(magic));
	h->version = STATE_VERSION;
	h->size = buf->size;
	h->sum = sum_bytes(h + 1, buf->size - sizeof(*h), 0);
}

/* ---- Reading ---- */

#define STATE_MAX                \
	(sizeof(struct header) + \
	 STATE_SECTIONS_MAX * (sizeof(struct section_header) + STATE_SECTION_MAX))

static int bad(struct err *err, const char *why)
{
	return err_set(err, -EBADMSG, "state: %s (the image is damaged)", why);
}

static int check_header(const struct header *h, u32 size, struct err *err)
{
	if (size < sizeof(*h) || memcmp(h->magic, magic, sizeof(magic)))
		return bad(err, "not the state of a machine");
	if (!h->version)
		return bad(err, "no version");
	if (h->version > STATE_VERSION)
		return err_set(err, -EOPNOTSUPP,
			       "state: version %u is not known here (update quire)", h->version);
	if (h->size != size || size > STATE_MAX)
		return bad(err, h->size > size ? "cut off" : "wrong size");
	if (h->sum != sum_bytes(h + 1, size - sizeof(*h), 0))
		return bad(err, "wrong checksum");
	return 0;
}

bool state_next(const void *data, u32 size, u32 *at, struct state_section *section)
{
	const struct section_header *h;

	if (!*at)
		*at = sizeof(struct header);
	if (size - *at < sizeof(*h))
		return false;
	h = (const void *)((const u8 *)data + *at);
	if (h->size > STATE_SECTION_MAX || align_up(h->size, 8) > size - *at - sizeof(*h))
		return false;
	*section = (struct state_section){
		.tag = h->tag,
		.instance = h->instance,
		.version = h->version,
		.zero = h->zero,
		.size = h->size,
		.data = h + 1,
	};
	*at += (u32)sizeof(*h) + (u32)align_up(h->size, 8);
	return true;
}

bool state_find(const void *data, u32 size, u32 tag, u32 instance, struct state_section *section)
{
	u32 at = 0;

	while (state_next(data, size, &at, section))
		if (section->tag == tag && section->instance == instance)
			return true;
	return false;
}

static bool padded(const struct state_section *s)
{
	const u8 *data = s->data;

	for (u64 i = s->size; i < align_up(s->size, 8); i++)
		if (data[i])
			return false;
	return true;
}

/* No section twice, none cut off, and few enough to look for each among all. */
static int check_sections(const void *data, u32 size, struct err *err)
{
	struct state_section s, first;
	u32 at = 0, n = 0;

	while (state_next(data, size, &at, &s)) {
		if (++n > STATE_SECTIONS_MAX)
			return bad(err, "too many sections");
		if (s.zero || !padded(&s))
			return bad(err, "a section with something in its gaps");
		if (!state_find(data, size, s.tag, s.instance, &first) || first.data != s.data)
			return bad(err, "a section comes twice");
	}
	return at == size ? 0 : bad(err, "a section is cut off");
}

int state_check(const void *data, u32 size, struct err *err)
{
	int ret;

	ASSERT((uintptr_t)data % 8 == 0);
	ret = check_header(data, size, err);
	return ret ? ret : check_sections(data, size, err);
}

int state_need(const void *data, u32 size, u32 tag, u32 instance, u32 want,
	       struct state_section *section, struct err *err)
{
	const char t[5] = {(char)tag, (char)(tag >> 8), (char)(tag >> 16), (char)(tag >> 24)};

	if (!state_find(data, size, tag, instance, section))
		return err_set(err, -EBADMSG,
			       "state: section %s %u is missing (the image is damaged)", t,
			       instance);
	if (!section->version)
		return err_set(err, -EBADMSG,
			       "state: section %s %u has no version (the image is damaged)", t,
			       instance);
	if (section->version != 1)
		return err_set(err, -EOPNOTSUPP,
			       "state: version %u of section %s is not known here (update quire)",
			       section->version, t);
	if (want && section->size != want)
		return err_set(
			err, -EBADMSG,
			"state: section %s %u has %u bytes instead of %u (the image is damaged)", t,
			instance, section->size, want);
	return 0;
}
