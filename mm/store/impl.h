// SPDX-License-Identifier: Apache-2.0
/*
 * What core.c, raws.c, store.c and demote.c share. Private to mm/store/.
 *
 * Locks: the lock covers everything that is not marked otherwise. The compaction's lock is taken
 * before it and keeps a second compaction away. The tier is called without either.
 *
 * An entry's life, all moves under the lock:
 *
 *	            put                   demote: copied             written
 *	(nothing) ------> POOL, indexed ------------> POOL, moving ---------> TIER, not indexed
 *	                    |      ^                      |    |                     |
 *	                    | drop +----------------------+    | drop                | drop
 *	                    v             not written          v                     v
 *	                  free             POOL, moving, refs 0, not indexed       free, place
 *	                                   ------ written or not -----> free       released
 *
 * An entry in the tier is not in the index: to share it, its bytes would have to be read for the
 * comparison. The same contents put again become a new entry.
 */
#ifndef QUIRE_MM_STORE_IMPL_H
#define QUIRE_MM_STORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/store/entries.h"
#include "mm/store/store.h"
#include "mm/store/zpool.h"

/* Entries that were raw when put, oldest first; some are gone or something else by now. */
struct raw_queue {
	entry_id *ids; /* a ring; max is 0 or a power of two */
	u32 first, nr, max;
};

struct store {
	u32 threshold;
	bool refuse_raw;
	struct tier *tier;
	store_id zero;	   /* always there, never counted by references but by @zeros */
	_Atomic u64 bytes; /* host memory; written under the lock */
	_Atomic u64 zeros, puts, gets, drops, kept, put_ns, get_ns, tier_reads;
	pthread_mutex_t compact_lock;
	pthread_mutex_t lock;
	struct zpool *pool;
	struct entries entries;
	struct raw_queue raws;
	entry_id hand; /* of store_demote() */
	u64 refs;      /* references to patterns and to others, zeros not counted */
	u64 pattern_refs, nr_patterns;
	u64 blocks, raw, tier_entries, payload_bytes, tier_bytes;
	u64 tier_writes, compactions, moved;
};

/* What a pattern repeats: kept where other entries have their checksum. */
static inline u64 pattern_value(const struct codec_sum *sum)
{
	return (u64)sum->word[1] << 32 | sum->word[0];
}

/* The entry's contents, whose bytes are in @room, or will be. With the lock. */
static inline struct codec_block store_describe(const struct entry *e, const void *room)
{
	if (e->kind == ENTRY_PATTERN)
		return (struct codec_block){
			.kind = CODEC_PATTERN,
			.value = pattern_value(&e->sum),
		};
	return (struct codec_block){
		.kind = entry_raw(e) ? CODEC_RAW : CODEC_PACKED,
		.size = entry_size(e),
		.sum = e->sum,
		.data = room,
	};
}

/* ---- core.c ---- */

/* Whether reading contents makes them younger (store_demote()). */
enum store_use { STORE_USE, STORE_LOOK };

/* Entries, hash table, pool bookkeeping and the queue. With the lock. */
u64 store_metadata_bytes(struct store *store);

/* Bring store->bytes up to date. With the lock. */
void store_account(struct store *store);

/* An id from a caller: it must have been handed out, or it is our own fault. With the lock. */
struct entry *store_entry(struct store *store, store_id id);

/* Copy an entry's bytes out of the pool. With the lock. */
void store_copy_out(struct store *store, const struct entry *e, void *data);

/* The entry leaves the pool. With the lock. */
void store_leave_pool(struct store *store, struct entry *e);

/* store_export(), but for @use: whether it counts as a use of the contents. Takes the lock. */
int store_fetch(struct store *store, store_id id, enum store_use use, struct codec_block *block,
		void *room);

/* ---- raws.c ---- */

/*
 * Remember a raw entry for store_demote(), or not where memory is short: then the hand finds it.
 * With the lock.
 */
void store_push_raw(struct store *store, entry_id id);

/* The oldest that can be moved down, forgotten from now on; STORE_NONE. With the lock. */
entry_id store_pop_raw(struct store *store);

#endif
