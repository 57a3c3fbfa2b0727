// SPDX-License-Identifier: Apache-2.0
/*
 * The store: put, get, same, refer, drop, and its birth and death. Contract in store.h, an entry's
 * life in impl.h, the layout drawn in docs/store.md.
 *
 * Everything slow happens on a private copy without the lock: a put compresses into its own buffer
 * and copies that in, a get copies out the compressed bytes and decompresses those. So objects can
 * be moved at any time that the lock is held, and nobody needs to wait for a reader to finish.
 */
#include "mm/store/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/inject.h"

/*
 * Beyond 7/8 of a page, compressing saves less than an eighth of what keeping the page costs, and
 * each get pays for it (docs/store.md has the distribution of sizes).
 */
#define THRESHOLD ((u32)PAGE_SIZE * 7 / 8)

static void count(_Atomic u64 *counter, u64 n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static u64 counted(_Atomic u64 *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- Patterns ---- */

static struct codec_sum pattern_sum(u64 value)
{
	return (struct codec_sum){.word = {(u32)value, (u32)(value >> 32)}};
}

static int add_pattern(struct store *store, const struct codec_sum *sum, store_id *id)
{
	int ret = entries_alloc(&store->entries, ENTRY_PATTERN, id);

	if (ret)
		return ret;
	entries_at(&store->entries, *id)->sum = *sum;
	entries_index(&store->entries, *id);
	store->nr_patterns++;
	store_account(store);
	return 0;
}

static int put_pattern(struct store *store, u64 value, store_id *out)
{
	struct codec_sum sum = pattern_sum(value);
	store_id id;
	int ret = 0;

	if (!value) {
		count(&store->zeros, 1);
		*out = store->zero;
		return 0;
	}
	pthread_mutex_lock(&store->lock);
	id = entries_find(&store->entries, &sum, ENTRY_PATTERN);
	if (!id)
		ret = add_pattern(store, &sum, &id);
	if (!ret) {
		entries_at(&store->entries, id)->refs++;
		store->refs++;
		store->pattern_refs++;
		*out = id;
	}
	pthread_mutex_unlock(&store->lock);
	return ret;
}

/* ---- Contents in the pool ---- */

/* One more reference to an entry that exists and holds the same bytes, or STORE_NONE. */
static store_id share(struct store *store, const struct codec_sum *sum, const void *page)
{
	u8 found[PAGE_SIZE], room[PAGE_SIZE];
	struct codec_block block;
	struct entry *e;
	store_id id;

	pthread_mutex_lock(&store->lock);
	id = entries_find(&store->entries, sum, ENTRY_POOL);
	if (id) {
		e = entries_at(&store->entries, id);
		e->refs++; /* it stays while we look */
		e->young = 1;
		store->refs++;
		block = store_describe(e, room);
		store_copy_out(store, e, room);
	}
	pthread_mutex_unlock(&store->lock);
	if (!id)
		return STORE_NONE;
	if (!codec_open(&block, found) && !memcmp(found, page, PAGE_SIZE))
		return id;
	/* Damaged, or the first collision of a 128-bit checksum: either way not to be relied on. */
	store_drop(store, id);
	return STORE_NONE;
}

static int add(struct store *store, const struct codec_sum *sum, const void *data, u32 size,
	       store_id *id)
{
	zpool_loc loc;
	struct entry *e;
	int ret = entries_alloc(&store->entries, ENTRY_POOL, id);

	if (ret)
		return ret;
	ret = zpool_alloc(store->pool, size, &loc);
	if (ret) {
		entries_free(&store->entries, *id);
		return ret;
	}
	memcpy(zpool_ptr(store->pool, loc), data, size);
	e = entries_at(&store->entries, *id);
	e->sum = *sum;
	e->loc = loc;
	e->refs = 1;
	e->young = 1;
	entry_set_size(e, size);
	entries_index(&store->entries, *id);
	store->refs++;
	store->payload_bytes += size;
	if (size == PAGE_SIZE) {
		store->raw++;
		store_push_raw(store, *id);
	} else {
		store->blocks++;
	}
	return 0;
}

/* A new entry: @packed, of @size bytes, or where that is 0 the page as it is. */
static int keep(struct store *store, const struct codec_sum *sum, const void *page,
		const void *packed, u32 size, store_id *id)
{
	store_id added;
	int ret;

	if (!size && store->refuse_raw)
		return -E2BIG;
	pthread_mutex_lock(&store->lock);
	ret = add(store, sum, size ? packed : page, size ? size : (u32)PAGE_SIZE, &added);
	store_account(store);
	pthread_mutex_unlock(&store->lock);
	if (!ret)
		*id = added;
	return ret;
}

static int put_contents(struct store *store, const void *page, store_id *id)
{
	struct codec_sum sum = codec_sum(page);
	u8 packed[PAGE_SIZE];
	store_id shared = share(store, &sum, page);
	u32 size;

	if (shared) {
		*id = shared;
		return 0;
	}
	size = codec_pack(page, packed, store->threshold);
	return keep(store, &sum, page, packed, size, id);
}

/* What compressed to a whole page counts as raw: that is how entries are told apart. */
static int import_contents(struct store *store, const struct codec_block *block, const void *page,
			   store_id *id)
{
	bool packed = block->kind == CODEC_PACKED && block->size < PAGE_SIZE;
	store_id shared = share(store, &block->sum, page);

	if (shared) {
		*id = shared;
		return 0;
	}
	return keep(store, &block->sum, page, block->data, packed ? block->size : 0, id);
}

int store_put(struct store *store, const void *page, store_id *id)
{
	u64 start = now_ns(), value;
	int ret;

	if (inject(INJECT_STORE_MEMORY))
		return -ENOMEM;
	if (codec_pattern(page, &value))
		ret = put_pattern(store, value, id);
	else
		ret = put_contents(store, page, id);
	count(&store->put_ns, now_ns() - start);
	count(&store->puts, 1);
	return ret;
}

int store_import(struct store *store, const struct codec_block *block, store_id *id)
{
	u64 start = now_ns(), value;
	u8 page[PAGE_SIZE];
	int ret;

	if (inject(INJECT_STORE_MEMORY))
		return -ENOMEM;
	ret = codec_open(block, page);
	if (ret)
		return ret;
	if (codec_pattern(page, &value))
		ret = put_pattern(store, value, id);
	else
		ret = import_contents(store, block, page, id);
	count(&store->put_ns, now_ns() - start);
	count(&store->puts, 1);
	return ret;
}

/* ---- Reading ---- */

int store_get(struct store *store, store_id id, void *page)
{
	u64 start = now_ns();
	struct codec_block block;
	u8 room[PAGE_SIZE];
	int ret = store_fetch(store, id, STORE_USE, &block, room);

	/* The last byte of a block is the last byte of the page: this is always noticed. */
	if (!ret && block.size && inject(INJECT_STORE_CORRUPT))
		room[block.size - 1] ^= 1;
	if (!ret)
		ret = codec_open(&block, page);
	count(&store->get_ns, now_ns() - start);
	count(&store->gets, 1);
	return ret;
}

int store_export(struct store *store, store_id id, struct codec_block *block, void *room)
{
	return store_fetch(store, id, STORE_LOOK, block, room);
}

static bool same_pattern(const struct codec_sum *sum, const void *page)
{
	u64 value;

	return codec_pattern(page, &value) && value == pattern_value(sum);
}

/* Compare with an entry that is in the pool or below. */
static bool same_contents(struct store *store, store_id id, const void *page)
{
	struct codec_sum sum = codec_sum(page);
	u8 found[PAGE_SIZE], room[PAGE_SIZE];
	struct codec_block block;
	struct entry *e;
	bool same, below;

	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	block = store_describe(e, room);
	same = codec_sum_equal(&sum, &e->sum);
	below = e->kind == ENTRY_TIER;
	if (same && !below) {
		e->young = 1;
		store_copy_out(store, e, room);
	}
	pthread_mutex_unlock(&store->lock);
	if (!same || below)
		return same;
	return !codec_open(&block, found) && !memcmp(found, page, PAGE_SIZE);
}

bool store_same(struct store *store, store_id id, const void *page)
{
	u64 value;
	bool same;

	if (store_pattern(store, id, &value)) {
		struct codec_sum sum = pattern_sum(value);

		same = same_pattern(&sum, page);
	} else {
		same = same_contents(store, id, page);
	}
	if (same)
		count(&store->kept, 1);
	return same;
}

bool store_pattern(struct store *store, store_id id, u64 *value)
{
	const struct entry *e;
	bool is;

	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	is = e->kind == ENTRY_PATTERN;
	if (is)
		*value = pattern_value(&e->sum);
	pthread_mutex_unlock(&store->lock);
	return is;
}

bool store_is_below(struct store *store, store_id id)
{
	bool is;

	pthread_mutex_lock(&store->lock);
	is = store_entry(store, id)->kind == ENTRY_TIER;
	pthread_mutex_unlock(&store->lock);
	return is;
}

/* ---- More references ---- */

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
		count(&store->zeros, 1);
	} else if (!ref_entry(store, id)) {
		ret = store_get(store, id, page);
		return ret ? ret : store_put(store, page, ref);
	}
	*ref = id;
	return 0;
}

