// SPDX-License-Identifier: Apache-2.0
/*
 * Reading from and writing to the swap file while others release: on a device that is an array in
 * memory, and calls back in the middle of a request, so that each race happens every time.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <string.h>

#include "mm/swap/cache.h"
#include "mm/swap/io.h"
#include "mm/swap/map.h"
#include "mm/swap/write.h"

#define DEVICE_CLUSTERS 16
#define NR		1000

static struct {
	u8 data[DEVICE_CLUSTERS * SWAP_CLUSTER];
	void (*in_read)(u64 offset); /* called once */
	void (*in_write)(void);
	u32 reads;
} device;

int swapio_write(struct swapio *io, const struct swapio_req *reqs, u32 n)
{
	void (*hook)(void) = device.in_write;

	(void)io;
	device.in_write = NULL;
	if (hook)
		hook();
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(reqs[i].offset % SWAP_BLOCK, 0);
		assert_int_equal(reqs[i].size % SWAP_BLOCK, 0);
		assert_int_equal((uintptr_t)reqs[i].data % SWAP_BLOCK, 0);
		assert_true(range_fits(reqs[i].offset, reqs[i].size, sizeof(device.data)));
		memcpy(device.data + reqs[i].offset, reqs[i].data, reqs[i].size);
	}
	return 0;
}

int swapio_read(struct swapio *io, void *data, u64 offset, u32 size)
{
	void (*hook)(u64) = device.in_read;

	(void)io;
	device.reads++;
	device.in_read = NULL;
	if (hook)
		hook(offset);
	memcpy(data, device.data + offset, size);
	return 0;
}

static u8 buffers[(SWAP_WINDOWS + SWAPWRITE_BUFFERS) * SWAP_CLUSTER]
	__attribute__((aligned(SWAP_BLOCK)));
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct swapmap map;
static struct swapcache cache;
static struct swapwrite writer;
static tier_place places[NR];

