// SPDX-License-Identifier: Apache-2.0
/*
 * The queue of entries that did not compress, in the order in which they were put: the first to go
 * to the tier below. Contracts in impl.h; all with the store's lock.
 *
 * Always true: each raw entry that is in the pool and not moving is in the queue, but for those
 * that found no memory for it, or no tier yet. Entries are not taken out when they die, so what is
 * in it may be stale: it is looked at again when it is popped.
 */
#include "mm/store/impl.h"

#include <stdlib.h>

/* Whether a raw entry can be taken; @id may be stale. */
static bool is_raw(const struct store *store, entry_id id)
{
	const struct entry *e;

	if (!entries_live(&store->entries, id))
		return false;
	e = entries_at(&store->entries, id);
	return e->kind == ENTRY_POOL && entry_raw(e) && e->refs && !e->moving;
}

static entry_id queue_pop(struct raw_queue *q)
{
	entry_id id;

	ASSERT(q->nr && q->nr <= q->max);
	id = q->ids[q->first];
	q->first = (q->first + 1) & (q->max - 1);
	q->nr--;
	return id;
}

/* Make room: first by forgetting what is stale, then by twice as much memory. */
static bool queue_grow(struct store *store)
{
	struct raw_queue *q = &store->raws, bigger = {.max = q->max ? q->max * 2 : 256};

	for (u32 left = q->nr; left; left--) {
		entry_id id = queue_pop(q);

		if (is_raw(store, id))
			q->ids[(q->first + q->nr++) & (q->max - 1)] = id;
	}
	if (q->nr < q->max / 2)
		return true;
	bigger.ids = malloc(bigger.max * sizeof(entry_id));
	if (!bigger.ids)
		return false;
	while (q->nr)
		bigger.ids[bigger.nr++] = queue_pop(q);
	free(q->ids);
	*q = bigger;
	return true;
}

void store_push_raw(struct store *store, entry_id id)
{
	struct raw_queue *q = &store->raws;

	if (!store->tier || (q->nr == q->max && !queue_grow(store)))
		return;
	q->ids[(q->first + q->nr++) & (q->max - 1)] = id;
}

entry_id store_pop_raw(struct store *store)
{
	while (store->raws.nr) {
		entry_id id = queue_pop(&store->raws);

		if (is_raw(store, id))
			return id;
	}
	return STORE_NONE;
}
