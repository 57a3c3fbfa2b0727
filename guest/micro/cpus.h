// SPDX-License-Identifier: Apache-2.0
/*
 * The other CPUs: starting them, and giving them work.
 *
 * One broadcast starts every CPU there is; each takes a number as it arrives (entry.S), and those
 * that are not wanted halt. So nothing needs to be known of ACPI tables or APIC ids. A Xen PV guest
 * starts its CPUs one by one, by number.
 */
#ifndef QUIRE_GUEST_MICRO_CPUS_H
#define QUIRE_GUEST_MICRO_CPUS_H

#include <stdint.h>

#include "guest/micro/boot.h"
#include "guest/micro/clock.h"

struct cpus {
	unsigned int wanted; /* the first one included */
	unsigned int ready;  /* others that have arrived */
	unsigned int round;  /* work given out so far */
	unsigned int busy;   /* others that still work */
	void (*work)(void *arg, unsigned int index);
	void *arg;
};

/*
 * Start CPUs until there are @wanted, and wait for them. Returns 0, or -1 when they do not come;
 * .ready then tells how many did.
 */
int cpus_start(struct cpus *cpus, unsigned int wanted, const struct boot *boot,
	       const struct clock *clock);

/* Where a started CPU lands. Does not return. */
void cpus_enter(struct cpus *cpus, unsigned int index);

/* Run work(arg, index) on all CPUs, the caller's being number 0, and wait until it is done. */
void cpus_run(struct cpus *cpus, void (*work)(void *arg, unsigned int index), void *arg);

static inline void cpus_relax(void)
{
	__asm__ volatile("pause");
}

#endif
