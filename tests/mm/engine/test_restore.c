// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine of a guest that was restored: what is absent is as in an image. Threads of the
 * test touch the guest mapping as vCPUs would, and compare every page with what it must be.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mm/codec/codec.h"
#include "mm/engine/access.h"
#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "mm/engine/impl.h"
#include "mm/engine/put.h"
#include "mm/image/image.h"
#include "mm/image/image_pager.h"
#include "tests/lib/quiet.h"
#include "tests/mm/image/image_fixture.h"
#include "tests/mm/engine/mem_fixture.h"

static struct image *image;
static struct image_pager pager;

/* Half of the image's pages hold something, in stretches of eight. */
static u32 image_generation(u32 no)
{
	return no / 8 % 2;
}

/* In image_test_dir; @image is open afterwards. */
static void make_image(void)
{
	const struct image_writer_config cfg = {.nr_pages = NR_PAGES, .no_sync = true};
	struct image_writer *w;
	u64 page[512];
	struct err err;

	if (image_begin(&w, image_test_dir, &cfg, &err))
		fail_msg("%s", err.text);
	for (u32 no = 0; no < NR_PAGES; no++) {
		if (!image_generation(no))
			continue;
		contents_of(page, no, 1);
		assert_int_equal(image_put(w, no, page), 0);
	}
	if (image_commit(w, "state", 5, "{}", NULL, &err) ||
	    image_open(&image, image_test_dir, 0, &err))
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	int ret = image_test_setup(state);

	if (!ret)
		make_image();
	image_pager_init(&pager, image);
	return ret;
}

static int teardown(void **state)
{
	image_close(image);
	image = NULL;
	return image_test_teardown(state);
}

static void restored_open(struct guest *g, struct mem_config *cfg)
{
	cfg->origin = &pager.pager;
	guest_open(g, cfg);
	for (u32 no = 0; no < NR_PAGES; no++)
		g->generation[no] = image_generation(no);
}

static struct mem_config unlimited(void)
{
	return (struct mem_config){.check = true, .nr_cpus = 2, .swap = "/tmp"};
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

/* ---- Contents ---- */

/* A record of one page keeps the engine from waiting before it brings in the rest. */
static const page_no first_page[] = {NR_PAGES - 1};

static void random_accesses(struct mem_config cfg, u32 us, bool by_access)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	restored_open(&g, &cfg);
	workers_start(w, &g, &stop, by_access);
	usleep(us);
	workers_stop(w, &stop);
	check_all(&g);
	assert_true(stats_of(&g).fault[MEM_FAULT_IMAGE].count > 0);
	settle(&g);
	guest_close(&g);
}

static void test_lazy(void **state)
{
	struct mem_config cfg = unlimited();

	(void)state;
	random_accesses(cfg, 300000, false);
	/* with others that bring pages in meanwhile */
	cfg.warm = first_page;
	cfg.nr_warm = 1;
	random_accesses(cfg, 300000, true);
}

static void test_lazy_with_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	random_accesses(cfg, 500000, true);
	cfg.clean = MEM_CLEAN_PROTECT;
	cfg.warm = first_page;
	cfg.nr_warm = 1;
	random_accesses(cfg, 500000, false);
}

/* Nobody touches anything: what the image has comes in all the same, zeros do not. */
static void test_all_comes(void **state)
{
	struct mem_config cfg = unlimited();
	struct guest g;

	(void)state;
	cfg.warm = first_page;
	cfg.nr_warm = 1;
	restored_open(&g, &cfg);
	for (int i = 0; i < HUNG_MS / 10 && stats_of(&g).resident_bytes < SIZE / 2; i++)
		usleep(10000);
	assert_int_equal(quiet(&g).resident_bytes, SIZE / 2);
	check_all(&g);
	assert_int_equal(stats_of(&g).fault[MEM_FAULT_IMAGE].count, 0);
	settle(&g);
	guest_close(&g);
}

