// SPDX-License-Identifier: Apache-2.0
/*
 * A tier below the store: somewhere that takes compressed pages and gives them back later, slower
 * than memory. The swap file (mm/swap/swapfile.c) is one; a remote host is meant to be another,
 * between the store and the file.
 *
 * A tier sees objects of 1 to 4096 bytes, in groups, and answers each with a place. What is in
 * them it does not know: checksums are the store's.
 *
 * Thread-safe: write() has one caller at a time; read() and release() may be called by any thread
 * at any time, for different places also at once.
 */
#ifndef QUIRE_MM_SWAP_TIER_H
#define QUIRE_MM_SWAP_TIER_H

#include "mm/base/base.h"

struct tier;

/* Where an object lies; the tier's own business. 0 is none. */
typedef u64 tier_place;

struct tier_object {
	const void *data;
	u32 size;	  /* 1 to 4096 bytes */
	tier_place place; /* filled in by write() */
};

struct tier_stats {
	u64 objects;	    /* that live in it */
	u64 object_bytes;   /* their sizes, summed */
	u64 used_bytes;	    /* space that the tier occupies, waste included */
	u64 capacity_bytes; /* 0: not limited */
	u64 writes, reads;  /* requests made to the device */
	u64 written_bytes, read_bytes;
	u64 moved_objects; /* rewritten to free space */
	u64 errors;	   /* requests that failed */
	u64 memory_bytes;  /* host memory: tables and buffers */
};

struct tier_ops {
	const char *name;
	/*
	 * Take @n objects, all or none, and say where they are. They must be readable (and may be
	 * forgotten by the caller) when this returns 0. -ENOSPC: full; another -errno: broken for
	 * now. After a failure the tier is as it was.
	 */
	int (*write)(struct tier *tier, struct tier_object *objects, u32 n);
	/* Read the object at @place back: exactly @size bytes, as written. Waits. */
	int (*read)(struct tier *tier, tier_place place, void *data, u32 size);
	/* The object at @place is not needed any more. Never fails, never waits for the device. */
	void (*release)(struct tier *tier, tier_place place, u32 size);
	void (*stats)(struct tier *tier, struct tier_stats *stats);
	void (*destroy)(struct tier *tier);
};

/* What each tier's own state begins with. */
struct tier {
	const struct tier_ops *ops;
};

#endif
