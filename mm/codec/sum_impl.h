// SPDX-License-Identifier: Apache-2.0
/*
 * The two checksums once for each set of instructions: xxhash.h makes of its loops what the
 * compiler was told the processor has. Private to mm/codec/.
 */
#ifndef QUIRE_MM_CODEC_SUM_IMPL_H
#define QUIRE_MM_CODEC_SUM_IMPL_H

#include "mm/codec/sum.h"

/* Inlined, a page's length is a constant, and the hash a few loops without branches. */
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline struct sum128 page_sum(const void *page)
{
	XXH128_hash_t hash = XXH3_128bits(page, PAGE_SIZE);

	return (struct sum128){hash.low64, hash.high64};
}

static inline u64 bytes_sum(const void *data, size_t size, u64 seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

/* sum_avx2.c; only where the processor has AVX2 */
struct sum128 sum_page_avx2(const void *page);
u64 sum_bytes_avx2(const void *data, size_t size, u64 seed);

#endif