/* ---- Out again ---- */

/* Clean pages need no store: they are in the image. Zeros that were not zeros there are not. */
static void test_evicted_clean(void **state)
{
	struct mem_config cfg = unlimited();
	struct mem_stats s;
	struct guest g;

	(void)state;
	restored_open(&g, &cfg);
	check_all(&g);
	quiet(&g);
	assert_true(mem_reclaim(g.mem, SIZE, NULL) > 0);
	s = stats_of(&g);
	assert_int_equal(s.pages[PAGE_ABSENT], NR_PAGES);
	assert_int_equal(s.store.puts, 0);
	check_all(&g);
	for (u32 no = 0; no < NR_PAGES; no += 16) {
		memset(g.base + ((u64)(no + 8) << PAGE_SHIFT), 0, PAGE_SIZE);
		g.generation[no + 8] = 0;
		write_page(&g, no);
	}
	quiet(&g);
	assert_true(mem_reclaim(g.mem, SIZE, NULL) > 0);
	s = stats_of(&g);
	assert_int_equal(s.pages[PAGE_STORED], NR_PAGES / 16);
	check_all(&g);
	/* written back to what they were */
	for (u32 no = 8; no < NR_PAGES; no += 16) {
		g.generation[no] = 0;
		write_page(&g, no);
	}
	check_all(&g);
	quiet(&g);
	assert_true(mem_reclaim(g.mem, SIZE, NULL) > 0);
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* ---- Copies of it ---- */

static u32 *instant; /* generation of each page, while a copy is made */

static int compare_page(void *opaque, page_no no, const void *page)
{
	u8 *seen = opaque;
	u64 want[512];

	contents_of(want, no, instant[no]);
	if (memcmp(want, page, PAGE_SIZE))
		fail_msg("page %u is not as it was at the instant", no);
	if (seen[no]++)
		fail_msg("page %u came twice", no);
	return 0;
}

static int compare_block(void *opaque, page_no no, const struct codec_block *block)
{
	u8 page[PAGE_SIZE];

	assert_int_equal(codec_open(block, page), 0);
	return compare_page(opaque, no, page);
}

static void copy_all(struct guest *g)
{
	u8 *seen = calloc(NR_PAGES, 1);
	const struct mem_snap_sink sink = {seen, compare_page, compare_block};
	struct err err;

	assert_int_equal(mem_snap_begin(g->mem, &err), 0);
	while (mem_snap_mark(g->mem, NULL))
		;
	pthread_rwlock_wrlock(&g->world);
	memcpy(instant, g->generation, NR_PAGES * sizeof(u32));
	mem_snap_take(g->mem, NULL);
	pthread_rwlock_unlock(&g->world);
	assert_int_equal(mem_snap_save(g->mem, &sink, &err), 0);
	mem_snap_end(g->mem);
	for (u32 no = 0; no < NR_PAGES; no++)
		if (instant[no] && !seen[no])
			fail_msg("page %u did not come", no);
	free(seen);
}

static void copies(struct mem_config cfg)
{
	struct worker w[NR_WORKERS];
	atomic_bool stop = false;
	struct guest g;

	instant = calloc(NR_PAGES, sizeof(u32));
	restored_open(&g, &cfg);
	workers_start(w, &g, &stop, true);
	for (int i = 0; i < 4; i++)
		copy_all(&g);
	workers_stop(w, &stop);
	check_all(&g);
	copy_all(&g);
	settle(&g);
	guest_close(&g);
	free(instant);
}

/* While pages come from the image, by faults and ahead of them. */
static void test_copies(void **state)
{
	struct mem_config cfg = unlimited();

	(void)state;
	copies(cfg);
	cfg.warm = first_page;
	cfg.nr_warm = 1;
	copies(cfg);
}

static void test_copies_with_limit(void **state)
{
	struct mem_config cfg = limited();

	(void)state;
	copies(cfg);
	cfg.warm = first_page;
	cfg.nr_warm = 1;
	copies(cfg);
}

/* A copy of a guest that was never touched is the image, and brings nothing in. */
static void test_copy_of_nothing(void **state)
{
	struct mem_config cfg = unlimited();
	struct guest g;

	(void)state;
	instant = calloc(NR_PAGES, sizeof(u32));
	restored_open(&g, &cfg);
	copy_all(&g);
	assert_int_equal(stats_of(&g).pages[PAGE_ABSENT], NR_PAGES);
	settle(&g);
	guest_close(&g);
	free(instant);
}

/* ---- Accesses of the VMM ---- */

static void test_access(void **state)
{
	struct mem_config cfg = unlimited();
	u64 page[512], want[512], written[NR_PAGES / 64] = {0};
	struct guest g;

	(void)state;
	restored_open(&g, &cfg);
	contents_of(want, 8, 1);
	/* a part of a page: the rest is as in the image */
	want[3] = 99;
	assert_int_equal(mem_write(g.mem, gpa((8 << PAGE_SHIFT) + 24), &want[3], 8), 0);
	assert_int_equal(mem_read(g.mem, gpa(8 << PAGE_SHIFT), page, PAGE_SIZE), 0);
	assert_memory_equal(page, want, PAGE_SIZE);
	assert_memory_equal(g.base + (8 << PAGE_SHIFT), want, PAGE_SIZE);
	contents_of(want, 9, 7);
	assert_int_equal(mem_put_page(g.mem, 9, want), 0);
	assert_memory_equal(g.base + (9 << PAGE_SHIFT), want, PAGE_SIZE);
	/* the first who asks is told of the first write, but not of a roll-back */
	assert_int_equal(mem_take_written(g.mem, written), 0);
	for (u32 i = 0; i < NR_PAGES / 64; i++)
		assert_int_equal(written[i], i ? 0 : 1 << 8);
	settle(&g);
	guest_close(&g);
}

/* ---- Pages that somebody brings ---- */

static void look_is(struct guest *g, u32 no, u32 generation)
{
	u64 want[512], page[512];

	contents_of(want, no, generation);
	assert_int_equal(mem_look(g->mem, no, page), 0);
	assert_memory_equal(page, want, PAGE_SIZE);
}

/* Only what is missing is taken, and what was forgotten is missing again. */
static void test_missing(void **state)
{
	struct mem_config cfg = unlimited();
	const struct codec_block zeros = {.kind = CODEC_PATTERN};
	u64 page[512], bits[NR_PAGES / 64] = {0};
	struct mem_stats before, after;
	struct guest g;

	(void)state;
	restored_open(&g, &cfg);
	mem_quiesce(g.mem); /* nothing comes by itself */
	before = stats_of(&g);
	assert_int_equal(mem_present(g.mem, bits), 0);
	for (u32 no = 0; no < NR_PAGES; no++)
		assert_int_equal(bits[no / 64] >> no % 64 & 1,
				 image_generation(no) || g.generation[no]);
	for (u32 no = 0; no < 100; no++)
		look_is(&g, no, image_generation(no));
	after = stats_of(&g);
	assert_memory_equal(before.pages, after.pages, sizeof(before.pages));
	for (u32 no = 8; no < 16; no++) {
		contents_of(page, no, 5);
		assert_int_equal(put_missing_page(g.mem, no, page), 0);
		contents_of(page, no, 6);
		assert_int_equal(put_missing_page(g.mem, no, page), -EEXIST);
		assert_int_equal(put_missing_block(g.mem, no, &zeros), -EEXIST);
		g.generation[no] = 5;
	}
	write_page(&g, 24);
	look_is(&g, 24, g.generation[24]); /* the guest goes on a moment before it is committed */
	assert_int_equal(put_missing_block(g.mem, 24, &zeros), -EEXIST);
	assert_int_equal(put_missing_block(g.mem, 25, &zeros), 0);
	g.generation[25] = 0;
	look_is(&g, 25, 0);
	memset(bits, 0, sizeof(bits));
	bits[0] = 0x55555500;
	put_forget(g.mem, bits);
	for (u32 no = 8; no < 32; no += 2) {
		g.generation[no] = image_generation(no);
		look_is(&g, no, g.generation[no]);
	}
	mem_resume(g.mem);
	assert_int_equal(put_missing_block(g.mem, 8, &zeros), 0);
	g.generation[8] = 0;
	check_all(&g);
	settle(&g);
	guest_close(&g);
}

/* What is there before the engine is in charge counts, and not what the image has. */
static void test_there_before(void **state)
{
	const struct mem_host host = {.event = NULL};
	struct mem_config cfg = unlimited();
	u8 page[PAGE_SIZE], zeros[PAGE_SIZE] = {0};
	struct space *space;
	struct mem *mem;
	struct err err;

	(void)state;
	cfg.origin = &pager.pager;
	assert_int_equal(space_create(&space, SIZE, SPACE_MEMFD), 0);
	memset(space_page(space, 8), 0, PAGE_SIZE);
	assert_int_equal(mem_create(&mem, space, &cfg, &host, &err), 0);
	assert_int_equal(mem_start(mem, &err), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mem_read(mem, gpa(8 << PAGE_SHIFT), page, PAGE_SIZE), 0);
		assert_memory_equal(page, zeros, PAGE_SIZE);
		assert_true(mem_reclaim(mem, SIZE, NULL) >= 0);
	}
	assert_int_equal(mem_audit(mem), 0);
	mem_cut(mem);
	mem_destroy(mem);
	space_destroy(space);
}

