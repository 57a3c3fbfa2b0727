// SPDX-License-Identifier: Apache-2.0
/*
 * Reading an image. Contract in image.h.
 *
 * Nothing here has a lock: links do not change but for their index, which is published atomically,
 * and the batch for reading many pages is taken by whoever comes first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/image/chain.h"
#include "mm/image/data.h"

struct image {
	struct image_chain chain;
	void *state;
	char *config;
	struct codec_sum zero_sum; /* of a page of zeros */
	_Atomic(struct image_batch *) spare;
};

int image_open(struct image **out, const char *dir, u32 number, struct err *err)
{
	static const u8 zeros[PAGE_SIZE];
	struct image *image = calloc(1, sizeof(*image));
	int ret;

	if (!image)
		return err_set(err, -ENOMEM, "%s: out of memory", dir);
	ret = image_chain_open(&image->chain, dir, number, err);
	if (ret) {
		free(image);
		return ret;
	}
	image->zero_sum = codec_sum(zeros);
	ret = image_link_state(image->chain.link[0], &image->state, err);
	if (!ret)
		ret = image_link_config(image->chain.link[0], &image->config, err);
	if (ret)
		image_close(image);
	else
		*out = image;
	return ret;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	image_chain_close(&image->chain);
	free(image->state);
	free(image->config);
	free(atomic_load_explicit(&image->spare, memory_order_relaxed));
	free(image);
}

u32 image_nr_pages(const struct image *image)
{
	return image->chain.link[0]->header.nr_pages;
}

u32 image_number(const struct image *image)
{
	return image->chain.link[0]->header.number;
}

const void *image_state(const struct image *image, u32 *size)
{
	*size = image->chain.link[0]->footer.state_size;
	return image->state;
}

const char *image_config(const struct image *image)
{
	return image->config;
}

/* The newest link that has the page; none has it: zeros, with no link. */
static int find(struct image *image, page_no no, struct image_want *want, struct err *err)
{
	ASSERT(no < image_nr_pages(image));
	*want = (struct image_want){.no = no, .entry = image_pattern_entry(0)};
	for (u32 i = 0; i < image->chain.n; i++) {
		struct image_entry entry;
		int ret = image_link_find(image->chain.link[i], no, &entry, err);

		if (ret)
			return ret;
		if (entry.place) {
			want->link = image->chain.link[i];
			want->entry = entry;
			break;
		}
	}
	return 0;
}

int image_is_zero(struct image *image, page_no no, struct err *err)
{
	struct image_want want;
	int ret = find(image, no, &want, err);

	if (ret)
		return ret;
	return image_place_kind(want.entry.place) == CODEC_PATTERN &&
	       !image_entry_value(&want.entry);
}

static int read_one(struct image *image, page_no no, void *page, struct err *err)
{
	struct codec_block block;
	struct image_want want;
	u8 data[PAGE_SIZE];
	int ret = find(image, no, &want, err);

	if (!ret)
		ret = image_fetch(&want, 1, &block, data, err);
	return ret ? ret : image_unpack(&want, &block, page, err);
}

static int read_batch(struct image *image, struct image_batch *b, page_no no, u32 n, u8 *pages,
		      struct err *err)
{
	int ret = 0;

	for (u32 i = 0; i < n && !ret; i++)
		ret = find(image, no + i, &b->want[i], err);
	if (!ret)
		ret = image_fetch(b->want, n, b->block, b->data, err);
	for (u32 i = 0; i < n && !ret; i++)
		ret = image_unpack(&b->want[i], &b->block[i], pages + i * PAGE_SIZE, err);
	return ret;
}

int image_read(struct image *image, page_no no, u32 n, void *pages, struct err *err)
{
	struct image_batch *b;
	int ret = 0;

	ASSERT(range_fits(no, n, image_nr_pages(image)));
	if (n == 1)
		return read_one(image, no, pages, err);
	b = atomic_exchange(&image->spare, NULL);
	if (!b)
		b = malloc(sizeof(*b));
	if (!b)
		return err_set(err, -ENOMEM, "%s: out of memory", image->chain.dir);
	for (u32 done = 0, some; done < n && !ret; done += some) {
		some = MIN(n - done, (u32)IMAGE_BATCH);
		ret = read_batch(image, b, no + done, some, (u8 *)pages + done * PAGE_SIZE, err);
	}
	free(atomic_exchange(&image->spare, b));
	return ret;
}

int image_read_block(struct image *image, page_no no, struct codec_block *block, void *room,
		     struct err *err)
{
	struct image_want want;
	u8 page[PAGE_SIZE];
	int ret = find(image, no, &want, err);

	if (!ret)
		ret = image_fetch(&want, 1, block, room, err);
	if (ret || block->kind != CODEC_PATTERN)
		return ret;
	block->sum = image->zero_sum;
	if (block->value) {
		codec_fill(page, block->value);
		block->sum = codec_sum(page);
	}
	return 0;
}

bool image_same(struct image *image, page_no no, const void *page)
{
	struct image_want want;
	struct codec_sum sum;
	u64 value;

	if (find(image, no, &want, NULL))
		return false;
	if (image_place_kind(want.entry.place) == CODEC_PATTERN)
		return codec_pattern(page, &value) && value == image_entry_value(&want.entry);
	sum = codec_sum(page);
	return codec_sum_equal(&sum, &want.entry.sum);
}
