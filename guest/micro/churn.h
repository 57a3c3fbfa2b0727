// SPDX-License-Identifier: Apache-2.0
/*
 * job=churn: page tables in motion. What a host that shadows, migrates or reclaims guest memory
 * must keep right is not only what pages hold but which address shows which page, from one moment
 * to the next.
 *
 * Each CPU has 1 GiB of CHURN_WINDOW to itself, and goes round it in steps of 2 MiB. A round is:
 *
 *	fill a table with 16 pages of the CPU's own slice, and hang it in at a new address
 *	write a stamp through each new mapping, read it through the arena's; and the other way round
 *	point the first entry at another page, invlpg: the address must show that page
 *	take four entries away, invlpg: each address must fault, and say which it was
 *	take the whole table away, reload cr3: all addresses must fault
 *
 * As a Xen PV guest it hangs the table in first, and changes one entry after the other, by how= and
 * batch= (change.h).
 */
#ifndef QUIRE_GUEST_MICRO_CHURN_H
#define QUIRE_GUEST_MICRO_CHURN_H

#include "guest/micro/change.h"
#include "guest/micro/cpus.h"
#include "guest/micro/memory.h"
#include "guest/work/platform.h"

struct churn_worker {
	uint64_t *directory; /* of the CPU's window */
	uint64_t *tables[2]; /* used in turn, so that one in use is never refilled */
	uint64_t first;	     /* slice of the arena */
	uint64_t pages;
	uint64_t random;
	uint64_t mapped; /* pages so far */
	uint64_t faults; /* expected ones, seen */
	struct changes changes;
};

struct churn {
	const struct work_platform *platform;
	const struct work_options *options;
	const struct memory *memory;
	uint64_t start;
	uint64_t round_pages;
	unsigned int wrong; /* CPUs that found something wrong, and stopped */
	struct churn_worker workers[GUEST_MAX_CPUS];
};

/* Do the job on all CPUs and print its lines. Returns the value to end with. */
enum guest_exit churn_run(struct churn *churn, const struct work_platform *platform,
			  const struct work_options *options, struct memory *memory);

#endif
