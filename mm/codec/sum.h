// SPDX-License-Identifier: Apache-2.0
/*
 * Checksums: XXH3 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), by whichever instructions this
 * processor has. The values are the same with all of them, and part of the formats in
 * docs/FORMATS.md. No state; any thread.
 */
#ifndef QUIRE_MM_CODEC_SUM_H
#define QUIRE_MM_CODEC_SUM_H

#include "mm/base/base.h"

/* Of a page of 4096 bytes, XXH3-128 */
struct sum128 {
	u64 low, high;
};

struct sum128 sum_page(const void *page);

/* XXH3-64 of any bytes; @seed 0 is the plain one. */
u64 sum_bytes(const void *data, size_t size, u64 seed);

#endif
