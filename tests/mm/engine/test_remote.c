// SPDX-License-Identifier: Apache-2.0
/*
 * The pager of a guest that has moved before its memory: a source made of threads answers late and
 * in any order, pushes at the same time, sends pages twice, falls silent and comes back, while
 * threads use the guest's memory and compare every page with what it must be.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mm/codec/codec.h"
#include "mm/base/pageset.h"
#include "mm/engine/access.h"
#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "mm/engine/impl.h"
#include "mm/engine/put.h"
#include "mm/space/pager.h"
#include "mm/engine/remote.h"
#include "tests/lib/quiet.h"
#include "tests/mm/engine/mem_fixture.h"

/* ---- The source ---- */

enum { NR_ANSWERERS = 2, NR_PUSHERS = 2, MAX_ASKED = 8192 };

static struct source {
	struct remote *remote;
	struct pager *pager; /* that the engine sees */
	pthread_mutex_t lock;
	pthread_cond_t asked_some;
	u32 asked[MAX_ASKED]; /* pages that are to be answered */
	u32 nr_asked, seed;
	u64 lost; /* requests while nobody listened */
	u64 requests, pages;
	atomic_bool silent, stop;
	atomic_uint failed, sent;
	u32 nr_missing;
	pthread_t answerers[NR_ANSWERERS], pushers[NR_PUSHERS];
	bool answers, pushes;
	bool forgets; /* the destination, before it begins */
} src;

/* Seven of eight pages are to come; a quarter of those are zeros. */
static bool is_to_come(u32 no)
{
	return no % 8 != 3;
}

static u32 source_generation(u32 no)
{
	return no % 4 != 1;
}

static void source_ask(void *opaque, page_no no, u32 n)
{
	(void)opaque;
	pthread_mutex_lock(&src.lock);
	src.requests++;
	src.pages += n;
	if (atomic_load(&src.silent))
		src.lost++;
	for (u32 i = 0; i < n && !atomic_load(&src.silent); i++) {
		if (src.nr_asked == MAX_ASKED)
			abort();
		src.asked[src.nr_asked++] = no + i;
	}
	pthread_cond_broadcast(&src.asked_some);
	pthread_mutex_unlock(&src.lock);
}

static int send_block(u32 no, const void *page)
{
	struct codec_block block = {.kind = CODEC_PATTERN};
	u8 packed[PAGE_SIZE];

	if (!codec_pattern(page, &block.value)) {
		block.size = codec_pack(page, packed, PAGE_SIZE - 1);
		block.kind = block.size ? CODEC_PACKED : CODEC_RAW;
		block.data = block.size ? packed : page;
		block.size = block.size ? block.size : PAGE_SIZE;
		block.sum = codec_sum(page);
	}
	return remote_block(src.remote, no, &block);
}

static void send_one(u32 no, u32 *seed)
{
	u64 page[512];
	int ret;

	contents_of(page, no, source_generation(no));
	ret = next_random(seed) % 2 ? send_block(no, page) : remote_page(src.remote, no, page);
	if (ret)
		atomic_fetch_add(&src.failed, 1);
	atomic_fetch_add(&src.sent, 1);
}

/* Any of those that are asked for. False: the end. */
static bool next_asked(u32 *no, u32 *seed)
{
	bool some;

	pthread_mutex_lock(&src.lock);
	while (!src.nr_asked && !atomic_load(&src.stop))
		pthread_cond_wait(&src.asked_some, &src.lock);
	some = src.nr_asked;
	if (some) {
		u32 i = next_random(seed) % src.nr_asked;

		*no = src.asked[i];
		src.asked[i] = src.asked[--src.nr_asked];
	}
	pthread_mutex_unlock(&src.lock);
	return some;
}

static void *answer(void *arg)
{
	u32 seed = (u32)(uintptr_t)arg + 77, no;

	while (next_asked(&no, &seed)) {
		if (next_random(&seed) % 4 == 0)
			usleep(next_random(&seed) % 300);
		send_one(no, &seed);
		if (next_random(&seed) % 8 == 0)
			send_one(no, &seed);
	}
	return NULL;
}

