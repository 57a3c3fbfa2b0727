// SPDX-License-Identifier: Apache-2.0
/*
 * Named failure points, so that every way the world can fail has a test. QUIRE_FAULT=NAME makes
 * the point NAME fail each time; NAME:N the first N times; NAME@N from the Nth time on (counted
 * from 1); several are separated by commas. Unset, a point costs one load and one branch.
 *
 * The table of names is in inject.c. An unknown name is refused when the program starts.
 */
#ifndef QUIRE_MM_BASE_INJECT_H
#define QUIRE_MM_BASE_INJECT_H

#include "mm/base/base.h"
#include "mm/base/err.h"

enum inject_point {
	INJECT_SWAP_FULL,     /* "swap-full": writing to the swap file: -ENOSPC */
	INJECT_SWAP_WRITE,    /* "swap-write": writing to the swap file: -EIO */
	INJECT_SWAP_READ,     /* "swap-read": reading from the swap file: -EIO */
	INJECT_SWAP_CORRUPT,  /* "swap-corrupt": a byte read from the swap file is flipped */
	INJECT_STORE_MEMORY,  /* "store-memory": no host memory for the store: -ENOMEM */
	INJECT_STORE_CORRUPT, /* "store-corrupt": a byte of a stored block is flipped when read */
	INJECT_EVICT_SLOW,    /* "evict-slow": a millisecond from unmapping to discarding */
	INJECT_FAULT_AGAIN,   /* "fault-again": the kernel says -EAGAIN to filling a page */
	INJECT_MMU_ENTRY,     /* "mmu-entry": a shadow entry does not follow the guest's */
	INJECT_NR_POINTS,
};

/* Read @text (the value of QUIRE_FAULT, or NULL). -EINVAL with a sentence. Before threads start. */
int inject_init(const char *text, struct err *err);

extern bool inject_armed;
bool inject_hit(enum inject_point point);

/* Whether to fail here, now. Thread-safe. */
static inline bool inject(enum inject_point point)
{
	return __builtin_expect(inject_armed, 0) && inject_hit(point);
}

/* How often @point has failed so far, for tests that must know that it did. */
u64 inject_count(enum inject_point point);

#endif
