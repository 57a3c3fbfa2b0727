// SPDX-License-Identifier: Apache-2.0
/*
 * Batches of pages against a receiver that is a plain list of pages: every kind is taken and comes
 * out as it was, a guest of random changes is the same on both sides after each batch, references
 * never go to what the receiver has no more, and no damage is taken for a page.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "mm/wire/batch_format.h"
#include "mm/base/clock.h"
#include "tests/lib/quiet.h"
#include "tests/mm/wire/batch_fixture.h"

#define NR	      64u
#define VERSION_BYTES (NR * (PAGE_SIZE + 16))

/* A sender, a receiver, and what the pages are by what was sent. */
struct pair {
	struct batch_encoder *e;
	struct receiver *r;
	u8 (*sent)[PAGE_SIZE];
	u32 nr;
};

static u8 page[PAGE_SIZE], other[PAGE_SIZE], room[PAGE_SIZE];

static struct pair pair_new(u32 nr, u64 delta_bytes, enum batch_effort effort)
{
	struct batch_config cfg = {.nr_pages = nr, .delta_bytes = delta_bytes};
	struct pair p = {.r = receiver_new(nr), .sent = calloc(nr, PAGE_SIZE), .nr = nr};

	assert_int_equal(batch_encoder_create(&p.e, &cfg, NULL), 0);
	batch_set_effort(p.e, effort);
	return p;
}

static void pair_free(struct pair *p)
{
	batch_encoder_destroy(p->e);
	receiver_free(p->r);
	free(p->sent);
}

static struct batch_stats stats_of(const struct pair *p)
{
	struct batch_stats stats;

	batch_get_stats(p->e, &stats);
	assert_int_equal(stats.pages, stats.patterns + stats.same + stats.deltas + stats.packed +
					      stats.raw + stats.stored);
	return stats;
}

static void verify(const struct pair *p)
{
	u8 back[PAGE_SIZE];

	for (u32 i = 0; i < p->nr; i++) {
		assert_int_equal(receiver_read(p->r, i, back), 0);
		assert_memory_equal(back, p->sent[i], PAGE_SIZE);
	}
}

/* Send the batch, and compare. Returns its size. */
static u32 deliver(struct pair *p)
{
	struct err err = {.text = ""};
	u32 size;
	const void *data = batch_finish(p->e, &size);

	if (receiver_apply(p->r, data, size, &err))
		fail_msg("%s", err.text);
	assert_true(batch_is_empty(p->e));
	verify(p);
	return size;
}

static void put(struct pair *p, page_no no, const void *contents)
{
	if (batch_is_full(p->e))
		deliver(p);
	memcpy(p->sent[no], contents, PAGE_SIZE);
	assert_int_equal(batch_put(p->e, no, contents), 0);
	assert_false(batch_is_empty(p->e));
}

static void put_stored(struct pair *p, page_no no, const void *contents)
{
	struct codec_block block = make_block(contents, room);

	if (batch_is_full(p->e))
		deliver(p);
	memcpy(p->sent[no], contents, PAGE_SIZE);
	assert_int_equal(batch_put_block(p->e, no, &block), 0);
}

/* Change @n bytes of the page, far from each other. */
static void change(u8 *bytes, u32 n, u64 seed)
{
	for (u32 i = 0; i < n; i++)
		bytes[(i * (PAGE_SIZE / n) + random_below(&seed, PAGE_SIZE / n))] ^=
			(u8)(1 + random_below(&seed, 255));
}

/* ---- Kinds ---- */

static void test_patterns(void **state)
{
	struct pair p = pair_new(NR, 0, BATCH_FAST);

	(void)state;
	put(&p, 3, memset(page, 0, PAGE_SIZE));
	put(&p, 4, memset(page, 0x5a, PAGE_SIZE));
	put_stored(&p, 5, memset(page, 0xa5, PAGE_SIZE));
	assert_int_equal(deliver(&p), 8 + 3 * 16);
	assert_int_equal(stats_of(&p).patterns, 3);
	assert_int_equal(p.r->blocks, 3);
	assert_int_equal(p.r->held[5].block.kind, CODEC_PATTERN);
	pair_free(&p);
}

