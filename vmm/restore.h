// SPDX-License-Identifier: Apache-2.0
/*
 * Bringing a guest back from an image (mm/image.h): as a new VM, or a running one rolled back to
 * where it was.
 */
#ifndef QUIRE_VMM_RESTORE_H
#define QUIRE_VMM_RESTORE_H

#include "mm/base.h"
#include "mm/err.h"
#include "mm/page.h"
#include "vmm/state.h"

struct vm;
struct vm_config;
struct chain;

/* An image to restore a guest from, and how. It must outlive the VM. */
struct origin {
	struct image *image;
	char *dir; /* absolute */
	bool eager;
	enum state_clock clock;
	page_no *warm; /* what an earlier guest touched first, in order */
	u32 nr_warm;
};

/*
 * Open the image and find out whether this host can run what is in it; then put the machine's shape
 * (memory, processors) into @cfg. @number 0: the newest link.
 */
int origin_open(struct origin *o, const char *dir, u32 number, struct vm_config *cfg,
		struct err *err);
void origin_close(struct origin *o);

/* Read all of the memory now; the space is new and empty. */
int origin_load_memory(const struct origin *o, struct vm *vm, struct err *err);

/*
 * Roll @vm, whose vCPUs are stopped, back to the link that its chain ends with: only what changed
 * since is put back, *@pages says how much. -errno: the guest is neither here nor there, and must
 * end; but -ENOENT when it has no chain, and nothing has changed.
 */
int vm_roll_back(struct vm *vm, struct chain *chain, u32 *pages, struct err *err);

#endif
