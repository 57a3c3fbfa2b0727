// SPDX-License-Identifier: Apache-2.0
/*
 * The sending half of batches of pages. Contract in batch.h.
 *
 * A page is copied to where it would lie as a raw record, and everything else is done to that copy:
 * the guest may be writing to its page meanwhile, and what is said of a page must be about the very
 * bytes that the receiver gets. What is smaller is then written over it.
 *
 * Always true between two pages: sent and versions tell what the receiver has once it has taken the
 * batch so far.
 */
#include "mm/wire/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/wire/batch_delta.h"
#include "mm/wire/batch_format.h"
#include "mm/wire/batch_sent.h"

/* A page that packs to more than this goes raw: the receiver's time is worth the rest. */
#define PACK_MAX ((u32)PAGE_SIZE * 7 / 8)

/* A delta is no larger than this. */
#define DELTA_MAX ((u32)PAGE_SIZE / 2)

/*
 * Looking for the same costs more than all else that BATCH_FAST does. Where batches had less than
 * one in FEW of them so many times running, only one of SELDOM is looked through, until there are
 * more again.
 */
#define FEW    64
#define BARREN 8
#define SELDOM 16

struct batch_encoder {
	u32 nr_pages;
	enum batch_effort effort;
	bool alone; /* no references */
	bool blind; /* this batch is not looked through */
	u32 barren; /* batches running that were for nothing */
	u32 same;   /* found in this batch */
	struct batch_sent sent;
	struct versions versions;
	struct batch_stats stats;
	u32 count; /* of records in the batch under way */
	u32 size;  /* of it */
	u8 room[PAGE_SIZE], delta[PAGE_SIZE], packed[PAGE_SIZE];
	u8 out[BATCH_MAX_SIZE];
};

int batch_encoder_create(struct batch_encoder **out, const struct batch_config *cfg,
			 struct err *err)
{
	struct batch_encoder *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, -ENOMEM, "no memory for sending pages");
	e->nr_pages = cfg->nr_pages;
	if (batch_sent_init(&e->sent, cfg->nr_pages) ||
	    versions_init(&e->versions, cfg->delta_bytes, cfg->nr_pages)) {
		batch_encoder_destroy(e);
		return err_set(err, -ENOMEM, "no memory to remember which pages were sent");
	}
	*out = e;
	return 0;
}

void batch_encoder_destroy(struct batch_encoder *e)
{
	if (!e)
		return;
	batch_sent_fini(&e->sent);
	versions_fini(&e->versions);
	free(e);
}

void batch_set_effort(struct batch_encoder *e, enum batch_effort effort)
{
	e->effort = effort;
}

void batch_set_alone(struct batch_encoder *e, bool alone)
{
	batch_forget(e);
	e->alone = alone;
}

bool batch_is_full(const struct batch_encoder *e)
{
	return e->count == BATCH_MAX_PAGES;
}

bool batch_is_empty(const struct batch_encoder *e)
{
	return !e->count;
}

/* ---- Records ---- */

/* Where the body of the next record is to be. */
static u8 *next_body(struct batch_encoder *e)
{
	if (!e->count)
		e->size = sizeof(struct batch_head);
	return e->out + e->size + BATCH_RECORD_SIZE;
}

/* The body is there: the batch has one record more. */
static void add_record(struct batch_encoder *e, page_no no, enum batch_kind kind, u32 size)
{
	struct batch_record record = {.page = no, .kind = (u16)kind, .size = (u16)size};

	ASSERT(size <= BATCH_MAX_BODY);
	memcpy(e->out + e->size, &record, sizeof(record));
	e->size += BATCH_RECORD_SIZE + size;
	e->count++;
	e->stats.pages++;
}

static void add_pattern(struct batch_encoder *e, page_no no, u64 value)
{
	memcpy(next_body(e), &value, sizeof(value));
	add_record(e, no, BATCH_PATTERN, sizeof(value));
	e->stats.patterns++;
	if (e->alone)
		return;
	batch_sent_forget(&e->sent, no);
	versions_spoil(&e->versions, no);
}

static void add_same(struct batch_encoder *e, page_no no, page_no as, const struct codec_sum *sum)
{
	struct batch_same same = {.page = as, .sum = *sum};

	memcpy(next_body(e), &same, sizeof(same));
	add_record(e, no, BATCH_SAME, sizeof(same));
	e->stats.same++;
	e->same++;
}

static void add_raw(struct batch_encoder *e, page_no no)
{
	add_record(e, no, BATCH_RAW, PAGE_SIZE);
	e->stats.raw++;
}

static void add_packed(struct batch_encoder *e, page_no no, u32 size)
{
	memcpy(next_body(e), e->packed, size);
	add_record(e, no, BATCH_PACKED, size);
	e->stats.packed++;
}

static void add_delta(struct batch_encoder *e, page_no no, const struct codec_sum *sum, u32 size)
{
	u8 *body = next_body(e);

	memcpy(body, sum, sizeof(*sum));
	memcpy(body + sizeof(*sum), e->delta, size);
	add_record(e, no, BATCH_DELTA, BATCH_SUM_SIZE + size);
	e->stats.deltas++;
}

