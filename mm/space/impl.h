// SPDX-License-Identifier: Apache-2.0
/* What space.c and own.c share. Private to mm/space/. Nothing of it changes after creation. */
#ifndef QUIRE_MM_SPACE_IMPL_H
#define QUIRE_MM_SPACE_IMPL_H

#include "mm/space/space.h"

#define SPACE_MAX_SLOTS 2

struct space {
	u64 size;
	enum space_backing backing;
	int fd;	   /* -1 for SPACE_ANON and SPACE_CLONE */
	u8 *guest; /* KVM's mapping */
	u8 *alias; /* ours; equal to guest where there is no fd */
	unsigned int nr_slots;
	struct space_slot slots[SPACE_MAX_SLOTS];
};

/* Count the pages that are a clone's own. -errno where that cannot be told. */
int space_count_own(const struct space *s, u64 *pages);

#endif
