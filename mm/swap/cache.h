// SPDX-License-Identifier: Apache-2.0
/*
 * Reading objects from the swap file, through a few windows onto it.
 *
 * Pages that were pushed out together tend to come back together. So the first object wanted from a
 * cluster is read with the one or two blocks that hold it; when a second one is wanted while that
 * window is still there, the whole cluster is read, and the rest of it costs nothing. A guest that
 * comes back at random pays for no more than it asks for, one that comes back in order pays two
 * reads a cluster.
 *
 * Private to mm/swap/. One lock, the owner's; it is not held while the device works.
 */
#ifndef QUIRE_MM_SWAP_CACHE_H
#define QUIRE_MM_SWAP_CACHE_H

#include <pthread.h>

#include "mm/base/base.h"
#include "mm/swap/io.h"
#include "mm/swap/map.h"

/* As many readers can wait for the device at once; more wait for each other. */
#define SWAP_WINDOWS 4

struct swap_window {
	u32 cluster;	  /* SWAP_NO_CLUSTER: nothing is in it */
	u32 offset, size; /* the part of the cluster that it holds */
	bool loading;	  /* somebody is reading it in; the cluster is held meanwhile */
	u64 used;	  /* when: the largest was last */
	u8 *data;
};

struct swapcache {
	pthread_mutex_t *lock;
	struct swapmap *map;
	struct swapio *io;
	struct swap_window windows[SWAP_WINDOWS];
	u64 now;
	pthread_cond_t loaded;
};

/* @buffers: SWAP_WINDOWS * SWAP_CLUSTER bytes, aligned to SWAP_BLOCK; the caller's. */
void swapcache_init(struct swapcache *c, pthread_mutex_t *lock, struct swapmap *map,
		    struct swapio *io, u8 *buffers);
void swapcache_fini(struct swapcache *c);

/* Read the object @number, @size bytes. Takes the lock. 0 or -errno. */
int swapcache_read(struct swapcache *c, u32 number, void *data, u32 size);

/* @cluster is about to be written anew. The lock is held, and nobody is reading the cluster. */
void swapcache_forget(struct swapcache *c, u32 cluster);

#endif
