// SPDX-License-Identifier: Apache-2.0
/* The host's clocks, in nanoseconds. */
#ifndef QUIRE_MM_BASE_CLOCK_H
#define QUIRE_MM_BASE_CLOCK_H

#include <time.h>

#include "mm/base/base.h"

static inline u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* CLOCK_MONOTONIC: for how long something took, and for waiting. */
static inline u64 now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME: since 1970. */
static inline u64 wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

#endif
