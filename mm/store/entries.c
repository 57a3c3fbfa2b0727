// SPDX-License-Identifier: Apache-2.0
/*
 * Entries of the store. Contract in entries.h.
 *
 *	chunk[]    +----+----+----+         segment[]  +----+----+
 *	           |    |    |NULL|                    |    |    |     1024 buckets each
 *	           +-|--+-|--+----+                    +-|--+-|--+
 *	             v    v                              v    v
 *	           2047 entries      <---- entry_id ---- [ ] [ ] ...
 *	           and a header      ---- next, next, 0
 *
 * Always true:
 *   1. Entries never move. A chunk exists while one of its entries is in use; the last one with
 *      room stays, so that one entry coming and going does not map and unmap it each time.
 *   2. Indexed entries are in the bucket of their checksum, each once. There are at most LOAD of
 *      them for each bucket on average, and, above one segment, at least LOAD / 4.
 *   3. Buckets below nr_buckets - round, and from round on, are addressed by one more bit of the
 *      hash than the others (linear hashing: W. Litwin, 1980).
 */
#include "mm/store/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NONE	      UINT32_MAX
#define CHUNK_BYTES   (14 * PAGE_SIZE)
#define CHUNK_ENTRIES ((1u << ENTRIES_PER_CHUNK_BITS) - 1)
#define MAX_CHUNKS    (1u << (32 - ENTRIES_PER_CHUNK_BITS))

#define SEGMENT_BITS 10
#define SEGMENT	     (1u << SEGMENT_BITS)

/* Entries for each bucket. One costs 4 bytes for each entry, four a cache miss more on each put. */
#define LOAD 2

/* ---- Chunks ---- */

/* How much of a chunk takes memory: entries are used from the lowest up. */
static u64 touched_bytes(const struct entry_chunk *chunk)
{
	return align_up(offsetof(struct entry_chunk, entry) +
				chunk->fresh * sizeof(chunk->entry[0]),
			PAGE_SIZE);
}

static void chunk_list(struct entries *t, u32 no)
{
	struct entry_chunk *chunk = t->chunk[no];

	chunk->listed = true;
	chunk->prev = NONE;
	chunk->next = t->roomy;
	if (chunk->next != NONE)
		t->chunk[chunk->next]->prev = no;
	t->roomy = no;
}

static void chunk_unlist(struct entries *t, u32 no)
{
	struct entry_chunk *chunk = t->chunk[no];

	chunk->listed = false;
	if (chunk->prev == NONE)
		t->roomy = chunk->next;
	else
		t->chunk[chunk->prev]->next = chunk->next;
	if (chunk->next != NONE)
		t->chunk[chunk->next]->prev = chunk->prev;
}

/* Room for one more pointer in a directory: pointers only are copied, 8 bytes for each chunk. */
static void *directory_grow(void *dir, u32 used, u32 *max)
{
	u32 more = *max ? *max * 2 : 16;
	void *bigger;

	if (used < *max)
		return dir;
	bigger = realloc(dir, more * sizeof(void *));
	if (bigger)
		*max = more;
	return bigger;
}

static int chunk_create(struct entries *t)
{
	struct entry_chunk *chunk, **dir;
	u32 no = 0;

	while (no < t->nr_chunks && t->chunk[no])
		no++;
	dir = no < MAX_CHUNKS ? directory_grow(t->chunk, no, &t->max_chunks) : NULL;
	if (!dir)
		return -ENOMEM;
	t->chunk = dir;
	chunk = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return -ENOMEM;
	t->chunk[no] = chunk;
	t->nr_chunks = MAX(t->nr_chunks, no + 1);
	t->chunk_bytes += touched_bytes(chunk);
	chunk_list(t, no);
	return 0;
}

