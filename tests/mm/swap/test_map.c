// SPDX-License-Identifier: Apache-2.0
/* The tables of objects and clusters: random operations against a model, audited on the way. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/swap/map.h"

static u64 next(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void test_locations(void **state)
{
	static const u32 clusters[] = {0, 1, 12345, UINT32_MAX - 1};
	static const u32 offsets[] = {0, 1, 4095, 4096, SWAP_CLUSTER - 1};
	static const u32 sizes[] = {1, 2, 2048, 4095, 4096};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(clusters); c++)
		for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
			for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
				struct swap_where in = {clusters[c], offsets[o], sizes[s]};
				swap_loc loc = swap_loc_pack(in);
				struct swap_where out = swap_loc_unpack(loc);

				assert_true(loc != 0);
				assert_memory_equal(&in, &out, sizeof(in));
			}
}

#define NR 6000

struct model {
	swap_loc loc[NR]; /* by number; 0: not given out */
	bool known[NR];
};

/* Put up to @n new objects into a cluster that is taken for them. */
static void write_cluster(struct swapmap *map, struct model *m, u32 n, u64 *seed)
{
	struct swap_where where = {0};

	if (swapmap_take(map, 1, &where.cluster)) {
		assert_true(swapmap_left(map) <= 1);
		return;
	}
	assert_int_equal(map->clusters[where.cluster].live, 0);
	for (u32 i = 0; i < n; i++) {
		u32 number;

		assert_int_equal(swapmap_new(map, &number), 0);
		assert_in_range(number, 1, NR - 1);
		assert_false(m->known[number]);
		assert_int_equal(swapmap_find(map, number), 0);
		m->known[number] = true;
		if (next(seed) % 16 == 0)
			continue; /* stays without a place */
		where.size = 1 + (u32)(next(seed) % 4096);
		m->loc[number] = swap_loc_pack(where);
		where.offset = (where.offset + where.size) % SWAP_CLUSTER;
		swapmap_place(map, number, m->loc[number]);
	}
	map->clusters[where.cluster].blocks = SWAP_CLUSTER_BLOCKS;
	swapmap_let_go(map, where.cluster);
}

static void drop_some(struct swapmap *map, struct model *m, u32 n, u64 *seed)
{
	for (u32 i = 0; i < n; i++) {
		u32 number = 1 + (u32)(next(seed) % (NR - 1));

		if (!m->known[number])
			continue;
		swapmap_drop(map, number);
		m->known[number] = false;
		m->loc[number] = 0;
	}
}

/* Move all objects of the emptiest cluster, which is free afterwards. */
static void empty_one(struct swapmap *map, struct model *m)
{
	u32 from, to, before;

	if (!swapmap_sparse(map, &from, 1, SWAP_CLUSTER / 2, SWAP_NO_CLUSTER) ||
	    swapmap_take(map, 0, &to))
		return;
	swapmap_hold(map, from);
	for (u32 number = 1; number < NR; number++) {
		struct swap_where where = swap_loc_unpack(m->loc[number]);

		if (!m->loc[number] || where.cluster != from)
			continue;
		where.cluster = to;
		m->loc[number] = swap_loc_pack(where);
		swapmap_place(map, number, m->loc[number]);
	}
	assert_int_equal(map->clusters[from].live, 0);
	assert_true(map->clusters[from].used);
	before = map->used;
	swapmap_let_go(map, from);
	assert_int_equal(map->used, before - 1);
	swapmap_let_go(map, to);
}

static void check_model(const struct swapmap *map, const struct model *m)
{
	u64 objects = 0, bytes = 0;

	swapmap_audit(map);
	for (u32 number = 1; number < NR; number++) {
		assert_int_equal(swapmap_find(map, number), m->loc[number]);
		objects += m->loc[number] != 0;
		bytes += m->loc[number] ? swap_loc_unpack(m->loc[number]).size : 0;
	}
	assert_int_equal(map->objects, objects);
	assert_int_equal(map->object_bytes, bytes);
}

static void clean_some(struct swapmap *map, u64 *seed)
{
	u32 most = 1 + (u32)(next(seed) % 5), first, n, before = map->dirty_free;

	if (!swapmap_clean(map, most, &first, &n)) {
		assert_int_equal(before, 0);
		return;
	}
	assert_in_range(n, 1, most);
	assert_int_equal(map->dirty_free, before - n);
	for (u32 i = first; i < first + n && i < map->nr_clusters; i++)
		assert_true(!map->clusters[i].used && !map->clusters[i].dirty);
}

static void run_model(u32 max_clusters, u64 seed)
{
	static struct model m;
	struct swapmap map;

	memset(&m, 0, sizeof(m));
	swapmap_init(&map, max_clusters);
	for (int step = 0; step < 1500; step++) {
		switch (next(&seed) % 4) {
		case 0:
			if (map.objects < NR - 200)
				write_cluster(&map, &m, 1 + (u32)(next(&seed) % 60), &seed);
			break;
		case 1:
			drop_some(&map, &m, (u32)(next(&seed) % 120), &seed);
			break;
		case 2:
			empty_one(&map, &m);
			break;
		default:
			clean_some(&map, &seed);
		}
		assert_true(map.used <= max_clusters);
		if (step % 10 == 0)
			check_model(&map, &m);
	}
	for (u32 number = 1; number < NR; number++)
		if (m.known[number])
			swapmap_drop(&map, number);
	assert_int_equal(map.used, 0);
	while (map.dirty_free)
		clean_some(&map, &seed);
	assert_int_equal(map.nr_clusters, 0);
	swapmap_fini(&map);
}

static void test_model(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 5; seed++) {
		run_model(SWAP_NO_CLUSTER, seed);
		run_model(20, seed);
	}
}

static int by_cost(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* The sparsest are found, in order, as by sorting all. */
static void test_sparse(void **state)
{
	u32 costs[100], got[16], n;
	struct swapmap map;
	u64 seed = 3;

	(void)state;
	swapmap_init(&map, SWAP_NO_CLUSTER);
	for (u32 i = 0; i < ARRAY_SIZE(costs); i++) {
		struct swap_where where = {.size = 1 + (u32)(next(&seed) % 4096)};
		u32 number;

		assert_int_equal(swapmap_take(&map, 0, &where.cluster), 0);
		assert_int_equal(swapmap_new(&map, &number), 0);
		swapmap_place(&map, number, swap_loc_pack(where));
		costs[i] = i == 50 ? UINT32_MAX : where.size;
	}
	qsort(costs, ARRAY_SIZE(costs), sizeof(costs[0]), by_cost);
	n = swapmap_sparse(&map, got, ARRAY_SIZE(got), SWAP_CLUSTER, 50);
	assert_int_equal(n, ARRAY_SIZE(got));
	for (u32 i = 0; i < n; i++)
		assert_int_equal(map.clusters[got[i]].live_bytes, costs[i]);
	/* the bound counts the number beside the object */
	n = swapmap_sparse(&map, got, ARRAY_SIZE(got), costs[4] + 4, 50);
	assert_int_equal(n, 5);
	swapmap_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locations),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_sparse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