/* Each goes through all that is missing, so that much comes twice, and at the same moment. */
static void push_some(u32 *seed)
{
	u64 missing[NR_PAGES / 64];
	u32 n = 0;

	remote_missing(src.remote, missing);
	for (u32 no = 0; no < NR_PAGES && !atomic_load(&src.stop); no++) {
		if (!(missing[no / 64] >> no % 64 & 1) || next_random(seed) % 8 == 0)
			continue;
		while (atomic_load(&src.silent) && !atomic_load(&src.stop))
			usleep(1000);
		send_one(no, seed);
		if (++n % 64 == 0)
			usleep(next_random(seed) % 4000);
	}
}

static void *push(void *arg)
{
	u32 seed = (u32)(uintptr_t)arg + 99;

	while (remote_nr_missing(src.remote) && !atomic_load(&src.stop))
		push_some(&seed);
	return NULL;
}

static void source_start(bool answers, bool pushes)
{
	src.answers = answers;
	src.pushes = pushes;
	for (uintptr_t i = 0; i < NR_ANSWERERS && answers; i++)
		assert_int_equal(pthread_create(&src.answerers[i], NULL, answer, (void *)i), 0);
	for (uintptr_t i = 0; i < NR_PUSHERS && pushes; i++)
		assert_int_equal(pthread_create(&src.pushers[i], NULL, push, (void *)i), 0);
}

static void source_stop(void)
{
	pthread_mutex_lock(&src.lock);
	atomic_store(&src.stop, true);
	pthread_cond_broadcast(&src.asked_some);
	pthread_mutex_unlock(&src.lock);
	for (u32 i = 0; i < NR_ANSWERERS && src.answers; i++)
		pthread_join(src.answerers[i], NULL);
	for (u32 i = 0; i < NR_PUSHERS && src.pushes; i++)
		pthread_join(src.pushers[i], NULL);
	src.answers = src.pushes = false;
	atomic_store(&src.stop, false);
}

/* What was asked for is lost with the connection. */
static void source_hangs_up(void)
{
	pthread_mutex_lock(&src.lock);
	atomic_store(&src.silent, true);
	src.nr_asked = 0;
	pthread_mutex_unlock(&src.lock);
}

static void source_is_back(void)
{
	atomic_store(&src.silent, false);
	remote_ask_again(src.remote);
}

/* ---- The guest ---- */

static struct mem_config unlimited(void)
{
	return (struct mem_config){.check = true, .nr_cpus = 4, .swap = "/tmp"};
}

/* What was received before: of pages that are to come, it is old. */
static void receive_before(struct guest *g)
{
	u64 page[512];

	for (u32 no = 0; no < NR_PAGES; no++) {
		if (is_to_come(no) && no % 5)
			continue;
		contents_of(page, no, is_to_come(no) ? 1000 : source_generation(no));
		assert_int_equal(mem_put_page(g->mem, no, page), 0);
	}
}

static void source_create(void)
{
	const struct remote_host host = {.ask = source_ask};

	src = (struct source){.seed = 1};
	pthread_mutex_init(&src.lock, NULL);
	pthread_cond_init(&src.asked_some, NULL);
	assert_int_equal(remote_create(&src.remote, NR_PAGES, &host), 0);
	src.pager = remote_pager(src.remote);
}

/*
 * Old pages of the lower half go before it is known that they are the last: none is in memory or
 * stored afterwards, and one that comes again is as good as any.
 */
