// SPDX-License-Identifier: Apache-2.0
/*
 * The receiving half of batches of pages. Contract in batch.h.
 *
 * Nothing in a payload is believed: a record's body lies inside the payload and has a size that its
 * kind allows before its kind's function sees it; page numbers are looked at wherever one is read.
 */
#include "mm/wire/batch.h"

#include <errno.h>
#include <string.h>

#include "mm/wire/batch_delta.h"
#include "mm/wire/batch_format.h"

/*
 * Raw pages that follow each other, in the payload and in the guest, are handed over together.
 * Those that were read and not yet handed over are the run.
 */
struct reader {
	const u8 *at, *end;
	const u8 *run;
	page_no run_first;
	u32 run_pages;
	u32 nr_pages;
	const struct batch_sink *sink;
	struct err *err;
	u8 page[PAGE_SIZE], room[PAGE_SIZE];
};

static int bad(struct reader *r, page_no no, const char *why)
{
	return err_set(r->err, -EBADMSG, "page %u as it was sent: %s (migrate again)", no, why);
}

/* What the sink says. */
static int sunk(struct reader *r, page_no no, int ret)
{
	if (!ret)
		return 0;
	return err_set(r->err, ret, "page %u has come, and cannot be taken: %s", no,
		       strerror(-ret));
}

#define RUN_STRIDE (BATCH_RECORD_SIZE + PAGE_SIZE)

static int hand_over(struct reader *r, page_no no, const void *page)
{
	return sunk(r, no, r->sink->pages(r->sink->opaque, no, 1, page, PAGE_SIZE));
}

static int end_run(struct reader *r)
{
	u32 n = r->run_pages;

	r->run_pages = 0;
	return n ? sunk(r, r->run_first,
			r->sink->pages(r->sink->opaque, r->run_first, n, r->run, RUN_STRIDE))
		 : 0;
}

/* @page was made of what is here: it must be what it was at the sender. */
static int hand_over_checked(struct reader *r, page_no no, const struct codec_sum *expected)
{
	struct codec_sum sum = codec_sum(r->page);

	if (!codec_sum_equal(&sum, expected))
		return bad(r, no, "it refers to contents that are not here");
	return hand_over(r, no, r->page);
}

static int look(struct reader *r, page_no no, page_no at)
{
	int ret;

	if (!r->sink->look)
		return bad(r, no, "it refers to others, which may have changed here");
	ret = r->sink->look(r->sink->opaque, at, r->page);
	if (!ret)
		return 0;
	return err_set(r->err, ret,
		       "page %u as it was sent refers to page %u, which cannot be read: %s", no, at,
		       strerror(-ret));
}

/* ---- Kinds ---- */

static int take_pattern(struct reader *r, const struct batch_record *record, const u8 *body)
{
	struct codec_block block = {.kind = CODEC_PATTERN};

	memcpy(&block.value, body, sizeof(block.value));
	return sunk(r, record->page, r->sink->block(r->sink->opaque, record->page, &block));
}

static int take_same(struct reader *r, const struct batch_record *record, const u8 *body)
{
	struct batch_same same;
	int ret;

	memcpy(&same, body, sizeof(same));
	if (same.page >= r->nr_pages)
		return bad(r, record->page, "it refers to a page that the guest has not");
	ret = look(r, record->page, same.page);
	return ret ? ret : hand_over_checked(r, record->page, &same.sum);
}

static int take_delta(struct reader *r, const struct batch_record *record, const u8 *body)
{
	struct codec_sum sum;
	int ret;

	memcpy(&sum, body, sizeof(sum));
	ret = look(r, record->page, record->page);
	if (ret)
		return ret;
	if (delta_unpack(body + sizeof(sum), record->size - BATCH_SUM_SIZE, r->room, r->page))
		return bad(r, record->page, "it does not unpack");
	return hand_over_checked(r, record->page, &sum);
}

static int take_packed(struct reader *r, const struct batch_record *record, const u8 *body)
{
	if (codec_unpack(body, record->size, r->page))
		return bad(r, record->page, "it does not unpack");
	return hand_over(r, record->page, r->page);
}

