// SPDX-License-Identifier: Apache-2.0
/* The checksums where there is AVX2, for which the Makefile has this file compiled. */
#include "mm/codec/sum_impl.h"

struct sum128 sum_page_avx2(const void *page)
{
	return page_sum(page);
}

u64 sum_bytes_avx2(const void *data, size_t size, u64 seed)
{
	return bytes_sum(data, size, seed);
}
