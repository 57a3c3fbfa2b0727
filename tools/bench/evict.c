// SPDX-License-Identifier: Apache-2.0
/*
 * evict: how fast the memory engine pushes pages out, without a VM around it.
 *
 *	evict [-m MIB] [-p PERCENT] [-r ROUNDS]
 *
 * Guest memory is filled with pages of which PERCENT (default 50) is random and the rest repeats
 * one word, all of it (default 256 MiB) is pushed out, brought back in order, and pushed out again
 * unchanged. A line for each: MB of guest memory a second, of processor time (all threads) and of
 * time, the median over the rounds. First the lower bound that it is compared with: the same pages,
 * copied and compressed by lz4, and nothing else. Contents are checked when they have come back.
 */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mm/engine/mem.h"
#include "mm/space/space.h"

#define WORDS	   (PAGE_SIZE / sizeof(u64))
#define MAX_ROUNDS 99

enum row { ROW_LZ4, ROW_OUT, ROW_BACK, ROW_AGAIN, NR_ROWS };

static const char *const row_names[NR_ROWS] = {"lz4", "out", "back", "again"};

struct speed {
	double cpu, wall; /* seconds, then MB/s */
};

static void die(const char *what)
{
	fprintf(stderr, "evict: %s\n", what);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct speed since(struct speed start)
{
	return (struct speed){.cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - start.cpu,
			      .wall = seconds(CLOCK_MONOTONIC) - start.wall};
}

static struct speed begin(void)
{
	return since((struct speed){0});
}

/* ---- Pages ---- */

static u64 mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void make_page(u64 *words, u64 number, u64 percent)
{
	for (u64 i = 0; i < WORDS; i++)
		words[i] = mix(number << 32 | (i < WORDS * percent / 100 ? i : WORDS));
}

static void check_pages(const u8 *base, u64 nr, u64 percent)
{
	u64 want[WORDS];

	for (u64 no = 0; no < nr; no++) {
		make_page(want, no, percent);
		if (memcmp(want, base + (no << PAGE_SHIFT), PAGE_SIZE))
			die("a page came back with other contents");
	}
}

/* ---- The lower bound ---- */

static struct speed run_lz4(const u8 *base, u64 nr)
{
	static char page[PAGE_SIZE], block[LZ4_COMPRESSBOUND(PAGE_SIZE)];
	struct speed start = begin();

	for (u64 no = 0; no < nr; no++) {
		memcpy(page, base + (no << PAGE_SHIFT), PAGE_SIZE);
		if (LZ4_compress_default(page, block, PAGE_SIZE, sizeof(block)) <= 0)
			die("lz4 failed");
	}
	return since(start);
}

/* ---- The engine ---- */

static void on_failed(void *opaque, const struct err *why)
{
	(void)opaque;
	die(why->text);
}

static struct speed push_out(struct mem *mem, u64 bytes)
{
	struct speed start = begin();
	struct err err;
	s64 went = mem_reclaim(mem, bytes, &err);

	if (went < 0)
		die(err.text);
	if ((u64)went != bytes)
		die("not everything that was to go went");
	return since(start);
}

/* One read of each page, in order: what is counted is the host's faults, not a guest's. */
static struct speed bring_back(const u8 *base, u64 nr)
{
	struct speed start = begin();

	for (u64 no = 0; no < nr; no++)
		(void)*(const volatile u8 *)(base + (no << PAGE_SHIFT));
	return since(start);
}

static void run(u64 bytes, u64 percent, struct speed out[NR_ROWS])
{
	const struct mem_config cfg = {.no_swap = true, .nr_cpus = 1};
	const struct mem_host host = {.failed = on_failed};
	u64 nr = bytes >> PAGE_SHIFT;
	struct space *space;
	struct mem *mem;
	struct err err;
	u8 *base;

	if (space_create(&space, bytes, SPACE_MEMFD))
		die("guest memory cannot be had");
	if (mem_create(&mem, space, &cfg, &host, &err) || mem_start(mem, &err))
		die(err.text);
	base = space_guest_base(space);
	for (u64 no = 0; no < nr; no++)
		make_page((u64 *)(base + (no << PAGE_SHIFT)), no, percent);
	out[ROW_LZ4] = run_lz4(base, nr);
	/* taking charge of the guest's memory is not what is measured */
	if (mem_reclaim(mem, 0, &err) < 0)
		die(err.text);
	out[ROW_OUT] = push_out(mem, bytes);
	out[ROW_BACK] = bring_back(base, nr);
	check_pages(base, nr, percent);
	out[ROW_AGAIN] = push_out(mem, bytes);
	mem_cut(mem);
	mem_destroy(mem);
	space_destroy(space);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_size);
	return values[n / 2];
}

static void print_rows(struct speed (*rounds)[NR_ROWS], size_t n, u64 bytes)
{
	double cpu[MAX_ROUNDS], wall[MAX_ROUNDS], mb = (double)bytes / 1e6;

	printf("what\tMB/s of CPU\tMB/s of time\n");
	for (int row = 0; row < NR_ROWS; row++) {
		for (size_t i = 0; i < n; i++) {
			cpu[i] = mb / rounds[i][row].cpu;
			wall[i] = mb / rounds[i][row].wall;
		}
		printf("%s\t%.0f\t%.0f\n", row_names[row], median(cpu, n), median(wall, n));
	}
}

int main(int argc, char **argv)
{
	static struct speed rounds[MAX_ROUNDS][NR_ROWS];
	u64 mib = 256, percent = 50, nr = 3;
	int opt;

	while ((opt = getopt(argc, argv, "m:p:r:")) != -1) {
		u64 n = opt == '?' ? UINT64_MAX : strtoull(optarg, NULL, 10);

		if (opt == 'm' && n >= 16 && n <= 16384)
			mib = n;
		else if (opt == 'p' && n <= 100)
			percent = n;
		else if (opt == 'r' && n >= 1 && n <= MAX_ROUNDS)
			nr = n;
		else {
			fprintf(stderr, "usage: evict [-m MIB] [-p PERCENT] [-r ROUNDS]\n");
			return 2;
		}
	}
	for (u64 i = 0; i < nr; i++)
		run(mib * MiB, percent, rounds[i]);
	print_rows(rounds, nr, mib * MiB);
	return 0;
}
