// SPDX-License-Identifier: Apache-2.0
/*
 * The store: contents as they are kept, and more references to them, for whoever copies a guest
 * and not only its pages. Contract in store.h.
 *
 * All reading goes through store_fetch(): store_get() decompresses what it gives.
 */
#include "mm/store/impl.h"

int store_fetch(struct store *store, store_id id, bool use, struct codec_block *block, void *room)
{
	struct tier *tier = store->tier;
	tier_place place = 0;
	struct entry *e;
	int ret;

	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	if (use)
		e->young = 1;
	*block = store_describe(e, room);
	if (e->kind == ENTRY_POOL)
		store_copy_out(store, e, room);
	else if (e->kind == ENTRY_TIER)
		place = entry_place(e);
	pthread_mutex_unlock(&store->lock);
	if (!place)
		return 0;
	/* The caller's reference keeps it there. */
	ret = tier->ops->read(tier, place, room, block->size);
	atomic_fetch_add_explicit(&store->tier_reads, 1, memory_order_relaxed);
	return ret;
}

int store_export(struct store *store, store_id id, struct codec_block *block, void *room)
{
	return store_fetch(store, id, false, block, room);
}

/* One more reference to the entry itself, if it can count it. */
static bool ref_entry(struct store *store, store_id id)
{
	struct entry *e;
	bool room;

	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	room = e->refs < ENTRY_MAX_REFS;
	if (room) {
		e->refs++;
		store->refs++;
		if (e->kind == ENTRY_PATTERN)
			store->pattern_refs++;
	}
	pthread_mutex_unlock(&store->lock);
	return room;
}

int store_ref(struct store *store, store_id id, store_id *ref)
{
	u8 page[PAGE_SIZE];
	int ret;

	if (id == store->zero) {
		atomic_fetch_add_explicit(&store->zeros, 1, memory_order_relaxed);
	} else if (!ref_entry(store, id)) {
		ret = store_get(store, id, page);
		return ret ? ret : store_put(store, page, ref);
	}
	*ref = id;
	return 0;
}
