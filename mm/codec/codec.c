// SPDX-License-Identifier: Apache-2.0
/*
 * Codec. Contract in codec.h.
 *
 * Which compressor and which of its settings: measured, see docs/store.md.
 */
#include "mm/codec/codec.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

#include "mm/codec/sum.h"

#define WORDS ((u32)(PAGE_SIZE / sizeof(u64)))

struct codec_sum codec_sum(const void *page)
{
	struct sum128 hash = sum_page(page);
	struct codec_sum sum;

	_Static_assert(sizeof(hash) == sizeof(sum), "all of it");
	memcpy(&sum, &hash, sizeof(sum));
	return sum;
}

bool codec_pattern(const void *page, u64 *value)
{
	const u8 *bytes = page;
	u64 first, last;

	/* Nearly all pages that are no pattern differ here: their last word is not their first. */
	memcpy(&first, bytes, sizeof(first));
	memcpy(&last, bytes + PAGE_SIZE - sizeof(last), sizeof(last));
	if (first != last || memcmp(bytes, bytes + sizeof(u64), PAGE_SIZE - sizeof(u64)))
		return false;
	*value = first;
	return true;
}

static void fill_words(u8 *bytes, u64 n, u64 value)
{
	if (!value) {
		memset(bytes, 0, n * sizeof(value));
		return;
	}
	for (u64 i = 0; i < n; i++)
		memcpy(bytes + i * sizeof(value), &value, sizeof(value));
}

void codec_fill(void *page, u64 value)
{
	fill_words(page, WORDS, value);
}

/*
 * How many bytes of the page say all: what follows repeats the last 8 of them. Pages often end in
 * zeros. LZ4 would spend 20 bytes on a long run of them, and its time on finding it.
 */
static u32 without_tail(const u8 *page)
{
	u64 last, word;
	u32 n = WORDS - 1;

	memcpy(&last, page + n * sizeof(last), sizeof(last));
	for (; n; n--) {
		memcpy(&word, page + (n - 1) * sizeof(word), sizeof(word));
		if (word != last)
			break;
	}
	return (n + 1) * (u32)sizeof(word);
}

u32 codec_pack(const void *page, void *out, u32 max)
{
	u32 len = without_tail(page);
	int size;

	ASSERT(max <= PAGE_SIZE);
	size = LZ4_compress_default(page, out, (int)len, (int)max);
	return size > 0 ? (u32)size : 0;
}

int codec_unpack(const void *in, u32 size, void *page)
{
	u8 *bytes = page;
	int len;
	u64 last;

	if (!size || size > PAGE_SIZE)
		return -EBADMSG;
	len = LZ4_decompress_safe(in, page, (int)size, (int)PAGE_SIZE);
	if (len <= 0 || len % (int)sizeof(last))
		return -EBADMSG;
	memcpy(&last, bytes + len - sizeof(last), sizeof(last));
	fill_words(bytes + len, WORDS - (u32)len / sizeof(last), last);
	return 0;
}

int codec_open(const struct codec_block *block, void *page)
{
	struct codec_sum sum;
	int ret = 0;

	if (block->kind == CODEC_PATTERN) {
		codec_fill(page, block->value);
		return 0;
	}
	if (block->kind == CODEC_PACKED)
		ret = codec_unpack(block->data, block->size, page);
	else if (block->kind == CODEC_RAW && block->size == PAGE_SIZE)
		memcpy(page, block->data, PAGE_SIZE);
	else
		ret = -EBADMSG;
	if (ret)
		return ret;
	sum = codec_sum(page);
	return codec_sum_equal(&sum, &block->sum) ? 0 : -EBADMSG;
}
