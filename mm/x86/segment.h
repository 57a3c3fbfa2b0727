// SPDX-License-Identifier: Apache-2.0
/*
 * From a logical address, a segment register and an offset, to a linear one, as the processor does
 * it before any paging (mm/x86/ptwalk.h goes on from there): which base is added, what the limit
 * and the type forbid, and where addresses wrap.
 *
 * Sources: Intel SDM volume 3, "Protection" (limit checking, type checking, 64-bit mode); AMD APM
 * volume 2, chapter 4. Rights of a segment are checked when it is loaded, so privilege is no matter
 * here. Where the limit is 4 GiB and an access goes past it, processors differ; here it wraps.
 */
#ifndef QUIRE_MM_X86_SEGMENT_H
#define QUIRE_MM_X86_SEGMENT_H

#include "mm/x86/ptwalk.h"

/* In the order of their numbers in instructions. */
enum segment_name {
	SEGMENT_ES,
	SEGMENT_CS,
	SEGMENT_SS,
	SEGMENT_DS,
	SEGMENT_FS,
	SEGMENT_GS,
	SEGMENT_NR,
};

/* What a segment register has of its descriptor. */
struct segment {
	u64 base;
	u32 limit;   /* of bytes, whatever the descriptor counts in */
	u8 type;     /* SEGMENT_TYPE_ */
	bool usable; /* not the null selector's */
	bool wide;   /* D/B: offsets of 32 bits; of expand-down data, up to 4 GiB */
};

enum segment_mode {
	SEGMENT_REAL,	   /* and virtual-8086: limits count, types do not */
	SEGMENT_PROTECTED, /* and compatibility mode */
	SEGMENT_64_BIT,	   /* only the bases of FS and GS count */
};

struct segment_access {
	enum segment_mode mode;
	enum segment_name name;
	enum ptwalk_kind kind;
	u32 size;	/* bytes, at least 1 */
	u8 linear_bits; /* SEGMENT_64_BIT: 48, or 57 with five levels of tables */
};

enum segment_outcome {
	SEGMENT_DONE,
	SEGMENT_GP_FAULT,    /* a general-protection fault, error code 0 */
	SEGMENT_STACK_FAULT, /* the same by way of SS */
};

/*
 * Where the first byte of the access is; *@linear is set in any case. Outside of 64-bit mode the
 * lower half of @offset counts, and the result has 32 bits.
 */
enum segment_outcome segment_linear(const struct segment *segment,
				    const struct segment_access *access, u64 offset, u64 *linear);

#endif
