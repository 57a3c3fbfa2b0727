// SPDX-License-Identifier: Apache-2.0
/*
 * Segmentation. Contract in segment.h.
 *
 * In 64-bit mode an access fits if its first and its last byte are canonical; in protected mode if
 * type and limit allow it, in real mode if the limit does. The address is made all the same: who
 * reports a fault wants to say where.
 */
#include "mm/x86/segment.h"

#define TOP ((u64)UINT32_MAX)

/* All of it; it may not wrap around the end of the address space. */
static bool fits_64_bit(const struct segment_access *access, u64 linear)
{
	u64 last = linear + access->size - 1;

	return last >= linear && linear_is_canonical(linear, access->linear_bits) &&
	       linear_is_canonical(last, access->linear_bits);
}

static bool type_allows(const struct segment *segment, enum ptwalk_kind kind)
{
	bool code = segment->type & SEGMENT_TYPE_CODE;

	switch (kind) {
	case PTWALK_FETCH:
		return code;
	case PTWALK_WRITE:
		return !code && segment->type & SEGMENT_TYPE_WRITABLE;
	case PTWALK_READ:
		break;
	}
	return !code || segment->type & SEGMENT_TYPE_READABLE;
}

/*
 * Bytes [@offset, @offset + size) lie within the limit. An expand-down segment is what lies above
 * its limit.
 */
static bool limit_allows(const struct segment *segment, const struct segment_access *access,
			 u32 offset)
{
	bool down = access->mode == SEGMENT_PROTECTED && !(segment->type & SEGMENT_TYPE_CODE) &&
		    segment->type & SEGMENT_TYPE_EXPAND_DOWN;
	u64 top = down ? (segment->wide ? TOP : 0xffff) : segment->limit;

	if (down && offset <= segment->limit)
		return false;
	return offset <= top && (top == TOP || access->size - 1 <= top - offset);
}

enum segment_outcome segment_linear(const struct segment *segment,
				    const struct segment_access *access, u64 offset, u64 *linear)
{
	bool based = access->name == SEGMENT_FS || access->name == SEGMENT_GS, fits;

	if (access->mode == SEGMENT_64_BIT) {
		*linear = offset + (based ? segment->base : 0);
		fits = fits_64_bit(access, *linear);
	} else {
		*linear = (segment->base + offset) & TOP;
		fits = limit_allows(segment, access, (u32)offset);
		if (access->mode == SEGMENT_PROTECTED)
			fits &= segment->usable && type_allows(segment, access->kind);
	}
	if (fits)
		return SEGMENT_DONE;
	return access->name == SEGMENT_SS ? SEGMENT_STACK_FAULT : SEGMENT_GP_FAULT;
}