/* ---- Letting go ---- */

/* The last reference went. Returns the place in the tier below that is to be released, or 0. */
static tier_place forget(struct store *store, store_id id, struct entry *e)
{
	tier_place place = 0;

	if (e->kind == ENTRY_TIER) {
		place = entry_place(e);
		store->tier_entries--;
		store->tier_bytes -= entry_size(e);
		entries_free(&store->entries, id);
		return place;
	}
	entries_unindex(&store->entries, id);
	if (e->moving) /* store_demote() has it, and frees it */
		return 0;
	if (e->kind == ENTRY_PATTERN)
		store->nr_patterns--;
	else
		store_leave_pool(store, e);
	entries_free(&store->entries, id);
	return 0;
}

void store_drop(struct store *store, store_id id)
{
	struct tier *tier = store->tier;
	tier_place place = 0;
	struct entry *e;
	u32 size;

	count(&store->drops, 1);
	if (id == store->zero) {
		ASSERT(counted(&store->zeros));
		atomic_fetch_sub_explicit(&store->zeros, 1, memory_order_relaxed);
		return;
	}
	pthread_mutex_lock(&store->lock);
	e = store_entry(store, id);
	size = entry_size(e);
	e->refs--;
	store->refs--;
	if (e->kind == ENTRY_PATTERN)
		store->pattern_refs--;
	if (!e->refs) {
		place = forget(store, id, e);
		store_account(store);
	}
	pthread_mutex_unlock(&store->lock);
	if (place)
		tier->ops->release(tier, place, size);
}

