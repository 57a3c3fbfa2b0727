// SPDX-License-Identifier: Apache-2.0
/*
 * The workload and the ground it stands on. The same jobs run in the microguest and as a Linux
 * program; what differs between the two is this table of functions, and memory that the program has
 * made ready.
 *
 * A program is this sequence:
 *
 *	struct line why;
 *	work_options_parse(&options, text, &why)    -> GUEST_EXIT_OPTIONS, "NAME: FAIL" and why
 *	map memory as options.size and options.map want it; prepare options.cpus CPUs (threads)
 *	value = work_run(work, &platform, &options)
 *	end with value (port 0xf4, exit status, ...)
 *
 * work_run() itself prints everything, up to "NAME: pass" or "NAME: FAIL reason". It knows the jobs
 * fill, verify, access, edge and none; a program with jobs of its own looks at options.job first.
 */
#ifndef QUIRE_GUEST_WORK_PLATFORM_H
#define QUIRE_GUEST_WORK_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/abi.h"
#include "guest/work/options.h"

struct work_platform {
	const char *name; /* first word of every line, without the colon */
	void *opaque;	  /* handed to each function below */

	/* Write one line, newline included, whole and not mixed with another CPU's. Any worker. */
	void (*print)(void *opaque, const char *text, unsigned int length);

	/* Monotonic time, the same on every CPU. Called for every page: it must be cheap. */
	uint64_t (*now_ns)(void *opaque);

	/* Whether a byte has come on the console. Only for stop=1; worker 0, each 10 ms. */
	bool (*told)(void *opaque);

	/* Called while a worker has nothing to do but wait, for microseconds to milliseconds. */
	void (*relax)(void *opaque);

	/*
	 * Run work(arg, 0) to work(arg, count - 1), all at the same time (they wait for each
	 * other), and return when all have returned. Returns 0, or -1 when not all could be
	 * started.
	 */
	int (*run_workers)(void *opaque, unsigned int count,
			   void (*work)(void *arg, unsigned int index), void *arg);

	/* Guest-physical address of a page of the arena, for reports. NULL: not known. */
	uint64_t (*page_address)(void *opaque, uint64_t page);

	/*
	 * Memory to work in, aligned to GUEST_PAGE_SIZE and mapped; the rest of options.size has
	 * been applied by the program. @generations has room for arena_pages entries, all 0. Both
	 * must outlive work_run().
	 */
	void *arena;
	uint64_t arena_pages;
	uint32_t *generations;

	/* All zeros. In the microguest it lies at GUEST_BEAT_ADDRESS, elsewhere anywhere. */
	struct guest_beat_block *beats;
};

struct work; /* guest/work/work.h: about 100 KiB, all zeros at first, owned by the program */

/* Do options.job. Returns the value to end with, enum guest_exit. */
enum guest_exit work_run(struct work *work, const struct work_platform *platform,
			 const struct work_options *options);

/* Print "NAME: " and @line on the platform, for programs that have something to say themselves. */
void work_print(const struct work_platform *platform, const struct line *line);

/*
 * Print "NAME: pass", or "NAME: FAIL reason" with @reason where the program knows better. Returns
 * @value.
 */
enum guest_exit work_verdict(const struct work_platform *platform, enum guest_exit value,
			     const char *reason);

#endif
