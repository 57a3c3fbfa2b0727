// SPDX-License-Identifier: Apache-2.0
/*
 * Guest memory on its way to another host: pages are exported while they are written, evicted and
 * taken charge of, and every word of them must be of a version that the page had during the call.
 * How pages arrive is in test_put.c.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/codec/codec.h"
#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "tests/lib/quiet.h"
#include "tests/mm/engine/mem_fixture.h"

#define WORDS (PAGE_SIZE / sizeof(u64))

/* ---- Pages whose every word says of which version it is ---- */

/* A version counts as begun before its first word is written, and as done after its last. */
struct versions {
	_Atomic u32 begun[NR_PAGES], done[NR_PAGES];
};

static u64 noise(u32 no, u32 i)
{
	u64 x = ((u64)no << 32 | i) * 0x9e3779b97f4a7c15;

	return i < WORDS / 2 ? 0 : x ^ x >> 29;
}

static u64 word_of(u32 no, u32 i, u32 version)
{
	return ((u64)(no + 1) << 32 | version) ^ noise(no, i);
}

/* The version that the word is of; a page that was never written is zeros. */
static u32 version_of(u32 no, u32 i, u64 word)
{
	u64 stamp = word ^ noise(no, i);

	if (!word)
		return 0;
	if (stamp >> 32 != no + 1)
		fail_msg("page %u, word %u: %llx is of no version", no, i,
			 (unsigned long long)word);
	return (u32)stamp;
}

static void write_version(struct guest *g, struct versions *v, u32 no)
{
	u64 *page = (u64 *)(g->base + ((u64)no << PAGE_SHIFT));
	u32 version = atomic_fetch_add(&v->begun[no], 1) + 1;

	for (u32 i = 0; i < WORDS; i++)
		*(volatile u64 *)&page[i] = word_of(no, i, version);
	atomic_store(&v->done[no], version);
}

/* ---- Writers ---- */

struct writer {
	pthread_t thread;
	struct guest *guest;
	struct versions *versions;
	u32 first, count, seed;
	atomic_bool *stop;
};

static void *keep_writing(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(w->stop)) {
		u32 no = w->first + next_random(&w->seed) % w->count;

		pthread_rwlock_rdlock(&w->guest->world);
		write_version(w->guest, w->versions, no);
		pthread_rwlock_unlock(&w->guest->world);
	}
	return NULL;
}

/* Three pages in four are written by two threads, the rest stay as they are. */
static void writers_start(struct writer *w, struct guest *g, struct versions *v, atomic_bool *stop)
{
	for (u32 i = 0; i < NR_WORKERS; i++) {
		w[i] = (struct writer){
			.guest = g,
			.versions = v,
			.first = i * NR_PAGES * 3 / 8,
			.count = NR_PAGES * 3 / 8,
			.seed = i + 1,
			.stop = stop,
		};
		assert_int_equal(pthread_create(&w[i].thread, NULL, keep_writing, &w[i]), 0);
	}
}

static void writers_stop(struct writer *w, atomic_bool *stop)
{
	atomic_store(stop, true);
	for (u32 i = 0; i < NR_WORKERS; i++)
		pthread_join(w[i].thread, NULL);
}

/* ---- The other host ---- */

struct receiver {
	struct versions *versions;
	u32 *low; /* per page: the version that was done when the call began */
	u32 nr_pages, nr_blocks, nr_zeros;
	u32 last; /* pages come in the order in which they were asked for */
	int fail;
};

static void check_words(struct receiver *r, u32 no, const void *data)
{
	u32 high = atomic_load(&r->versions->begun[no]);
	u64 page[WORDS];

	memcpy(page, data, PAGE_SIZE);
	assert_true(r->last == PAGE_NONE || no > r->last);
	r->last = no;
	for (u32 i = 0; i < WORDS; i++) {
		u32 version = version_of(no, i, page[i]);

		if (version < r->low[no] || version > high)
			fail_msg("page %u, word %u: version %u, not %u to %u", no, i, version,
				 r->low[no], high);
	}
}

