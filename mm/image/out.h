// SPDX-License-Identifier: Apache-2.0
/*
 * The file of a link that is being written, behind a buffer; and large memory. One thread at a
 * time. Private to mm/image/.
 */
#ifndef QUIRE_MM_IMAGE_OUT_H
#define QUIRE_MM_IMAGE_OUT_H

#include "mm/base/base.h"

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

/* Zeroed memory that is resident as it is touched, and goes back to the kernel. NULL: none left. */
void *image_map(u64 size);
void image_unmap(void *at, u64 size);

#endif
