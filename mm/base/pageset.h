// SPDX-License-Identifier: Apache-2.0
/*
 * Sets of pages: a bit for each page, by its number in the file behind guest memory, in words of
 * 64. A set is a plain array that its owner allocates; how many words it has goes with it. Nothing
 * here has a lock: whoever changes a set while others look sees to that.
 */
#ifndef QUIRE_MM_BASE_PAGESET_H
#define QUIRE_MM_BASE_PAGESET_H

#include "mm/base/addr.h"

static inline bool pageset_has(const u64 *set, page_no no)
{
	return set[no / 64] >> no % 64 & 1;
}

static inline u64 pageset_count(const u64 *set, u32 words)
{
	u64 n = 0;

	for (u32 i = 0; i < words; i++)
		n += (u64)__builtin_popcountll(set[i]);
	return n;
}

/* What is in another set of that size: add it to a set, remove it from one, keep nothing else. */
static inline void pageset_add(u64 *to, const u64 *of, u32 words)
{
	for (u32 i = 0; i < words; i++)
		to[i] |= of[i];
}

static inline void pageset_remove(u64 *from, const u64 *of, u32 words)
{
	for (u32 i = 0; i < words; i++)
		from[i] &= ~of[i];
}

static inline void pageset_keep(u64 *in, const u64 *of, u32 words)
{
	for (u32 i = 0; i < words; i++)
		in[i] &= of[i];
}

/* Leave in the set no more than its first @most. */
static inline void pageset_cut(u64 *set, u32 words, u64 most)
{
	for (u32 i = 0; i < words; i++) {
		u64 n = (u64)__builtin_popcountll(set[i]);

		for (; n > most; n--)
			set[i] &= ~((u64)1 << (63 - __builtin_clzll(set[i])));
		most -= n;
	}
}

/* The pages that @bits, which is word @word of a set, stands for; returns how many. */
static inline u32 pageset_list(u32 word, u64 bits, page_no nos[64])
{
	u32 n = 0;

	for (; bits; bits &= bits - 1)
		nos[n++] = word * 64 + (u32)__builtin_ctzll(bits);
	return n;
}

#endif
