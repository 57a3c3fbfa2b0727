// SPDX-License-Identifier: Apache-2.0
/*
 * Kinds of address are types: a guest-physical address cannot be passed where a frame number or a
 * host pointer is meant, and it costs nothing. The only arithmetic on them is here; the only place
 * where one becomes a host pointer is space_ptr() (mm/space/space.h).
 */
#ifndef QUIRE_MM_BASE_ADDR_H
#define QUIRE_MM_BASE_ADDR_H

#include "mm/base/base.h"

/* Guest-physical address, in bytes. */
typedef struct {
	u64 v;
} gpa_t;

/* Guest frame number: a guest-physical address in units of PAGE_SIZE. */
typedef struct {
	u64 v;
} gfn_t;

/*
 * A page's number: its offset in the file behind guest memory, in pages. It is not a gfn: guest
 * memory has a hole below 4 GiB, the file has none (mm/space/space.h).
 */
typedef u32 page_no;
#define PAGE_NONE UINT32_MAX

static inline gpa_t gpa(u64 v)
{
	return (gpa_t){v};
}

static inline gpa_t gpa_add(gpa_t a, u64 bytes)
{
	return gpa(a.v + bytes);
}

static inline gfn_t gpa_gfn(gpa_t a)
{
	return (gfn_t){a.v >> PAGE_SHIFT};
}

static inline gpa_t gfn_gpa(gfn_t f)
{
	return gpa(f.v << PAGE_SHIFT);
}

/* Whether a linear address of 64 bits is one where @bits of them are translated: 48, or 57. */
static inline bool linear_is_canonical(u64 linear, u32 bits)
{
	u32 unused = 64 - bits;

	return (u64)((s64)(linear << unused) >> unused) == linear;
}

#endif