static int on_page(void *opaque, page_no no, const void *page)
{
	struct receiver *r = opaque;

	check_words(r, no, page);
	r->nr_pages++;
	return r->fail;
}

static int on_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct receiver *r = opaque;
	u8 page[PAGE_SIZE];

	assert_int_equal(codec_open(block, page), 0);
	check_words(r, no, page);
	if (block->kind == CODEC_PATTERN && !block->value)
		r->nr_zeros++;
	else
		r->nr_blocks++;
	return r->fail;
}

static void note_low(struct receiver *r)
{
	for (u32 no = 0; no < NR_PAGES; no++)
		r->low[no] = atomic_load(&r->versions->done[no]);
	r->last = PAGE_NONE;
}

static void receiver_open(struct receiver *r, struct versions *v)
{
	*r = (struct receiver){.versions = v, .low = calloc(NR_PAGES, sizeof(u32))};
	note_low(r);
}

/* The pages whose bits are set. */
static u32 list_pages(const u64 *bits, page_no *nos)
{
	u32 n = 0;

	for (u32 no = 0; no < NR_PAGES; no++)
		if (bits[no / 64] >> no % 64 & 1)
			nos[n++] = no;
	return n;
}

/* Everything that is present, asked for in pieces of all sizes. */
static void export_present(struct guest *g, struct receiver *r)
{
	const struct mem_snap_sink sink = {r, on_page, on_block};
	u64 *bits = calloc(NR_PAGES / 64, sizeof(u64));
	page_no *nos = calloc(NR_PAGES, sizeof(page_no));
	struct err err;
	u32 n, piece = 1;

	note_low(r);
	assert_int_equal(mem_present(g->mem, bits), 0);
	for (u32 no = 0; no < NR_PAGES; no++)
		if (r->low[no] && !(bits[no / 64] >> no % 64 & 1))
			fail_msg("page %u was written and is not present", no);
	n = list_pages(bits, nos);
	for (u32 i = 0; i < n; i += piece) {
		piece = MIN(1 + (piece * 7) % 300, n - i);
		if (mem_export(g->mem, nos + i, piece, &sink, &err))
			fail_msg("%s", err.text);
	}
	free(nos);
	free(bits);
}

/* ---- While the guest runs ---- */

static void export_under_load(const struct mem_config *cfg)
{
	struct versions *v = calloc(1, sizeof(*v));
	struct writer w[NR_WORKERS];
	atomic_bool stop = false;
	struct receiver r;
	struct guest g;

	guest_open(&g, cfg);
	receiver_open(&r, v);
	for (u32 no = 0; no < NR_PAGES; no += 2)
		write_version(&g, v, no);
	writers_start(w, &g, v, &stop);
	for (int i = 0; i < 5; i++)
		export_present(&g, &r);
	writers_stop(w, &stop);
	assert_true(r.nr_pages > 0);
	assert_int_equal(r.nr_blocks > 0, cfg->limit > 0);
	assert_true(!cfg->limit || stats_of(&g).evicted > NR_PAGES / 16);
	/* and now that it stands still, it is the last version */
	export_present(&g, &r);
	settle(&g);
	guest_close(&g);
	free(r.low);
	free(v);
}

static void test_under_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	export_under_load(&cfg);
}

static void test_protected_clean(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	cfg.clean = MEM_CLEAN_PROTECT;
	export_under_load(&cfg);
}

static void test_without_engine(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	export_under_load(&cfg);
}

/* ---- Taking charge, and evicting, in the middle ---- */

static void *order_reclaim(void *arg)
{
	struct guest *g = arg;
	struct err err;

	usleep(30000);
	for (int i = 0; i < 10; i++)
		if (mem_reclaim(g->mem, SIZE / 4, &err) < 0)
			abort();
	return NULL;
}

