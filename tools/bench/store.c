// SPDX-License-Identifier: Apache-2.0
/*
 * store: what the store makes of pages of several kinds, and what zram with lz4 makes of the same.
 *
 *	store [-m MIB] [FILE...]
 *
 * Kinds are generated, and each FILE (a kernel image unpacked, a memory dump) is one more. Bytes a
 * page count everything: for the store its pool, entries and index and the engine's page descriptor
 * of 16 bytes; for zram mem_used_total, 16 bytes of table for each page and the 8-byte handle of
 * each object. Where there is no zram or one may not use it, its rows are left out aloud.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mm/store/store.h"

#define DESCRIPTOR  16 /* sizeof(struct page) */
#define TABLE_ENTRY 16 /* sizeof(struct zram_table_entry) on a 64-bit kernel */
#define HANDLE	    8  /* of zsmalloc, allocated apart from the object */
#define WORDS	    (PAGE_SIZE / sizeof(u64))
#define CONTROL	    "/sys/class/zram-control/"

/* What was measured. */
struct figures {
	u64 pages, bytes;
	double put_seconds, get_seconds;
	u64 raw, free_pages; /* that did not compress; that took no space of their own */
};

struct kind {
	const char *name;
	void (*make)(u64 *words, u64 number); /* one page */
	bool rewritten; /* each page several times, so that sizes come and go */
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- Pages ---- */

/* The finalizer of splitmix64 (G. Steele et al., OOPSLA 2014). */
static u64 random_mix(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* The number that belongs to the pair (@a, @b), such as page and word. */
static u64 random_of(u64 a, u64 b)
{
	return random_mix(random_mix(a + 0x9e3779b97f4a7c15) + b * 0x9e3779b97f4a7c15);
}

/* The first part random, the rest one word repeated: as guest/work/page.c fills pages. */
static void make_random(u64 *words, u64 number, u64 percent)
{
	u64 end = WORDS * percent / 100;

	for (u64 i = 0; i < WORDS; i++)
		words[i] = i < end ? random_of(number, i) : random_of(number, end);
}

static void make_half(u64 *words, u64 number)
{
	make_random(words, number, 50);
}

static void make_quarter(u64 *words, u64 number)
{
	make_random(words, number, 25);
}

static void make_noise(u64 *words, u64 number)
{
	make_random(words, number, 100);
}

/* Words of a vocabulary in which frequent ones are short. */
static void make_text(u64 *words, u64 number)
{
	char *text = (char *)words;

	for (u64 at = 0, n = 0; at < PAGE_SIZE; n++) {
		u64 roll = random_of(number, n), word = (roll >> 20) % (1u << (2 + roll % 12));
		u64 letters = random_mix(word), len = 2 + (word > 8) + (word > 64) + letters % 7;

		for (u64 i = 0; i < len && at < PAGE_SIZE; i++, letters /= 26)
			text[at++] = (char)('a' + letters % 26);
		if (at < PAGE_SIZE)
			text[at++] = n % 12 == 11 ? '\n' : ' ';
	}
}

/* Objects as a program's heap has them: pointers that share their upper half, small numbers. */
static void make_heap(u64 *words, u64 number)
{
	u64 base = 0x7f0000000000 + (random_mix(number / 64) & 0xfff000000);

	for (u64 i = 0; i < WORDS; i++) {
		u64 roll = random_of(number, i);

		if (i % 6 < 2)
			words[i] = base + (roll & 0xfffff0);
		else
			words[i] = i % 6 < 4 ? roll % 1000 : (roll & 7 ? 0 : roll);
	}
}

/* A guest's memory: zeros, copies, and some of everything. */
static void make_mixed(u64 *words, u64 number)
{
	static void (*const makers[])(u64 *, u64) = {make_heap, make_text, make_half, make_quarter};
	u64 roll = random_mix(number) % 100;

	if (roll < 15)
		memset(words, 0, PAGE_SIZE);
	else if (roll < 25)
		make_heap(words, number % 97);
	else if (roll < 30)
		make_noise(words, number);
	else
		makers[roll % 4](words, number);
}

/* Of all compressibilities, so that sizes are spread over all classes. */
static void make_spread(u64 *words, u64 number)
{
	make_random(words, number, random_mix(number) % 85);
}

static const struct kind kinds[] = {
	{.name = "half random", .make = make_half},
	{.name = "quarter random", .make = make_quarter},
	{.name = "text", .make = make_text},
	{.name = "heap", .make = make_heap},
	{.name = "0 to 85% random", .make = make_spread},
	{.name = "0 to 85%, rewritten", .make = make_spread, .rewritten = true},
	{.name = "noise", .make = make_noise},
	{.name = "mixed", .make = make_mixed},
};

/* ---- The store ---- */

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "store: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Which page is written at step @i: all in turn, then any. */
static u64 nth(u64 i, u64 nr)
{
	return i < nr ? i : random_mix(i) % nr;
}

/* What step @i writes; from the second round on some other page, made different from all others. */
static const u8 *contents(const u8 *pages, u64 i, u64 nr, u8 *page)
{
	if (i < nr)
		return pages + (i << PAGE_SHIFT);
	memcpy(page, pages + (random_mix(i + 1) % nr << PAGE_SHIFT), PAGE_SIZE);
	memcpy(page, &i, sizeof(i));
	return page;
}

static struct figures run_store_once(const u8 *pages, u64 nr, u64 puts)
{
	struct store_config cfg = {0};
	struct figures f = {.pages = nr};
	struct store_stats stats;
	struct store *store;
	struct err err;
	static u8 page[PAGE_SIZE];
	store_id *ids = calloc(nr, sizeof(*ids));
	double start;

	check(ids && !store_create(&store, &cfg, &err), "create");
	start = seconds();
	for (u64 i = 0; i < puts; i++) {
		u64 no = nth(i, nr);

		if (ids[no])
			store_drop(store, ids[no]);
		check(!store_put(store, contents(pages, i, nr, page), &ids[no]), "put");
	}
	f.put_seconds = (seconds() - start) * (double)nr / (double)puts;
	start = seconds();
	for (u64 i = 0; i < nr; i++)
		check(!store_get(store, ids[random_mix(i) % nr], page), "get");
	f.get_seconds = seconds() - start;
	if (puts > nr)
		store_compact(store);
	store_get_stats(store, &stats);
	f.bytes = store_bytes(store) + nr * DESCRIPTOR;
	f.raw = stats.raw;
	f.free_pages = stats.patterns + stats.shared;
	store_destroy(store);
	free(ids);
	return f;
}

/* The best times of three: others use the machine, and memory is slow when first touched. */
static struct figures run_store(const u8 *pages, u64 nr, u64 puts)
{
	struct figures best = run_store_once(pages, nr, puts);

	for (int i = 0; i < 2; i++) {
		struct figures f = run_store_once(pages, nr, puts);

		best.put_seconds = MIN(best.put_seconds, f.put_seconds);
		best.get_seconds = MIN(best.get_seconds, f.get_seconds);
	}
	return best;
}

/* ---- zram ---- */

static bool write_attr(int dev, const char *name, const char *value)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", dev, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* A new device of its own, so that nobody's swap is touched. -1: not here. */
static int zram_add(u64 bytes)
{
	FILE *f = fopen(CONTROL "hot_add", "re");
	char size[32];
	int dev = -1;

	if (!f || fscanf(f, "%d", &dev) != 1)
		dev = -1;
	if (f)
		fclose(f);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	if (dev >= 0 &&
	    !(write_attr(dev, "comp_algorithm", "lz4") && write_attr(dev, "disksize", size)))
		fprintf(stderr, "store: zram%d does not take lz4 or its size\n", dev);
	return dev;
}

static void zram_remove(int dev)
{
	FILE *f = fopen(CONTROL "hot_remove", "we");

	if (!f || fprintf(f, "%d", dev) < 0 || fclose(f))
		fprintf(stderr, "store: zram%d could not be removed\n", dev);
}

static void zram_figures(int dev, struct figures *f)
{
	char path[64];
	unsigned long long orig, compr, used, limit, max, same, compacted, huge;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/zram%d/mm_stat", dev);
	file = fopen(path, "re");
	check(file && fscanf(file, "%llu %llu %llu %llu %llu %llu %llu %llu", &orig, &compr, &used,
			     &limit, &max, &same, &compacted, &huge) == 8,
	      path);
	fclose(file);
	f->bytes = used + f->pages * TABLE_ENTRY + (f->pages - same) * HANDLE;
	f->raw = huge;
	f->free_pages = same;
}

/* One page at a time, as swapping does. */
static void zram_io(int fd, const u8 *pages, u64 nr, u64 puts, struct figures *f)
{
	u8 *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	double start = seconds();

	check(page != MAP_FAILED, "mmap");
	for (u64 i = 0; i < puts; i++) {
		u64 no = nth(i, nr);

		check(pwrite(fd, contents(pages, i, nr, page), PAGE_SIZE,
			     (off_t)(no << PAGE_SHIFT)) == PAGE_SIZE,
		      "write to zram");
	}
	f->put_seconds = (seconds() - start) * (double)nr / (double)puts;
	start = seconds();
	for (u64 i = 0; i < nr; i++)
		check(pread(fd, page, PAGE_SIZE, (off_t)(random_mix(i) % nr << PAGE_SHIFT)) ==
			      PAGE_SIZE,
		      "read from zram");
	f->get_seconds = seconds() - start;
	munmap(page, PAGE_SIZE);
}

static bool run_zram_once(const u8 *pages, u64 nr, u64 puts, struct figures *f)
{
	char path[32];
	int dev = zram_add(nr << PAGE_SHIFT), fd;

	*f = (struct figures){.pages = nr};
	if (dev < 0)
		return false;
	snprintf(path, sizeof(path), "/dev/zram%d", dev);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd >= 0) {
		zram_io(fd, pages, nr, puts, f);
		if (puts > nr)
			write_attr(dev, "compact", "1");
		zram_figures(dev, f);
		close(fd);
	}
	zram_remove(dev);
	return fd >= 0;
}

static bool run_zram(const u8 *pages, u64 nr, u64 puts, struct figures *best)
{
	struct figures f;

	if (!run_zram_once(pages, nr, puts, best))
		return false;
	for (int i = 0; i < 2 && run_zram_once(pages, nr, puts, &f); i++) {
		best->put_seconds = MIN(best->put_seconds, f.put_seconds);
		best->get_seconds = MIN(best->get_seconds, f.get_seconds);
	}
	return true;
}

/* ---- The table ---- */

static void print_row(const char *kind, const char *who, const struct figures *f)
{
	double bytes = (double)f->pages * PAGE_SIZE, each = (double)f->bytes / (double)f->pages;

	printf("%-20.20s %-6s %8llu %7.1f %6.2f %7llu %7llu %7.0f %7.2f\n", kind, who,
	       (unsigned long long)f->pages, each, PAGE_SIZE / each, (unsigned long long)f->raw,
	       (unsigned long long)f->free_pages, bytes / f->put_seconds / MiB,
	       f->get_seconds * 1e6 / (double)f->pages);
}

static void compare(const char *kind, const u8 *pages, u64 nr, u64 puts)
{
	struct figures store = run_store(pages, nr, puts), zram;

	print_row(kind, "quire", &store);
	if (run_zram(pages, nr, puts, &zram)) {
		print_row("", "zram", &zram);
		printf("%-20s %-6s %8s %7.3f\n", "", "ratio", "",
		       (double)store.bytes / (double)zram.bytes);
	}
	fflush(stdout);
}

static u8 *pages_new(u64 nr)
{
	u8 *pages = mmap(NULL, nr << PAGE_SHIFT, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(pages != MAP_FAILED, "memory for pages");
	return pages;
}

/* Whole pages of a file, as far as @nr goes. */
static void compare_file(const char *path, u64 max)
{
	const char *base = strrchr(path, '/');
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	u8 *pages;
	u64 nr, at = 0;
	ssize_t n = 1;

	check(fd >= 0 && !fstat(fd, &st), path);
	nr = MIN((u64)st.st_size >> PAGE_SHIFT, max);
	pages = pages_new(MAX(nr, 1));
	for (; n > 0 && at < nr << PAGE_SHIFT; at += (u64)n)
		n = read(fd, pages + at, (nr << PAGE_SHIFT) - at);
	check(n >= 0 && nr, path);
	close(fd);
	compare(base ? base + 1 : path, pages, nr, nr);
	munmap(pages, nr << PAGE_SHIFT);
}

static u64 parse_size(int argc, char **argv)
{
	u64 mib = 64;
	int opt;

	while ((opt = getopt(argc, argv, "m:")) != -1) {
		mib = opt == 'm' ? strtoull(optarg, NULL, 10) : 0;
		if (!mib || mib > 16384) {
			fprintf(stderr, "store: usage: store [-m MIB] [FILE...]\n");
			exit(2);
		}
	}
	return mib * MiB >> PAGE_SHIFT;
}

int main(int argc, char **argv)
{
	u64 nr = parse_size(argc, argv);
	u8 *pages = pages_new(nr);

	if (access(CONTROL "hot_add", R_OK))
		printf("zram left out: no zram here, or not allowed (be root, modprobe zram)\n");
	printf("%-20s %-6s %8s %7s %6s %7s %7s %7s %7s\n", "kind of page", "", "pages", "B/page",
	       "ratio", "raw", "free", "MB/s in", "us out");
	for (u64 k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (u64 i = 0; i < nr; i++)
			kinds[k].make((u64 *)(pages + (i << PAGE_SHIFT)), i);
		compare(kinds[k].name, pages, nr, kinds[k].rewritten ? 4 * nr : nr);
	}
	munmap(pages, nr << PAGE_SHIFT);
	for (; optind < argc; optind++)
		compare_file(argv[optind], nr);
	return 0;
}
