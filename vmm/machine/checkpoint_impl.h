// SPDX-License-Identifier: Apache-2.0
/* checkpoint.c's part of the machine. For vmm/machine/ alone. */
#ifndef QUIRE_VMM_MACHINE_CHECKPOINT_IMPL_H
#define QUIRE_VMM_MACHINE_CHECKPOINT_IMPL_H

#include <uv.h>

#include "vmm/checkpoint/checkpoint.h"
#include "vmm/machine/machine.h"

struct machine_saving {
	uv_async_t async;		 /* the checkpoint has ended */
	struct checkpoint_progress last; /* how the last one ended; phase DONE at first */
	machine_checkpoint_fn listener;
	void *opaque;
};

void machine_open_checkpoint(struct machine *m);

/* A guest that was restored can go on with the image's chain. */
int machine_begin_chain(struct machine *m, struct err *err);

/* The VM is about to go: end the checkpoint that uses it, and forget its chain. */
void machine_end_checkpoint(struct machine *m);

#endif
