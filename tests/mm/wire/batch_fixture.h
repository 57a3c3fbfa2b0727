// SPDX-License-Identifier: Apache-2.0
/*
 * What tests of batches of pages share: a receiver that keeps pages as they come, stored ones
 * stored, and contents of pages that can be made again from a number.
 */
#ifndef QUIRE_TESTS_MM_WIRE_BATCH_FIXTURE_H
#define QUIRE_TESTS_MM_WIRE_BATCH_FIXTURE_H

#include "mm/wire/batch.h"

/* A page at the receiver. */
struct held {
	struct codec_block block; /* its data is at data[] */
	u8 data[PAGE_SIZE];
};

/* Pages begin as zeros. */
struct receiver {
	struct batch_sink sink;
	u32 nr_pages;
	struct held *held;
	u64 pages, blocks, looks; /* calls of the sink */
	int fail;		  /* what page() and block() return, if not 0 */
};

struct receiver *receiver_new(u32 nr_pages);
void receiver_free(struct receiver *r);
void receiver_copy(struct receiver *to, const struct receiver *from); /* of as many pages */

/* The page that it has. -EBADMSG: it was damaged as it came. */
int receiver_read(const struct receiver *r, page_no no, void *page);

/* batch_apply() of a copy that is exactly as large as said, for a sanitizer to guard. */
int receiver_apply(struct receiver *r, const void *data, u32 size, struct err *err);

/* Contents by number: nothing to compress, or words of a language (a third of a page). */
void make_noise(void *page, u64 number);
void make_text(void *page, u64 number);

/* A block of what the store would have of the page; raw where it does not compress. */
struct codec_block make_block(const void *page, void *room);

#endif
