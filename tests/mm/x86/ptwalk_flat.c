// SPDX-License-Identifier: Apache-2.0
/* Flat guest memory; see ptwalk_flat.h. */
#include "tests/mm/x86/ptwalk_flat.h"

#include <string.h>

bool flat_read(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	const struct flat *f = opaque;

	*entry = 0;
	if (!range_fits(at.v, size, f->size))
		return false;
	memcpy(entry, f->bytes + at.v, size);
	return true;
}

bool flat_cmpxchg(void *opaque, gpa_t at, u32 size, u64 old, u64 new)
{
	const struct flat *f = opaque;
	u64 now;

	if (!flat_read(opaque, at, size, &now) || now != old)
		return false;
	memcpy(f->bytes + at.v, &new, size);
	return true;
}
