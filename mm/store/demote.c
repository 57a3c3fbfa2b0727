// SPDX-License-Identifier: Apache-2.0
/*
 * The store gives memory back: entries go down to the tier below, and the pool is compacted.
 * Contract in store.h, an entry's life in impl.h.
 *
 * Which entries go: those that were raw, in the order in which they were put, because a raw page
 * takes most and gains nothing by being here. Then, by a hand that goes round over all entries,
 * those that were neither put nor read since the hand last came by (second chance).
 *
 * How they go: in groups, because that is what a device is fast at. A group's bytes are copied out
 * under the lock and written without it; meanwhile the entries are marked as moving and are read
 * from the pool as before. Only when they are written do they leave it.
 */
#include "mm/store/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A group: as much as is written at a time. */
#define GROUP_BYTES   (256 * KiB)
#define GROUP_OBJECTS 1024u

/* Work under the lock at a time: bytes copied, entries looked at, entries freed or moved. */
#define COPY_AT_ONCE (64 * KiB)
#define LOOK_AT_ONCE 1024u
#define MOVE_AT_ONCE 64u

/* Below this share of the pool, and this many bytes, looking for holes costs more than they do. */
#define WORTH_SHARE 64
#define WORTH_BYTES (64 * KiB)

struct group {
	u32 n;
	u64 bytes;
	entry_id ids[GROUP_OBJECTS];
	struct tier_object objects[GROUP_OBJECTS];
	u8 data[GROUP_BYTES];
};

/* ---- Collecting a group ---- */

static bool has_room(const struct group *g)
{
	return g->n < GROUP_OBJECTS && g->bytes + PAGE_SIZE <= GROUP_BYTES;
}

static void take(struct store *store, struct group *g, entry_id id)
{
	struct entry *e = entries_at(&store->entries, id);
	u8 *data = g->data + g->bytes;

	e->moving = 1;
	store_copy_out(store, e, data);
	g->ids[g->n] = id;
	g->objects[g->n++] = (struct tier_object){.data = data, .size = entry_size(e)};
	g->bytes += entry_size(e);
}

static void take_raws(struct store *store, struct group *g, u64 until)
{
	entry_id id;

	while (g->bytes < until && has_room(g) && (id = store_pop_raw(store)))
		take(store, g, id);
}

/* Move the hand over some entries. Returns how many places it went. */
static u64 take_old(struct store *store, struct group *g, u64 until)
{
	struct entries *t = &store->entries;
	entry_id end = entries_end(t), from = store->hand < end ? store->hand : 0, id = from;

	for (u32 i = 0; i < LOOK_AT_ONCE && g->bytes < until && has_room(g); i++) {
		struct entry *e;

		id = entries_next(t, id);
		if (id == end)
			break;
		e = entries_at(t, id);
		if (e->kind == ENTRY_POOL && e->refs && !e->moving && !e->young)
			take(store, g, id);
		e->young = 0;
		id++;
	}
	store->hand = id < end ? id : 0;
	return id - from;
}

/* Up to @want bytes. The hand goes round at most twice: then no entry is young any more. */
static void collect(struct store *store, struct group *g, u64 want, u64 *looked)
{
	bool more = true;

	g->n = 0;
	g->bytes = 0;
	want = MIN(want, GROUP_BYTES);
	while (more && g->bytes < want && has_room(g)) {
		u64 until = MIN(want, g->bytes + COPY_AT_ONCE);

		pthread_mutex_lock(&store->lock);
		take_raws(store, g, until);
		if (g->bytes < until) {
			more = *looked <= 2 * (u64)entries_end(&store->entries);
			*looked += take_old(store, g, until) + 1;
		}
		pthread_mutex_unlock(&store->lock);
	}
}

/* ---- After writing ---- */

/* The entry at @i is below now, or stays. Its object's place is left set if it must be released. */
static void settle(struct store *store, struct group *g, u32 i, bool written)
{
	struct tier_object *object = &g->objects[i];
	struct entry *e = entries_at(&store->entries, g->ids[i]);

	e->moving = 0;
	if (!e->refs) { /* dropped meanwhile */
		store_leave_pool(store, e);
		entries_free(&store->entries, g->ids[i]);
		if (!written)
			object->place = 0;
		return;
	}
	if (!written) {
		if (entry_raw(e))
			store_push_raw(store, g->ids[i]);
		object->place = 0;
		return;
	}
	entries_unindex(&store->entries, g->ids[i]);
	store_leave_pool(store, e);
	e->kind = ENTRY_TIER;
	entry_set_place(e, object->place);
	object->place = 0;
	store->tier_entries++;
	store->tier_bytes += object->size;
	store->tier_writes++;
}

