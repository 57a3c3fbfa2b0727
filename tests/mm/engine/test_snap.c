// SPDX-License-Identifier: Apache-2.0
/*
 * Live copies of guest memory: while two threads write as fast as they can, every page of a copy is
 * compared with what it held at the instant.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/codec/codec.h"
#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "mm/image/image.h"
#include "tests/mm/engine/mem_fixture.h"

/* Where pages go, and what they must be. */
struct sink {
	u32 *generation; /* per page, at the instant */
	u8 *seen;
	u32 nr, nr_blocks;
	u32 slow_us; /* per page */
	u32 fail_after;
};

static int take_page(void *opaque, page_no no, const void *page)
{
	struct sink *s = opaque;
	u64 want[512];

	contents_of(want, no, s->generation[no]);
	if (memcmp(want, page, PAGE_SIZE))
		fail_msg("page %u is not as it was at the instant", no);
	if (s->seen[no]++)
		fail_msg("page %u came twice", no);
	s->nr++;
	if (s->slow_us)
		usleep(s->slow_us);
	return s->fail_after && s->nr >= s->fail_after ? -ENOSPC : 0;
}

static int take_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct sink *s = opaque;
	u8 page[PAGE_SIZE];

	assert_int_equal(codec_open(block, page), 0);
	s->nr_blocks++;
	return take_page(opaque, no, page);
}

static void sink_open(struct sink *s)
{
	*s = (struct sink){
		.generation = calloc(NR_PAGES, sizeof(u32)),
		.seen = calloc(NR_PAGES, 1),
	};
}

static void sink_close(struct sink *s)
{
	free(s->generation);
	free(s->seen);
}

/* The instant: nobody is in the middle of a page. */
static void take(struct guest *g, struct sink *s, const u64 *pages)
{
	pthread_rwlock_wrlock(&g->world);
	memcpy(s->generation, g->generation, NR_PAGES * sizeof(u32));
	mem_snap_take(g->mem, pages);
	pthread_rwlock_unlock(&g->world);
}

static int save(struct guest *g, struct sink *s)
{
	const struct mem_snap_sink sink = {s, take_page, take_block};
	struct err err;

	return mem_snap_save(g->mem, &sink, &err);
}

static int copy_all(struct guest *g, struct sink *s)
{
	struct err err;
	int ret = mem_snap_begin(g->mem, &err);

	if (ret)
		fail_msg("%s", err.text);
	while (mem_snap_mark(g->mem, NULL))
		;
	take(g, s, NULL);
	ret = save(g, s);
	mem_snap_end(g->mem);
	return ret;
}

/* All pages that held something came, and no others but zeros. */
static void check_complete(const struct sink *s)
{
	for (u32 no = 0; no < NR_PAGES; no++)
		if (s->generation[no] && !s->seen[no])
			fail_msg("page %u did not come", no);
}

/* ---- Everything ---- */

static void copy_under_load(const struct mem_config *cfg, u32 slow_us, bool by_access)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	guest_open(&g, cfg);
	for (u32 no = 0; no < NR_PAGES / 2; no++)
		write_page(&g, no);
	workers_start(w, &g, &stop, by_access);
	for (int i = 0; i < 3; i++) {
		struct sink s;

		sink_open(&s);
		s.slow_us = slow_us;
		assert_int_equal(copy_all(&g, &s), 0);
		check_complete(&s);
		assert_true(!cfg->limit || s.nr_blocks > 0);
		sink_close(&s);
	}
	workers_stop(w, &stop);
	assert_true(stats_of(&g).fault[MEM_FAULT_WRITE].count > 0);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

static void test_without_limit(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	copy_under_load(&cfg, 0, false);
}

static void test_with_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	copy_under_load(&cfg, 0, true);
}

/* The guest writes faster than pages are saved: it waits, and loses nothing. */
static void test_slow_sink(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	copy_under_load(&cfg, 20, true);
}

static void test_protected_clean(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	cfg.clean = MEM_CLEAN_PROTECT;
	copy_under_load(&cfg, 0, true);
}

/* A copy and an order, each the first thing that needs the engine, at once. */
static void *order_limit(void *arg)
{
	struct guest *g = arg;
	struct err err;

	if (mem_set_limit(g->mem, SIZE, 0, &err) || mem_set_policy(g->mem, "lru", &err))
		abort();
	return NULL;
}

