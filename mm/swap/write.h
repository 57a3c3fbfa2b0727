// SPDX-License-Identifier: Apache-2.0
/*
 * Writing to the swap file: objects are packed into segments, segments into clusters; and clusters
 * with little left in them are emptied by writing that little elsewhere.
 *
 *	cluster    | segment        | segment                 | not written yet |
 *	segment    | object object ... | padding | numbers of the objects | count, blocks |
 *
 * A segment is what one call adds to a cluster: whole blocks, so that no block that holds an object
 * is ever written again. Its end says which objects it was written with; whether they still live
 * in it is known in memory (map.h). That is how a cluster's objects are found when it is to be
 * emptied, without 4 more bytes of memory for each object.
 *
 * Private to mm/swap/. One caller at a time; readers and releases go on meanwhile. The lock is the
 * owner's; it is not held while the device works.
 */
#ifndef QUIRE_MM_SWAP_WRITE_H
#define QUIRE_MM_SWAP_WRITE_H

#include <pthread.h>

#include "mm/base/base.h"
#include "mm/swap/cache.h"
#include "mm/swap/io.h"
#include "mm/swap/map.h"
#include "mm/swap/tier.h"

/* Clusters emptied at most in one go, so that a write has a bounded delay. */
#define SWAP_COMPACT_MOST 16

/* Buffers: one for each write under way, and one to read clusters into that are emptied. */
#define SWAPWRITE_BUFFERS (SWAPIO_DEPTH + 1)

/* Where a segment of the batch under way lies. */
struct swap_segment {
	u32 cluster;
	u8 first, blocks;
};

/* What changes in the map when the batch under way is written. */
struct swap_change {
	u32 number;
	swap_loc from, to; /* from 0: the object is new */
};

struct swapwrite {
	pthread_mutex_t *lock;
	struct swapmap *map;
	struct swapio *io;
	struct swapcache *cache;
	u8 *buffers;
	u32 open;  /* the cluster that the last segment went to, or SWAP_NO_CLUSTER */
	u32 spare; /* clusters not to be used up by the batch under way */
	/* the segment being packed: bytes and objects in it; no segment is without objects */
	u32 bytes, count;
	struct swapio_req reqs[SWAPIO_DEPTH]; /* packed, to be submitted */
	u32 nr_reqs;
	struct swap_segment *segments; /* of the batch, the last one being packed if count > 0 */
	u32 nr_segments, room_segments;
	struct swap_change *changes;
	u32 nr_changes, room_changes;
	u64 moved;
};

/* @buffers: SWAPWRITE_BUFFERS * SWAP_CLUSTER bytes, aligned to SWAP_BLOCK; the caller's. */
void swapwrite_init(struct swapwrite *w, pthread_mutex_t *lock, struct swapmap *map,
		    struct swapio *io, struct swapcache *cache, u8 *buffers);
void swapwrite_fini(struct swapwrite *w);

/* Write new objects, all or none; their places are their numbers. */
int swapwrite_objects(struct swapwrite *w, struct tier_object *objects, u32 n);

/*
 * Empty up to SWAP_COMPACT_MOST of the clusters whose objects take at most @most_bytes. Returns the
 * bytes gained: what was dead or never used in them. 0 also when it could not be done.
 */
u64 swapwrite_compact(struct swapwrite *w, u32 most_bytes);

#endif