/* ---- Knowing ---- */

void store_get_stats(struct store *store, struct store_stats *stats)
{
	u64 zeros = counted(&store->zeros);

	pthread_mutex_lock(&store->lock);
	*stats = (struct store_stats){
		.pages = store->refs + zeros,
		.patterns = store->pattern_refs + zeros,
		.shared = store->refs - store->pattern_refs - store->blocks - store->raw -
			  store->tier_entries,
		.blocks = store->blocks,
		.raw = store->raw,
		.tier_entries = store->tier_entries,
		.payload_bytes = store->payload_bytes,
		.pool_bytes = zpool_bytes(store->pool),
		.metadata_bytes = store_metadata_bytes(store),
		.tier_bytes = store->tier_bytes,
		.tier_writes = store->tier_writes,
		.compactions = store->compactions,
		.moved = store->moved,
	};
	pthread_mutex_unlock(&store->lock);
	stats->puts = counted(&store->puts);
	stats->gets = counted(&store->gets);
	stats->drops = counted(&store->drops);
	stats->kept = counted(&store->kept);
	stats->put_ns = counted(&store->put_ns);
	stats->get_ns = counted(&store->get_ns);
	stats->tier_reads = counted(&store->tier_reads);
}

/* What an audit adds up. */
struct tally {
	u64 refs, pattern_refs, patterns, blocks, raw, below, payload, below_bytes, indexed;
};

