// SPDX-License-Identifier: Apache-2.0
/*
 * Random numbers that a page, an access or a host tool can compute again: splitmix64 (G. Steele et
 * al., "Fast splittable pseudorandom number generators", OOPSLA 2014), a counter put through a
 * mixer. No state but the counter, and neighbouring counters give unrelated numbers.
 */
#ifndef QUIRE_GUEST_WORK_RANDOM_H
#define QUIRE_GUEST_WORK_RANDOM_H

#include <stdint.h>

#define RANDOM_STEP 0x9e3779b97f4a7c15u /* 2^64 / golden ratio, odd */

static inline uint64_t random_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The number that belongs to the pair (@a, @b), such as seed and page. */
static inline uint64_t random_of(uint64_t a, uint64_t b)
{
	return random_mix(random_mix(a + RANDOM_STEP) + b * RANDOM_STEP);
}

static inline uint64_t random_next(uint64_t *state)
{
	*state += RANDOM_STEP;
	return random_mix(*state);
}

/* A number below @limit (which is not 0), without the division that a remainder would cost. */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)random_next(state) * limit) >> 64);
}

#endif
