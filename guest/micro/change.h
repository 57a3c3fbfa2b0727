// SPDX-License-Identifier: Apache-2.0
/*
 * Changing entries of level 1 in tables in use, and having translations follow: by the three ways
 * of a Xen PV guest, or by writes and invlpg where the guest has a CPL 0. One CPU's; nothing is
 * shared.
 */
#ifndef QUIRE_GUEST_MICRO_CHANGE_H
#define QUIRE_GUEST_MICRO_CHANGE_H

#include <stdbool.h>

#include "guest/micro/xen.h"
#include "guest/work/options.h"

struct changes {
	uint64_t batch; /* so many at a time */
	uint64_t made;	/* in all */
	unsigned int waiting;
	bool write;
	struct xen_queue queue;
};

void changes_init(struct changes *changes, const struct work_options *options, unsigned int cpu);

/* Let @entry, which maps @address, be @value. It is so after changes_settle() at the latest. */
void changes_entry(struct changes *changes, volatile uint64_t *entry, uint64_t address,
		   uint64_t value);

void changes_settle(struct changes *changes);

#endif
