// SPDX-License-Identifier: Apache-2.0
/*
 * The second step's entries follow a real engine: a page that comes, goes idle, is stored, comes
 * back and is discarded, each time as the engine's own descriptor has it.
 */
#include "tests/lib/test.h"

#include <errno.h>

#include "mm/codec/codec.h"
#include "mm/engine/access.h"
#include "mm/engine/stats.h"
#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "vmm/inspect/nested.h"
#include "tests/mm/engine/mem_fixture.h"

#define NO 1234u
#define AT ((u64)NO << PAGE_SHIFT)

/* Without a limit no thread of the engine moves pages by itself. */
static struct nested begin(struct guest *g, enum mem_clean clean)
{
	const struct mem_config cfg = {.check = true, .nr_cpus = 2, .swap = "/tmp", .clean = clean};

	guest_open(g, &cfg);
	return (struct nested){.space = g->space, .mem = g->mem};
}

/* Who touches a page goes on a moment before the engine has noted that it came. */
static u64 last_entry(const struct nested *map, const char *name)
{
	struct nested_walk w;

	do
		nested_walk(map, gpa(AT), &w);
	while (w.page.state == PAGE_FILLING);
	assert_string_equal(nested_state_name(&w), name);
	assert_int_equal(w.nr_steps, 4);
	return w.steps[3].entry;
}

#define PRESENT (NESTED_READ | NESTED_EXECUTE | NESTED_WRITE_BACK | AT)

static void check_counts(const struct nested *map, struct guest *g)
{
	struct nested_count counts[NESTED_NR_SIZES];
	struct mem_stats s = stats_of(g);

	nested_count(map, counts);
	assert_int_equal(counts[NESTED_4K].present, s.pages[PAGE_RESIDENT] + s.pages[PAGE_IDLE]);
	assert_int_equal(counts[NESTED_4K].accessed, s.pages[PAGE_RESIDENT]);
}

/* Before the engine is in charge the file knows. */
static void an_engine_that_watches(void **state)
{
	struct guest g;
	struct nested map = begin(&g, MEM_CLEAN_COMPARE);

	(void)state;
	assert_int_equal(last_entry(&map, "absent"), 0);
	write_page(&g, NO);
	assert_false(stats_of(&g).in_charge);
	assert_int_equal(last_entry(&map, "resident"),
			 PRESENT | NESTED_WRITE | NESTED_ACCESSED | NESTED_DIRTY);
	check_counts(&map, &g);
	guest_close(&g);
}

static void make_idle(struct guest *g)
{
	const page_no no = NO;

	pthread_mutex_lock(&g->mem->lock);
	evict_unmap(g->mem, &no, 1);
	pthread_mutex_unlock(&g->mem->lock);
}

static void a_page_comes_and_goes(void **state)
{
	const struct codec_block zeros = {.kind = CODEC_PATTERN};
	const u64 in_use = PRESENT | NESTED_WRITE | NESTED_ACCESSED | NESTED_DIRTY;
	struct guest g;
	struct nested map = begin(&g, MEM_CLEAN_COMPARE);
	struct err err;

	(void)state;
	assert_int_equal(mem_take_charge(g.mem, &err), 0);
	assert_int_equal(last_entry(&map, "absent"), 0);
	write_page(&g, NO);
	assert_int_equal(last_entry(&map, "resident"), in_use);
	make_idle(&g);
	assert_int_equal(last_entry(&map, "idle"), PRESENT | NESTED_WRITE | NESTED_DIRTY);
	check_counts(&map, &g);
	assert_true(page_right(&g, NO));
	assert_int_equal(last_entry(&map, "resident"), in_use);
	assert_true(mem_reclaim(g.mem, SIZE, &err) > 0);
	assert_int_equal(last_entry(&map, "stored"), 0);
	check_counts(&map, &g);
	assert_true(page_right(&g, NO));
	assert_int_equal(last_entry(&map, "resident"), in_use);
	assert_int_equal(mem_put_block(g.mem, NO, &zeros, MEM_PUT_STORED), 0);
	g.generation[NO] = 0;
	assert_int_equal(last_entry(&map, "absent"), 0);
	assert_true(page_right(&g, NO));
	settle(&g);
	guest_close(&g);
}

/* Where a page that came back is protected, the engine knows that it is clean. */
static void a_clean_page(void **state)
{
	struct guest g;
	struct nested map = begin(&g, MEM_CLEAN_PROTECT);
	struct err err;

	(void)state;
	write_page(&g, NO);
	assert_true(mem_reclaim(g.mem, SIZE, &err) > 0);
	assert_true(page_right(&g, NO));
	assert_int_equal(last_entry(&map, "resident"), PRESENT | NESTED_ACCESSED);
	write_page(&g, NO);
	assert_int_equal(last_entry(&map, "resident"),
			 PRESENT | NESTED_WRITE | NESTED_ACCESSED | NESTED_DIRTY);
	settle(&g);
	guest_close(&g);
}

static void pages_that_do_not_exist(void **state)
{
	struct mem_page pages[2];
	struct guest g;

	(void)state;
	begin(&g, MEM_CLEAN_COMPARE);
	assert_int_equal(mem_get_pages(g.mem, NR_PAGES - 2, 2, pages), 0);
	assert_int_equal(mem_get_pages(g.mem, NR_PAGES - 1, 2, pages), -EINVAL);
	assert_int_equal(mem_get_pages(g.mem, UINT32_MAX, 2, pages), -EINVAL);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_engine_that_watches),
		cmocka_unit_test(a_page_comes_and_goes),
		cmocka_unit_test(a_clean_page),
		cmocka_unit_test(pages_that_do_not_exist),
	};

	return cmocka_run_group_tests_name("nested_mem", tests, NULL, NULL);
}
