// SPDX-License-Identifier: Apache-2.0
/*
 * The store's entries: what each id stands for, and an index from checksums to entries. The store's
 * lock covers all of it. Private to mm/store/.
 *
 * An entry costs 28 bytes, and the index two more: a chain through the entries hangs from each
 * bucket, and buckets are added and removed one at a time, so that no put ever waits for the table
 * to be rebuilt.
 */
#ifndef QUIRE_MM_STORE_ENTRIES_H
#define QUIRE_MM_STORE_ENTRIES_H

#include "mm/codec/codec.h"
#include "mm/swap/tier.h"

/* Numbers of entries: ids as the store hands them out. 0 is none. */
typedef u32 entry_id;

enum entry_kind {
	ENTRY_FREE,
	ENTRY_PATTERN, /* sum.word[0] and [1] are the value */
	ENTRY_POOL,    /* at loc in the pool */
	ENTRY_TIER,    /* at a place in the tier below */
};

/* References that fit into an entry. Contents with more of them get a second entry. */
#define ENTRY_MAX_REFS UINT16_MAX

/* What has a size of PAGE_SIZE is raw; nothing compressed is that large. */
struct entry {
	struct codec_sum sum;
	u32 loc;  /* ENTRY_POOL: zpool_loc; ENTRY_TIER: low half of its place */
	u32 next; /* in the index, or of free entries; ENTRY_TIER: high half of its place */
	u16 refs;
	u16 size_less_1 : 12;
	u16 kind : 2;	/* enum entry_kind */
	u16 young : 1;	/* put or read since the hand of store_demote() last came by */
	u16 moving : 1; /* being written to the tier below; without references: freed after that */
};

_Static_assert(sizeof(struct entry) == 28, "the price of stored contents");

#define ENTRIES_PER_CHUNK_BITS 11

/* One slot less than a power of two: with the header, 14 pages. */
struct entry_chunk {
	u32 prev, next;	 /* in the list of chunks with room */
	u16 used, fresh; /* in use; first that never was */
	u16 free;	 /* first of those that were, + 1 */
	bool listed;
	struct entry entry[(1 << ENTRIES_PER_CHUNK_BITS) - 1];
};

_Static_assert(sizeof(struct entry_chunk) <= 14 * PAGE_SIZE, "whole pages, all of them used");

struct entries {
	struct entry_chunk **chunk; /* NULL where there is none */
	u32 nr_chunks;		    /* up to the last that is there */
	u32 max_chunks;		    /* room in @chunk */
	u32 roomy;		    /* first chunk with room, or UINT32_MAX */
	u32 nr_used;		    /* entries */
	u64 chunk_bytes;	    /* of chunks, as far as they were touched */
	/* The index, by linear hashing. */
	u32 **segment; /* of buckets */
	u32 max_segments;
	u32 nr_segments;
	u32 nr_buckets;
	u32 round; /* buckets when the present round of splitting began: a power of two */
	u32 nr_indexed;
};

/* -ENOMEM. */
int entries_init(struct entries *t);
void entries_fini(struct entries *t);

/* A new entry, all fields zero but kind, which is what is given. -ENOMEM. */
int entries_alloc(struct entries *t, enum entry_kind kind, entry_id *id);

/* The entry must not be in the index. */
void entries_free(struct entries *t, entry_id id);

/* An id that was handed out. */
static inline struct entry *entries_at(const struct entries *t, entry_id id)
{
	return &t->chunk[id >> ENTRIES_PER_CHUNK_BITS]
			->entry[id & ((1 << ENTRIES_PER_CHUNK_BITS) - 1)];
}

/* Whether @id, which may be stale, is in use; perhaps by something else now. */
static inline bool entries_live(const struct entries *t, entry_id id)
{
	u32 no = id >> ENTRIES_PER_CHUNK_BITS, slot = id & ((1 << ENTRIES_PER_CHUNK_BITS) - 1);

	return no < t->nr_chunks && t->chunk[no] && slot < t->chunk[no]->fresh &&
	       t->chunk[no]->entry[slot].kind != ENTRY_FREE;
}

/* All ids are below this. */
static inline entry_id entries_end(const struct entries *t)
{
	return t->nr_chunks << ENTRIES_PER_CHUNK_BITS;
}

/* The first id from @id on that is in use, or entries_end(). */
entry_id entries_next(const struct entries *t, entry_id id);

/* An entry of this kind and checksum with room for one more reference, or 0. */
entry_id entries_find(const struct entries *t, const struct codec_sum *sum, enum entry_kind kind);
void entries_index(struct entries *t, entry_id id);
void entries_unindex(struct entries *t, entry_id id);

/* Host memory. */
u64 entries_bytes(const struct entries *t);

/* Walk the index; asserts. Returns the number of entries in it. */
u32 entries_audit(const struct entries *t);

static inline u32 entry_size(const struct entry *e)
{
	return e->size_less_1 + 1u;
}

static inline bool entry_raw(const struct entry *e)
{
	return entry_size(e) == PAGE_SIZE;
}

static inline void entry_set_size(struct entry *e, u32 size)
{
	e->size_less_1 = (size - 1) & 0xfff;
}

static inline tier_place entry_place(const struct entry *e)
{
	return (u64)e->next << 32 | e->loc;
}

static inline void entry_set_place(struct entry *e, tier_place place)
{
	e->loc = (u32)place;
	e->next = (u32)(place >> 32);
}

#endif
