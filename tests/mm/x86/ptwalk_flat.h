// SPDX-License-Identifier: Apache-2.0
/* Guest memory for mm/x86/ptwalk.h: so many bytes from guest-physical 0 on, and nothing else. */
#ifndef QUIRE_TESTS_MM_X86_PTWALK_FLAT_H
#define QUIRE_TESTS_MM_X86_PTWALK_FLAT_H

#include "mm/x86/ptwalk.h"

struct flat {
	u8 *bytes;
	u64 size;
};

/* As struct ptwalk_memory has them; the opaque is a struct flat. */
bool flat_read(void *opaque, gpa_t at, u32 size, u64 *entry);
bool flat_cmpxchg(void *opaque, gpa_t at, u32 size, u64 old, u64 new);

#endif
