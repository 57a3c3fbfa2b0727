// SPDX-License-Identifier: Apache-2.0
/*
 * The swap file as a tier: what happens when, put together from the device (swapio), the tables
 * (swapmap), writing (swapwrite) and reading (swapcache).
 *
 * A place is an object's number in the map, so that objects can be moved without anyone knowing.
 *
 * Housekeeping is done by whoever writes, never by a reader or a release, which a guest waits for:
 * before writing, sparse clusters are emptied when less than half of the file's used space is
 * live, a bounded number of them for what is to be written; afterwards, space that was freed goes
 * back to the file system, but for a little that the next writes will use again.
 *
 * Memory: 8 bytes an object, 12 a cluster, and 1.1 MiB of buffers.
 *
 * One lock covers the map and the windows. It is never held while the device works.
 */
#include "mm/swap/swapfile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mm/base/inject.h"
#include "mm/swap/cache.h"
#include "mm/swap/io.h"
#include "mm/swap/map.h"
#include "mm/swap/write.h"

/* Below this many clusters it is not worth keeping the file dense. */
#define FEW_CLUSTERS 8

/* A smaller limit would be eaten up by the spare cluster and half-filled ones. */
#define LEAST_CLUSTERS 4

/* Free clusters that keep their space in the file, and how many at most lose it in one go. */
#define KEEP_CLUSTERS  32
#define PUNCH_CLUSTERS 64

#define BUFFERS_SIZE ((size_t)(SWAP_WINDOWS + SWAPWRITE_BUFFERS) * SWAP_CLUSTER)

struct swapfile {
	struct tier tier;
	pthread_mutex_t lock;
	struct swapmap map;
	struct swapcache cache;
	struct swapwrite writer;
	struct swapio io;
	u8 *buffers;
};

static struct swapfile *swapfile_of(struct tier *tier)
{
	return container_of(tier, struct swapfile, tier);
}

/* Whether more than half of the used space is dead. */
static bool is_sparse(struct swapfile *sf)
{
	bool sparse;

	pthread_mutex_lock(&sf->lock);
	sparse = sf->map.used > FEW_CLUSTERS &&
		 swapmap_cost(sf->map.object_bytes, sf->map.objects) * 2 <
			 (u64)sf->map.used * SWAP_CLUSTER;
	pthread_mutex_unlock(&sf->lock);
	return sparse;
}

/*
 * Empty sparse clusters before @bytes are written. A round empties 16 that are at most half full,
 * and so gains 8, a megabyte: what is dead cannot grow faster than it is collected.
 */
static void make_dense(struct swapfile *sf, u64 bytes)
{
	for (u64 rounds = 1 + bytes / MiB; rounds && is_sparse(sf); rounds--)
		if (!swapwrite_compact(&sf->writer, SWAP_CLUSTER / 2))
			break;
}

/* It is full: collect even where there is little to gain. Whether it helped. */
static bool make_room(struct swapfile *sf, u64 bytes)
{
	u64 gained = 0, more = 1;

	while (more && gained < bytes + SWAP_CLUSTER) {
		more = swapwrite_compact(&sf->writer, SWAP_CLUSTER - SWAP_CLUSTER / 8);
		gained += more;
	}
	return gained;
}

/* Give space of free clusters back. Only a writer takes clusters, so none of these is taken now. */
static void punch(struct swapfile *sf)
{
	u32 left = PUNCH_CLUSTERS, first, n;
	bool more = true;

	while (sf->io.regular && left && more) {
		pthread_mutex_lock(&sf->lock);
		more = sf->map.dirty_free > KEEP_CLUSTERS &&
		       swapmap_clean(&sf->map, MIN(left, sf->map.dirty_free - KEEP_CLUSTERS),
				     &first, &n);
		pthread_mutex_unlock(&sf->lock);
		if (!more)
			break;
		swapio_punch(&sf->io, (u64)first * SWAP_CLUSTER, (u64)n * SWAP_CLUSTER);
		left -= n;
	}
}

static int swapfile_write(struct tier *tier, struct tier_object *objects, u32 n)
{
	struct swapfile *sf = swapfile_of(tier);
	u64 bytes = 0;
	int ret;

	for (u32 i = 0; i < n; i++) {
		ASSERT(objects[i].size - 1 < PAGE_SIZE);
		bytes += objects[i].size;
	}
	make_dense(sf, bytes);
	ret = swapwrite_objects(&sf->writer, objects, n);
	if (ret == -ENOSPC && make_room(sf, bytes))
		ret = swapwrite_objects(&sf->writer, objects, n);
	punch(sf);
	return ret;
}