static void chunk_destroy(struct entries *t, u32 no)
{
	if (t->chunk[no]->listed)
		chunk_unlist(t, no);
	t->chunk_bytes -= touched_bytes(t->chunk[no]);
	munmap(t->chunk[no], CHUNK_BYTES);
	t->chunk[no] = NULL;
	while (t->nr_chunks && !t->chunk[t->nr_chunks - 1])
		t->nr_chunks--;
}

/* ---- Entries ---- */

int entries_alloc(struct entries *t, enum entry_kind kind, entry_id *id)
{
	struct entry_chunk *chunk;
	u32 no, slot;
	int ret;

	if (t->roomy == NONE) {
		ret = chunk_create(t);
		if (ret)
			return ret;
	}
	no = t->roomy;
	chunk = t->chunk[no];
	if (chunk->free) {
		slot = chunk->free - 1u;
		chunk->free = (u16)chunk->entry[slot].next;
	} else {
		t->chunk_bytes -= touched_bytes(chunk);
		slot = chunk->fresh++;
		t->chunk_bytes += touched_bytes(chunk);
	}
	chunk->entry[slot] = (struct entry){.kind = kind & 3u};
	if (++chunk->used == CHUNK_ENTRIES)
		chunk_unlist(t, no);
	t->nr_used++;
	*id = no << ENTRIES_PER_CHUNK_BITS | slot;
	return 0;
}

void entries_free(struct entries *t, entry_id id)
{
	u32 no = id >> ENTRIES_PER_CHUNK_BITS;
	struct entry_chunk *chunk = t->chunk[no];
	struct entry *e = entries_at(t, id);

	ASSERT(e->kind != ENTRY_FREE);
	e->kind = ENTRY_FREE;
	e->next = chunk->free;
	chunk->free = (u16)((id & CHUNK_ENTRIES) + 1);
	chunk->used--;
	t->nr_used--;
	if (!chunk->listed)
		chunk_list(t, no);
	if (!chunk->used && (t->roomy != no || chunk->next != NONE))
		chunk_destroy(t, no);
}

entry_id entries_next(const struct entries *t, entry_id id)
{
	for (u32 no = id >> ENTRIES_PER_CHUNK_BITS; no < t->nr_chunks; no++) {
		const struct entry_chunk *chunk = t->chunk[no];

		for (u32 slot = id & CHUNK_ENTRIES; chunk && slot < chunk->fresh; slot++)
			if (chunk->entry[slot].kind != ENTRY_FREE)
				return no << ENTRIES_PER_CHUNK_BITS | slot;
		id = 0;
	}
	return entries_end(t);
}

/* ---- The index ---- */

static u32 *bucket_at(const struct entries *t, u32 no)
{
	return &t->segment[no >> SEGMENT_BITS][no & (SEGMENT - 1)];
}

static u32 bucket_of(const struct entries *t, const struct codec_sum *sum)
{
	u64 low = (u64)sum->word[1] << 32 | sum->word[0];
	/* Checksums need no mixing, the values of patterns do. */
	u64 hash = (low ^ sum->word[2]) * 0x9e3779b97f4a7c15;
	u32 no = (u32)(hash >> 32) & (2 * t->round - 1);

	return no < t->nr_buckets ? no : no & (t->round - 1);
}

static int segment_create(struct entries *t)
{
	u32 *segment, **dir = directory_grow(t->segment, t->nr_segments, &t->max_segments);

	if (!dir)
		return -ENOMEM;
	t->segment = dir;
	segment = calloc(SEGMENT, sizeof(segment[0]));
	if (!segment)
		return -ENOMEM;
	t->segment[t->nr_segments++] = segment;
	return 0;
}

/* One more bucket: it takes over its share of the entries of one other. */
static void split_bucket(struct entries *t)
{
	u32 from = t->nr_buckets - t->round, to = t->nr_buckets;
	u32 *link;

	/* Without memory for it the chains get longer, and that is all. */
	if (to >> 30 || (to == t->nr_segments * SEGMENT && segment_create(t)))
		return;
	t->nr_buckets++;
	*bucket_at(t, to) = 0;
	link = bucket_at(t, from);
	while (*link) {
		entry_id id = *link;
		struct entry *e = entries_at(t, id);

		if (bucket_of(t, &e->sum) == to) {
			*link = e->next;
			e->next = *bucket_at(t, to);
			*bucket_at(t, to) = id;
		} else {
			link = &e->next;
		}
	}
	if (t->nr_buckets == 2 * t->round)
		t->round *= 2;
}

