// SPDX-License-Identifier: Apache-2.0
/*
 * Checksums. Contract in sum.h.
 *
 * A page takes 0.26 us by SSE2, which every x86-64 has, and 0.11 us by AVX2. AVX-512 would take
 * 0.08, and slow down the guests beside it on the processors that lower their clock for it.
 */
#include "mm/codec/sum.h"

#include "mm/codec/sum_impl.h"

struct sum128 sum_page(const void *page)
{
	return __builtin_cpu_supports("avx2") ? sum_page_avx2(page) : page_sum(page);
}

u64 sum_bytes(const void *data, size_t size, u64 seed)
{
	return __builtin_cpu_supports("avx2") ? sum_bytes_avx2(data, size, seed)
					      : bytes_sum(data, size, seed);
}