static void test_first_of_all(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		struct guest g;
		struct sink s;

		guest_open(&g, &cfg);
		sink_open(&s);
		write_page(&g, 3);
		assert_int_equal(pthread_create(&thread, NULL, order_limit, &g), 0);
		assert_int_equal(copy_all(&g, &s), 0);
		pthread_join(thread, NULL);
		check_complete(&s);
		assert_string_equal(stats_of(&g).policy, "lru");
		settle(&g);
		sink_close(&s);
		guest_close(&g);
	}
}

/* ---- Given pages ---- */

static void test_given_pages(void **state)
{
	struct mem_config cfg = limited();
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;
	u32 seed = 5;

	(void)state;
	guest_open(&g, &cfg);
	fill(&g);
	workers_start(w, &g, &stop, false);
	for (u32 i = 0; i < 20; i++) {
		u64 *pages = calloc(NR_PAGES / 64, sizeof(u64));
		u32 every = 1 + next_random(&seed) % 50;
		struct sink s;

		sink_open(&s);
		for (u32 no = 0; no < NR_PAGES; no += every)
			pages[no / 64] |= (u64)1 << no % 64;
		assert_int_equal(mem_snap_begin(g.mem, NULL), 0);
		while (i % 2 && mem_snap_mark(g.mem, pages))
			;
		take(&g, &s, pages);
		assert_int_equal(save(&g, &s), 0);
		mem_snap_end(g.mem);
		for (u32 no = 0; no < NR_PAGES; no++)
			assert_int_equal(s.seen[no], no % every == 0);
		sink_close(&s);
		free(pages);
	}
	workers_stop(w, &stop);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* Pages that nobody ever touched are among the given ones: they come as zeros. */
static void test_given_absent(void **state)
{
	struct mem_config cfg = limited();
	u64 pages[NR_PAGES / 64];
	struct guest g;
	struct sink s;

	(void)state;
	guest_open(&g, &cfg);
	sink_open(&s);
	memset(pages, 0xff, sizeof(pages));
	write_page(&g, 7);
	assert_int_equal(mem_snap_begin(g.mem, NULL), 0);
	take(&g, &s, pages);
	assert_int_equal(save(&g, &s), 0);
	mem_snap_end(g.mem);
	assert_int_equal(s.nr, NR_PAGES);
	settle(&g);
	sink_close(&s);
	guest_close(&g);
}

/* ---- Given up ---- */

/* After it the guest writes everywhere without a write fault: no mark is left. */
static void check_no_marks(struct guest *g)
{
	u64 before = stats_of(g).fault[MEM_FAULT_WRITE].count;

	fill(g);
	assert_int_equal(stats_of(g).fault[MEM_FAULT_WRITE].count, before);
	check_all(g);
}

static void test_sink_fails(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	fill(&g);
	for (u32 after = 1; after < NR_PAGES; after *= 8) {
		struct sink s;

		sink_open(&s);
		s.fail_after = after;
		assert_int_equal(copy_all(&g, &s), -ENOSPC);
		sink_close(&s);
	}
	check_no_marks(&g);
	settle(&g);
	guest_close(&g);
}

static void test_cancelled(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};
	struct guest g;
	struct sink s;

	(void)state;
	guest_open(&g, &cfg);
	fill(&g);
	sink_open(&s);
	/* while marking, and after the instant */
	assert_int_equal(mem_snap_begin(g.mem, NULL), 0);
	assert_true(mem_snap_mark(g.mem, NULL));
	mem_snap_cancel(g.mem);
	assert_false(mem_snap_mark(g.mem, NULL));
	mem_snap_end(g.mem);
	check_no_marks(&g);
	assert_int_equal(mem_snap_begin(g.mem, NULL), 0);
	while (mem_snap_mark(g.mem, NULL))
		;
	take(&g, &s, NULL);
	mem_snap_cancel(g.mem);
	assert_int_equal(save(&g, &s), -ECANCELED);
	mem_snap_end(g.mem);
	check_no_marks(&g);
	sink_close(&s);
	/* and then one that is not */
	sink_open(&s);
	assert_int_equal(copy_all(&g, &s), 0);
	check_complete(&s);
	check_no_marks(&g);
	settle(&g);
	sink_close(&s);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_limit),	cmocka_unit_test(test_with_limit),
		cmocka_unit_test(test_slow_sink),	cmocka_unit_test(test_given_pages),
		cmocka_unit_test(test_given_absent),	cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_protected_clean), cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_first_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
