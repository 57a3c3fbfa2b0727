// SPDX-License-Identifier: Apache-2.0
/*
 * Time from the time-stamp counter, which CPL 3 can read without leaving the guest. What remains is
 * to find out how fast it counts; in this order:
 *
 *	tsc_khz= on the command line
 *	Xen's time page, in a Xen PV guest, which has nothing else
 *	kvm-clock, where the hypervisor is KVM: the exact factor, for a few calls to CPL 0
 *	channel 0 of the interval timer, measured for some 20 ms twice: everywhere else
 */
#ifndef QUIRE_GUEST_MICRO_CLOCK_H
#define QUIRE_GUEST_MICRO_CLOCK_H

#include <stdint.h>

struct clock {
	uint64_t factor;    /* nanoseconds a tick, times 2^32 */
	const char *source; /* for people */
};

/* Returns 0, or -1 when there is no clock to be found. */
int clock_init(struct clock *clock, uint64_t tsc_khz);

static inline uint64_t clock_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline uint64_t clock_scale(const struct clock *clock, uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * clock->factor) >> 32);
}

static inline uint64_t clock_ns(const struct clock *clock)
{
	return clock_scale(clock, clock_ticks());
}

#endif
