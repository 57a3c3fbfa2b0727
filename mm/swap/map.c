// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of objects and clusters. Contract in map.h.
 *
 * An entry of the object table is, by its two highest bits:
 *
 *	1x	a location: cluster (32 bits), offset (17), size - 1 (12)
 *	01	a number given out that has no location yet
 *	00	a free number; the rest is the next free one, or 0
 */
#include "mm/swap/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCATED ((u64)1 << 63)
#define NEW	((u64)1 << 62)
#define CHUNK	((u32)4096) /* entries */
#define MOST	(UINT32_MAX - CHUNK)

static_assert(SWAP_CLUSTER == 1u << 17, "an offset has 17 bits");
static_assert(sizeof(struct swap_cluster) == 12, "promised in the header");

swap_loc swap_loc_pack(struct swap_where where)
{
	ASSERT(where.size - 1 < 4096 && where.offset < SWAP_CLUSTER);
	return LOCATED | (u64)where.cluster << 29 | (u64)where.offset << 12 | (where.size - 1);
}

struct swap_where swap_loc_unpack(swap_loc loc)
{
	return (struct swap_where){
		.cluster = (u32)(loc >> 29),
		.offset = (u32)(loc >> 12) & (SWAP_CLUSTER - 1),
		.size = ((u32)loc & 4095) + 1,
	};
}

void swapmap_init(struct swapmap *map, u32 max_clusters)
{
	*map = (struct swapmap){.max_clusters = max_clusters};
}

void swapmap_fini(struct swapmap *map)
{
	for (u32 i = 0; i < map->nr_chunks; i++)
		free(map->chunks[i]);
	free(map->chunks);
	free(map->clusters);
}

u64 swapmap_memory(const struct swapmap *map)
{
	return (u64)map->nr_chunks * (CHUNK * sizeof(u64) + sizeof(u64 *)) +
	       (u64)map->room_clusters * sizeof(map->clusters[0]);
}

/* ---- objects ---- */