static void forget_early(struct guest *g, const u64 missing[NR_PAGES / 64])
{
	u64 stale[NR_PAGES / 64] = {0}, page[512];
	struct err err;

	memcpy(stale, missing, sizeof(stale) / 2);
	if (remote_prepare(src.remote, g->mem, &err))
		fail_msg("%s", err.text);
	remote_forget(src.remote, g->mem, stale);
	for (u32 no = 0; no < NR_PAGES; no++) {
		bool old = no < NR_PAGES / 2 && is_to_come(no) && no % 5 == 0;

		assert_int_equal(pageset_has(stale, no), old);
		if (old)
			assert_int_equal(g->mem->pages.page[no].state, PAGE_ABSENT);
	}
	contents_of(page, 10, 1000);
	assert_int_equal(mem_put_page(g->mem, 10, page), 0);
}

/* The source, and the guest at the moment when it is about to run here. */
static void moved_open(struct guest *g, struct mem_config cfg)
{
	u64 missing[NR_PAGES / 64] = {0};
	struct err err;

	if (!src.remote)
		source_create();
	cfg.origin = src.pager;
	guest_open(g, &cfg);
	receive_before(g);
	for (u32 no = 0; no < NR_PAGES; no++) {
		g->generation[no] = source_generation(no);
		if (!is_to_come(no))
			continue;
		missing[no / 64] |= (u64)1 << no % 64;
		src.nr_missing++;
	}
	if (src.forgets)
		forget_early(g, missing);
	if (remote_begin(src.remote, g->mem, missing, &err))
		fail_msg("%s", err.text);
	assert_int_equal(remote_nr_missing(src.remote), src.nr_missing);
}

static void moved_close(struct guest *g)
{
	guest_close(g);
	remote_destroy(src.remote);
	src.remote = NULL;
}

static struct remote_stats remote_stats_of(void)
{
	struct remote_stats s;

	remote_get_stats(src.remote, &s);
	return s;
}

static void wait_until_all_came(void)
{
	for (int i = 0; i < HUNG_MS / 10 && remote_nr_missing(src.remote); i++)
		usleep(10000);
	assert_int_equal(remote_nr_missing(src.remote), 0);
}

/* Each page came in once: asked for, or pushed. */
static void check_counts(void)
{
	struct remote_stats s;

	wait_until_all_came(); /* a page is committed a moment after it woke who waited for it */
	s = remote_stats_of();
	assert_int_equal(s.asked + s.pushed, src.nr_missing);
	assert_int_equal(atomic_load(&src.failed), 0);
}

/* A sink that compares and counts. */
static int count_page(void *opaque, page_no no, const void *page)
{
	u64 want[512];

	contents_of(want, no, source_generation(no));
	assert_memory_equal(page, want, PAGE_SIZE);
	(*(u32 *)opaque)++;
	return 0;
}

static int count_block(void *opaque, page_no no, const struct codec_block *block)
{
	u8 page[PAGE_SIZE];

	assert_int_equal(codec_open(block, page), 0);
	return count_page(opaque, no, page);
}

/* ---- All at once ---- */

static void move(struct mem_config cfg, bool by_access)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct remote_stats s;
	struct guest g;

	moved_open(&g, cfg);
	source_start(true, true);
	workers_start(w, &g, &stop, by_access);
	wait_until_all_came();
	workers_stop(w, &stop);
	source_stop();
	check_all(&g);
	check_counts();
	s = remote_stats_of();
	assert_true(s.asked > 0 && s.pushed > 0 && s.requests <= s.asked);
	assert_true(atomic_load(&src.sent) > src.nr_missing);
	assert_true(s.worst_ns > 0 && s.waited_ns >= s.worst_ns);
	assert_true(stats_of(&g).fault[MEM_FAULT_REMOTE].count > 0);
	assert_true(stats_of(&g).fault[MEM_FAULT_REMOTE].count <= s.asked + s.pushed);
	settle(&g);
	moved_close(&g);
}

static void test_moves(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		move(unlimited(), i % 2);
}

static void test_moves_forgotten_early(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		source_create();
		src.forgets = true;
		move(i / 2 ? limited() : unlimited(), i % 2);
	}
}

