// SPDX-License-Identifier: Apache-2.0
/* What tests of batches share. Contract in batch_fixture.h. */
#include "tests/mm/wire/batch_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"

static int take_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct receiver *r = opaque;
	struct held *held = &r->held[no];

	ASSERT(no < r->nr_pages && block->size <= PAGE_SIZE);
	r->blocks++;
	if (r->fail)
		return r->fail;
	held->block = *block;
	held->block.data = held->data;
	if (block->size)
		memcpy(held->data, block->data, block->size);
	return 0;
}

static int take_page(void *opaque, page_no no, const void *page)
{
	struct receiver *r = opaque;
	struct codec_block block = {.kind = CODEC_RAW, .size = PAGE_SIZE, .data = page};

	block.sum = codec_sum(page);
	r->pages++;
	r->blocks--;
	return take_block(r, no, &block);
}

static int take_pages(void *opaque, page_no no, u32 n, const void *pages, size_t stride)
{
	int ret = 0;

	for (u32 i = 0; i < n && !ret; i++)
		ret = take_page(opaque, no + i, (const u8 *)pages + i * stride);
	return ret;
}

static int look(void *opaque, page_no no, void *page)
{
	struct receiver *r = opaque;

	r->looks++;
	return receiver_read(r, no, page);
}

struct receiver *receiver_new(u32 nr_pages)
{
	struct receiver *r = calloc(1, sizeof(*r));

	ASSERT(r);
	r->sink = (struct batch_sink){
		.opaque = r, .pages = take_pages, .block = take_block, .look = look};
	r->nr_pages = nr_pages;
	r->held = calloc(nr_pages, sizeof(r->held[0]));
	ASSERT(r->held);
	for (u32 i = 0; i < nr_pages; i++)
		r->held[i].block.kind = CODEC_PATTERN;
	return r;
}

void receiver_free(struct receiver *r)
{
	free(r->held);
	free(r);
}

void receiver_copy(struct receiver *to, const struct receiver *from)
{
	ASSERT(to->nr_pages == from->nr_pages);
	memcpy(to->held, from->held, from->nr_pages * sizeof(from->held[0]));
	for (u32 i = 0; i < to->nr_pages; i++)
		to->held[i].block.data = to->held[i].data;
}

int receiver_read(const struct receiver *r, page_no no, void *page)
{
	ASSERT(no < r->nr_pages);
	return codec_open(&r->held[no].block, page);
}

int receiver_apply(struct receiver *r, const void *data, u32 size, struct err *err)
{
	u8 *exact = malloc(size ? size : 1);
	int ret;

	ASSERT(exact);
	if (size)
		memcpy(exact, data, size);
	ret = batch_apply(exact, size, r->nr_pages, &r->sink, err);
	free(exact);
	return ret;
}

void make_noise(void *page, u64 number)
{
	u64 *words = page;

	for (u32 i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		words[i] = random_of(number, i);
}

/* Made-up words of five to twelve letters out of 40, the common ones more often. */
void make_text(void *page, u64 number)
{
	u8 *at = page, *end = at + PAGE_SIZE;
	u64 seed = number;

	while (at < end) {
		u64 word = random_below(&seed, 1 + random_below(&seed, 40));
		u64 len = 5 + random_mix(word) % 8;

		for (u64 i = 0; i < len && at < end; i++)
			*at++ = (u8)('a' + random_of(word, i) % 26);
		if (at < end)
			*at++ = ' ';
	}
}

struct codec_block make_block(const void *page, void *room)
{
	struct codec_block block = {.kind = CODEC_PACKED, .data = room};

	if (codec_pattern(page, &block.value)) {
		block.kind = CODEC_PATTERN;
		return block;
	}
	block.size = codec_pack(page, room, PAGE_SIZE);
	block.sum = codec_sum(page);
	if (!block.size) {
		block.kind = CODEC_RAW;
		block.size = PAGE_SIZE;
		memcpy(room, page, PAGE_SIZE);
	}
	return block;
}
