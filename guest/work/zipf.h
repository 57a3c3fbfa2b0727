// SPDX-License-Identifier: Apache-2.0
/*
 * Ranks 0 to n - 1, rank k drawn with a weight of 1 / (k + 1)^theta, without floating point: a
 * guest without a floating-point unit to itself can use it, and it draws the same everywhere.
 *
 * The ranks are cut into buckets: the first 32 ranks one each, then 16 buckets to every doubling.
 * Inside a bucket ranks are drawn evenly, which is off by at most 1 / 32 of theta in the weight of
 * one rank.
 */
#ifndef QUIRE_GUEST_WORK_ZIPF_H
#define QUIRE_GUEST_WORK_ZIPF_H

#include <stdint.h>

#define ZIPF_MAX_RANKS ((uint64_t)1 << 32)
#define ZIPF_BUCKETS   (32 + 27 * 16) /* from 2^5 to 2^32 */

struct zipf {
	unsigned int count;
	uint64_t first[ZIPF_BUCKETS + 1]; /* first rank of each bucket; last: the number of ranks */
	uint64_t sum[ZIPF_BUCKETS]; /* weight of this bucket and those before it, times 2^30 */
};

/* Prepare @zipf for @ranks ranks, 1 to ZIPF_MAX_RANKS, and @theta in thousandths, 0 to 4000. */
void zipf_init(struct zipf *zipf, uint64_t ranks, uint64_t theta);

uint64_t zipf_draw(const struct zipf *zipf, uint64_t *random_state);

#endif