/* It may be one more of a run, and ends one that it is not of. */
static int take_raw(struct reader *r, const struct batch_record *record, const u8 *body)
{
	int ret = 0;

	if (r->run_pages && record->page == r->run_first + r->run_pages) {
		r->run_pages++; /* whatever comes between two records ends the run */
		return 0;
	}
	ret = end_run(r);
	r->run = body;
	r->run_first = record->page;
	r->run_pages = 1;
	return ret;
}

static int take_stored(struct reader *r, const struct batch_record *record, const u8 *body)
{
	struct codec_block block = {
		.kind = record->kind == BATCH_STORED_RAW ? CODEC_RAW : CODEC_PACKED,
		.size = record->size - BATCH_SUM_SIZE,
		.data = body + sizeof(block.sum),
	};

	memcpy(&block.sum, body, sizeof(block.sum));
	return sunk(r, record->page, r->sink->block(r->sink->opaque, record->page, &block));
}

static const struct {
	int (*take)(struct reader *r, const struct batch_record *record, const u8 *body);
	u32 min, max; /* size of the body */
} kinds[BATCH_NR_KINDS] = {
	[BATCH_PATTERN] = {take_pattern, sizeof(u64), sizeof(u64)},
	[BATCH_SAME] = {take_same, sizeof(struct batch_same), sizeof(struct batch_same)},
	[BATCH_DELTA] = {take_delta, BATCH_SUM_SIZE + 1, BATCH_MAX_BODY},
	[BATCH_PACKED] = {take_packed, 1, PAGE_SIZE},
	[BATCH_RAW] = {take_raw, PAGE_SIZE, PAGE_SIZE},
	[BATCH_STORED_PACKED] = {take_stored, BATCH_SUM_SIZE + 1, BATCH_MAX_BODY},
	[BATCH_STORED_RAW] = {take_stored, BATCH_MAX_BODY, BATCH_MAX_BODY},
};

/* ---- The payload ---- */

static int take_record(struct reader *r, u32 i)
{
	struct batch_record record;
	const u8 *body;

	if ((size_t)(r->end - r->at) < sizeof(record))
		return err_set(r->err, -EBADMSG, "a message of pages ends within record %u", i);
	memcpy(&record, r->at, sizeof(record));
	r->at += sizeof(record);
	if ((size_t)(r->end - r->at) < record.size)
		return err_set(r->err, -EBADMSG, "a message of pages ends within record %u", i);
	if (record.page >= r->nr_pages)
		return bad(r, record.page, "the guest has no such page");
	if (record.kind >= BATCH_NR_KINDS || !kinds[record.kind].take)
		return bad(r, record.page, "it is of no kind that this quire knows");
	if (record.size < kinds[record.kind].min || record.size > kinds[record.kind].max)
		return bad(r, record.page, "its kind has no such size");
	body = r->at;
	r->at += record.size;
	if (record.kind != BATCH_RAW) {
		int ret = end_run(r);

		if (ret)
			return ret;
	}
	return kinds[record.kind].take(r, &record, body);
}

int batch_apply(const void *data, u32 size, u32 nr_pages, const struct batch_sink *sink,
		struct err *err)
{
	struct batch_head head;
	struct reader r;

	if (size < sizeof(head))
		return err_set(err, -EBADMSG, "a message of pages ends within its head");
	memcpy(&head, data, sizeof(head));
	r.at = (const u8 *)data + sizeof(head);
	r.end = (const u8 *)data + size;
	r.nr_pages = nr_pages;
	r.run_pages = 0;
	r.sink = sink;
	r.err = err;
	if (head.count > BATCH_MAX_PAGES || head.zero)
		return err_set(err, -EBADMSG, "a message of pages has no head of one");
	for (u32 i = 0; i < head.count; i++) {
		int ret = take_record(&r, i);

		if (ret)
			return ret;
	}
	if (r.at != r.end)
		return err_set(err, -EBADMSG, "a message of pages goes on after its last record");
	return end_run(&r);
}
