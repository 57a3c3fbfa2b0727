// SPDX-License-Identifier: Apache-2.0
/*
 * What all parts of the store do with one entry: find it, copy its bytes out, take it out of the
 * pool, and account for the host memory. Contracts in impl.h.
 *
 * All contents that come back go through store_fetch(): from the pool under the lock, from the tier
 * below without it. Any thread.
 */
#include "mm/store/impl.h"

#include <string.h>

u64 store_metadata_bytes(struct store *store)
{
	return sizeof(*store) + entries_bytes(&store->entries) + zpool_metadata_bytes(store->pool) +
	       store->raws.max * sizeof(entry_id);
}

void store_account(struct store *store)
{
	atomic_store_explicit(&store->bytes, zpool_bytes(store->pool) + store_metadata_bytes(store),
			      memory_order_relaxed);
}

u64 store_bytes(struct store *store)
{
	return atomic_load_explicit(&store->bytes, memory_order_relaxed);
}

struct entry *store_entry(struct store *store, store_id id)
{
	struct entry *e;

	ASSERT(id && entries_live(&store->entries, id));
	e = entries_at(&store->entries, id);
	ASSERT(e->refs);
	return e;
}

void store_copy_out(struct store *store, const struct entry *e, void *data)
{
	memcpy(data, zpool_ptr(store->pool, e->loc), entry_size(e));
}

void store_leave_pool(struct store *store, struct entry *e)
{
	ASSERT(e->kind == ENTRY_POOL && !e->moving);
	zpool_free(store->pool, e->loc);
	store->payload_bytes -= entry_size(e);
	if (entry_raw(e))
		store->raw--;
	else
		store->blocks--;
}

int store_fetch(struct store *store, store_id id, enum store_use use, struct codec_block *block,
		void *room)
{
	struct tier *tier = store->tier;
	tier_place place = 0;
	struct entry *e;
	int ret;

	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	if (use == STORE_USE)
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
