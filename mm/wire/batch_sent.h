// SPDX-License-Identifier: Apache-2.0
/*
 * What the receiver of a stream of pages has by now: the checksum of each page as it was sent last,
 * and a way back from a checksum to a page.
 *
 * Always true: sums[] tells what the receiver has, or nothing (zeros) where that is unknown, a
 * pattern, or never was sent. The table is only a hint: what it names is looked up in sums[] before
 * it is believed, so a page that was sent again is forgotten at once, and the table never needs to
 * be cleaned. A hint that was lost to another costs a page sent in full, nothing else.
 *
 * 20 bytes for each page of the guest, which take memory as they are written.
 *
 * Private to mm/wire/. No lock.
 */
#ifndef QUIRE_MM_WIRE_BATCH_SENT_H
#define QUIRE_MM_WIRE_BATCH_SENT_H

#include "mm/codec/codec.h"
#include "mm/base/addr.h"

struct batch_sent {
	struct codec_sum *sums;
	u32 *table; /* groups of page numbers + 1, by checksum; 0: free */
	u32 nr_pages, nr_groups;
};

/* -ENOMEM. */
int batch_sent_init(struct batch_sent *s, u32 nr_pages);
void batch_sent_fini(struct batch_sent *s); /* what is all zeros is allowed */

/* Nothing was sent. */
void batch_sent_clear(struct batch_sent *s);

/* A page that the receiver has with these contents: @no itself if it is one, else any, or NONE. */
page_no batch_sent_find(const struct batch_sent *s, page_no no, const struct codec_sum *sum);

/* Whether the receiver has something of page @no. */
bool batch_sent_has(const struct batch_sent *s, page_no no);

/*
 * The page goes with these contents. @hint: it may be found by them from now on; false where
 * another is found already.
 */
void batch_sent_add(struct batch_sent *s, page_no no, const struct codec_sum *sum, bool hint);

/* The page goes with contents that nobody is to refer to. */
void batch_sent_forget(struct batch_sent *s, page_no no);

#endif
