// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine without a machine: threads of this process touch the guest mapping as vCPUs
 * would, and check every page's contents against what they wrote. Every invariant is checked on
 * each move (mem_config.check), and at the end of each test what the descriptors say is compared
 * with what the file holds (mem_audit).
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mm/base/inject.h"
#include "mm/engine/access.h"
#include "mm/engine/stats.h"
#include "mm/policy/policy.h"
#include "tests/lib/quiet.h"
#include "tests/mm/engine/mem_fixture.h"

/* ---- One thread ---- */

static void test_limit_holds(void **state)
{
	struct mem_config cfg = limited();
	struct mem_stats s;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	fill(&g);
	check_all(&g);
	s = stats_of(&g);
	assert_true(s.in_charge);
	assert_true(s.evicted > NR_PAGES / 2);
	assert_true(s.pages[PAGE_STORED] > NR_PAGES / 2);
	assert_true(s.peak_bytes <= LIMIT + MEM_SLACK);
	assert_true(s.fault[MEM_FAULT_STORE].count + s.fault[MEM_FAULT_TIER].count > 0);
	settle(&g);
	guest_close(&g);
}

static void test_every_policy(void **state)
{
	(void)state;
	for (u32 i = 0; policy_table[i]; i++)
		for (int idle = 0; idle < 2; idle++) {
			struct mem_config cfg = limited();
			struct guest g;
			char name[32];

			snprintf(name, sizeof(name), "%s%s", policy_table[i]->name,
				 idle ? "+idle" : "");
			cfg.policy = name;
			guest_open(&g, &cfg);
			fill(&g);
			check_all(&g);
			assert_true(stats_of(&g).peak_bytes <= LIMIT + MEM_SLACK);
			settle(&g);
			guest_close(&g);
		}
}

/* Pages of zeros leave nothing behind, and cost nothing to bring back. */
static void test_zeros(void **state)
{
	struct mem_config cfg = limited();
	struct mem_stats s;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < NR_PAGES; no++)
		memset(g.base + ((u64)no << PAGE_SHIFT), 0, PAGE_SIZE);
	s = stats_of(&g);
	assert_true(s.evicted > NR_PAGES / 2);
	assert_int_equal(s.pages[PAGE_STORED], 0);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* A handler commits a page a moment after it has woken who waited for it. */
static struct mem_stats quiet(struct guest *g)
{
	struct mem_stats s = stats_of(g);

	for (int i = 0; i < HUNG_MS && s.pages[PAGE_FILLING]; i++) {
		usleep(1000);
		s = stats_of(g);
	}
	assert_int_equal(s.pages[PAGE_FILLING], 0);
	return s;
}

static void reclaim_all(struct guest *g)
{
	struct mem_stats s = quiet(g);

	assert_true(mem_reclaim(g->mem, SIZE, NULL) > 0);
	s = stats_of(g);
	assert_int_equal(s.pages[PAGE_RESIDENT] + s.pages[PAGE_IDLE], 0);
}

