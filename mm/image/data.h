// SPDX-License-Identifier: Apache-2.0
/*
 * Pages as link files keep them. Private to mm/image/. A batch is used by one thread at a time.
 */
#ifndef QUIRE_MM_IMAGE_DATA_H
#define QUIRE_MM_IMAGE_DATA_H

#include "mm/image/link.h"

#define IMAGE_BATCH 64

/* A page, in the link that has it; no link: zeros, as nobody has it. */
struct image_want {
	struct image_link *link;
	page_no no;
	struct image_entry entry;
};

/* Pages that are read at once. */
struct image_batch {
	u32 n;
	struct image_want want[IMAGE_BATCH];
	struct codec_block block[IMAGE_BATCH]; /* its data lies in data */
	u8 data[IMAGE_BATCH * PAGE_SIZE];
};

/* Add a page to a batch that is not full. */
void image_batch_add(struct image_batch *b, struct image_link *link, page_no no,
		     const struct image_entry *entry);

/*
 * Read what is wanted, neighbours in the file at once: fills the @n blocks. @data has room for @n
 * pages. The sum of a pattern's block is not set.
 */
int image_fetch(const struct image_want *want, u32 n, struct codec_block *block, u8 *data,
		struct err *err);

/* Unpack a block that was fetched, and check it. */
int image_unpack(const struct image_want *want, const struct codec_block *block, void *page,
		 struct err *err);

#endif
