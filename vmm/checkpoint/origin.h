// SPDX-License-Identifier: Apache-2.0
/*
 * Bringing a guest back from an image (mm/image/image.h): as a new VM, or as one of many that share
 * what the image holds (clones). Rolling a running one back is in rollback.h.
 */
#ifndef QUIRE_VMM_CHECKPOINT_ORIGIN_H
#define QUIRE_VMM_CHECKPOINT_ORIGIN_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "mm/base/addr.h"
#include "vmm/state/state.h"

struct vm;
struct vm_config;

/* An image to restore a guest from, and how. It must outlive the VM. */
struct origin {
	struct image *image; /* NULL once there is a base */
	char *dir;	     /* absolute */
	bool eager;
	enum state_clock clock;
	page_no *warm; /* what an earlier guest touched first, in order */
	u32 nr_warm;
	const void *state; /* the machine's, as vmm/state/state.h has it */
	u32 state_size;
	void *own_state; /* what state points to, where that is not the image's */
	int base_fd;	 /* all of the memory, sealed (mm/space/space.h); -1: there is no base */
};

/*
 * Open the image and find out whether this host can run what is in it; then put the machine's shape
 * (memory, processors) into @cfg. @number 0: the newest link.
 */
int origin_open(struct origin *o, const char *dir, u32 number, struct vm_config *cfg,
		struct err *err);
void origin_close(struct origin *o);

/*
 * For clones: read all of the memory into a base, keep the state, and close the image. VMs of
 * SPACE_CLONE can be made from then on, in this process and those it forks.
 */
int origin_make_base(struct origin *o, struct err *err);

/* Read all of the memory now; the space is new and empty. */
int origin_load_memory(const struct origin *o, struct vm *vm, struct err *err);

#endif