/* What came back and was only read is evicted again without being stored again. */
static void clean_again(enum mem_clean clean)
{
	struct mem_config cfg = limited();
	struct mem_stats before, after;
	struct guest g;

	cfg.clean = clean;
	cfg.limit = SIZE * 2;
	guest_open(&g, &cfg);
	assert_true(mem_reclaim(g.mem, PAGE_SIZE, NULL) >= 0);
	for (u32 no = 0; no < 512; no++)
		write_page(&g, no);
	reclaim_all(&g);
	assert_int_equal(stats_of(&g).pages[PAGE_STORED], 512);
	for (u32 no = 0; no < 512; no++)
		assert_true(page_right(&g, no));
	assert_int_equal(quiet(&g).kept, 512);
	for (u32 no = 0; no < 512; no += 2)
		write_page(&g, no);
	before = quiet(&g);
	reclaim_all(&g);
	after = stats_of(&g);
	assert_int_equal(after.evicted_clean - before.evicted_clean, 256);
	/* pages of zeros that were brought along are stored, and found to be zeros, as well */
	assert_in_range(after.store.puts - before.store.puts, 256, 256 + 32);
	if (clean == MEM_CLEAN_PROTECT)
		assert_true(after.fault[MEM_FAULT_WRITE].count >= 256);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

static void test_clean_compare(void **state)
{
	(void)state;
	clean_again(MEM_CLEAN_COMPARE);
}

static void test_clean_protect(void **state)
{
	(void)state;
	clean_again(MEM_CLEAN_PROTECT);
}

/* A guest that filled memory before anyone asked for a limit. */
static void test_armed_late(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 1, .swap = "/tmp"};
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	fill(&g);
	assert_false(stats_of(&g).in_charge);
	assert_int_equal(stats_of(&g).resident_bytes, SIZE);
	assert_int_equal(mem_set_limit(g.mem, LIMIT, 0, NULL), 0);
	for (int i = 0; i < HUNG_MS / 20 && stats_of(&g).resident_bytes > LIMIT; i++)
		usleep(20000);
	assert_true(stats_of(&g).resident_bytes <= LIMIT);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* A guest that stays far from its limit is never touched. */
static void test_only_watched(void **state)
{
	struct mem_config cfg = limited();
	struct guest g;

	(void)state;
	cfg.limit = 4 * SIZE;
	guest_open(&g, &cfg);
	fill(&g);
	usleep(200000);
	assert_false(stats_of(&g).in_charge);
	check_all(&g);
	guest_close(&g);
}

static void test_bad_limits(void **state)
{
	struct mem_config cfg = limited();
	struct guest g;
	struct err err;

	(void)state;
	guest_open(&g, &cfg);
	assert_int_equal(mem_set_limit(g.mem, MEM_MIN_LIMIT - 1, 0, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too little"));
	assert_int_equal(mem_set_limit(g.mem, LIMIT, LIMIT + PAGE_SIZE, &err), -EINVAL);
	assert_int_equal(mem_set_policy(g.mem, "nonsense", &err), -EINVAL);
	guest_close(&g);
}

/* ---- Several threads ---- */

static double stress_seconds(void)
{
	const char *text = getenv("QUIRE_STRESS_SECONDS");

	return text ? atof(text) : 2;
}

static void limits_up_and_down(struct guest *g)
{
	u32 seed = 7, rounds = (u32)(stress_seconds() * 100);

	for (u32 i = 0; i < rounds; i++) {
		u64 limit = (8 + next_random(&seed) % 32) * MiB;

		assert_int_equal(mem_set_limit(g->mem, limit, 0, NULL), 0);
		if (i % 16 == 0)
			assert_true(mem_reclaim(g->mem, MiB, NULL) >= 0);
		usleep(10000);
	}
}

static void stress(const struct mem_config *cfg, bool by_access)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	guest_open(&g, cfg);
	workers_start(w, &g, &stop, by_access);
	limits_up_and_down(&g);
	workers_stop(w, &stop);
	check_all(&g);
	assert_true(stats_of(&g).evicted > 100);
	settle(&g);
	guest_close(&g);
}

static void test_stress(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	stress(&cfg, false);
}

static void test_stress_access(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	stress(&cfg, true);
}

static void test_stress_protect(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	cfg.clean = MEM_CLEAN_PROTECT;
	stress(&cfg, true);
}

/* Arming while two threads run: nothing that they write meanwhile is lost. */
static void test_armed_under_load(void **state)
{
	struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp"};
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	workers_start(w, &g, &stop, false);
	usleep(100000);
	limits_up_and_down(&g);
	workers_stop(w, &stop);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* ---- The world fails ---- */

static void inject_set(const char *text)
{
	struct err err;

	assert_int_equal(inject_init(text, &err), 0);
}

/* Failures that must not cost the guest anything. */
static void survive(const char *fault, enum inject_point point, bool no_swap)
{
	struct mem_config cfg = limited();
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	inject_set(fault);
	cfg.no_swap = no_swap;
	guest_open(&g, &cfg);
	/* room for everything, so that nobody waits for what cannot be had */
	assert_int_equal(mem_set_limit(g.mem, SIZE + LIMIT, 0, NULL), 0);
	assert_true(mem_reclaim(g.mem, PAGE_SIZE, NULL) >= 0);
	workers_start(w, &g, &stop, false);
	for (int i = 0; i < 50 || (!inject_count(point) && i < HUNG_MS / 10); i++) {
		usleep(10000);
		assert_true(mem_reclaim(g.mem, 4 * MiB, NULL) >= 0);
	}
	workers_stop(w, &stop);
	check_all(&g);
	assert_true(inject_count(point) > 0);
	settle(&g);
	guest_close(&g);
	inject_set(NULL);
}

static void test_fault_again(void **state)
{
	(void)state;
	survive("fault-again:1000", INJECT_FAULT_AGAIN, false);
}

static void test_evict_slow(void **state)
{
	(void)state;
	survive("evict-slow", INJECT_EVICT_SLOW, false);
}

static void test_store_memory(void **state)
{
	(void)state;
	survive("store-memory:500", INJECT_STORE_MEMORY, false);
}

/* Failures after which the guest must stop, with a sentence, before it sees a wrong byte. */
struct victim {
	pthread_t thread;
	struct guest *guest;
	atomic_bool touched;
};

static void *touch_all(void *arg)
{
	struct victim *v = arg;
	u64 page[512];

	/* by mem_read(): it reports errors, where the mapping would kill this process */
	for (u32 no = 0; no < NR_PAGES; no++)
		if (mem_read(v->guest->mem, gpa((u64)no << PAGE_SHIFT), page, PAGE_SIZE))
			atomic_store(&v->touched, true);
	return NULL;
}

static void test_corrupt_is_noticed(void **state)
{
	struct mem_config cfg = limited();
	struct guest g;
	struct victim v = {.guest = &g};

	(void)state;
	cfg.check = false; /* or the evictor would notice first */
	cfg.no_swap = true;
	cfg.limit = 2 * SIZE;
	guest_open(&g, &cfg);
	assert_true(mem_reclaim(g.mem, PAGE_SIZE, NULL) >= 0);
	fill(&g);
	assert_true(mem_reclaim(g.mem, SIZE / 2, NULL) > 0);
	inject_set("store-corrupt");
	assert_int_equal(pthread_create(&v.thread, NULL, touch_all, &v), 0);
	pthread_join(v.thread, NULL);
	assert_true(atomic_load(&v.touched));
	inject_set(NULL);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_holds),    cmocka_unit_test(test_every_policy),
		cmocka_unit_test(test_zeros),	       cmocka_unit_test(test_clean_compare),
		cmocka_unit_test(test_clean_protect),  cmocka_unit_test(test_armed_late),
		cmocka_unit_test(test_only_watched),   cmocka_unit_test(test_bad_limits),
		cmocka_unit_test(test_stress),	       cmocka_unit_test(test_stress_access),
		cmocka_unit_test(test_stress_protect), cmocka_unit_test(test_armed_under_load),
		cmocka_unit_test(test_fault_again),    cmocka_unit_test(test_evict_slow),
		cmocka_unit_test(test_store_memory),   cmocka_unit_test(test_corrupt_is_noticed),
	};

	cmocka_set_test_filter(
		getenv("TEST")); /* one of them alone, for whoever looks for a fault */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
