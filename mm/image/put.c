// SPDX-License-Identifier: Apache-2.0
/*
 * Pages into a link. What a page costs, cheapest first: nothing (zeros of a base), an entry (a
 * pattern, or contents that are there already), an entry and its block, an entry and 4096 bytes.
 *
 * Contents are shared only after they were compared: a guest can make two pages of one checksum,
 * and must not have one of them where the other was.
 */
#include <errno.h>
#include <string.h>

#include "mm/image/write.h"

/* What packs worse is kept as it is: reading it is then only a copy. The store does the same. */
#define MAX_BLOCK ((u32)PAGE_SIZE * 7 / 8)

/* Checksums can be made to collide in the table, too: so far it is looked for, and then not. */
#define MAX_PROBES 32

/* ---- The table of contents that are there ---- */

#define FIRST_SLOT_BITS 10

static struct image_entry *entry_of(struct image_writer *w, page_no no)
{
	return &w->entry[no];
}

static u64 make_slot(page_no no, const struct codec_sum *sum)
{
	return ((u64)no + 1) | (u64)sum->word[1] << 32;
}

/* Put it in the first empty slot; where that is far away, leave it out: it is not shared then. */
static void insert(struct image_writer *w, page_no no, const struct codec_sum *sum)
{
	u64 mask = ((u64)1 << w->slot_bits) - 1;

	for (u64 i = 0; i < MAX_PROBES; i++) {
		u64 *slot = &w->slot[(sum->word[0] + i) & mask];

		if (!*slot) {
			*slot = make_slot(no, sum);
			w->nr_slots++;
			return;
		}
	}
}

static int grow(struct image_writer *w)
{
	u64 *old = w->slot, nr_old = old ? (u64)1 << w->slot_bits : 0;
	u32 bits = old ? w->slot_bits + 1 : FIRST_SLOT_BITS;

	w->slot = image_map(sizeof(*w->slot) << bits);
	if (!w->slot) {
		w->slot = old;
		return -ENOMEM;
	}
	w->slot_bits = bits;
	w->nr_slots = 0;
	for (u64 i = 0; i < nr_old; i++)
		if (old[i])
			insert(w, (u32)old[i] - 1, &entry_of(w, (u32)old[i] - 1)->sum);
	image_unmap(old, nr_old * sizeof(*old));
	return 0;
}

/* An entry with this checksum, which need not have the same contents; NULL: none. */
static const struct image_entry *look_up(struct image_writer *w, const struct codec_sum *sum)
{
	u64 mask = ((u64)1 << w->slot_bits) - 1;

	for (u64 i = 0; w->slot && i < MAX_PROBES; i++) {
		u64 slot = w->slot[(sum->word[0] + i) & mask];
		const struct image_entry *e;

		if (!slot)
			break;
		if (slot >> 32 != sum->word[1])
			continue;
		e = entry_of(w, (u32)slot - 1);
		if (codec_sum_equal(&e->sum, sum))
			return e;
	}
	return NULL;
}

/* Remember a page that has data of its own. */
static int remember(struct image_writer *w, page_no no, const struct codec_sum *sum)
{
	if (!w->slot || w->nr_slots >= (u64)1 << (w->slot_bits - 1)) {
		int ret = grow(w);

		if (ret)
			return ret;
	}
	insert(w, no, sum);
	return 0;
}

/* Whether @e has the contents of @page. If that cannot be told, it is not shared. */
static bool has_contents(struct image_writer *w, const struct image_entry *e, const void *page)
{
	u8 kept[PAGE_SIZE], there[PAGE_SIZE];

	if (image_out_read(&w->out, image_place_at(e->place), image_place_size(e->place), kept))
		return false;
	if (image_place_kind(e->place) == CODEC_RAW)
		return !memcmp(kept, page, PAGE_SIZE);
	return !codec_unpack(kept, image_place_size(e->place), there) &&
	       !memcmp(there, page, PAGE_SIZE);
}

/* The same for contents that are packed, too; mostly they were packed alike. */
static bool has_packed(struct image_writer *w, const struct image_entry *e,
		       const struct codec_block *b)
{
	u8 page[PAGE_SIZE];

	if (b->kind == image_place_kind(e->place) && b->size == image_place_size(e->place) &&
	    !image_out_read(&w->out, image_place_at(e->place), b->size, page) &&
	    !memcmp(page, b->data, b->size))
		return true;
	if (b->kind == CODEC_RAW)
		return has_contents(w, e, b->data);
	return !codec_unpack(b->data, b->size, page) && has_contents(w, e, page);
}

/* ---- Entries ---- */

static void set_entry(struct image_writer *w, page_no no, const struct image_entry *entry)
{
	ASSERT(!entry_of(w, no)->place);
	*entry_of(w, no) = *entry;
	w->count[no >> IMAGE_REGION_SHIFT]++;
	w->total.pages++;
}

static int put_pattern(struct image_writer *w, page_no no, u64 value)
{
	struct image_entry entry = image_pattern_entry(value);

	/* where no link has a page, it is zeros */
	if (!value && !w->header.parent)
		return 0;
	w->total.patterns++;
	set_entry(w, no, &entry);
	return 0;
}

static int put_shared(struct image_writer *w, page_no no, const struct image_entry *known)
{
	w->total.shared++;
	set_entry(w, no, known);
	return 0;
}

/* A page whose data comes next in the file. */
static int put_own(struct image_writer *w, page_no no, enum codec_kind kind, u32 size,
		   const struct codec_sum *sum)
{
	struct image_entry entry = {
		.place = image_place(kind, image_out_at(&w->out), size),
		.sum = *sum,
	};

	set_entry(w, no, &entry);
	w->total.raw += kind == CODEC_RAW;
	if (remember(w, no, sum)) {
		w->out.error = -ENOMEM;
		return -ENOMEM;
	}
	return image_out_advance(&w->out, size);
}

int image_put(struct image_writer *w, page_no no, const void *page)
{
	const struct image_entry *known;
	struct codec_sum sum;
	u64 value;
	u32 size;

	ASSERT(no < w->header.nr_pages);
	if (w->out.error)
		return w->out.error;
	if (codec_pattern(page, &value))
		return put_pattern(w, no, value);
	sum = codec_sum(page);
	known = look_up(w, &sum);
	if (known && has_contents(w, known, page))
		return put_shared(w, no, known);
	size = codec_pack(page, image_out_room(&w->out), MAX_BLOCK);
	if (size)
		return put_own(w, no, CODEC_PACKED, size, &sum);
	memcpy(image_out_room(&w->out), page, PAGE_SIZE);
	return put_own(w, no, CODEC_RAW, PAGE_SIZE, &sum);
}

int image_put_block(struct image_writer *w, page_no no, const struct codec_block *b)
{
	const struct image_entry *known;

	ASSERT(no < w->header.nr_pages);
	if (w->out.error)
		return w->out.error;
	if (b->kind == CODEC_PATTERN)
		return put_pattern(w, no, b->value);
	ASSERT((b->kind == CODEC_PACKED && b->size - 1 < PAGE_SIZE) ||
	       (b->kind == CODEC_RAW && b->size == PAGE_SIZE));
	known = look_up(w, &b->sum);
	if (known && has_packed(w, known, b))
		return put_shared(w, no, known);
	memcpy(image_out_room(&w->out), b->data, b->size);
	return put_own(w, no, b->kind, b->size, &b->sum);
}

u64 image_writer_bytes(const struct image_writer *w)
{
	return image_out_at(&w->out);
}
