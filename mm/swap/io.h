// SPDX-License-Identifier: Apache-2.0
/*
 * The swap file as a device: opening what --swap names, and whole blocks in and out of it. What the
 * blocks mean is swapfile.c's business.
 *
 * Several writes at once go through io_uring, so that the device sees them together; where the
 * kernel refuses io_uring (by sysctl or a seccomp filter) they are made one after the other. A read
 * is one pread(): whoever reads waits for just that, and a ring would only add a system call.
 *
 * O_DIRECT keeps pages that were just pushed out from filling the host's page cache. Where the file
 * system has none (ramfs, some network ones) the file is written through the page cache instead.
 *
 * Private to mm/swap/. Reading and punching are thread-safe; writing has one caller at a time.
 */
#ifndef QUIRE_MM_SWAP_IO_H
#define QUIRE_MM_SWAP_IO_H

#include <liburing.h>
#include <stdatomic.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

struct swapfile_config;

/* Offsets, sizes and buffers are multiples of this: no device asks for more. */
#define SWAP_BLOCK ((u32)4096)

/* Most writes at once. */
#define SWAPIO_DEPTH 4

struct swapio {
	int fd;
	u64 capacity;	     /* bytes; 0: not known */
	bool regular;	     /* a regular file: holes can be punched into it */
	bool named;	     /* it existed before and will after */
	_Atomic bool direct; /* past the page cache */
	bool ringed;	     /* @ring works */
	struct io_uring ring;
	_Atomic u64 writes, reads, written_bytes, read_bytes, errors;
};

struct swapio_req {
	const void *data;
	u64 offset;
	u32 size;
};

/* Sentences begin with "--swap PATH: ". */
int swapio_open(struct swapio *io, const struct swapfile_config *cfg, struct err *err);
void swapio_close(struct swapio *io);

/* Make all @n writes, at most SWAPIO_DEPTH. -ENOSPC: no room; another -errno. */
int swapio_write(struct swapio *io, const struct swapio_req *reqs, u32 n);

/* Read exactly @size bytes; -EIO when the file is shorter. */
int swapio_read(struct swapio *io, void *data, u64 offset, u32 size);

/* Give the space back to the file system. */
void swapio_punch(struct swapio *io, u64 offset, u64 size);

#endif
