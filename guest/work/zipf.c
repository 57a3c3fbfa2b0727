// SPDX-License-Identifier: Apache-2.0
/* Zipf's distribution in integers: see zipf.h. 1.0 is 2^n in a number commented as "Qn". */
#include "guest/work/random.h"
#include "guest/work/zipf.h"

/* Bits after the point of logarithms: weights are right to about 1 in 2^15. */
#define LOG_BITS 16

/* Q16 logarithm to base 2 of @x >= 1: the place of its top bit, then one bit for each squaring. */
static uint64_t log2_q16(uint64_t x)
{
	unsigned int top = 63 - (unsigned int)__builtin_clzll(x);
	uint64_t log = top;
	uint64_t m = top > 31 ? x >> (top - 31) : x << (31 - top); /* Q31, from 1 to 2 */

	for (unsigned int i = 0; i < LOG_BITS; i++) {
		unsigned int carry;

		m = (m * m) >> 31;
		carry = (unsigned int)(m >> 32);
		m >>= carry;
		log = log << 1 | carry;
	}
	return log;
}

static uint64_t square_root(uint64_t x)
{
	uint64_t root = 0;

	for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

/*
 * Q32 value of 2 to the power -@fraction, Q16 and below 1. By halving: 2^-0.b1b2b3 is the square
 * root of 2^-b1 * 2^-0.b2b3, so start at the last bit and work forward. The result is above 1/2 and
 * may just reach 1.0 - 2^-32, which stands for 1 (1.0 itself would not survive the 64-bit square).
 */
static uint64_t exp2_minus(uint64_t fraction)
{
	uint64_t r = UINT32_MAX;

	for (unsigned int i = 0; i < LOG_BITS; i++, fraction >>= 1)
		r = square_root((r << 32) >> (fraction & 1));
	return r;
}

/*
 * Q60 value of (@twice / 2) to the power -theta: half ranks, so that the middle of a bucket is
 * exact.
 */
static uint64_t power(uint64_t twice, uint64_t theta)
{
	uint64_t y = (log2_q16(twice) - ((uint64_t)1 << LOG_BITS)) * theta / 1000;
	uint64_t whole = y >> LOG_BITS;

	if (whole >= 60)
		return 0;
	return (exp2_minus(y & (((uint64_t)1 << LOG_BITS) - 1)) << 28) >> whole;
}

void zipf_init(struct zipf *zipf, uint64_t ranks, uint64_t theta)
{
	uint64_t first = 0;
	uint64_t sum = 0;

	zipf->count = 0;
	while (first < ranks) {
		uint64_t width = 1;
		uint64_t weight;

		if (first >= 32)
			width = (uint64_t)1 << (59 - __builtin_clzll(first)); /* a 16th */
		if (width > ranks - first)
			width = ranks - first;
		weight = power(2 * first + 1 + width, theta);
		sum += (uint64_t)(((unsigned __int128)weight * width) >> 30);
		zipf->first[zipf->count] = first;
		zipf->sum[zipf->count++] = sum;
		first += width;
	}
	zipf->first[zipf->count] = ranks;
}

uint64_t zipf_draw(const struct zipf *zipf, uint64_t *random_state)
{
	uint64_t r = random_below(random_state, zipf->sum[zipf->count - 1]);
	unsigned int low = 0;
	unsigned int high = zipf->count - 1;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (zipf->sum[middle] > r)
			high = middle;
		else
			low = middle + 1;
	}
	return zipf->first[low] +
	       random_below(random_state, zipf->first[low + 1] - zipf->first[low]);
}
