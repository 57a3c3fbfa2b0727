// SPDX-License-Identifier: Apache-2.0
/*
 * A second, naive model of x86 paging to compare mm/x86/ptwalk.h with, and the little guest memory
 * that both walk. It is written from the manuals alone: all entries that an address could lead
 * through are collected first, whatever is in them; then each condition is looked at by itself.
 */
#ifndef QUIRE_TESTS_MM_X86_PTWALK_MODEL_H
#define QUIRE_TESTS_MM_X86_PTWALK_MODEL_H

#include "mm/x86/ptwalk.h"

#define RAM_SIZE (64 * PAGE_SIZE)
#define BIT(n)	 ((u64)1 << (n))

/* Guest memory from 0 on; false beyond it. */
extern u8 ram[RAM_SIZE];
bool ram_read(void *opaque, gpa_t at, u32 size, u64 *entry);

u64 peek(u64 at, u32 size);
void poke(u64 at, u32 size, u64 entry);

struct collected {
	u32 n, levels, size;
	u64 at[PTWALK_MAX_LEVELS], entry[PTWALK_MAX_LEVELS];
	u64 after[PTWALK_MAX_LEVELS];	/* with accessed and dirty bits */
	bool absent[PTWALK_MAX_LEVELS]; /* no memory there */
};

struct expected {
	enum ptwalk_outcome outcome;
	u32 error, shift, key;
	u64 at;
	bool w, u, x;
	struct collected c; /* up to the last that counts */
};

/* Whether @reg has @bit. */
static inline bool on(u64 reg, u64 bit)
{
	return reg & bit;
}

/* The entries on the way of @linear, to the last level. */
void collect(const struct ptwalk_mode *m, u64 linear, struct collected *c);

/* What ptwalk() must say, of a canonical address and paging that is on. */
void expect(const struct ptwalk_mode *m, const struct ptwalk_access *a, u64 linear,
	    struct expected *e);

#endif