static int setup(void **state)
{
	(void)state;
	memset(&device, 0, sizeof(device));
	memset(places, 0, sizeof(places));
	swapmap_init(&map, DEVICE_CLUSTERS);
	swapcache_init(&cache, &lock, &map, NULL, buffers);
	swapwrite_init(&writer, &lock, &map, NULL, &cache, buffers + SWAP_WINDOWS * SWAP_CLUSTER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	swapmap_audit(&map);
	swapwrite_fini(&writer);
	swapcache_fini(&cache);
	swapmap_fini(&map);
	return 0;
}

/* Objects @first to @first + @n - 1, raw pages full of their index: 31 fill a cluster. */
static void write_pages(u32 first, u32 n)
{
	static u8 data[256 * PAGE_SIZE];
	struct tier_object objects[256];

	assert_true(n <= ARRAY_SIZE(objects));
	for (u32 i = 0; i < n; i++) {
		memset(data + i * PAGE_SIZE, (int)(first + i), PAGE_SIZE);
		objects[i] = (struct tier_object){.data = data + i * PAGE_SIZE, .size = PAGE_SIZE};
	}
	assert_int_equal(swapwrite_objects(&writer, objects, n), 0);
	for (u32 i = 0; i < n; i++)
		places[first + i] = objects[i].place;
}

static void drop(u32 i)
{
	pthread_mutex_lock(&lock);
	swapmap_drop(&map, (u32)places[i]);
	pthread_mutex_unlock(&lock);
	places[i] = 0;
}

static void check(u32 i)
{
	u8 got[PAGE_SIZE], want[PAGE_SIZE];

	memset(want, (int)i, sizeof(want));
	assert_int_equal(swapcache_read(&cache, (u32)places[i], got, sizeof(got)), 0);
	assert_memory_equal(got, want, sizeof(got));
}

static u32 cluster_of(u32 i)
{
	return swap_loc_unpack(swapmap_find(&map, (u32)places[i])).cluster;
}

/* ---- a cluster that is being read ---- */

/* The cluster's last object goes, and others are written at once: not over what is being read. */
static void empty_and_write(u64 offset)
{
	assert_int_equal(offset / SWAP_CLUSTER, 0);
	for (u32 i = 0; i < 31; i++)
		drop(i);
	assert_true(map.clusters[0].used);
	write_pages(500, 31);
	assert_int_not_equal(cluster_of(500), 0);
}

static void test_held_while_read(void **state)
{
	u8 got[PAGE_SIZE], want[PAGE_SIZE];

	(void)state;
	write_pages(0, 62);
	memset(want, 5, sizeof(want));
	device.in_read = empty_and_write;
	assert_int_equal(swapcache_read(&cache, (u32)places[5], got, sizeof(got)), 0);
	assert_memory_equal(got, want, sizeof(got));
	assert_false(map.clusters[0].used);
}

/* What a window showed of a cluster is not shown of the next one written there. */
static void test_forgotten(void **state)
{
	(void)state;
	write_pages(0, 62);
	check(3);
	check(4);
	for (u32 i = 0; i < 31; i++)
		drop(i);
	write_pages(600, 31);
	assert_int_equal(cluster_of(600), 0);
	for (u32 i = 600; i < 631; i++)
		check(i);
}

/* The first object by itself, the second with its cluster, the others from there. */
static void test_windows(void **state)
{
	(void)state;
	write_pages(0, 62);
	check(0);
	check(0);
	assert_int_equal(device.reads, 1);
	for (u32 i = 1; i < 31; i++)
		check(i);
	assert_int_equal(device.reads, 2);
	/* other clusters in between do not push it out, up to the number of windows */
	check(31);
	check(0);
	assert_int_equal(device.reads, 3);
	/* what is appended to a cluster that was read is read anew */
	write_pages(62, 10);
	check(62);
	assert_int_equal(device.reads, 4);
	write_pages(72, 1);
	assert_int_equal(cluster_of(72), cluster_of(62));
	check(72);
	assert_int_equal(device.reads, 5);
	check(62);
	check(72);
	assert_int_equal(device.reads, 5);
}

/* ---- clusters that are being emptied ---- */

/* Six clusters, of which 0, 2 and 4 hold 5, 6 and 7 objects. */
static void write_sparse(void)
{
	write_pages(0, 6 * 31);
	for (u32 c = 0; c < 6; c += 2)
		for (u32 i = 5 + c / 2; i < 31; i++)
			drop(c * 31 + i);
	for (u32 c = 0; c < 6; c++)
		assert_int_equal(cluster_of(c * 31), c);
}

static void check_rest(void)
{
	for (u32 i = 0; i < NR; i++)
		if (places[i])
			check(i);
	swapmap_audit(&map);
}

static void test_compact(void **state)
{
	(void)state;
	write_sparse();
	assert_int_equal(map.used, 6);
	assert_true(swapwrite_compact(&writer, SWAP_CLUSTER / 2) > 2 * SWAP_CLUSTER);
	assert_int_equal(map.used, 4);
	assert_int_equal(writer.moved, 18);
	check_rest();
	/* nothing is left to do */
	assert_int_equal(swapwrite_compact(&writer, SWAP_CLUSTER / 2), 0);
}

/* While the first of them is read, all of the last one's objects are released. */
static void release_last(u64 offset)
{
	assert_int_equal(offset / SWAP_CLUSTER, 0);
	for (u32 i = 0; i < 7; i++)
		drop(4 * 31 + i);
	assert_true(map.clusters[4].used);
}

static void test_compact_emptied_by_others(void **state)
{
	(void)state;
	write_sparse();
	device.in_read = release_last;
	assert_true(swapwrite_compact(&writer, SWAP_CLUSTER / 2) > 0);
	assert_int_equal(writer.moved, 11);
	assert_false(map.clusters[4].used);
	for (u32 c = 0; c < map.nr_clusters; c++)
		assert_false(map.clusters[c].stuck);
	check_rest();
}

/* While they are written to their new place, some of what is moved is released, and read. */
static void release_moving(void)
{
	check(0);
	drop(0);
	check(2 * 31 + 3);
	drop(2 * 31 + 3);
}

static void test_compact_released_while_moving(void **state)
{
	u64 live;

	(void)state;
	write_sparse();
	live = map.objects;
	device.in_write = release_moving;
	assert_true(swapwrite_compact(&writer, SWAP_CLUSTER / 2) > 0);
	assert_int_equal(map.objects, live - 2);
	assert_int_equal(writer.moved, 16);
	check_rest();
}

/* An end of a segment that makes no sense: the cluster stays as it is, and is left alone. */
static void test_compact_nonsense(void **state)
{
	static const u32 ends[][2] = {{5, 0}, {5, 33}, {UINT32_MAX, 32}, {0, 32}, {40000, 32}};
	u32 *end = (u32 *)(void *)(device.data + SWAP_CLUSTER - 8);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		write_sparse();
		memcpy(end, ends[i], sizeof(ends[i]));
		swapwrite_compact(&writer, SWAP_CLUSTER / 2);
		check_rest();
		assert_int_equal(cluster_of(0), 0);
		assert_true(map.clusters[0].stuck);
		device.reads = 0;
		swapwrite_compact(&writer, SWAP_CLUSTER / 2);
		assert_int_equal(device.reads, 0);
		teardown(state);
		setup(state);
	}
}

/* One spare cluster is all there is: it is enough, and not for new objects. */
static void test_compact_full(void **state)
{
	struct tier_object one = {.data = buffers, .size = PAGE_SIZE};

	(void)state;
	for (u32 i = 0; i < DEVICE_CLUSTERS - 1; i++)
		write_pages(i * 31, 31);
	assert_int_equal(swapwrite_objects(&writer, &one, 1), -ENOSPC);
	for (u32 i = 0; i < 31 * 8; i++)
		if (i % 31 > 12)
			drop(i);
	while (swapwrite_compact(&writer, SWAP_CLUSTER - SWAP_CLUSTER / 8))
		;
	assert_in_range(map.used, 10, 12);
	check_rest();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held_while_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compact_emptied_by_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compact_released_while_moving, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_compact_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compact_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