static void test_arming_meanwhile(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct versions *v = calloc(1, sizeof(*v));
		struct writer w[NR_WORKERS];
		atomic_bool stop = false;
		pthread_t thread;
		struct receiver r;
		struct guest g;

		guest_open(&g, &cfg);
		receiver_open(&r, v);
		for (u32 no = 0; no < NR_PAGES; no++)
			write_version(&g, v, no);
		writers_start(w, &g, v, &stop);
		assert_false(stats_of(&g).in_charge);
		assert_int_equal(pthread_create(&thread, NULL, order_reclaim, &g), 0);
		while (!r.nr_blocks)
			export_present(&g, &r);
		pthread_join(thread, NULL);
		writers_stop(w, &stop);
		assert_true(stats_of(&g).in_charge);
		export_present(&g, &r);
		settle(&g);
		guest_close(&g);
		free(r.low);
		free(v);
	}
}

/* ---- What it leaves alone ---- */

/* No page moves, no fault happens, nothing becomes younger in the store. */
static void test_brings_nothing_in(void **state)
{
	struct versions *v = calloc(1, sizeof(*v));
	struct mem_config cfg = limited();
	struct mem_stats before, after;
	struct receiver r;
	struct guest g;
	u8 page[PAGE_SIZE];

	(void)state;
	guest_open(&g, &cfg);
	receiver_open(&r, v);
	for (u32 no = 0; no < NR_PAGES - 100; no++)
		write_version(&g, v, no);
	mem_quiesce(g.mem); /* the evictor's own work would count */
	before = stats_of(&g);
	export_present(&g, &r);
	r.last = PAGE_NONE;
	for (u32 no = 0; no < NR_PAGES; no += 7) {
		assert_int_equal(mem_look(g.mem, no, page), 0);
		check_words(&r, no, page);
	}
	assert_int_equal(mem_look(g.mem, NR_PAGES, page), -EINVAL);
	after = stats_of(&g);
	mem_resume(g.mem);
	assert_true(before.pages[PAGE_STORED] > NR_PAGES / 2);
	assert_int_equal(r.nr_blocks, before.pages[PAGE_STORED]);
	assert_int_equal(r.nr_pages, NR_PAGES - 100 - before.pages[PAGE_STORED]);
	assert_memory_equal(before.pages, after.pages, sizeof(before.pages));
	assert_int_equal(before.store.gets, after.store.gets);
	assert_int_equal(before.store.pages, after.store.pages);
	for (int i = 0; i < MEM_NR_FAULT_KINDS; i++)
		assert_int_equal(before.fault[i].count, after.fault[i].count);
	settle(&g);
	guest_close(&g);
	free(r.low);
	free(v);
}

/* Holes and pages of zeros go as patterns, and holes stay holes. */
static void test_zeros(void **state)
{
	struct mem_config cfgs[] = {{.nr_cpus = 2, .swap = "/tmp"}, limited()};

	(void)state;
	for (u32 c = 0; c < ARRAY_SIZE(cfgs); c++) {
		struct versions *v = calloc(1, sizeof(*v));
		page_no nos[] = {3, 4, 5, 6, 900, 901, NR_PAGES - 1};
		struct mem_snap_sink sink = {NULL, on_page, on_block};
		u64 before, after, bits[NR_PAGES / 64] = {0};
		struct receiver r;
		struct guest g;
		struct err err;

		guest_open(&g, &cfgs[c]);
		receiver_open(&r, v);
		sink.opaque = &r;
		*(volatile u8 *)(g.base + (4 << PAGE_SHIFT)) = 0; /* there, and zeros */
		write_version(&g, v, 5);
		assert_int_equal(space_resident(g.space, &before), 0);
		assert_int_equal(mem_export(g.mem, nos, ARRAY_SIZE(nos), &sink, &err), 0);
		assert_int_equal(space_resident(g.space, &after), 0);
		assert_int_equal(before, after);
		assert_int_equal(r.nr_pages, 1);
		assert_int_equal(r.nr_zeros, ARRAY_SIZE(nos) - 1);
		assert_int_equal(mem_present(g.mem, bits), 0);
		assert_true(bits[0] >> 5 & 1);
		assert_false(bits[0] >> 3 & 1);
		assert_false(bits[900 / 64] >> 900 % 64 & 1);
		/* the sink's own failure ends it */
		r.fail = -EPIPE;
		r.last = PAGE_NONE;
		assert_int_equal(mem_export(g.mem, nos, ARRAY_SIZE(nos), &sink, &err), -EPIPE);
		assert_int_equal(r.nr_zeros, ARRAY_SIZE(nos));
		settle(&g);
		guest_close(&g);
		free(r.low);
		free(v);
	}
}

