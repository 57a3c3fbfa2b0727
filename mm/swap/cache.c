// SPDX-License-Identifier: Apache-2.0
/*
 * Windows onto the swap file. Contract in cache.h.
 *
 * Always true: a window that is not loading shows what the cluster holds. Blocks that hold objects
 * are never written again before the cluster was free, and a cluster that is taken from the free
 * ones is forgotten here first.
 */
#include "mm/swap/cache.h"

#include <string.h>

void swapcache_init(struct swapcache *c, pthread_mutex_t *lock, struct swapmap *map,
		    struct swapio *io, u8 *buffers)
{
	*c = (struct swapcache){.lock = lock, .map = map, .io = io};
	for (u32 i = 0; i < SWAP_WINDOWS; i++)
		c->windows[i] = (struct swap_window){.cluster = SWAP_NO_CLUSTER,
						     .data = buffers + (u64)i * SWAP_CLUSTER};
	pthread_cond_init(&c->loaded, NULL);
}

void swapcache_fini(struct swapcache *c)
{
	for (u32 i = 0; i < SWAP_WINDOWS; i++)
		ASSERT(!c->windows[i].loading); /* nobody reads any more */
	pthread_cond_destroy(&c->loaded);
}

void swapcache_forget(struct swapcache *c, u32 cluster)
{
	for (u32 i = 0; i < SWAP_WINDOWS; i++)
		if (c->windows[i].cluster == cluster) {
			ASSERT(!c->windows[i].loading);
			c->windows[i].cluster = SWAP_NO_CLUSTER;
		}
}

/* The window that shows the object, or will when it is loaded. */
static struct swap_window *showing(struct swapcache *c, const struct swap_where *where)
{
	for (u32 i = 0; i < SWAP_WINDOWS; i++) {
		struct swap_window *w = &c->windows[i];

		if (w->cluster == where->cluster && where->offset >= w->offset &&
		    where->offset + where->size <= w->offset + w->size)
			return w;
	}
	return NULL;
}

/*
 * The window to load into: one of the same cluster, since more of it is wanted, else the one not
 * used for longest. NULL while all are loading. *@again: the cluster was asked for
 * lately.
 */
static struct swap_window *pick(struct swapcache *c, u32 cluster, bool *again)
{
	struct swap_window *best = NULL;

	*again = false;
	for (u32 i = 0; i < SWAP_WINDOWS; i++) {
		struct swap_window *w = &c->windows[i];

		*again |= w->cluster == cluster;
		if (w->loading)
			continue;
		if (w->cluster == cluster)
			return w;
		if (!best || w->used < best->used)
			best = w;
	}
	return best;
}

/* Fill @w with what holds the object, or with all of its cluster. Lets go of the lock meanwhile. */
static int load(struct swapcache *c, struct swap_window *w, const struct swap_where *where,
		bool whole)
{
	u32 start = where->offset & ~(SWAP_BLOCK - 1);
	u32 end = (u32)align_up(where->offset + where->size, SWAP_BLOCK);
	int ret;

	w->cluster = where->cluster;
	w->offset = whole ? 0 : start;
	w->size = whole ? c->map->clusters[w->cluster].blocks * SWAP_BLOCK : end - start;
	w->loading = true;
	swapmap_hold(c->map, w->cluster);
	pthread_mutex_unlock(c->lock);
	ret = swapio_read(c->io, w->data, (u64)w->cluster * SWAP_CLUSTER + w->offset, w->size);
	pthread_mutex_lock(c->lock);
	swapmap_let_go(c->map, w->cluster);
	w->loading = false;
	if (ret)
		w->cluster = SWAP_NO_CLUSTER;
	pthread_cond_broadcast(&c->loaded);
	return ret;
}

/* A window that shows the object, loaded. *@where: the object's place in it. */
static int show(struct swapcache *c, u32 number, struct swap_where *where, struct swap_window **out)
{
	for (;;) {
		swap_loc loc = swapmap_find(c->map, number);
		struct swap_window *w;
		bool again;

		ASSERT(loc);
		*where = swap_loc_unpack(loc);
		w = showing(c, where);
		if (!w) {
			w = pick(c, where->cluster, &again);
			if (w) {
				*out = w;
				return load(c, w, where, again);
			}
		} else if (!w->loading) {
			*out = w;
			return 0;
		}
		/* afterwards look again: the object may have been moved meanwhile */
		pthread_cond_wait(&c->loaded, c->lock);
	}
}

int swapcache_read(struct swapcache *c, u32 number, void *data, u32 size)
{
	struct swap_where where;
	struct swap_window *w;
	int ret;

	pthread_mutex_lock(c->lock);
	ret = show(c, number, &where, &w);
	if (!ret) {
		ASSERT(where.size == size);
		memcpy(data, w->data + (where.offset - w->offset), size);
		w->used = ++c->now;
	}
	pthread_mutex_unlock(c->lock);
	return ret;
}
