// SPDX-License-Identifier: Apache-2.0
/*
 * What tests of the store share: pages that can be made again from their number, a tier below that
 * lives in memory and fails when told to, and a store on top of it.
 */
#ifndef QUIRE_TESTS_MM_STORE_STORE_FIXTURE_H
#define QUIRE_TESTS_MM_STORE_STORE_FIXTURE_H

#include <pthread.h>

#include "mm/store/store.h"
#include "mm/swap/tier.h"

#define PAGE_WORDS (PAGE_SIZE / sizeof(u64))

#define FAKE_PLACES 65536u

struct fake_tier {
	struct tier tier;
	pthread_mutex_t lock;
	u8 *object[FAKE_PLACES];
	u32 size[FAKE_PLACES];
	u32 next, live;
	u64 bytes, groups, largest;
	int write_error, read_error;
	bool flip;			    /* damage what is read */
	void (*during_write)(void *opaque); /* called in the middle of write() */
	void *opaque;
};

struct fixture {
	struct fake_tier *fake;
	struct store *store;
	u64 page[PAGE_WORDS], back[PAGE_WORDS];
};

/*
 * Page @number: always the same bytes for the same number. One in eight is a repeated value, one in
 * eight does not compress, the rest have a random part of any length.
 */
void make_page(u64 *words, u64 number);

/* The @n-th page number of a kind: 0 repeated, 1 raw, 2 compressed. */
u64 number_of(u64 kind, u64 n);

struct fixture *fixture_new(bool tier, u32 threshold, bool refuse_raw);

/* Everything must have been dropped: then nothing is left anywhere. */
void fixture_free(struct fixture *f);

/* Put page @number, which must work. */
store_id fixture_put(struct fixture *f, u64 number);

/* Get @id, which must be page @number. */
void fixture_get(struct fixture *f, store_id id, u64 number);

/* Export @id: the block must stand for page @number, and not write beyond its size. */
struct codec_block fixture_export(struct fixture *f, store_id id, u64 number);

#endif
