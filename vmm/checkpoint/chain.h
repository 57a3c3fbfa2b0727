// SPDX-License-Identifier: Apache-2.0
/*
 * The image that a guest's next increment belongs to, and that it is rolled back to: which link of
 * it the guest differs from, and by which pages.
 *
 * What has changed is known from KVM's dirty log (vmm/vm/dirty.h). It can be harvested once only,
 * so what was harvested and is in no link yet stays noted here, whatever fails.
 */
#ifndef QUIRE_VMM_CHECKPOINT_CHAIN_H
#define QUIRE_VMM_CHECKPOINT_CHAIN_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct image;
struct vm;

/*
 * It lives as long as the VM. It has no lock: one checkpoint or one rolling back at a time uses it.
 */
struct chain {
	char *dir;	     /* absolute; NULL: there is none */
	u32 number;	     /* of the link that the guest differs from by what is noted */
	u64 *dirty;	     /* pages that changed since, harvested but not in any link yet */
	struct image *image; /* the link, open; NULL: not opened yet */
};

/* The guest is as link @number of @dir has it, from this moment on. */
int chain_begin(struct chain *chain, struct vm *vm, const char *dir, u32 number, struct err *err);

/* Open its link, if it is not open. -ENOENT with a sentence: there is no chain. */
int chain_open_image(struct chain *chain, struct err *err);

void chain_fini(struct chain *chain);

#endif
