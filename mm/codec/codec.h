// SPDX-License-Identifier: Apache-2.0
/*
 * What is done to the contents of one page to store it: is it one value repeated, what is its
 * checksum, and its compressed form, an LZ4 block (github.com/lz4/lz4, doc/lz4_Block_format.md)
 * without a frame: whoever stores it knows its size and that it is one page. If the block holds
 * less than a page, its last 8 bytes go on repeating up to the page's end.
 *
 * Nothing here keeps state; every function may be called from any thread.
 *
 * The face of mm/codec/, which owns what is done to one page's bytes and uses mm/base. Begin here;
 * under it are the checksums: sum.h, for all bytes, sum.c and sum_avx2.c by the processor's
 * instructions.
 */
#ifndef QUIRE_MM_CODEC_CODEC_H
#define QUIRE_MM_CODEC_CODEC_H

#include "mm/base/base.h"

/* The XXH3-128 of a page. In pieces of 32 bits, so that a structure that holds it stays small. */
struct codec_sum {
	u32 word[4];
};

struct codec_sum codec_sum(const void *page);

static inline bool codec_sum_equal(const struct codec_sum *a, const struct codec_sum *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		 (a->word[3] ^ b->word[3]));
}

/* How contents are kept. The numbers are part of the formats in docs/FORMATS.md. */
enum codec_kind {
	CODEC_NONE,    /* they are not here */
	CODEC_PATTERN, /* one value of 8 bytes repeated; zero is one of them */
	CODEC_PACKED,  /* what codec_pack() made of them */
	CODEC_RAW,     /* 4096 bytes as they are */
};

/* Contents of a page as they are kept, wherever that is: store, image, stream. */
struct codec_block {
	enum codec_kind kind;
	u32 size;	      /* of data: 1 to 4096; 0 for a pattern */
	u64 value;	      /* of a pattern, else 0 */
	struct codec_sum sum; /* of the page's 4096 bytes; zeros for a pattern */
	const void *data;
};

/* Whether the page is one value of 8 bytes repeated; *@value is set if so. */
bool codec_pattern(const void *page, u64 *value);

static inline bool codec_is_zeros(const void *page)
{
	u64 value;

	return codec_pattern(page, &value) && !value;
}

/* The page that codec_pattern() saw. */
void codec_fill(void *page, u64 value);

/*
 * Compress the page into @out. Returns the size, or 0 when it would be larger than @max (at most
 * PAGE_SIZE): then @out holds garbage.
 */
u32 codec_pack(const void *page, void *out, u32 max);

/*
 * Decompress what codec_pack() made. Whatever @in holds, only its @size bytes are read and only the
 * page is written. -EBADMSG: it is not the compressed form of a page; @page holds garbage.
 */
int codec_unpack(const void *in, u32 size, void *page);

/*
 * The page that @block holds. -EBADMSG: its kind or size are none, it cannot be decompressed, or
 * what comes out does not have its checksum; @page holds garbage.
 */
int codec_open(const struct codec_block *block, void *page);

#endif