static u64 *entry(const struct swapmap *map, u32 number)
{
	return &map->chunks[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

static int add_chunk(struct swapmap *map)
{
	u64 **chunks;

	if (map->nr_numbers > MOST)
		return -ENOSPC;
	chunks = realloc(map->chunks, (map->nr_chunks + 1) * sizeof(chunks[0]));
	if (!chunks)
		return -ENOMEM;
	map->chunks = chunks;
	chunks[map->nr_chunks] = malloc(CHUNK * sizeof(u64));
	if (!chunks[map->nr_chunks])
		return -ENOMEM;
	map->nr_chunks++;
	return 0;
}

int swapmap_new(struct swapmap *map, u32 *number)
{
	int ret;

	if (map->free_number) {
		*number = map->free_number;
		map->free_number = (u32)*entry(map, *number);
	} else {
		ret = map->nr_numbers == map->nr_chunks * CHUNK ? add_chunk(map) : 0;
		if (ret)
			return ret;
		*number = ++map->nr_numbers;
	}
	*entry(map, *number) = NEW;
	return 0;
}

swap_loc swapmap_find(const struct swapmap *map, u32 number)
{
	u64 loc;

	if (!number || number > map->nr_numbers)
		return 0;
	loc = *entry(map, number);
	return loc & LOCATED ? loc : 0;
}

static void free_if_empty(struct swapmap *map, u32 cluster)
{
	struct swap_cluster *c = &map->clusters[cluster];

	if (c->live || c->held)
		return;
	ASSERT(c->used && !c->live_bytes);
	*c = (struct swap_cluster){.dirty = c->dirty};
	map->used--;
	map->dirty_free += c->dirty;
	map->lowest_free = MIN(map->lowest_free, cluster);
}

static void leave(struct swapmap *map, swap_loc loc)
{
	struct swap_where where = swap_loc_unpack(loc);
	struct swap_cluster *c = &map->clusters[where.cluster];

	ASSERT(c->live && c->live_bytes >= where.size);
	c->live--;
	c->live_bytes -= where.size;
	map->objects--;
	map->object_bytes -= where.size;
	free_if_empty(map, where.cluster);
}

void swapmap_place(struct swapmap *map, u32 number, swap_loc loc)
{
	struct swap_where where = swap_loc_unpack(loc);
	struct swap_cluster *c = &map->clusters[where.cluster];
	u64 old = *entry(map, number);

	ASSERT(c->used && old & (LOCATED | NEW));
	*entry(map, number) = loc;
	c->live++;
	c->live_bytes += where.size;
	map->objects++;
	map->object_bytes += where.size;
	if (old & LOCATED)
		leave(map, old);
}

void swapmap_drop(struct swapmap *map, u32 number)
{
	u64 old = *entry(map, number);

	ASSERT(old & (LOCATED | NEW));
	*entry(map, number) = map->free_number;
	map->free_number = number;
	if (old & LOCATED)
		leave(map, old);
}

/* ---- clusters ---- */

/* One more cluster at the end of the table. */
static int add_cluster(struct swapmap *map)
{
	struct swap_cluster *clusters;
	u32 room = MAX(map->room_clusters * 2, 64u);

	if (map->nr_clusters == map->room_clusters) {
		clusters = realloc(map->clusters, room * sizeof(clusters[0]));
		if (!clusters)
			return -ENOMEM;
		map->clusters = clusters;
		map->room_clusters = room;
	}
	map->clusters[map->nr_clusters++] = (struct swap_cluster){0};
	return 0;
}

u32 swapmap_left(const struct swapmap *map)
{
	return map->max_clusters == SWAP_NO_CLUSTER ? UINT32_MAX : map->max_clusters - map->used;
}

int swapmap_take(struct swapmap *map, u32 spare, u32 *cluster)
{
	struct swap_cluster *c;
	u32 i = map->lowest_free;
	int ret;

	if (swapmap_left(map) <= spare)
		return -ENOSPC;
	while (i < map->nr_clusters && map->clusters[i].used)
		i++;
	ret = i == map->nr_clusters ? add_cluster(map) : 0;
	if (ret)
		return ret;
	map->lowest_free = i + 1;
	c = &map->clusters[i];
	map->dirty_free -= c->dirty;
	map->used++;
	*c = (struct swap_cluster){.used = true, .dirty = true, .held = 1};
	*cluster = i;
	return 0;
}

void swapmap_hold(struct swapmap *map, u32 cluster)
{
	ASSERT(map->clusters[cluster].used && map->clusters[cluster].held < UINT16_MAX);
	map->clusters[cluster].held++;
}

void swapmap_let_go(struct swapmap *map, u32 cluster)
{
	ASSERT(map->clusters[cluster].held);
	map->clusters[cluster].held--;
	free_if_empty(map, cluster);
}

static u64 cost(const struct swap_cluster *c)
{
	return swapmap_cost(c->live_bytes, c->live);
}

u32 swapmap_sparse(const struct swapmap *map, u32 *clusters, u32 n, u32 most_bytes, u32 except)
{
	u32 got = 0;

	for (u32 i = 0; i < map->nr_clusters; i++) {
		const struct swap_cluster *c = &map->clusters[i];
		u32 at;

		if (!c->live || c->stuck || i == except || cost(c) > most_bytes)
			continue;
		if (got == n && cost(c) >= cost(&map->clusters[clusters[n - 1]]))
			continue;
		/* insert: n is small */
		got += got < n;
		for (at = got - 1; at; at--) {
			if (cost(&map->clusters[clusters[at - 1]]) <= cost(c))
				break;
			clusters[at] = clusters[at - 1];
		}
		clusters[at] = i;
	}
	return got;
}

/* The table ends with a cluster that is used or takes room. */
static void trim(struct swapmap *map)
{
	while (map->nr_clusters && !map->clusters[map->nr_clusters - 1].used &&
	       !map->clusters[map->nr_clusters - 1].dirty)
		map->nr_clusters--;
}

bool swapmap_clean(struct swapmap *map, u32 most, u32 *first, u32 *n)
{
	u32 end = map->nr_clusters, i;

	if (!map->dirty_free)
		return false;
	while (map->clusters[end - 1].used || !map->clusters[end - 1].dirty)
		end--;
	for (i = end; i && end - i < most; i--) {
		struct swap_cluster *c = &map->clusters[i - 1];

		if (c->used || !c->dirty)
			break;
		c->dirty = false;
	}
	*first = i;
	*n = end - i;
	map->dirty_free -= *n;
	trim(map);
	return true;
}

void swapmap_audit(const struct swapmap *map)
{
	u32 *live = calloc(map->nr_clusters + 1, sizeof(*live));
	u64 *bytes = calloc(map->nr_clusters + 1, sizeof(*bytes));
	u64 objects = 0, used = 0, dirty_free = 0;

	ASSERT(live && bytes);
	for (u32 number = 1; number <= map->nr_numbers; number++) {
		struct swap_where where = swap_loc_unpack(*entry(map, number));

		if (!swapmap_find(map, number))
			continue;
		objects++;
		ASSERT(where.cluster < map->nr_clusters);
		live[where.cluster]++;
		bytes[where.cluster] += where.size;
	}
	for (u32 i = 0; i < map->nr_clusters; i++) {
		const struct swap_cluster *c = &map->clusters[i];

		ASSERT(c->live == live[i] && c->live_bytes == bytes[i]);
		ASSERT(c->used ? c->live || c->held : !c->live && !c->held);
		ASSERT(c->used || i >= map->lowest_free);
		used += c->used;
		dirty_free += !c->used && c->dirty;
	}
	ASSERT(used == map->used && dirty_free == map->dirty_free && objects == map->objects);
	free(live);
	free(bytes);
}