/* In the same batch, in a later one, of itself, of a stored page, and no more once it is gone. */
static void test_same(void **state)
{
	struct pair p = pair_new(NR, 0, BATCH_FAST);

	(void)state;
	make_noise(page, 1);
	put(&p, 1, page);
	put(&p, 2, page);
	assert_int_equal(deliver(&p), 8 + 8 + PAGE_SIZE + 8 + 20);
	put(&p, 3, page);
	put(&p, 1, page);
	assert_int_equal(deliver(&p), 8 + 2 * 28);
	assert_int_equal(stats_of(&p).same, 3);

	make_text(other, 2);
	put_stored(&p, 4, other);
	put(&p, 5, other);
	deliver(&p);
	assert_int_equal(stats_of(&p).same, 4);

	/* the table leads to page 1 alone: when that has gone, its contents count as new */
	put(&p, 1, memset(other, 0, PAGE_SIZE));
	put(&p, 6, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).same, 4);
	assert_int_equal(stats_of(&p).raw, 2);
	pair_free(&p);
}

/* A page takes new contents, and its old ones come back elsewhere: each way it can be replaced. */
static void test_gone(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);
	u64 noise = 10;
	u32 way;

	(void)state;
	for (way = 0; way < 5; way++) {
		make_noise(page, noise++);
		put(&p, 1, page); /* remembered as the only page like this */
		if (way == 0)
			memset(other, 0, PAGE_SIZE);
		else if (way == 1)
			make_text(other, noise);
		else
			make_noise(other, noise);
		noise++;
		if (way == 3) {
			put(&p, 2, other);
			put(&p, 1, other); /* the same as 2 */
		} else if (way == 4) {
			memcpy(other, page, PAGE_SIZE);
			change(other, 8, 1);
			put(&p, 1, other); /* a delta */
		} else if (way == 2) {
			put_stored(&p, 1, other);
		} else {
			put(&p, 1, other);
		}
		u64 same = stats_of(&p).same;
		put(&p, 3, page);
		assert_int_equal(stats_of(&p).same, same);
		deliver(&p);
	}
	assert_int_equal(stats_of(&p).deltas, 1);
	assert_int_equal(stats_of(&p).same, 1);
	assert_int_equal(stats_of(&p).stored, 1);
	pair_free(&p);
}

static void test_packed(void **state)
{
	struct pair p = pair_new(NR, 0, BATCH_PACK);

	(void)state;
	make_text(page, 1);
	put(&p, 1, page);
	assert_in_range(deliver(&p), PAGE_SIZE / 8, PAGE_SIZE * 2 / 3);
	assert_int_equal(stats_of(&p).packed, 1);
	make_noise(page, 1);
	put(&p, 1, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).raw, 1);
	/* FAST packs nothing */
	batch_set_effort(p.e, BATCH_FAST);
	make_text(page, 2);
	put(&p, 1, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).packed, 1);
	assert_int_equal(stats_of(&p).raw, 2);
	pair_free(&p);
}

static void test_delta(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);
	u64 deltas;

	(void)state;
	make_noise(page, 1);
	put(&p, 1, page);
	deliver(&p);
	for (u32 i = 0; i < 20; i++) {
		change(page, 1 + i * 4, i);
		put(&p, 1, page);
		assert_in_range(deliver(&p), 32, 700);
		assert_int_equal(stats_of(&p).deltas, i + 1);
	}
	/* where LZ4 finds as little, a page goes by itself; and where nearly all of it is new */
	deltas = stats_of(&p).deltas;
	memset(page, 0, PAGE_SIZE);
	memset(page, 1, 100);
	put(&p, 2, page);
	page[50] = 2;
	put(&p, 2, page);
	make_noise(page, 2);
	put(&p, 1, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).deltas, deltas);
	assert_int_equal(stats_of(&p).packed, 2);
	assert_int_equal(stats_of(&p).raw, 2);
	pair_free(&p);
}

/*
 * What was sent without being remembered leaves no older version behind to make a delta to: fast,
 * as a pattern, as the same, as a stored block.
 */
static void test_no_stale_version(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);
	u64 deltas = 0;

	(void)state;
	make_noise(other, 99);
	put(&p, 9, other);
	for (u32 way = 0; way < 4; way++) {
		make_noise(page, way);
		put(&p, 1, page);
		change(page, 4, way);
		put(&p, 1, page);
		assert_int_equal(stats_of(&p).deltas, ++deltas);
		batch_set_effort(p.e, way == 0 ? BATCH_FAST : BATCH_PACK);
		change(page, 4, way + 10);
		if (way == 0)
			put(&p, 1, page);
		else if (way == 1)
			put(&p, 1, memset(other, 0, PAGE_SIZE));
		else if (way == 2)
			put(&p, 1, p.sent[9]);
		else
			put_stored(&p, 1, page);
		batch_set_effort(p.e, BATCH_PACK);
		change(page, 4, way + 20);
		put(&p, 1, page);
		assert_int_equal(stats_of(&p).deltas, deltas);
		/* and from there on they are made again */
		change(page, 4, way + 30);
		put(&p, 1, page);
		assert_int_equal(stats_of(&p).deltas, ++deltas);
		deliver(&p);
	}
	pair_free(&p);
}

