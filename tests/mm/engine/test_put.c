// SPDX-License-Identifier: Apache-2.0
/*
 * A guest's memory arrives from another host: pages and blocks, in any order and any number of
 * times, into engines of all kinds; then everything is read back in different ways.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/codec/codec.h"
#include "mm/engine/access.h"
#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "tests/mm/engine/mem_fixture.h"

/* ---- What arrives ---- */

/* What page @no holds in @round: some are zeros, or repeat a value, or do not compress. */
static void arriving(u64 *page, u32 no, u32 round)
{
	u32 kind = (no + 3 * round) % 8, seed = no * 31 + round;

	contents_of(page, no, round);
	if (kind == 0)
		memset(page, 0, PAGE_SIZE);
	else if (kind == 1)
		codec_fill(page, (u64)round << 8 | 5);
	else if (kind == 2)
		for (u32 i = 0; i < 512; i++)
			page[i] = (u64)next_random(&seed) << 40 ^ (u64)next_random(&seed) << 20 ^
				  next_random(&seed);
	else if (kind == 3)
		contents_of(page, 1, round); /* the same as others */
}

/* The block that another host's store would have of it. */
static struct codec_block block_of(const u64 *page, u8 *room)
{
	struct codec_block block = {.kind = CODEC_PATTERN};
	u32 size;

	if (codec_pattern(page, &block.value))
		return block;
	size = codec_pack(page, room, PAGE_SIZE * 7 / 8);
	if (!size)
		memcpy(room, page, PAGE_SIZE);
	return (struct codec_block){
		.kind = size ? CODEC_PACKED : CODEC_RAW,
		.size = size ? size : (u32)PAGE_SIZE,
		.sum = codec_sum(page),
		.data = room,
	};
}

enum way { WAY_PAGES, WAY_BLOCKS, WAY_STORED, WAY_MIXED, NR_WAYS };

static int put(struct guest *g, u32 no, u32 round, enum way way)
{
	u64 page[512];
	u8 room[PAGE_SIZE];
	struct codec_block block;

	arriving(page, no, round);
	if (way == WAY_MIXED)
		way = (no ^ round) % 3;
	if (way == WAY_PAGES)
		return mem_put_page(g->mem, no, page);
	block = block_of(page, room);
	return mem_put_block(g->mem, no, &block,
			     way == WAY_STORED ? MEM_PUT_STORED : MEM_PUT_AS_FITS);
}

/* Several connections, as it were: each has pages of its own. */
struct stream {
	pthread_t thread;
	struct guest *guest;
	u32 first, step, round, seed;
	enum way way;
	int ret;
};

static void *receive(void *arg)
{
	struct stream *s = arg;
	u32 at = next_random(&s->seed) % NR_PAGES;

	/* an odd step through all pages, from anywhere */
	for (u32 i = 0; i < NR_PAGES && !s->ret; i++) {
		u32 no = (at + i * 7919) % NR_PAGES;

		if (no % NR_WORKERS != s->first || next_random(&s->seed) % 4 == 0)
			continue;
		s->guest->generation[no] = s->round;
		s->ret = put(s->guest, no, s->round, s->way);
	}
	return NULL;
}

static void receive_round(struct guest *g, u32 round, enum way way)
{
	struct stream s[NR_WORKERS];

	for (u32 i = 0; i < NR_WORKERS; i++) {
		s[i] = (struct stream){
			.guest = g, .first = i, .round = round, .seed = round + i, .way = way};
		assert_int_equal(pthread_create(&s[i].thread, NULL, receive, &s[i]), 0);
	}
	for (u32 i = 0; i < NR_WORKERS; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].ret, 0);
	}
}

/* ---- What has arrived ---- */

static void wanted(const struct guest *g, u32 no, u64 *page)
{
	memset(page, 0, PAGE_SIZE);
	if (g->generation[no])
		arriving(page, no, g->generation[no]);
}

/* Without changing anything. */
static void look_at_all(struct guest *g)
{
	u64 want[512], page[512];

	for (u32 no = 0; no < NR_PAGES; no++) {
		wanted(g, no, want);
		assert_int_equal(mem_look(g->mem, no, page), 0);
		if (memcmp(want, page, PAGE_SIZE))
			fail_msg("page %u, round %u: not what was put", no, g->generation[no]);
	}
}

/* As the guest, and as a device. */
static void read_all(struct guest *g)
{
	u64 want[512], page[512];

	for (u32 no = 0; no < NR_PAGES; no++) {
		wanted(g, no, want);
		if (no % 3)
			memcpy(page, g->base + ((u64)no << PAGE_SHIFT), PAGE_SIZE);
		else
			assert_int_equal(
				mem_read(g->mem, gpa((u64)no << PAGE_SHIFT), page, PAGE_SIZE), 0);
		if (memcmp(want, page, PAGE_SIZE))
			fail_msg("page %u, round %u: not what was put", no, g->generation[no]);
	}
}

static void check_limit(struct guest *g)
{
	struct mem_stats s = stats_of(g);

	if (s.limit && s.peak_bytes > s.limit + MEM_SLACK)
		fail_msg("%llu KiB at the highest", (unsigned long long)(s.peak_bytes / KiB));
}