/* One bucket less: the last one's entries go back to where they came from. */
static void merge_bucket(struct entries *t)
{
	u32 from = t->nr_buckets - 1;
	u32 *link;

	if (t->nr_buckets == t->round)
		t->round /= 2;
	t->nr_buckets--;
	link = bucket_at(t, from - t->round);
	while (*link)
		link = &entries_at(t, *link)->next;
	*link = *bucket_at(t, from);
	if (from + SEGMENT == t->nr_segments * SEGMENT)
		free(t->segment[--t->nr_segments]);
}

entry_id entries_find(const struct entries *t, const struct codec_sum *sum, enum entry_kind kind)
{
	entry_id id = *bucket_at(t, bucket_of(t, sum));

	while (id) {
		const struct entry *e = entries_at(t, id);

		if (codec_sum_equal(&e->sum, sum) && e->kind == kind && e->refs < ENTRY_MAX_REFS)
			return id;
		id = e->next;
	}
	return 0;
}

void entries_index(struct entries *t, entry_id id)
{
	struct entry *e = entries_at(t, id);
	u32 *bucket;

	t->nr_indexed++;
	if (t->nr_indexed / LOAD > t->nr_buckets)
		split_bucket(t);
	bucket = bucket_at(t, bucket_of(t, &e->sum));
	e->next = *bucket;
	*bucket = id;
}

void entries_unindex(struct entries *t, entry_id id)
{
	struct entry *e = entries_at(t, id);
	u32 *link = bucket_at(t, bucket_of(t, &e->sum));

	while (*link != id) {
		ASSERT(*link);
		link = &entries_at(t, *link)->next;
	}
	*link = e->next;
	t->nr_indexed--;
	if (t->nr_buckets > SEGMENT && t->nr_indexed / LOAD < t->nr_buckets / 4)
		merge_bucket(t);
}

/* ---- The whole ---- */

int entries_init(struct entries *t)
{
	entry_id id;
	int ret;

	*t = (struct entries){.roomy = NONE, .nr_buckets = SEGMENT, .round = SEGMENT};
	ret = segment_create(t);
	if (!ret)
		ret = entries_alloc(t, ENTRY_PATTERN, &id); /* id 0: none, never freed */
	if (ret)
		entries_fini(t);
	return ret;
}

void entries_fini(struct entries *t)
{
	for (u32 i = 0; i < t->nr_chunks; i++)
		if (t->chunk[i])
			munmap(t->chunk[i], CHUNK_BYTES);
	for (u32 i = 0; i < t->nr_segments; i++)
		free(t->segment[i]);
	free(t->chunk);
	free(t->segment);
}

u64 entries_bytes(const struct entries *t)
{
	return t->chunk_bytes + t->nr_segments * SEGMENT * sizeof(u32) +
	       (t->max_chunks + t->max_segments) * sizeof(void *);
}

u32 entries_audit(const struct entries *t)
{
	u32 indexed = 0, used = 0;

	for (u32 no = 0; no < t->nr_buckets; no++) {
		for (entry_id id = *bucket_at(t, no); id; id = entries_at(t, id)->next) {
			ASSERT(bucket_of(t, &entries_at(t, id)->sum) == no);
			indexed++;
			ASSERT(indexed <= t->nr_indexed); /* or it goes round */
		}
	}
	for (entry_id id = entries_next(t, 0); id < entries_end(t); id = entries_next(t, id + 1))
		used++;
	ASSERT(indexed == t->nr_indexed && used == t->nr_used);
	return indexed;
}