static void test_moves_with_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	for (int i = 0; i < 4; i++) {
		cfg.clean = i / 2 ? MEM_CLEAN_PROTECT : MEM_CLEAN_COMPARE;
		move(cfg, i % 2);
	}
}

/* ---- One way alone ---- */

/* Nobody pushes: neighbours come together, and what did not have to come is not asked for. */
static void test_asked_only(void **state)
{
	struct remote_stats s;
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	source_start(true, false);
	check_all(&g);
	check_counts();
	source_stop();
	s = remote_stats_of();
	assert_int_equal(s.pushed, 0);
	assert_int_equal(s.asked, src.nr_missing);
	assert_int_equal(s.requests, src.requests);
	assert_int_equal(src.pages, src.nr_missing);
	assert_true(s.requests < src.nr_missing / 2);
	settle(&g);
	assert_true(stats_of(&g).fault[MEM_FAULT_REMOTE].count > 0);
	moved_close(&g);
}

/* A block goes into the store as it came: the store itself would keep such a page raw. */
static int as_it_came(void *opaque, page_no no, const struct codec_block *block)
{
	u8 page[PAGE_SIZE];

	assert_int_equal(no, 8);
	assert_int_equal(block->kind, CODEC_PACKED);
	assert_true(block->size > PAGE_SIZE / 8 * 7);
	assert_int_equal(codec_open(block, page), 0);
	assert_memory_equal(page, opaque, PAGE_SIZE);
	return 0;
}

static void test_block_as_it_came(void **state)
{
	const page_no no = 8;
	u64 page[512] = {0};
	const struct mem_snap_sink sink = {page, count_page, as_it_came};
	u32 seed = 1;
	struct err err;
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	for (u32 i = 0; i < 3800; i++)
		((u8 *)page)[i] = (u8)next_random(&seed);
	assert_int_equal(send_block(no, page), 0);
	assert_int_equal(remote_nr_missing(src.remote), src.nr_missing - 1);
	assert_int_equal(stats_of(&g).pages[PAGE_STORED], 1);
	assert_int_equal(mem_export(g.mem, &no, 1, &sink, &err), 0);
	assert_memory_equal(g.base + (no << PAGE_SHIFT), page, PAGE_SIZE);
	assert_int_equal(src.requests, 0);
	moved_close(&g);
}

/* Nobody touches anything; zeros take no memory, and a guest with a limit has what came stored. */
static void all_pushed(struct mem_config cfg)
{
	struct mem_stats s;
	struct guest g;

	moved_open(&g, cfg);
	source_start(false, true);
	wait_until_all_came();
	source_stop();
	check_counts();
	assert_int_equal(src.requests, 0);
	s = stats_of(&g);
	assert_int_equal(s.fault[MEM_FAULT_REMOTE].count, 0);
	assert_true(s.pages[PAGE_STORED] > 0 && s.resident_bytes > 0);
	assert_true(s.pages[PAGE_ABSENT] > NR_PAGES / 8);
	if (cfg.limit)
		assert_true(s.peak_bytes <= cfg.limit + MEM_SLACK);
	check_all(&g);
	assert_int_equal(src.requests, 0);
	settle(&g);
	moved_close(&g);
}

static void test_pushed_only(void **state)
{
	(void)state;
	all_pushed(unlimited());
	all_pushed(limited());
}

/* ---- The moment in which a page is taken and not yet asked for ---- */

/* A pager before the pager: what is taken is pushed, and, wrong, once more when it was read. */
static struct between {
	struct pager pager;
	struct pager *inner;
	struct pager_ops ops;
	atomic_uint reads;
} between;

static void push_run(page_no no, u32 n, bool wrong)
{
	u64 page[512];

	for (u32 i = 0; i < n; i++) {
		contents_of(page, no + i, wrong ? 1000 : source_generation(no + i));
		if ((no + i) % 16 < 8 ? remote_page(src.remote, no + i, page)
				      : send_block(no + i, page))
			atomic_fetch_add(&src.failed, 1);
	}
}

