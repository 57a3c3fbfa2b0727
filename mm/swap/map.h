// SPDX-License-Identifier: Apache-2.0
/*
 * Where everything lies in the swap file: a table of objects and a table of clusters. Pure
 * bookkeeping: no device, no threads (the owner's lock covers every call). Private to mm/swap/.
 *
 * The file is a row of clusters of SWAP_CLUSTER bytes. An object has a number, which never changes,
 * and a location, which does when a sparse cluster is emptied. 8 bytes of memory an object, 12 a
 * cluster.
 *
 * A cluster's life:
 *
 *	free --swapmap_take--> used --(no object lives in it and nobody holds it)--> free
 *
 * "Held" keeps a cluster from becoming free while somebody writes to it or reads from it.
 *
 * Always true: a cluster's count and bytes are those of the objects located in it; a free cluster
 * has none and is not held; `used` counts those that are not free.
 */
#ifndef QUIRE_MM_SWAP_MAP_H
#define QUIRE_MM_SWAP_MAP_H

#include "mm/base/base.h"
#include "mm/swap/io.h"

/*
 * 128 KiB: large enough for devices to write at full speed, and for raw pages to waste a 32nd only
 * (15 of them fit into 64 KiB, 31 into 128); small enough to read at once.
 */
#define SWAP_CLUSTER_BLOCKS ((u32)32)
#define SWAP_CLUSTER	    (SWAP_CLUSTER_BLOCKS * SWAP_BLOCK)
#define SWAP_NO_CLUSTER	    UINT32_MAX

/* A location in 62 bits; 0 is none. */
typedef u64 swap_loc;

struct swap_where {
	u32 cluster;
	u32 offset; /* in the cluster */
	u32 size;   /* 1 to 4096 */
};

swap_loc swap_loc_pack(struct swap_where where);
struct swap_where swap_loc_unpack(swap_loc loc);

struct swap_cluster {
	u32 live_bytes;
	u16 live; /* objects */
	u16 held;
	u8 blocks; /* of them hold objects, or did */
	bool used;
	bool dirty; /* it takes room in the file */
	bool stuck; /* it could not be emptied; not worth trying again */
};

struct swapmap {
	u64 **chunks; /* of entries: a location, or the next free number */
	u32 nr_chunks, nr_numbers, free_number;
	struct swap_cluster *clusters;
	u32 nr_clusters, room_clusters; /* in the table; that fit into it */
	u32 max_clusters;		/* in the file */
	u32 used, dirty_free;
	u32 lowest_free; /* no free cluster is below it */
	u64 objects, object_bytes;
};

/* @max_clusters: SWAP_NO_CLUSTER for no limit. */
void swapmap_init(struct swapmap *map, u32 max_clusters);
void swapmap_fini(struct swapmap *map);
u64 swapmap_memory(const struct swapmap *map);

/* A new object's number, from 1; it has no location yet. -ENOMEM, or -ENOSPC when none are left. */
int swapmap_new(struct swapmap *map, u32 *number);

/* The object's location; 0 while it has none, or when @number means no object. */
swap_loc swapmap_find(const struct swapmap *map, u32 number);

/* The object is now at @loc, and no longer where it was, if anywhere. */
void swapmap_place(struct swapmap *map, u32 number, swap_loc loc);

/* Forget the object, located or not. */
void swapmap_drop(struct swapmap *map, u32 number);

/*
 * Take the lowest free cluster, held once. @spare: how many clusters must be left afterwards, so
 * that there is always room to move objects to. -ENOSPC or -ENOMEM.
 */
int swapmap_take(struct swapmap *map, u32 spare, u32 *cluster);

void swapmap_hold(struct swapmap *map, u32 cluster);
void swapmap_let_go(struct swapmap *map, u32 cluster);

/* Clusters that can still be taken; UINT32_MAX when not limited. */
u32 swapmap_left(const struct swapmap *map);

/* What objects take in a cluster: their bytes, and their numbers beside them (mm/swap/write.h). */
static inline u64 swapmap_cost(u64 bytes, u64 objects)
{
	return bytes + objects * sizeof(u32);
}

/*
 * The up to @n clusters whose objects take the fewest bytes, at most @most_bytes each and not
 * @except, from the emptiest on. Returns how many.
 */
u32 swapmap_sparse(const struct swapmap *map, u32 *clusters, u32 n, u32 most_bytes, u32 except);

/*
 * The highest run of free clusters that take room in the file, at most @most of them; they count as
 * taking none from now on. False if there is none. The file's end is also looked after here.
 */
bool swapmap_clean(struct swapmap *map, u32 most, u32 *first, u32 *n);

/* Assert everything that is always true. For tests; slow. */
void swapmap_audit(const struct swapmap *map);

#endif