static void audit_entry(struct store *store, const struct entry *e, struct tally *t)
{
	u8 page[PAGE_SIZE], room[PAGE_SIZE];
	struct codec_block block = store_describe(e, room);

	t->refs += e->refs;
	t->indexed += e->refs && e->kind != ENTRY_TIER;
	ASSERT(e->refs || e->moving);
	ASSERT(!e->moving || e->kind == ENTRY_POOL);
	if (e->kind == ENTRY_PATTERN) {
		t->patterns++;
		t->pattern_refs += e->refs;
	} else if (e->kind == ENTRY_TIER) {
		t->below++;
		t->below_bytes += entry_size(e);
	} else {
		*(entry_raw(e) ? &t->raw : &t->blocks) += 1;
		t->payload += entry_size(e);
		store_copy_out(store, e, room);
		ASSERT(!codec_open(&block, page));
	}
}

void store_audit(struct store *store)
{
	struct entries *t = &store->entries;
	struct tally sum = {0};

	pthread_mutex_lock(&store->lock);
	for (entry_id id = entries_next(t, 1); id < entries_end(t); id = entries_next(t, id + 1))
		if (id != store->zero)
			audit_entry(store, entries_at(t, id), &sum);
	ASSERT(sum.refs == store->refs && sum.pattern_refs == store->pattern_refs);
	ASSERT(sum.patterns == store->nr_patterns && sum.below == store->tier_entries);
	ASSERT(sum.blocks == store->blocks && sum.raw == store->raw);
	ASSERT(sum.payload == store->payload_bytes && sum.below_bytes == store->tier_bytes);
	ASSERT(entries_audit(t) == sum.indexed);
	ASSERT(zpool_audit(store->pool) == sum.blocks + sum.raw);
	pthread_mutex_unlock(&store->lock);
}

/* ---- Birth and death ---- */

static void init_locks(struct store *store)
{
	pthread_mutexattr_t attr;

	/* Held for a microsecond at most times: spinning first saves most of the sleeping. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&store->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&store->compact_lock, NULL);
}

int store_create(struct store **out, const struct store_config *cfg, struct err *err)
{
	struct store *store;
	int ret;

	if (cfg->threshold >= PAGE_SIZE)
		return err_set(err, -EINVAL, "store: a threshold of %u is no less than a page",
			       cfg->threshold);
	store = calloc(1, sizeof(*store));
	if (!store)
		return err_set(err, -ENOMEM, "store: out of memory");
	store->threshold = cfg->threshold ? cfg->threshold : THRESHOLD;
	store->refuse_raw = cfg->refuse_raw;
	store->tier = cfg->tier;
	ret = zpool_create(&store->pool, err);
	if (ret)
		goto out_store;
	ret = entries_init(&store->entries);
	if (!ret)
		ret = entries_alloc(&store->entries, ENTRY_PATTERN, &store->zero);
	if (ret) {
		err_set(err, ret, "store: out of memory");
		goto out_pool;
	}
	entries_at(&store->entries, store->zero)->refs = 1;
	init_locks(store);
	store_account(store);
	*out = store;
	return 0;
out_pool:
	zpool_destroy(store->pool);
out_store:
	free(store);
	return ret;
}

void store_set_tier(struct store *store, struct tier *tier)
{
	pthread_mutex_lock(&store->lock);
	ASSERT(!store->tier && !store->blocks);
	store->tier = tier;
	pthread_mutex_unlock(&store->lock);
}

void store_destroy(struct store *store)
{
	if (!store)
		return;
	entries_fini(&store->entries);
	zpool_destroy(store->pool);
	free(store->raws.ids);
	pthread_mutex_destroy(&store->compact_lock);
	pthread_mutex_destroy(&store->lock);
	free(store);
}