static void arrive(const struct mem_config *cfg, enum way way)
{
	struct guest g;

	guest_open(&g, cfg);
	for (u32 round = 1; round <= 3; round++) {
		receive_round(&g, round, way);
		look_at_all(&g);
		settle(&g);
		check_limit(&g);
		if (round == 2)
			read_all(&g); /* some are in memory, some stored, some both from now on */
	}
	assert_true(!cfg->limit || stats_of(&g).evicted > 0 || way == WAY_STORED);
	read_all(&g);
	settle(&g);
	check_limit(&g);
	guest_close(&g);
}

static void test_without_limit(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	for (enum way way = 0; way < NR_WAYS; way++)
		arrive(&cfg, way);
}

static void test_under_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	arrive(&cfg, WAY_PAGES);
	arrive(&cfg, WAY_STORED);
	arrive(&cfg, WAY_MIXED);
}

static void test_protected_clean(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	cfg.clean = MEM_CLEAN_PROTECT;
	arrive(&cfg, WAY_MIXED);
}

/* ---- What it costs ---- */

struct taken {
	u32 nr_pages, nr_blocks, nr_other;
};

static int take_page(void *opaque, page_no no, const void *page)
{
	struct taken *t = opaque;

	(void)no;
	(void)page;
	t->nr_pages++;
	return 0;
}

/* The block is the very one that was put in the first round. */
static int take_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct taken *t = opaque;
	struct codec_block was;
	u8 room[PAGE_SIZE];
	u64 page[512];

	arriving(page, no, 1);
	was = block_of(page, room);
	if (was.kind == block->kind && was.size == block->size && was.value == block->value &&
	    !memcmp(room, block->size ? block->data : room, block->size))
		t->nr_blocks++;
	else
		t->nr_other++;
	return 0;
}

/* Stored blocks stay stored, as they came, and what they replace goes. */
static void test_keeps_stored(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};
	struct taken taken = {0};
	const struct mem_snap_sink sink = {&taken, take_page, take_block};
	struct mem_stats s;
	struct guest g;
	u32 zeros = 0;
	u64 resident;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < 1000; no++)
		assert_int_equal(put(&g, no, 2, WAY_PAGES), 0);
	assert_false(stats_of(&g).in_charge);
	for (u32 no = 0; no < NR_PAGES; no++) {
		zeros += (no + 3) % 8 == 0;
		assert_int_equal(put(&g, no, 1, WAY_STORED), 0);
	}
	s = stats_of(&g);
	assert_true(s.in_charge);
	assert_int_equal(s.resident_bytes, 0);
	assert_int_equal(s.pages[PAGE_STORED], NR_PAGES - zeros);
	assert_int_equal(s.pages[PAGE_ABSENT], zeros);
	assert_true(s.store.shared > NR_PAGES / 16);
	assert_int_equal(space_resident(g.space, &resident), 0);
	assert_int_equal(resident, 0);
	for (u32 no = 0; no < NR_PAGES; no++)
		assert_int_equal(mem_export(g.mem, &no, 1, &sink, &(struct err){{0}}), 0);
	assert_int_equal(taken.nr_blocks, NR_PAGES);
	assert_int_equal(taken.nr_pages + taken.nr_other, 0);
	settle(&g);
	guest_close(&g);
}

/* Nothing is fetched from the store to be overwritten, and nothing stays of it. */
static void test_fetches_nothing(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};
	struct mem_stats s;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < 2000; no++)
		assert_int_equal(put(&g, no, 1, WAY_STORED), 0);
	for (u32 no = 0; no < 2000; no++) {
		g.generation[no] = 2;
		assert_int_equal(put(&g, no, 2, WAY_PAGES), 0);
	}
	s = stats_of(&g);
	assert_int_equal(s.store.gets, 0);
	assert_int_equal(s.store.pages, 0);
	assert_int_equal(s.resident_bytes, (2000 - 2000 / 8) * PAGE_SIZE);
	for (int i = 0; i < MEM_NR_FAULT_KINDS; i++)
		assert_int_equal(s.fault[i].count, 0);
	look_at_all(&g);
	settle(&g);
	guest_close(&g);
}

/* ---- What cannot be ---- */

/* A page that is not to be taken is what it was. */
static void test_damaged(void **state)
{
	struct mem_config cfgs[] = {{.nr_cpus = 2, .swap = "/tmp"}, limited()};

	(void)state;
	for (u32 i = 0; i < 2 * ARRAY_SIZE(cfgs); i++) {
		enum mem_put_how how = i % 2 ? MEM_PUT_STORED : MEM_PUT_AS_FITS;
		struct codec_block block;
		struct guest g;
		u8 room[PAGE_SIZE];
		u64 page[512];

		guest_open(&g, &cfgs[i / 2]);
		g.generation[9] = 1;
		assert_int_equal(put(&g, 9, 1, WAY_BLOCKS), 0);
		contents_of(page, 9, 2);
		block = block_of(page, room);
		room[block.size / 2] ^= 1;
		assert_int_equal(mem_put_block(g.mem, 9, &block, how), -EBADMSG);
		room[block.size / 2] ^= 1;
		block.sum.word[3] ^= 1;
		assert_int_equal(mem_put_block(g.mem, 9, &block, how), -EBADMSG);
		block.kind = CODEC_NONE;
		assert_int_equal(mem_put_block(g.mem, 9, &block, how), -EBADMSG);
		block.kind = CODEC_RAW; /* its size is not that of a page */
		assert_int_equal(mem_put_block(g.mem, 9, &block, how), -EBADMSG);
		assert_int_equal(mem_put_block(g.mem, NR_PAGES, &block, how), -EINVAL);
		assert_int_equal(mem_put_page(g.mem, NR_PAGES, page), -EINVAL);
		look_at_all(&g);
		read_all(&g);
		settle(&g);
		guest_close(&g);
	}
}