/* Two pages that change all the time keep their versions beside many that are sent once. */
static void test_hot_pages_stay(void **state)
{
	u32 nr = 4096;
	struct pair p = pair_new(nr, 64 * PAGE_SIZE, BATCH_PACK);
	u64 before = 0;

	(void)state;
	for (u32 round = 0; round < 40; round++) {
		if (round == 4)
			before = stats_of(&p).deltas;
		for (u32 hot = 0; hot < 2; hot++) {
			make_noise(page, hot);
			change(page, 16, round);
			put(&p, hot, page);
		}
		for (u32 i = 0; i < 40; i++) {
			make_noise(page, 1000 + round * 40 + i);
			put(&p, 100 + (round * 40 + i) % 400, page);
		}
		if (round % 10 == 9)
			deliver(&p);
	}
	assert_in_range(stats_of(&p).deltas - before, 2 * 36 - 8, 2 * 36);
	pair_free(&p);
}

static void test_stored(void **state)
{
	struct pair p = pair_new(NR, 0, BATCH_FAST);

	(void)state;
	make_text(page, 1);
	put_stored(&p, 1, page);
	make_noise(page, 1);
	put_stored(&p, 2, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).stored, 2);
	assert_int_equal(p.r->blocks, 2);
	assert_int_equal(p.r->held[1].block.kind, CODEC_PACKED);
	assert_int_equal(p.r->held[2].block.kind, CODEC_RAW);
	pair_free(&p);
}

/* Without references there are none, and what went before is forgotten. */
static void test_alone(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);

	(void)state;
	make_noise(page, 1);
	put(&p, 1, page);
	batch_set_alone(p.e, true);
	p.r->sink.look = NULL;
	put(&p, 2, page);
	put(&p, 1, page);
	change(page, 4, 1);
	put(&p, 1, page);
	put_stored(&p, 3, page);
	put(&p, 4, page);
	put(&p, 5, memset(other, 0, PAGE_SIZE));
	deliver(&p);
	batch_set_alone(p.e, false);
	change(page, 4, 2);
	put(&p, 1, page);
	assert_int_equal(stats_of(&p).same + stats_of(&p).deltas, 0);
	assert_int_equal(stats_of(&p).raw, 6);
	put(&p, 2, page);
	assert_int_equal(stats_of(&p).same, 1);
	u32 size;
	const void *data = batch_finish(p.e, &size);
	assert_int_equal(receiver_apply(p.r, data, size, NULL), -EBADMSG);
	pair_free(&p);
}

static void test_forget(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);

	(void)state;
	make_noise(page, 1);
	put(&p, 1, page);
	deliver(&p);
	batch_forget(p.e);
	receiver_free(p.r);
	p.r = receiver_new(NR);
	put(&p, 2, page);
	change(page, 4, 1);
	put(&p, 1, page);
	deliver(&p);
	assert_int_equal(stats_of(&p).raw, 3);
	pair_free(&p);
}

/* 256 pages of the largest kind, and an empty batch. */
static void test_full(void **state)
{
	struct pair p = pair_new(BATCH_MAX_PAGES, 0, BATCH_FAST);

	(void)state;
	assert_int_equal(deliver(&p), 8);
	for (u32 i = 0; i < BATCH_MAX_PAGES; i++) {
		assert_false(batch_is_full(p.e));
		make_noise(page, i);
		put_stored(&p, i, page);
	}
	assert_true(batch_is_full(p.e));
	assert_int_equal(deliver(&p), BATCH_MAX_SIZE);
	assert_int_equal(stats_of(&p).bytes, 8 + BATCH_MAX_SIZE);
	pair_free(&p);
}

/* ---- A guest of random changes ---- */

#define MODEL_NR 300u