/* ---- Pages ---- */

/*
 * How much the packed page must undercut for a delta of @size to be given up: as much as a delta
 * costs the receiver, who reads the old page, and takes and compares a checksum.
 */
static u32 delta_worth(u32 size)
{
	return MIN(size + size / 4 + 4 * BATCH_SUM_SIZE, PACK_MAX);
}

/* The page is at next_body(). @sum NULL: no delta. */
static void add_contents(struct batch_encoder *e, page_no no, const struct codec_sum *sum)
{
	const void *page = next_body(e), *old = NULL;
	u32 delta = 0, packed;

	if (e->effort == BATCH_FAST) {
		add_raw(e, no);
		return;
	}
	if (sum)
		old = versions_find(&e->versions, no);
	if (old)
		delta = delta_pack(old, page, e->room, e->delta, DELTA_MAX);
	if (sum)
		versions_keep(&e->versions, no, page, batch_sent_has(&e->sent, no));
	/* where there is a small delta, LZ4 gives up as soon as it has written more than that */
	packed = codec_pack(page, e->packed, delta ? delta_worth(delta) : PACK_MAX);
	if (packed)
		add_packed(e, no, packed);
	else if (delta)
		add_delta(e, no, sum, delta);
	else
		add_raw(e, no);
}

int batch_put(struct batch_encoder *e, page_no no, const void *page)
{
	struct codec_sum sum;
	page_no as;
	u64 value;
	u8 *copy;

	ASSERT(no < e->nr_pages && !batch_is_full(e));
	if (codec_pattern(page, &value)) {
		add_pattern(e, no, value);
		return 0;
	}
	copy = memcpy(next_body(e), page, PAGE_SIZE);
	if (e->alone) {
		add_contents(e, no, NULL);
		return 0;
	}
	if (e->blind && e->effort == BATCH_FAST) {
		add_raw(e, no);
		batch_sent_forget(&e->sent, no);
		versions_spoil(&e->versions, no);
		return 0;
	}
	sum = codec_sum(copy);
	as = batch_sent_find(&e->sent, no, &sum);
	if (as == PAGE_NONE)
		add_contents(e, no, &sum);
	else
		add_same(e, no, as, &sum);
	/* what is remembered stays good only if the contents are the same, or were kept just now */
	if (as != no && (as != PAGE_NONE || e->effort == BATCH_FAST))
		versions_spoil(&e->versions, no);
	batch_sent_add(&e->sent, no, &sum, as == PAGE_NONE);
	return 0;
}

int batch_put_block(struct batch_encoder *e, page_no no, const struct codec_block *block)
{
	u8 *body;

	ASSERT(no < e->nr_pages && !batch_is_full(e));
	if (block->kind == CODEC_PATTERN) {
		add_pattern(e, no, block->value);
		return 0;
	}
	ASSERT(block->kind == CODEC_PACKED || block->kind == CODEC_RAW);
	ASSERT(block->size && block->size <= PAGE_SIZE);
	ASSERT(block->kind == CODEC_PACKED || block->size == PAGE_SIZE);
	body = next_body(e);
	memcpy(body, &block->sum, sizeof(block->sum));
	memcpy(body + sizeof(block->sum), block->data, block->size);
	add_record(e, no, block->kind == CODEC_RAW ? BATCH_STORED_RAW : BATCH_STORED_PACKED,
		   BATCH_SUM_SIZE + block->size);
	e->stats.stored++;
	if (e->alone)
		return 0;
	versions_spoil(&e->versions, no);
	batch_sent_add(&e->sent, no, &block->sum,
		       batch_sent_find(&e->sent, no, &block->sum) == PAGE_NONE);
	return 0;
}

/* Whether the next batch is looked through. */
static void learn(struct batch_encoder *e)
{
	e->barren = e->same * FEW < e->count ? e->barren + 1 : 0;
	e->blind = e->barren >= BARREN && e->barren % SELDOM;
	e->same = 0;
}

const void *batch_finish(struct batch_encoder *e, u32 *size)
{
	struct batch_head head = {.count = e->count};

	next_body(e); /* an empty batch is a head */
	memcpy(e->out, &head, sizeof(head));
	e->stats.bytes += e->size;
	learn(e);
	e->count = 0;
	*size = e->size;
	return e->out;
}

void batch_forget(struct batch_encoder *e)
{
	batch_sent_clear(&e->sent);
	versions_clear(&e->versions);
}

void batch_get_stats(const struct batch_encoder *e, struct batch_stats *stats)
{
	*stats = e->stats;
}

void batch_add_stats(struct batch_stats *to, const struct batch_stats *of)
{
	to->pages += of->pages;
	to->patterns += of->patterns;
	to->same += of->same;
	to->deltas += of->deltas;
	to->packed += of->packed;
	to->raw += of->raw;
	to->stored += of->stored;
	to->bytes += of->bytes;
}