static int read_between(struct pager *p, page_no no, u32 n, u8 *pages, struct err *err)
{
	int ret;

	(void)p;
	atomic_fetch_add(&between.reads, 1);
	push_run(no, n, false);
	ret = between.inner->ops->read(between.inner, no, n, pages, err);
	push_run(no, n, true);
	return ret;
}

static bool has_between(struct pager *p, page_no no)
{
	(void)p;
	return pager_has(between.inner, no);
}

static void took_between(struct pager *p, page_no no)
{
	(void)p;
	pager_took(between.inner, no);
}

static void test_pushed_when_taken(void **state)
{
	struct guest g;

	(void)state;
	source_create();
	between = (struct between){.pager.ops = &between.ops, .inner = src.pager};
	between.ops = *src.pager->ops;
	between.ops.read = read_between;
	between.ops.has = has_between;
	between.ops.took = took_between;
	between.ops.owes = NULL;
	between.ops.cut = NULL;
	src.pager = &between.pager;
	moved_open(&g, unlimited());
	check_all(&g);
	assert_true(atomic_load(&between.reads) > 0);
	assert_int_equal(src.requests, 0);
	assert_int_equal(remote_stats_of().asked, 0);
	check_counts();
	settle(&g);
	moved_close(&g);
}

/* ---- A connection that breaks ---- */

static void test_asks_again(void **state)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	u32 sent;
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	source_hangs_up();
	source_start(true, true);
	workers_start(w, &g, &stop, true);
	for (int i = 0; i < 5; i++) {
		usleep(50000);
		source_hangs_up();
		usleep(100000);
		/* nothing comes, and whoever needs a page waits for as long as it takes */
		sent = atomic_load(&src.sent);
		usleep(50000);
		assert_in_range(atomic_load(&src.sent), sent, sent + 1);
		source_is_back();
	}
	wait_until_all_came();
	workers_stop(w, &stop);
	source_stop();
	assert_true(src.lost > 0);
	assert_true(remote_stats_of().worst_ns >= 100000000);
	check_all(&g);
	check_counts();
	settle(&g);
	moved_close(&g);
}

/* ---- The end while somebody waits ---- */

struct waiting {
	struct guest *guest;
	u32 no;
	bool by_access;
	int error;
	pthread_t thread;
};

/* The guest's own access as a system call, which returns where the guest's process would die. */
static void *wait_for_page(void *arg)
{
	struct waiting *w = arg;
	int fd = memfd_create("test", MFD_CLOEXEC);
	u8 byte;

	if (w->by_access)
		w->error = -mem_read(w->guest->mem, gpa((u64)w->no << PAGE_SHIFT), &byte, 1);
	else
		w->error = pwrite(fd, w->guest->base + ((u64)w->no << PAGE_SHIFT), 1, 0) == 1
				   ? 0
				   : errno;
	close(fd);
	return NULL;
}

static void wait_for_requests(u64 want)
{
	u64 have = 0;

	for (int i = 0; i < HUNG_MS && have < want; i++) {
		usleep(1000);
		pthread_mutex_lock(&src.lock);
		have = src.requests;
		pthread_mutex_unlock(&src.lock);
	}
	assert_int_equal(have, want);
}

static void cut_while_waiting(struct mem_config cfg)
{
	/* two wait for the same page: one by a handler, one for the handler */
	const u32 nos[] = {0, 100, 200, 300, 400, 500, 0, 300};
	struct waiting w[8];
	u8 byte;
	struct guest g;

	cfg.nr_cpus = 4; /* as many as touch the guest's memory */
	moved_open(&g, cfg);
	atomic_store(&src.silent, true);
	for (u32 i = 0; i < 8; i++) {
		w[i] = (struct waiting){.guest = &g, .no = nos[i], .by_access = i % 4 >= 2};
		assert_int_equal(pthread_create(&w[i].thread, NULL, wait_for_page, &w[i]), 0);
		if (i < 6)
			wait_for_requests(i + 1);
	}
	usleep(20000);
	mem_cut(g.mem);
	for (u32 i = 0; i < 8; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].error, w[i].by_access ? ECANCELED : EFAULT);
	}
	/* nobody waits in vain from now on, and nobody is given zeros */
	assert_int_equal(mem_read(g.mem, gpa(600 << PAGE_SHIFT), &byte, 1), -ECANCELED);
	assert_int_equal(remote_nr_missing(src.remote), src.nr_missing);
	assert_int_equal(atomic_load(&nr_failed), 0);
	moved_close(&g);
}

