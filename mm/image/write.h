// SPDX-License-Identifier: Apache-2.0
/*
 * A link that is being written: its pages (put.c), its beginning and its end (write.c). One thread
 * at a time. Private to mm/image/.
 */
#ifndef QUIRE_MM_IMAGE_WRITE_H
#define QUIRE_MM_IMAGE_WRITE_H

#include "mm/image/format.h"
#include "mm/image/link.h"
#include "mm/image/out.h"

struct image_writer {
	int dirfd;
	char *dir;
	char tmp[IMAGE_NAME_SIZE];
	bool made_dir; /* for this link: goes again if it fails */
	struct image_header header;
	struct image_out out;
	struct image_written total;
	struct image_entry *entry; /* of each page of the guest; untouched memory costs nothing */
	u16 *count;		   /* pages of each region that are there */
	/*
	 * Pages with data of their own, by checksum: page number + 1 in the low half, more of the
	 * sum in the high one. 1 << slot_bits of them, at most half of them used.
	 */
	u64 *slot;
	u32 slot_bits, nr_slots;
};

/* How a link is to be begun by those who know what they do. */
struct image_writer_start {
	const char *dir;
	int dirfd; /* taken over, whatever comes of it; its lock with it */
	const char *tmp;
	bool made_dir, no_sync;
	struct image_header header;
};

int image_writer_make(struct image_writer **out, const struct image_writer_start *start,
		      struct err *err);

/*
 * Make the directory if need be, take the writers' lock, and remove what dead writers left. The
 * caller's to close, and with @made to remove again.
 */
int image_lock_dir(const char *dir, int *dirfd, bool *made, struct err *err);

#endif