static void next_contents(struct pair *p, u64 *seed, page_no no, u8 *to)
{
	u64 roll = random_below(seed, 100);

	if (roll < 45)
		change(memcpy(to, p->sent[no], PAGE_SIZE), 1u << random_below(seed, 8), *seed);
	else if (roll < 60)
		memcpy(to, p->sent[random_below(seed, p->nr)], PAGE_SIZE);
	else if (roll < 65)
		memset(to, (int)random_below(seed, 3), PAGE_SIZE);
	else if (roll < 80)
		make_noise(to, random_below(seed, 50)); /* comes back: reverted, or elsewhere */
	else if (roll < 95)
		make_text(to, random_below(seed, 50));
	else
		memcpy(to, p->sent[no], PAGE_SIZE);
}

/* Half of all steps are about a few pages. */
static page_no next_page(const struct pair *p, u64 *seed)
{
	return (page_no)random_below(seed, random_below(seed, 2) ? 10 : p->nr);
}

static void test_random(void **state)
{
	struct pair p = pair_new(MODEL_NR, 48 * (PAGE_SIZE + 16), BATCH_PACK);
	struct batch_stats stats;
	u64 seed = 1, forgotten = 0;

	(void)state;
	for (u32 step = 0; step < 30000; step++) {
		page_no no = next_page(&p, &seed);

		next_contents(&p, &seed, no, page);
		if (random_below(&seed, 10))
			put(&p, no, page);
		else
			put_stored(&p, no, page);
		if (!random_below(&seed, 15))
			batch_set_effort(p.e, random_below(&seed, 3) ? BATCH_PACK : BATCH_FAST);
		if (!random_below(&seed, 120))
			deliver(&p);
		if (!random_below(&seed, 3000)) {
			batch_forget(p.e);
			forgotten++;
		}
	}
	deliver(&p);
	stats = stats_of(&p);
	assert_int_equal(stats.pages, 30000);
	assert_true(forgotten && stats.patterns > 500 && stats.same > 3000 && stats.deltas > 1000);
	assert_true(stats.packed > 500 && stats.raw > 500 && stats.stored > 2000);
	pair_free(&p);
}

/* ---- A guest that runs ---- */

struct writer {
	volatile u64 words[PAGE_SIZE / sizeof(u64)];
	atomic_bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	u64 seed = 1;

	while (!w->stop)
		w->words[random_below(&seed, 100) * 5] = random_below(&seed, 16);
	return NULL;
}

/*
 * A page that is written while it is put: whatever went, references to it are to what went, or the
 * receiver would say so.
 */
static void test_live(void **state)
{
	struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);
	struct writer *w = calloc(1, sizeof(*w));
	struct batch_stats stats;
	u8 last[PAGE_SIZE];
	pthread_t thread;
	u64 end = now_ns() + HUNG_NS;
	u32 size, changed = 0;

	(void)state;
	make_noise(page, 1);
	memcpy((void *)w->words, page, PAGE_SIZE);
	assert_int_equal(pthread_create(&thread, NULL, write_on, w), 0);
	/* other programs may keep the two from running at the same time for a while */
	for (u32 i = 0; i < 1000 || (changed < 300 && now_ns() < end); i++) {
		const void *data;

		batch_set_effort(p.e, i % 7 ? BATCH_PACK : BATCH_FAST);
		memcpy(last, (void *)w->words, PAGE_SIZE);
		batch_put(p.e, 1 + i % 2, (void *)w->words);
		changed += memcmp(last, (void *)w->words, PAGE_SIZE) != 0;
		data = batch_finish(p.e, &size);
		assert_int_equal(receiver_apply(p.r, data, size, NULL), 0);
		/* what the receiver has by now is what the encoder takes it to have */
		assert_int_equal(receiver_read(p.r, 1 + i % 2, last), 0);
		batch_put(p.e, 3, last);
		data = batch_finish(p.e, &size);
		assert_int_equal(size, 8 + 28);
		assert_int_equal(receiver_apply(p.r, data, size, NULL), 0);
	}
	w->stop = true;
	pthread_join(thread, NULL);
	stats = stats_of(&p);
	assert_true(changed >= 100 && stats.deltas > 100 && stats.same >= 1000);
	free(w);
	pair_free(&p);
}

/* ---- What may not be believed ---- */