static void test_cut(void **state)
{
	(void)state;
	cut_while_waiting(unlimited());
	cut_while_waiting(limited());
}

/* In the middle of everything. */
static void test_cut_while_moving(void **state)
{
	struct waiting w[4];
	struct guest g;

	(void)state;
	for (u32 round = 0; round < 20; round++) {
		moved_open(&g, round % 2 ? limited() : unlimited());
		source_start(true, true);
		for (u32 i = 0; i < 4; i++) {
			w[i] = (struct waiting){
				.guest = &g, .no = i * 4000 + round, .by_access = i % 2};
			assert_int_equal(pthread_create(&w[i].thread, NULL, wait_for_page, &w[i]),
					 0);
		}
		usleep(round * 200);
		mem_cut(g.mem);
		for (u32 i = 0; i < 4; i++)
			pthread_join(w[i].thread, NULL);
		source_stop();
		assert_int_equal(atomic_load(&nr_failed), 0);
		moved_close(&g);
	}
}

/* A source that is given up for lost: the guest is stopped with a reason, not left waiting. */
static void test_given_up(void **state)
{
	struct waiting w;
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	atomic_store(&src.silent, true);
	w = (struct waiting){.guest = &g, .no = 8};
	assert_int_equal(pthread_create(&w.thread, NULL, wait_for_page, &w), 0);
	wait_for_requests(1);
	pager_cut(src.pager);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.error, EFAULT);
	assert_int_equal(atomic_load(&nr_failed), 1);
	assert_non_null(strstr(failed_why.text, "page 8: the rest of the guest's memory"));
	moved_close(&g);
}

/* ---- What else is asked of it ---- */

/* Who waits for a page does not get one that cannot be opened, but the next. */
static void test_refused_while_waiting(void **state)
{
	struct codec_block block = {.kind = CODEC_PACKED, .size = 100};
	struct waiting w;
	u8 junk[PAGE_SIZE] = {1};
	u32 seed = 3;
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	atomic_store(&src.silent, true);
	block.data = junk;
	w = (struct waiting){.guest = &g, .no = 8};
	assert_int_equal(pthread_create(&w.thread, NULL, wait_for_page, &w), 0);
	wait_for_requests(1);
	assert_int_equal(remote_block(src.remote, 8, &block), -EBADMSG);
	assert_int_equal(remote_nr_missing(src.remote), src.nr_missing);
	for (u32 no = 8; no < 16; no++)
		send_one(no, &seed);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.error, 0);
	assert_true(page_right(&g, 8));
	assert_int_equal(atomic_load(&src.failed), 0);
	settle(&g);
	moved_close(&g);
}

static void test_refused(void **state)
{
	struct codec_block block = {.kind = CODEC_PACKED, .size = 100};
	u8 page[PAGE_SIZE] = {1};
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	block.data = page;
	assert_int_equal(remote_block(src.remote, 0, &block), -EBADMSG);
	assert_int_equal(remote_block(src.remote, NR_PAGES, &block), -EINVAL);
	assert_int_equal(remote_page(src.remote, NR_PAGES, page), -EINVAL);
	/* of a page that is here it does not matter what comes */
	assert_int_equal(remote_block(src.remote, 3, &block), 0);
	assert_int_equal(remote_page(src.remote, 3, page), 0);
	assert_int_equal(remote_nr_missing(src.remote), src.nr_missing);
	source_start(true, false);
	check_all(&g);
	source_stop();
	check_counts();
	settle(&g);
	moved_close(&g);
}

