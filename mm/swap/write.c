// SPDX-License-Identifier: Apache-2.0
/*
 * Packing, writing, emptying. Contract in write.h.
 *
 * A batch is begun, packed, and then committed or aborted. Until the commit nothing of it is to be
 * seen in the map but clusters taken and held and numbers given out, so that aborting has little to
 * undo: a cluster's written blocks grow at the commit only. An object that is moved can still be
 * read from where it was, and be released meanwhile, which the commit finds out.
 */
#include "mm/swap/write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The end of a segment. */
struct trailer {
	u32 count; /* of object numbers before it */
	u32 blocks;
};

void swapwrite_init(struct swapwrite *w, pthread_mutex_t *lock, struct swapmap *map,
		    struct swapio *io, struct swapcache *cache, u8 *buffers)
{
	*w = (struct swapwrite){.lock = lock,
				.map = map,
				.io = io,
				.cache = cache,
				.buffers = buffers,
				.open = SWAP_NO_CLUSTER};
}

void swapwrite_fini(struct swapwrite *w)
{
	free(w->segments);
	free(w->changes);
}

/* ---- a batch: pack ---- */

/* Room for one more element of @size bytes in a growing array. */
static int grow(void **array, u32 nr, u32 *room, size_t size)
{
	u32 more = MAX(*room * 2, 64u);
	void *bigger;

	if (nr < *room)
		return 0;
	bigger = realloc(*array, more * size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*room = more;
	return 0;
}

static u8 *packing(struct swapwrite *w)
{
	return w->buffers + (u64)w->nr_reqs * SWAP_CLUSTER;
}

static struct swap_segment *last(struct swapwrite *w)
{
	return &w->segments[w->nr_segments - 1];
}

static u32 segment_size(u32 bytes, u32 count)
{
	return bytes + count * (u32)sizeof(u32) + (u32)sizeof(struct trailer);
}

/* Where the numbers are gathered while packing: from the end of the cluster downwards. */
static u32 *numbers(u8 *buffer, u32 end, u32 count)
{
	return (u32 *)(void *)(buffer + end - sizeof(struct trailer)) - count;
}

/* Hand the requests that are ready to the device. */
static int submit(struct swapwrite *w)
{
	int ret = w->nr_reqs ? swapio_write(w->io, w->reqs, w->nr_reqs) : 0;

	w->nr_reqs = 0;
	return ret;
}

/* The segment being packed is complete: close it, and write when all buffers are in use. */
static int seal(struct swapwrite *w)
{
	struct swap_segment *s = last(w);
	u8 *buffer = packing(w);
	u32 end = (u32)align_up(segment_size(w->bytes, w->count), SWAP_BLOCK);
	u32 *to = numbers(buffer, end, w->count);
	struct trailer t = {.count = w->count, .blocks = end / SWAP_BLOCK};

	memmove(to, numbers(buffer, SWAP_CLUSTER, w->count), w->count * sizeof(*to));
	memset(buffer + w->bytes, 0, (size_t)((u8 *)to - (buffer + w->bytes)));
	memcpy(buffer + end - sizeof(t), &t, sizeof(t));
	s->blocks = (u8)t.blocks;
	w->reqs[w->nr_reqs++] = (struct swapio_req){
		.data = buffer,
		.offset = (u64)s->cluster * SWAP_CLUSTER + s->first * SWAP_BLOCK,
		.size = end,
	};
	w->bytes = w->count = 0;
	return w->nr_reqs == SWAPIO_DEPTH ? submit(w) : 0;
}

/* Whether an object of @size bytes goes into the segment being packed. */
static bool fits(struct swapwrite *w, u32 size)
{
	u32 room = (SWAP_CLUSTER_BLOCKS - last(w)->first) * SWAP_BLOCK;

	return segment_size(w->bytes + size, w->count + 1) <= room;
}

/*
 * Begin a segment with room for @size bytes: in the open cluster, else in a new one. The open one
 * may have become free, or be full by what this batch has put into it.
 */
static int begin_segment(struct swapwrite *w, u32 size)
{
	struct swapmap *map = w->map;
	struct swap_segment s = {0};
	u32 used;
	int ret = grow((void **)&w->segments, w->nr_segments, &w->room_segments, sizeof(s));

	if (ret)
		return ret;
	pthread_mutex_lock(w->lock);
	if (w->open < map->nr_clusters && map->clusters[w->open].used &&
	    !(w->nr_segments && last(w)->cluster == w->open)) {
		used = map->clusters[w->open].blocks;
		s = (struct swap_segment){.cluster = w->open, .first = (u8)used};
		if (segment_size(size, 1) <= SWAP_CLUSTER - used * SWAP_BLOCK) {
			swapmap_hold(map, w->open);
			goto out;
		}
	}
	s.first = 0;
	ret = swapmap_take(map, w->spare, &s.cluster);
	if (ret)
		goto out;
	swapcache_forget(w->cache, s.cluster);
	w->open = s.cluster;
out:
	pthread_mutex_unlock(w->lock);
	if (!ret)
		w->segments[w->nr_segments++] = s;
	return ret;
}

/* Add an object to the batch: a new one (@from 0) or one that lives at @from. */
static int add(struct swapwrite *w, const void *data, u32 size, u32 number, swap_loc from)
{
	u8 *buffer;
	int ret = grow((void **)&w->changes, w->nr_changes, &w->room_changes,
		       sizeof(w->changes[0]));

	if (!ret && w->count && !fits(w, size))
		ret = seal(w);
	if (!ret && !w->count)
		ret = begin_segment(w, size);
	if (ret)
		return ret;
	buffer = packing(w);
	memcpy(buffer + w->bytes, data, size);
	w->changes[w->nr_changes++] = (struct swap_change){
		.number = number,
		.from = from,
		.to = swap_loc_pack((struct swap_where){
			.cluster = last(w)->cluster,
			.offset = last(w)->first * SWAP_BLOCK + w->bytes,
			.size = size,
		}),
	};
	w->bytes += size;
	*numbers(buffer, SWAP_CLUSTER, ++w->count) = number;
	return 0;
}

/* ---- a batch: commit or abort ---- */

static void end_batch(struct swapwrite *w)
{
	for (u32 i = 0; i < w->nr_segments; i++)
		swapmap_let_go(w->map, w->segments[i].cluster);
	w->nr_segments = w->nr_changes = w->nr_reqs = 0;
	w->bytes = w->count = 0;
}

static void commit(struct swapwrite *w)
{
	pthread_mutex_lock(w->lock);
	for (u32 i = 0; i < w->nr_segments; i++) {
		const struct swap_segment *s = &w->segments[i];

		w->map->clusters[s->cluster].blocks = (u8)(s->first + s->blocks);
	}
	for (u32 i = 0; i < w->nr_changes; i++) {
		const struct swap_change *c = &w->changes[i];

		/* released meanwhile; only this thread gives out its number again */
		if (swapmap_find(w->map, c->number) != c->from)
			continue;
		swapmap_place(w->map, c->number, c->to);
		w->moved += c->from != 0;
	}
	end_batch(w);
	pthread_mutex_unlock(w->lock);
}

static void abort_batch(struct swapwrite *w)
{
	pthread_mutex_lock(w->lock);
	for (u32 i = 0; i < w->nr_changes; i++)
		if (!w->changes[i].from)
			swapmap_drop(w->map, w->changes[i].number);
	/* whatever is wrong with it, the next try goes elsewhere */
	w->open = SWAP_NO_CLUSTER;
	end_batch(w);
	pthread_mutex_unlock(w->lock);
}

/* Write what is packed; @ret is what packing said. */
static int finish(struct swapwrite *w, int ret)
{
	if (!ret && w->count)
		ret = seal(w);
	if (!ret)
		ret = submit(w);
	if (ret)
		abort_batch(w);
	else
		commit(w);
	return ret;
}

/* ---- new objects ---- */

static int add_new(struct swapwrite *w, struct tier_object *object)
{
	u32 number;
	int ret;

	pthread_mutex_lock(w->lock);
	ret = swapmap_new(w->map, &number);
	pthread_mutex_unlock(w->lock);
	if (ret)
		return ret;
	ret = add(w, object->data, object->size, number, 0);
	if (ret) {
		pthread_mutex_lock(w->lock);
		swapmap_drop(w->map, number);
		pthread_mutex_unlock(w->lock);
		return ret;
	}
	object->place = number;
	return 0;
}

int swapwrite_objects(struct swapwrite *w, struct tier_object *objects, u32 n)
{
	int ret = 0;

	w->spare = 1;
	for (u32 i = 0; i < n && !ret; i++)
		ret = add_new(w, &objects[i]);
	return finish(w, ret);
}

/* ---- emptying clusters ---- */

/* The objects of one segment that still live in @cluster go into the batch. */
static int move_segment(struct swapwrite *w, u32 cluster, const u8 *data, const u32 *nos, u32 n)
{
	int ret = 0;

	for (u32 i = 0; i < n && !ret; i++) {
		struct swap_where where;
		swap_loc loc;
		u32 number;

		memcpy(&number, &nos[i], sizeof(number));
		pthread_mutex_lock(w->lock);
		loc = swapmap_find(w->map, number);
		pthread_mutex_unlock(w->lock);
		where = swap_loc_unpack(loc);
		if (loc && where.cluster == cluster)
			ret = add(w, data + where.offset, where.size, number, loc);
	}
	return ret;
}

/*
 * Add what lives in @cluster to the batch. What was read is believed no further than that it names
 * objects: where they are is known from the map. *@walked: it was made sense of to the end.
 */
static int move_cluster(struct swapwrite *w, u32 cluster, bool *walked)
{
	u8 *data = w->buffers + (u64)SWAPIO_DEPTH * SWAP_CLUSTER;
	u32 end = w->map->clusters[cluster].blocks * SWAP_BLOCK;
	int ret = swapio_read(w->io, data, (u64)cluster * SWAP_CLUSTER, end);

	*walked = true;
	if (ret)
		return 0;
	while (!ret && end) {
		struct trailer t;

		memcpy(&t, data + end - sizeof(t), sizeof(t));
		if (!t.blocks || t.blocks > end / SWAP_BLOCK ||
		    t.count > (t.blocks * SWAP_BLOCK - sizeof(t)) / sizeof(u32))
			return 0;
		ret = move_segment(w, cluster, data, numbers(data, end, t.count), t.count);
		end -= t.blocks * SWAP_BLOCK;
	}
	*walked = !ret;
	return ret;
}

/*
 * Choose and hold the clusters to empty, no more than what they hold has room for. One that becomes
 * free meanwhile must not be taken by this very batch.
 */
static u32 choose(struct swapwrite *w, u32 most_bytes, u32 *clusters)
{
	struct swapmap *map = w->map;
	u64 room, need = 0;
	u32 n, i;

	pthread_mutex_lock(w->lock);
	room = (u64)MIN(swapmap_left(map), (u32)SWAP_COMPACT_MOST) * SWAP_CLUSTER;
	n = swapmap_sparse(map, clusters, SWAP_COMPACT_MOST, most_bytes, w->open);
	for (i = 0; i < n; i++) {
		const struct swap_cluster *c = &map->clusters[clusters[i]];

		/* a cluster's tail may stay empty for want of an object that fits */
		need += segment_size(c->live_bytes, c->live) + (u32)PAGE_SIZE;
		if (need > room)
			break;
		swapmap_hold(map, clusters[i]);
	}
	pthread_mutex_unlock(w->lock);
	return i;
}

/*
 * Let go of what choose() held. What could not be emptied is not tried again. Returns the size of
 * what was emptied.
 */
static u64 let_go(struct swapwrite *w, const u32 *clusters, const bool *walked, u32 n)
{
	u64 emptied = 0;

	pthread_mutex_lock(w->lock);
	for (u32 i = 0; i < n; i++) {
		struct swap_cluster *c = &w->map->clusters[clusters[i]];

		c->stuck = c->live && walked[i];
		emptied += walked[i] && !c->live;
		swapmap_let_go(w->map, clusters[i]);
	}
	pthread_mutex_unlock(w->lock);
	return emptied * SWAP_CLUSTER;
}

u64 swapwrite_compact(struct swapwrite *w, u32 most_bytes)
{
	u32 clusters[SWAP_COMPACT_MOST];
	bool walked[SWAP_COMPACT_MOST] = {0};
	u32 n = choose(w, most_bytes, clusters);
	u64 emptied, moved = 0;
	int ret = 0;

	w->spare = 0;
	for (u32 i = 0; i < n && !ret; i++)
		ret = move_cluster(w, clusters[i], &walked[i]);
	for (u32 i = 0; i < w->nr_changes; i++)
		moved += swapmap_cost(swap_loc_unpack(w->changes[i].to).size, 1);
	ret = finish(w, ret);
	if (ret)
		memset(walked, 0, sizeof(walked));
	emptied = let_go(w, clusters, walked, n);
	return emptied > moved ? emptied - moved : 0;
}