/* ---- Damage ---- */

/* One bit of what is kept of pages in the middle of the file. */
static void damage(void)
{
	char path[96];
	u8 bytes[64];
	int fd;

	snprintf(path, sizeof(path), "%s/00000001.link", image_test_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 4 * MiB), sizeof(bytes));
	bytes[sizeof(bytes) / 2] ^= 1;
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 4 * MiB), sizeof(bytes));
	close(fd);
}

/* Whoever reads by mem_read() is told; other pages do not suffer with the damaged one. */
static void test_damage(void **state)
{
	struct mem_config cfg = unlimited();
	u32 nr_wrong = 0;
	u64 page[512];
	struct guest g;

	(void)state;
	damage();
	restored_open(&g, &cfg);
	for (u32 no = 0; no < NR_PAGES; no++) {
		u64 want[512];

		contents_of(want, no, g.generation[no]);
		if (mem_read(g.mem, gpa((u64)no << PAGE_SHIFT), page, PAGE_SIZE))
			nr_wrong++;
		else
			assert_memory_equal(page, want, PAGE_SIZE);
	}
	assert_int_equal(nr_wrong, 1);
	guest_close(&g);
}

/* The guest's own access. As a system call, which returns where the guest's process would die. */
static void test_damage_stops(void **state)
{
	struct mem_config cfg = unlimited();
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct guest g;
	char want[32];
	u32 no = 0;

	(void)state;
	damage();
	restored_open(&g, &cfg);
	while (no < NR_PAGES && pwrite(fd, g.base + ((u64)no << PAGE_SHIFT), 8, 0) == 8)
		no++;
	assert_int_equal(errno, EFAULT);
	assert_int_equal(atomic_load(&nr_failed), 1);
	snprintf(want, sizeof(want), "page %u", no);
	assert_non_null(strstr(failed_why.text, want));
	assert_non_null(strstr(failed_why.text, image_test_dir));
	assert_non_null(strstr(failed_why.text, "00000001.link"));
	assert_non_null(strstr(failed_why.text, "at byte "));
	guest_close(&g);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lazy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lazy_with_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evicted_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies_with_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_there_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_stops, setup, teardown),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