/* Returns the bytes of host memory that it gave back. */
static u64 settle_all(struct store *store, struct group *g, bool written)
{
	u64 before, freed = 0;

	for (u32 i = 0; i < g->n;) {
		pthread_mutex_lock(&store->lock);
		before = store_bytes(store);
		for (u32 end = MIN(i + MOVE_AT_ONCE, g->n); i < end; i++)
			settle(store, g, i, written);
		store_account(store);
		freed += before - MIN(before, store_bytes(store));
		pthread_mutex_unlock(&store->lock);
	}
	for (u32 i = 0; i < g->n; i++)
		if (g->objects[i].place)
			store->tier->ops->release(store->tier, g->objects[i].place,
						  g->objects[i].size);
	return freed;
}

static s64 demote(struct store *store, struct group *g, u64 bytes)
{
	u64 freed = 0, written = 0, looked = 0;
	int ret = 0;

	while (written < bytes) {
		collect(store, g, bytes - written, &looked);
		if (!g->n)
			break;
		ret = store->tier->ops->write(store->tier, g->objects, g->n);
		freed += settle_all(store, g, !ret);
		if (ret)
			break;
		written += g->bytes;
	}
	/* What went has left holes: perhaps enough of them to move the rest together. */
	if (freed < bytes)
		freed += store_compact(store);
	return ret && !written ? ret : (s64)freed;
}

s64 store_demote(struct store *store, u64 bytes)
{
	struct group *g;
	s64 ret;

	if (!store->tier)
		return -ENODEV;
	/* Not kept between calls, which would make it part of what the store costs. */
	g = mmap(NULL, sizeof(*g), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g == MAP_FAILED)
		return -ENOMEM;
	ret = demote(store, g, bytes);
	munmap(g, sizeof(*g));
	return ret;
}

/* ---- Compaction ---- */

static bool compact_begin(struct store *store)
{
	u64 gain, bytes;

	pthread_mutex_lock(&store->lock);
	gain = zpool_compactable(store->pool);
	bytes = zpool_bytes(store->pool);
	pthread_mutex_unlock(&store->lock);
	if (gain < WORTH_BYTES || gain < bytes / WORTH_SHARE)
		return false;
	for (u32 i = 0; i < zpool_nr_classes(store->pool); i++) {
		pthread_mutex_lock(&store->lock);
		zpool_compact_begin(store->pool, i);
		pthread_mutex_unlock(&store->lock);
	}
	return true;
}

/* Move what must move among the entries from @id on. Returns where to go on. */
static entry_id move_some(struct store *store, entry_id id)
{
	struct entries *t = &store->entries;
	u32 moved = 0;

	for (u32 i = 0; i < LOOK_AT_ONCE && moved < MOVE_AT_ONCE; i++) {
		struct entry *e;

		id = entries_next(t, id);
		if (id == entries_end(t))
			break;
		e = entries_at(t, id++);
		if (e->kind == ENTRY_POOL && zpool_must_move(store->pool, e->loc))
			moved += !zpool_move(store->pool, &e->loc);
	}
	store->moved += moved;
	return id;
}

u64 store_compact(struct store *store)
{
	u64 before, freed = 0;
	entry_id id = 1;
	bool more = true;

	if (pthread_mutex_trylock(&store->compact_lock))
		return 0;
	if (!compact_begin(store))
		goto out;
	while (more) {
		pthread_mutex_lock(&store->lock);
		before = store_bytes(store);
		id = move_some(store, id);
		more = id < entries_end(&store->entries);
		store_account(store);
		freed += before - store_bytes(store);
		pthread_mutex_unlock(&store->lock);
	}
	for (u32 i = 0; i < zpool_nr_classes(store->pool); i++) {
		pthread_mutex_lock(&store->lock);
		before = store_bytes(store);
		zpool_compact_end(store->pool, i);
		store_account(store);
		freed += before - store_bytes(store);
		pthread_mutex_unlock(&store->lock);
	}
	store->compactions++;
out:
	pthread_mutex_unlock(&store->compact_lock);
	return freed;
}
