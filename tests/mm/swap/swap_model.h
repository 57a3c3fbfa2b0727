// SPDX-License-Identifier: Apache-2.0
/*
 * For tests of the swap file: a model that remembers what was written. Contents follow from a seed,
 * so that the model needs to remember no more than that.
 */
#ifndef QUIRE_TESTS_MM_SWAP_SWAP_MODEL_H
#define QUIRE_TESTS_MM_SWAP_SWAP_MODEL_H

#include <pthread.h>

#include "mm/swap/swapfile.h"
#include "tests/lib/test.h"

struct swap_object {
	pthread_mutex_t lock; /* readers against the one that releases */
	tier_place place;     /* 0: not written */
	u32 size;
	u64 seed;
};

/* A random number (xorshift). */
u64 swap_next(u64 *seed);

void swap_fill(u8 *data, u32 size, u64 seed);

/* A swap file on @path; the test fails if it cannot be had. */
struct tier *swap_make(const char *path, u64 limit);

struct tier_stats swap_stats(struct tier *tier);

/* Write @n objects that are not written, with sizes from @seed (or all of @size). */
int swap_write(struct tier *tier, struct swap_object *objects, u32 n, u64 *seed, u32 size);

/* Read it; *@same: what came is what was written, and nothing beyond it. */
int swap_read(struct tier *tier, const struct swap_object *o, bool *same);

/* All that are written come back as they were. */
void swap_check(struct tier *tier, const struct swap_object *objects, u32 n);

void swap_release(struct tier *tier, struct swap_object *o);
void swap_release_all(struct tier *tier, struct swap_object *objects, u32 n);

/* What the tier says of itself is what the model knows. */
void swap_check_counts(struct tier *tier, const struct swap_object *objects, u32 n);

#endif
