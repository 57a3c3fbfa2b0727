// SPDX-License-Identifier: Apache-2.0
/*
 * Starting CPUs by INIT and start-up interrupts (Intel SDM 3A, 9.4.4) through the local APIC's
 * memory window, which entry.S has mapped for CPL 3.
 *
 * A struct cpus is shared by all CPUs and accessed atomically. A CPU without work spins: it has no
 * interrupts to wake it, and only waits while the first one builds tables.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guest/abi.h"
#include "guest/micro/cpus.h"
#include "guest/micro/kernel.h"
#include "guest/micro/string.h"
#include "guest/micro/xen.h"

/* Where the trampoline is copied to; a start-up interrupt's vector is the number of that page. */
#define TRAMPOLINE 0x8000

#define APIC_COMMAND 0xfee00300 /* low half of the interrupt command register */
#define ALL_OTHERS   0xc0000
#define ASSERT_LEVEL 0x4000
#define INIT	     0x500
#define STARTUP	     0x600

#define MS ((uint64_t)1000000)

/* Generous: an emulated host on a busy machine brings up sixteen CPUs in well under a second. */
#define PATIENCE (3 * 1000 * MS)

/* A longer step is not waiting: the host did something else, or the guest was in a file. */
#define STEP MS

extern const char trampoline[], trampoline_end[]; /* entry.S */

static void send_to_others(uint32_t message)
{
	*(volatile uint32_t *)APIC_COMMAND = ALL_OTHERS | ASSERT_LEVEL | message;
}

static unsigned int count_ready(const struct cpus *cpus)
{
	return __atomic_load_n(&cpus->ready, __ATOMIC_ACQUIRE);
}

/* Wait for the wanted CPUs, but no longer than @ns of this one's own time. */
static bool wait_ready(const struct cpus *cpus, const struct clock *clock, uint64_t ns)
{
	uint64_t last = clock_ns(clock), waited = 0;

	while (count_ready(cpus) < cpus->wanted - 1) {
		uint64_t now = clock_ns(clock);

		waited += now - last < STEP ? now - last : STEP;
		last = now;
		if (waited > ns)
			return false;
		cpus_relax();
	}
	return true;
}

/* By name, as many as there are; all that were started come. */
static int start_xen(struct cpus *cpus, const struct clock *clock)
{
	unsigned int wanted = cpus->wanted, started = 1;

	while (started < wanted && xen_start_cpu(started) >= 0)
		started++;
	cpus->wanted = started;
	if (!wait_ready(cpus, clock, PATIENCE))
		return -1;
	return started == wanted ? 0 : -1;
}

int cpus_start(struct cpus *cpus, unsigned int wanted, const struct boot *boot,
	       const struct clock *clock)
{
	cpus->wanted = wanted;
	if (wanted == 1)
		return 0;
	if (xen_info)
		return start_xen(cpus, clock);
	if (!boot_is_ram(boot, TRAMPOLINE, TRAMPOLINE + GUEST_PAGE_SIZE))
		return -1;
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	send_to_others(INIT);
	wait_ready(cpus, clock, 10 * MS);
	send_to_others(STARTUP | TRAMPOLINE >> 12);
	if (wait_ready(cpus, clock, MS))
		return 0;
	send_to_others(STARTUP | TRAMPOLINE >> 12); /* the second one, for those that missed it */
	return wait_ready(cpus, clock, PATIENCE) ? 0 : -1;
}

void cpus_enter(struct cpus *cpus, unsigned int index)
{
	unsigned int done = 0;

	if (index >= cpus->wanted)
		kernel_call(KERNEL_HALT, 0, 0);
	__atomic_add_fetch(&cpus->ready, 1, __ATOMIC_ACQ_REL);
	for (;; done++) {
		while (__atomic_load_n(&cpus->round, __ATOMIC_ACQUIRE) == done)
			cpus_relax();
		cpus->work(cpus->arg, index);
		__atomic_sub_fetch(&cpus->busy, 1, __ATOMIC_ACQ_REL);
	}
}

void cpus_run(struct cpus *cpus, void (*work)(void *arg, unsigned int index), void *arg)
{
	cpus->work = work;
	cpus->arg = arg;
	cpus->busy = cpus->wanted - 1;
	__atomic_add_fetch(&cpus->round, 1, __ATOMIC_ACQ_REL);
	work(arg, 0);
	while (__atomic_load_n(&cpus->busy, __ATOMIC_ACQUIRE))
		cpus_relax();
}
