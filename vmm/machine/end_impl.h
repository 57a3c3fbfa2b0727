// SPDX-License-Identifier: Apache-2.0
/* end.c's part of the machine: its end, and what it leaves behind. For vmm/machine/ alone. */
#ifndef QUIRE_VMM_MACHINE_END_IMPL_H
#define QUIRE_VMM_MACHINE_END_IMPL_H

#include <uv.h>

#include "mm/base/err.h"

struct machine;

struct machine_end {
	uv_async_t async; /* the VM has ended, or the machine has: stop the loop */
	int status;
	struct err why;
};

void machine_open_end(struct machine *m);

/* On a vCPU thread: the VM has ended (struct vm_host). */
void machine_hear_end(void *opaque);

/* The guest cannot go on. */
void machine_fail(struct machine *m, const struct err *why);

#endif
