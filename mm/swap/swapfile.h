// SPDX-License-Identifier: Apache-2.0
/*
 * The swap file: a tier (mm/swap/tier.h) on a file or block device, one per guest. Objects are
 * gathered into clusters and written through io_uring, past the host's page cache, where the kernel
 * and the file system let us (mm/swap/io.h).
 *
 * The face of mm/swap/, which owns the tier below the store: what leaves the host's memory, and
 * comes back. It uses mm/base, and knows objects of bytes, no pages. Begin with tier.h, what the
 * store asks of any tier, and with the drawings in map.h and write.h. From below to above:
 *
 *	io.c		the file or device: whole blocks in and out
 *	map.c		tables: where each object lies, what is in each cluster
 *	cache.c		reading, through a few windows
 *	write.c		writing, and emptying sparse clusters
 *	swapfile.c	all of it as a tier: locks, housekeeping
 */
#ifndef QUIRE_MM_SWAP_SWAPFILE_H
#define QUIRE_MM_SWAP_SWAPFILE_H

#include "mm/base/err.h"
#include "mm/swap/tier.h"

struct swapfile_config {
	/*
	 * A directory: an unnamed file is made in it. A name that does not exist: a file is made
	 * and unlinked at once, so that nothing is left whatever becomes of the process. A regular
	 * file or block device that exists: its contents are overwritten, and it is locked against
	 * a second guest. NULL: $TMPDIR, else /var/tmp.
	 */
	const char *path;
	u64 limit; /* most bytes of file to use; 0: as the file system or device allows */
};

int swapfile_create(struct tier **out, const struct swapfile_config *cfg, struct err *err);

#endif