static int swapfile_read(struct tier *tier, tier_place place, void *data, u32 size)
{
	struct swapfile *sf = swapfile_of(tier);
	int ret = swapcache_read(&sf->cache, (u32)place, data, size);

	if (!ret && inject(INJECT_SWAP_CORRUPT))
		((u8 *)data)[size / 2] ^= 0x10;
	return ret;
}

static void swapfile_release(struct tier *tier, tier_place place, u32 size)
{
	struct swapfile *sf = swapfile_of(tier);
	swap_loc loc;

	pthread_mutex_lock(&sf->lock);
	loc = swapmap_find(&sf->map, (u32)place);
	ASSERT(loc && swap_loc_unpack(loc).size == size);
	swapmap_drop(&sf->map, (u32)place);
	pthread_mutex_unlock(&sf->lock);
}

static void swapfile_stats(struct tier *tier, struct tier_stats *stats)
{
	struct swapfile *sf = swapfile_of(tier);

	*stats = (struct tier_stats){
		.capacity_bytes = sf->io.capacity,
		.writes = sf->io.writes,
		.reads = sf->io.reads,
		.written_bytes = sf->io.written_bytes,
		.read_bytes = sf->io.read_bytes,
		.errors = sf->io.errors,
	};
	pthread_mutex_lock(&sf->lock);
	stats->objects = sf->map.objects;
	stats->object_bytes = sf->map.object_bytes;
	stats->used_bytes = (u64)sf->map.used * SWAP_CLUSTER;
	stats->moved_objects = sf->writer.moved;
	stats->memory_bytes = swapmap_memory(&sf->map) + BUFFERS_SIZE + sizeof(*sf);
	pthread_mutex_unlock(&sf->lock);
}

static void swapfile_destroy(struct tier *tier)
{
	struct swapfile *sf = swapfile_of(tier);

	swapwrite_fini(&sf->writer);
	swapcache_fini(&sf->cache);
	swapmap_fini(&sf->map);
	pthread_mutex_destroy(&sf->lock);
	swapio_close(&sf->io);
	munmap(sf->buffers, BUFFERS_SIZE);
	free(sf);
}

static const struct tier_ops swapfile_ops = {
	.name = "swap file",
	.write = swapfile_write,
	.read = swapfile_read,
	.release = swapfile_release,
	.stats = swapfile_stats,
	.destroy = swapfile_destroy,
};

/* How many clusters the device has room for. */
static int count_clusters(const struct swapio *io, const char *path, u32 *n, struct err *err)
{
	u64 clusters = io->capacity / SWAP_CLUSTER;

	*n = SWAP_NO_CLUSTER;
	if (!io->capacity)
		return 0;
	if (clusters < LEAST_CLUSTERS)
		return err_set(err, -EINVAL,
			       "--swap %s: %llu bytes are too few (give it at least %llu KiB)",
			       path ? path : "(default)", (unsigned long long)io->capacity,
			       (unsigned long long)LEAST_CLUSTERS * SWAP_CLUSTER / KiB);
	*n = (u32)MIN(clusters, (u64)SWAP_NO_CLUSTER - 1);
	return 0;
}

/* Memory first, then the file: what can fail with the file open is only its size. */
int swapfile_create(struct tier **out, const struct swapfile_config *cfg, struct err *err)
{
	struct swapfile *sf = calloc(1, sizeof(*sf));
	u32 clusters;
	int ret = -ENOMEM;

	if (!sf)
		return err_set(err, -ENOMEM, "swap file: out of memory");
	sf->buffers = mmap(NULL, BUFFERS_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sf->buffers == MAP_FAILED) {
		err_set(err, ret, "swap file: out of memory");
		goto out_free;
	}
	ret = swapio_open(&sf->io, cfg, err);
	if (ret)
		goto out_unmap;
	ret = count_clusters(&sf->io, cfg->path, &clusters, err);
	if (ret)
		goto out_close;
	pthread_mutex_init(&sf->lock, NULL);
	swapmap_init(&sf->map, clusters);
	swapcache_init(&sf->cache, &sf->lock, &sf->map, &sf->io, sf->buffers);
	swapwrite_init(&sf->writer, &sf->lock, &sf->map, &sf->io, &sf->cache,
		       sf->buffers + (size_t)SWAP_WINDOWS * SWAP_CLUSTER);
	sf->tier.ops = &swapfile_ops;
	*out = &sf->tier;
	return 0;
out_close:
	swapio_close(&sf->io);
out_unmap:
	munmap(sf->buffers, BUFFERS_SIZE);
out_free:
	free(sf);
	return ret;
}