/* A reference to what has changed at the receiver is found, whatever has changed. */
static void test_wrong_contents(void **state)
{
	struct err err = {.text = ""};
	u32 found = 0;

	(void)state;
	for (u32 bit = 0; bit < PAGE_SIZE * 8; bit += 101) {
		struct pair p = pair_new(NR, VERSION_BYTES, BATCH_PACK);
		const void *data;
		u32 size;

		make_noise(page, 1);
		put(&p, 1, page);
		deliver(&p);
		if (bit % 2)
			change(page, 4, 1);
		put(&p, bit % 2 ? 1 : 2, page); /* a delta, or the same */
		data = batch_finish(p.e, &size);
		p.r->held[1].data[bit / 8] ^= (u8)(1 << bit % 8);
		p.r->held[1].block.sum = codec_sum(p.r->held[1].data);
		p.r->pages = 0;
		assert_int_equal(receiver_apply(p.r, data, size, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "contents that are not here"));
		assert_int_equal(p.r->looks, 1);
		assert_int_equal(p.r->pages, 0);
		found += (u32)(stats_of(&p).same + stats_of(&p).deltas);
		pair_free(&p);
	}
	assert_int_equal(found, (PAGE_SIZE * 8 + 100) / 101);
}

static void test_sink_says_no(void **state)
{
	struct pair p = pair_new(NR, 0, BATCH_FAST);
	struct err err = {.text = ""};
	const void *data;
	u32 size;

	(void)state;
	make_noise(page, 1);
	put(&p, 1, page);
	put(&p, 2, memset(page, 0, PAGE_SIZE));
	data = batch_finish(p.e, &size);
	p.r->fail = -ENOSPC;
	assert_int_equal(receiver_apply(p.r, data, size, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "page 1 "));
	assert_int_equal(p.r->pages + p.r->blocks, 1);
	pair_free(&p);
}

/* A batch with all kinds in it, small: what it refers to is in it too. */
static const u8 *all_kinds(struct pair *p, u32 *size)
{
	struct batch_stats stats;

	put(p, 0, memset(page, 7, PAGE_SIZE));
	make_noise(page, 1);
	put(p, 1, page);
	put(p, 2, page);
	change(page, 3, 1);
	put(p, 1, page);
	make_text(page, 1);
	put(p, 3, page);
	make_text(page, 2);
	put_stored(p, 4, page);
	make_noise(page, 2);
	put_stored(p, 5, page);
	put(p, 6, page);
	stats = stats_of(p);
	assert_true(stats.patterns == 1 && stats.same == 2 && stats.deltas == 1);
	assert_true(stats.packed == 1 && stats.raw == 1 && stats.stored == 2);
	return batch_finish(p->e, size);
}

static void test_cut(void **state)
{
	struct pair p = pair_new(8, VERSION_BYTES, BATCH_PACK);
	struct err err;
	u8 longer[3 * PAGE_SIZE + PAGE_SIZE];
	const u8 *data;
	u32 size;

	(void)state;
	data = all_kinds(&p, &size);
	for (u32 n = 0; n < size; n++) {
		err.text[0] = '\0';
		assert_int_equal(receiver_apply(p.r, data, n, &err), -EBADMSG);
		assert_non_null(strstr(err.text, " ends within "));
	}
	assert_true(size < sizeof(longer));
	memcpy(longer, data, size);
	longer[size] = 0;
	assert_int_equal(receiver_apply(p.r, longer, size + 1, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "after its last record"));
	assert_int_equal(receiver_apply(p.r, data, size, NULL), 0);
	verify(&p);
	pair_free(&p);
}

/* Whether all of what the receiver can open is as it was sent. */
static bool as_sent(const struct pair *p, bool *opens)
{
	u8 back[PAGE_SIZE];

	*opens = true;
	for (u32 i = 0; i < p->nr; i++) {
		if (receiver_read(p->r, i, back))
			*opens = false;
		else if (memcmp(back, p->sent[i], PAGE_SIZE))
			return false;
	}
	return true;
}

/*
 * For each byte of the batch, whether a page's checksum covers it: it does where references and
 * stored blocks have their body.
 */
static void mark_covered(const u8 *data, u32 size, bool *covered)
{
	struct batch_record record;

	memset(covered, 0, size * sizeof(covered[0]));
	for (u32 at = sizeof(struct batch_head); at < size; at += record.size) {
		memcpy(&record, data + at, sizeof(record));
		at += (u32)sizeof(record);
		for (u32 i = 0; i < record.size; i++)
			covered[at + i] = record.kind == BATCH_SAME || record.kind == BATCH_DELTA ||
					  record.kind >= BATCH_STORED_PACKED;
	}
}

