// SPDX-License-Identifier: Apache-2.0
/*
 * Inside the image library: a link being written. Private to mm/image/. out.c has the file
 * and its buffer, put.c the pages, write.c beginning and end.
 */
#ifndef QUIRE_MM_IMAGE_WRITE_H
#define QUIRE_MM_IMAGE_WRITE_H

#include "mm/image/link.h"

/* ---- The file (out.c) ---- */

/* Written in so large pieces, at multiples of it. */
#define IMAGE_OUT_SIZE MiB

/*
 * The buffer has room for a page beyond IMAGE_OUT_SIZE, so that one can always be packed right into
 * it. The first error is kept, and nothing is written after it.
 */
struct image_out {
	int fd;
	bool no_sync;
	int error;
	u64 limit;   /* no file may be larger */
	u64 flushed; /* bytes in the file; the buffer holds what follows */
	u64 used;    /* bytes in the buffer, below IMAGE_OUT_SIZE but inside these functions */
	u8 *buffer;
};

/* Takes over @fd, whatever comes of it. -ENOMEM. */
int image_out_init(struct image_out *out, int fd, bool no_sync);
void image_out_fini(struct image_out *out);

static inline u64 image_out_at(const struct image_out *out)
{
	return out->flushed + out->used;
}

/* Where the next bytes go: room for a page. Then: so many of them were put there. */
static inline u8 *image_out_room(struct image_out *out)
{
	return out->buffer + out->used;
}

int image_out_advance(struct image_out *out, u32 size);
int image_out_append(struct image_out *out, const void *data, u64 size);

/* Read back what was appended. -errno, which is not kept. */
int image_out_read(struct image_out *out, u64 at, u32 size, void *to);

/* Write what is buffered, and wait for the device unless no_sync. */
int image_out_finish(struct image_out *out);

/* ---- The link ---- */

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

/* Zeroed memory that is resident as it is touched, and goes back to the kernel. NULL: none left. */
void *image_map(u64 size);
void image_unmap(void *at, u64 size);

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
