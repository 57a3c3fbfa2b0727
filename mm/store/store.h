// SPDX-License-Identifier: Apache-2.0
/*
 * The store: where the contents of pages are that are not in guest memory. It knows contents, not
 * pages: a caller gives 4096 bytes and gets an id, and gives the id back to have the same bytes
 * again, or to let go of them.
 *
 * What an id stands for, cheapest first:
 *
 *	pattern   one 8-byte value repeated 512 times (all zeros is one of them): no space
 *	shared    the same contents as an entry that exists: one more reference to it
 *	block     compressed (mm/codec), in the pool (zpool.h)
 *	raw       4096 bytes as they are, in the pool: they did not compress
 *	tier      moved on to the tier below (mm/swap/tier.h), as compressed or raw as they were
 *
 * Always true: an entry's checksum is the XXH3-128 of the page's contents, it is verified whenever
 * the contents come back, and a mismatch is -EBADMSG, never wrong data. Two ids are shared only
 * after their bytes were compared.
 *
 * Thread-safe: everything here may be called from any thread. The store's lock is taken last (after
 * the engine's) and is not held while compressing, decompressing, or waiting for the tier.
 *
 * The face of mm/store/, which owns contents, their sharing and the memory that they take. It uses
 * mm/base, mm/codec, and mm/swap by its interface alone (mm/swap/tier.h). Begin here and with the
 * drawing of an entry's life in impl.h; docs/store.md has the layout. From below to above:
 *
 *	zpool.c		memory for objects of odd sizes
 *	entries.c	entries, and the index from checksums to them
 *	core.c, raws.c	one entry; the queue of those that did not compress
 *	store.c		put, get, same, refer, drop
 *	demote.c	memory is given back: to the tier below, and by compaction
 */
#ifndef QUIRE_MM_STORE_STORE_H
#define QUIRE_MM_STORE_STORE_H

#include "mm/base/base.h"
#include "mm/codec/codec.h"
#include "mm/base/err.h"

struct store;
struct tier;

/* One reference to stored contents. 0 is none. */
typedef u32 store_id;
#define STORE_NONE ((store_id)0)

struct store_config {
	/*
	 * A compressed page larger than this is kept raw: decompressing would save too little. In
	 * bytes; 0 means the default.
	 */
	u32 threshold;
	struct tier *tier; /* the tier below, or NULL: none, or not yet */
	bool refuse_raw;   /* store_put() gives -E2BIG for what does not compress */
};

/* A snapshot of counters. Bytes are of host memory unless they say otherwise. */
struct store_stats {
	u64 pages;		     /* references handed out: pages whose contents are here */
	u64 patterns;		     /* of them, repeated values */
	u64 shared;		     /* of them, references beyond the first to the same entry */
	u64 blocks, raw;	     /* entries in the pool, by kind */
	u64 tier_entries;	     /* entries in the tier below */
	u64 payload_bytes;	     /* sum of the sizes of blocks and raw pages in the pool */
	u64 pool_bytes;		     /* host memory that the pool holds, waste included */
	u64 metadata_bytes;	     /* entries, hash table, pool bookkeeping */
	u64 tier_bytes;		     /* payload in the tier below */
	u64 puts, gets, drops, kept; /* operations; kept: puts answered by store_same() */
	u64 tier_writes, tier_reads; /* entries moved down, entries fetched from below */
	u64 compactions, moved;	     /* slabs emptied, objects moved for it */
	u64 put_ns, get_ns;	     /* time spent, summed */
};

int store_create(struct store **out, const struct store_config *cfg, struct err *err);

/* A store that has none gets a tier, before the first store_put(). */
void store_set_tier(struct store *store, struct tier *tier);

/* Every id dies with it. NULL is allowed. */
void store_destroy(struct store *store);

/*
 * Store the 4096 bytes at @page. On success *@id is a new reference. -ENOMEM: the host has no
 * memory left for it; nothing changed. -E2BIG: it does not compress and refuse_raw is set. The page
 * is not modified and must not change meanwhile.
 */
int store_put(struct store *store, const void *page, store_id *id);

/*
 * Contents come in as they are kept elsewhere (store_export()). They are opened, to verify them and
 * to find out whether the same are here: then they are shared. Otherwise a packed block goes into
 * the pool as it is, whatever the threshold, and a raw one raw. The same errors as store_put(), and
 * -EBADMSG: it is no block of a page, or has another checksum.
 */
int store_import(struct store *store, const struct codec_block *block, store_id *id);

/*
 * Whether @id stands for exactly the bytes at @page: checksum first, then the comparison. An
 * answer of false may also mean that it was not worth finding out (the contents lie in the tier
 * below and only the checksum is at hand and equal: then true is given on the strength of the
 * 128-bit checksum of bytes that this store itself wrote).
 */
bool store_same(struct store *store, store_id id, const void *page);

/*
 * Read the contents of @id into the 4096 bytes at @page. The reference stays. May wait for the tier
 * below. -EBADMSG: the checksum does not match, @page holds garbage. Another -errno: the tier below
 * cannot be read.
 */
int store_get(struct store *store, store_id id, void *page);

/* Whether @id is a repeated value; *@value is set if so. Never waits. */
bool store_pattern(struct store *store, store_id id, u64 *value);

static inline bool store_is_zeros(struct store *store, store_id id)
{
	u64 value;

	return store_pattern(store, id, &value) && !value;
}

/* Whether store_get() of @id would wait for the tier below. */
bool store_is_below(struct store *store, store_id id);

/* Let go of one reference. */
void store_drop(struct store *store, store_id id);

/*
 * One more reference to the contents that @id stands for, to be dropped like any other; @id must
 * not be dropped meanwhile. *@ref is the same id, at the price of a lock and without waiting. Only
 * when as many references as an entry can count (65535) stand for the contents already, they are
 * read and stored again under another id, at the price and with the errors of store_get() and
 * store_put(), and *@ref is that. Nothing changed on an error.
 */
int store_ref(struct store *store, store_id id, store_id *ref);

/*
 * The contents of @id as they are kept, not decompressed: @block says what they are, and its size
 * in bytes is copied to @room, which has space for a page. Contents in the tier below are read from
 * there and stay there, and nothing becomes younger by it. The checksum is not verified: that is
 * for whoever unpacks the block. The reference stays. May wait for the tier below; -errno when that
 * cannot be read, then @block and @room hold garbage.
 */
int store_export(struct store *store, store_id id, struct codec_block *block, void *room);

/* Host memory held: pool and metadata. Cheap: called on every fault. */
u64 store_bytes(struct store *store);

/*
 * Move entries to the tier below: those that did not compress first, then those that were neither
 * put nor read for longest (second chance), until their sizes come to @bytes or nothing more can be
 * moved. Returns the bytes of host memory that were given back; they may be fewer, where what went
 * has left holes that are not worth compacting yet but will be filled by what is put next. -ENODEV
 * without a tier, -ENOMEM; when nothing could be written, -ENOSPC if the tier is full, -EIO or
 * another -errno of its. An entry that could not be written stays where it was. One caller at a
 * time.
 */
s64 store_demote(struct store *store, u64 bytes);

/*
 * Give sparsely used pool memory back to the host, if there is enough of it to be worth a walk over
 * all entries. Returns bytes freed. While another thread is at it, does nothing.
 */
u64 store_compact(struct store *store);

void store_get_stats(struct store *store, struct store_stats *stats);

/* For tests and the switch that checks everything: walk all entries; asserts on a broken one. */
void store_audit(struct store *store);

#endif