/* Whatever has become of a page that is here: what comes late does not touch it. */
static void test_late(void **state)
{
	struct mem_stats s;
	u64 late[512];
	struct guest g;

	(void)state;
	moved_open(&g, limited());
	source_start(true, false);
	for (u32 no = 0; no < NR_PAGES; no += 2) {
		memset(g.base + ((u64)no << PAGE_SHIFT), 0, PAGE_SIZE);
		g.generation[no] = 0;
	}
	check_all(&g);
	check_counts();
	source_stop();
	s = stats_of(&g);
	assert_true(s.pages[PAGE_ABSENT] > 0 && s.pages[PAGE_STORED] > 0 && s.resident_bytes > 0);
	contents_of(late, 0, 1000);
	for (u32 no = 0; no < NR_PAGES; no++) {
		assert_int_equal(remote_page(src.remote, no, late), 0);
		assert_int_equal(put_missing_page(g.mem, no, late), -EEXIST);
	}
	check_all(&g);
	settle(&g);
	moved_close(&g);
}

/* What comes only once cannot be part of a copy before it is here. */
static void test_no_copy_meanwhile(void **state)
{
	u32 nr = 0;
	const struct mem_snap_sink sink = {&nr, count_page, count_block};
	struct err err;
	struct guest g;

	(void)state;
	moved_open(&g, limited());
	assert_int_equal(mem_snap_begin(g.mem, &err), -EBUSY);
	source_start(true, true);
	check_all(&g);
	wait_until_all_came();
	source_stop();
	if (mem_snap_begin(g.mem, &err))
		fail_msg("%s", err.text);
	while (mem_snap_mark(g.mem, NULL))
		;
	mem_snap_take(g.mem, NULL);
	assert_int_equal(mem_snap_save(g.mem, &sink, &err), 0);
	mem_snap_end(g.mem);
	assert_true(nr >= NR_PAGES / 4 * 3);
	settle(&g);
	moved_close(&g);
}

static u32 nr_owed(struct guest *g)
{
	struct mem_page page;
	u32 n = 0;

	for (u32 no = 0; no < NR_PAGES; no++) {
		assert_int_equal(mem_get_pages(g->mem, no, 1, &page), 0);
		assert_true(page.owed == page.in_origin);
		n += page.owed && is_to_come(no);
	}
	return n;
}

/* Which pages are the other host's is known of each. */
static void test_owed(void **state)
{
	struct guest g;

	(void)state;
	moved_open(&g, unlimited());
	assert_int_equal(nr_owed(&g), src.nr_missing);
	source_start(true, true);
	check_all(&g);
	wait_until_all_came();
	source_stop();
	assert_int_equal(nr_owed(&g), 0);
	settle(&g);
	moved_close(&g);
}

/* A test that failed leaves its source. */
static int setup(void **state)
{
	(void)state;
	src.remote = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_moves, setup),
		cmocka_unit_test_setup(test_moves_forgotten_early, setup),
		cmocka_unit_test_setup(test_moves_with_limit, setup),
		cmocka_unit_test_setup(test_asked_only, setup),
		cmocka_unit_test_setup(test_pushed_only, setup),
		cmocka_unit_test_setup(test_block_as_it_came, setup),
		cmocka_unit_test_setup(test_pushed_when_taken, setup),
		cmocka_unit_test_setup(test_asks_again, setup),
		cmocka_unit_test_setup(test_cut, setup),
		cmocka_unit_test_setup(test_cut_while_moving, setup),
		cmocka_unit_test_setup(test_given_up, setup),
		cmocka_unit_test_setup(test_refused_while_waiting, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_late, setup),
		cmocka_unit_test_setup(test_no_copy_meanwhile, setup),
		cmocka_unit_test_setup(test_owed, setup),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