/* What the store will not have, since there is no tier below it, comes into memory. */
static void test_store_refuses(void **state)
{
	struct mem_config cfg = {
		.limit = SIZE, .store_limit = MiB, .no_swap = true, .check = true, .nr_cpus = 2};
	struct mem_stats s;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < NR_PAGES / 4; no++) {
		g.generation[no] = 1;
		assert_int_equal(put(&g, no, 1, WAY_STORED), 0);
	}
	s = stats_of(&g);
	assert_int_equal(s.store.raw, 0);
	assert_true(s.resident_bytes > SIZE / 32);
	assert_true(s.pages[PAGE_STORED] > 0);
	assert_true(s.store_bytes < 2 * MiB);
	look_at_all(&g);
	read_all(&g);
	settle(&g);
	guest_close(&g);
}

/* ---- Together with others ---- */

static int same_as_first(void *opaque, page_no no, const void *page)
{
	u64 want[512];

	arriving(want, no, 1);
	if (memcmp(want, page, PAGE_SIZE))
		fail_msg("page %u is not as it was at the instant", no);
	++*(u32 *)opaque;
	return 0;
}

static int same_block_as_first(void *opaque, page_no no, const struct codec_block *block)
{
	u8 page[PAGE_SIZE];

	assert_int_equal(codec_open(block, page), 0);
	return same_as_first(opaque, no, page);
}

static void *put_second(void *arg)
{
	for (u32 no = 0; no < NR_PAGES; no++)
		if (put(arg, no, 2, no % 2 ? WAY_PAGES : WAY_STORED))
			abort();
	return NULL;
}

/* A live copy has what the pages held before they were replaced. */
static void test_under_copy(void **state)
{
	struct mem_config cfg = limited();
	u64 all[NR_PAGES / 64];
	pthread_t thread;
	struct guest g;
	struct err err;
	u32 n = 0;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < NR_PAGES; no++)
		assert_int_equal(put(&g, no, 1, no % 2 ? WAY_PAGES : WAY_STORED), 0);
	memset(all, 0xff, sizeof(all));
	assert_int_equal(mem_snap_begin(g.mem, &err), 0);
	mem_snap_take(g.mem, all);
	assert_int_equal(pthread_create(&thread, NULL, put_second, &g), 0);
	assert_int_equal(
		mem_snap_save(g.mem,
			      &(struct mem_snap_sink){&n, same_as_first, same_block_as_first},
			      &err),
		0);
	pthread_join(thread, NULL);
	mem_snap_end(g.mem);
	assert_int_equal(n, NR_PAGES);
	for (u32 no = 0; no < NR_PAGES; no++)
		g.generation[no] = 2;
	look_at_all(&g);
	read_all(&g);
	settle(&g);
	guest_close(&g);
}

/* Half of memory arrives while the guest uses the other half, and everything is evicted. */
static void test_beside_a_guest(void **state)
{
	struct mem_config cfg = limited();
	struct worker w = {.count = NR_PAGES / 2, .seed = 1, .by_access = true};
	atomic_bool stop = false;
	u64 want[512], page[512];
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	w.guest = &g;
	w.stop = &stop;
	worker_start(&w);
	/* three rounds, and on a busy host as many more as it takes the other half to be evicted */
	for (u32 i = 0; i < 3 * NR_PAGES / 2 ||
			(i < 300 * NR_PAGES / 2 && stats_of(&g).evicted <= NR_PAGES / 2);
	     i++) {
		u32 no = NR_PAGES / 2 + i % (NR_PAGES / 2), round = 1 + i / (NR_PAGES / 2);

		assert_int_equal(put(&g, no, round, WAY_MIXED), 0);
		arriving(want, no, round);
		assert_int_equal(mem_look(g.mem, no, page), 0);
		assert_memory_equal(want, page, PAGE_SIZE);
	}
	atomic_store(&stop, true);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.wrong, 0);
	assert_true(stats_of(&g).evicted > NR_PAGES / 2);
	settle(&g);
	check_limit(&g);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_limit),	cmocka_unit_test(test_under_limit),
		cmocka_unit_test(test_protected_clean), cmocka_unit_test(test_keeps_stored),
		cmocka_unit_test(test_fetches_nothing), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_store_refuses),	cmocka_unit_test(test_under_copy),
		cmocka_unit_test(test_beside_a_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
