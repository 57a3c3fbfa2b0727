// SPDX-License-Identifier: Apache-2.0
/*
 * Pages out of link files: read as they are kept, neighbours together, and unpacked. What comes out
 * of image_unpack() matched its checksum; what comes out of image_fetch() is inside the file, no
 * more.
 */
#include "mm/image/data.h"

#include <errno.h>
#include <string.h>

void image_batch_add(struct image_batch *b, struct image_link *link, page_no no,
		     const struct image_entry *entry)
{
	ASSERT(b->n < IMAGE_BATCH);
	b->want[b->n++] = (struct image_want){.link = link, .no = no, .entry = *entry};
}

static bool has_data(const struct image_want *w)
{
	return w->link && image_place_kind(w->entry.place) != CODEC_PATTERN;
}

/* How many of @want, from the first on, one read can fetch; *@size: of what. */
static u32 run_length(const struct image_want *want, u32 n, u64 *size)
{
	u64 start = image_place_at(want->entry.place);
	u32 i = 1;

	*size = image_place_size(want->entry.place);
	for (; i < n; i++) {
		if (!has_data(&want[i]))
			continue;
		if (want[i].link != want->link ||
		    image_place_at(want[i].entry.place) != start + *size)
			break;
		*size += image_place_size(want[i].entry.place);
	}
	return i;
}

static void describe(const struct image_want *w, struct codec_block *block, const u8 *data)
{
	*block = (struct codec_block){.kind = CODEC_PATTERN};
	if (!w->link)
		return;
	block->kind = image_place_kind(w->entry.place);
	if (block->kind == CODEC_PATTERN) {
		block->value = image_entry_value(&w->entry);
		return;
	}
	block->size = image_place_size(w->entry.place);
	block->sum = w->entry.sum;
	block->data = data;
}

int image_fetch(const struct image_want *want, u32 n, struct codec_block *block, u8 *data,
		struct err *err)
{
	const u8 *next = data;
	u8 *end = data;

	for (u32 i = 0, run = 0; i < n; i++) {
		/* run: what is described up to there was read already */
		if (has_data(&want[i]) && i >= run) {
			u64 size;
			int ret;

			run = i + run_length(&want[i], n - i, &size);
			ret = image_link_read(want[i].link, image_place_at(want[i].entry.place),
					      size, end, err);
			if (ret)
				return ret;
			end += size;
		}
		describe(&want[i], &block[i], next);
		next += block[i].size;
	}
	return 0;
}

int image_unpack(const struct image_want *want, const struct codec_block *block, void *page,
		 struct err *err)
{
	int ret = codec_open(block, page);

	if (!ret)
		return 0;
	return err_set(err, ret,
		       "%s: page %u, at byte %llu, does not match its checksum (the file is "
		       "damaged: use an older link, or a copy of it)",
		       want->link->path, want->no,
		       (unsigned long long)image_place_at(want->entry.place));
}