/* ---- Holding still ---- */

/* What the file holds: which pages there are, and a checksum of each. */
static void take_down(struct guest *g, struct codec_sum *sums)
{
	u64 start, end = 0;
	u8 page[PAGE_SIZE];

	memset(sums, 0, NR_PAGES * sizeof(sums[0]));
	while (space_next_present(g->space, end, &start, &end))
		for (u64 no = start; no < end; no++) {
			assert_int_equal(space_copy_pages(g->space, no, 1, page), 0);
			sums[no] = codec_sum(page);
		}
}

/* The vCPUs stand still, a smaller limit presses, and nothing goes until it may. */
static void hold_once(struct guest *g, struct codec_sum *first, struct codec_sum *second)
{
	struct mem_stats before, after;
	u64 limit;

	pthread_rwlock_wrlock(&g->world);
	mem_quiesce(g->mem);
	before = stats_of(g);
	assert_int_equal(before.pages[PAGE_FILLING] + before.pages[PAGE_EVICTING], 0);
	take_down(g, first);
	limit = MAX((before.resident_bytes + before.store_bytes) / 2, MEM_MIN_LIMIT);
	assert_int_equal(mem_set_limit(g->mem, limit, 0, NULL), 0);
	assert_int_equal(mem_audit(g->mem), 0);
	usleep(300000);
	take_down(g, second);
	after = stats_of(g);
	assert_memory_equal(first, second, NR_PAGES * sizeof(first[0]));
	assert_memory_equal(before.pages, after.pages, sizeof(before.pages));
	assert_true(after.resident_bytes + after.store_bytes > limit);
	assert_int_equal(mem_audit(g->mem), 0);
	mem_resume(g->mem);
	for (int i = 0; i < HUNG_MS / 10 && after.resident_bytes + after.store_bytes > limit; i++) {
		usleep(10000);
		after = stats_of(g);
	}
	assert_true(after.resident_bytes + after.store_bytes <= limit);
	pthread_rwlock_unlock(&g->world);
}

static void test_hold_still(void **state)
{
	struct codec_sum *sums = calloc(2 * NR_PAGES, sizeof(*sums));
	struct versions *v = calloc(1, sizeof(*v));
	struct mem_config cfg = limited();
	struct writer w[NR_WORKERS];
	atomic_bool stop = false;
	struct receiver r;
	struct guest g;

	(void)state;
	cfg.proactive = MEM_PROACTIVE_STALL;
	guest_open(&g, &cfg);
	receiver_open(&r, v);
	for (u32 no = 0; no < NR_PAGES; no++)
		write_version(&g, v, no);
	writers_start(w, &g, v, &stop);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mem_set_limit(g.mem, LIMIT, 0, NULL), 0);
		usleep(200000);
		hold_once(&g, sums, sums + NR_PAGES);
	}
	writers_stop(w, &stop);
	export_present(&g, &r);
	settle(&g);
	guest_close(&g);
	free(sums);
	free(r.low);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_under_limit),    cmocka_unit_test(test_protected_clean),
		cmocka_unit_test(test_without_engine), cmocka_unit_test(test_arming_meanwhile),
		cmocka_unit_test(test_zeros),	       cmocka_unit_test(test_brings_nothing_in),
		cmocka_unit_test(test_hold_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