static void test_flipped(void **state)
{
	struct pair p = pair_new(8, VERSION_BYTES, BATCH_PACK);
	struct receiver *fresh = receiver_new(8);
	u8 *data;
	bool *covered, opens;
	u32 size, refused = 0, closed = 0, unnoticed = 0;
	const u8 *made;

	(void)state;
	made = all_kinds(&p, &size);
	data = malloc(size);
	covered = malloc(size * sizeof(covered[0]));
	memcpy(data, made, size);
	mark_covered(data, size, covered);
	for (u32 bit = 0; bit < size * 8; bit++) {
		int ret;

		receiver_copy(p.r, fresh);
		data[bit / 8] ^= (u8)(1 << bit % 8);
		ret = receiver_apply(p.r, data, size, NULL);
		data[bit / 8] ^= (u8)(1 << bit % 8);
		assert_true(ret == 0 || ret == -EBADMSG);
		refused += ret != 0;
		if (ret)
			continue;
		if (!as_sent(&p, &opens)) {
			assert_false(covered[bit / 8]);
			unnoticed++;
		} else {
			closed += !opens;
		}
	}
	/* the head; what refers to damage; stored blocks; packed pages that are others now */
	assert_in_range(refused, 8 * PAGE_SIZE, size * 8);
	assert_true(closed && unnoticed);
	receiver_free(fresh);
	free(covered);
	free(data);
	pair_free(&p);
}

/* One record of nearly any kind and size, by hand. */
static int apply_record(struct receiver *r, u32 no, u32 kind, u32 size, const void *body)
{
	static u8 out[BATCH_MAX_SIZE];
	struct batch_head head = {.count = 1};
	struct batch_record record = {.page = no, .kind = (u16)kind, .size = (u16)size};

	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), &record, sizeof(record));
	memcpy(out + sizeof(head) + sizeof(record), body, size);
	return receiver_apply(r, out, (u32)(sizeof(head) + sizeof(record)) + size, NULL);
}

static void test_forged(void **state)
{
	static const u8 body[BATCH_MAX_BODY + 100];
	struct batch_head head = {.count = BATCH_MAX_PAGES + 1};
	struct receiver *r = receiver_new(8);
	struct batch_same same = {.page = 8};
	u32 ok[BATCH_NR_KINDS + 1] = {0};

	(void)state;
	for (u32 kind = 0; kind <= BATCH_NR_KINDS; kind++)
		for (u32 size = 0; size <= sizeof(body); size++)
			ok[kind] += !apply_record(r, 7, kind, size, body);
	assert_int_equal(ok[0] + ok[BATCH_NR_KINDS], 0);
	assert_int_equal(ok[BATCH_PATTERN], 1);
	assert_int_equal(ok[BATCH_SAME] + ok[BATCH_DELTA], 0);
	assert_int_equal(ok[BATCH_RAW], 1);
	assert_int_equal(ok[BATCH_STORED_PACKED], PAGE_SIZE); /* whoever opens them finds out */
	assert_int_equal(ok[BATCH_STORED_RAW], 1);
	assert_int_equal(apply_record(r, 8, BATCH_RAW, PAGE_SIZE, body), -EBADMSG);
	assert_int_equal(apply_record(r, UINT32_MAX, BATCH_RAW, PAGE_SIZE, body), -EBADMSG);
	assert_int_equal(apply_record(r, 0, BATCH_SAME, sizeof(same), &same), -EBADMSG);
	same.page = UINT32_MAX;
	assert_int_equal(apply_record(r, 0, BATCH_SAME, sizeof(same), &same), -EBADMSG);
	r->looks = 0;
	assert_int_equal(receiver_apply(r, &head, sizeof(head), NULL), -EBADMSG);
	head = (struct batch_head){.count = 0, .zero = 1};
	assert_int_equal(receiver_apply(r, &head, sizeof(head), NULL), -EBADMSG);
	assert_int_equal(batch_apply(NULL, 0, 8, &r->sink, NULL), -EBADMSG);
	receiver_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),       cmocka_unit_test(test_same),
		cmocka_unit_test(test_gone),	       cmocka_unit_test(test_packed),
		cmocka_unit_test(test_delta),	       cmocka_unit_test(test_no_stale_version),
		cmocka_unit_test(test_hot_pages_stay), cmocka_unit_test(test_stored),
		cmocka_unit_test(test_alone),	       cmocka_unit_test(test_forget),
		cmocka_unit_test(test_full),	       cmocka_unit_test(test_random),
		cmocka_unit_test(test_live),	       cmocka_unit_test(test_wrong_contents),
		cmocka_unit_test(test_sink_says_no),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flipped),	       cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
