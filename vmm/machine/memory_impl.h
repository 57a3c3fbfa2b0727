// SPDX-License-Identifier: Apache-2.0
/* memory.c's part of the machine: the memory engine and its events. For vmm/machine/ alone. */
#ifndef QUIRE_VMM_MACHINE_MEMORY_IMPL_H
#define QUIRE_VMM_MACHINE_MEMORY_IMPL_H

#include <uv.h>

#include "vmm/machine/machine.h"
#include "vmm/machine/memory_events.h"

struct machine_memory {
	char *policy;	  /* that vm_cfg points to, or NULL */
	uv_async_t async; /* events has something */
	struct memory_events events;
	machine_memory_event_fn listener;
	void *opaque;
};

void machine_open_memory(struct machine *m);
void machine_close_memory(struct machine *m); /* once async is closed */

/* On a thread of the engine's (struct vm_host). */
void machine_hear_memory(void *opaque, const struct mem_event *event);

/* What was told and not heard yet is of a guest that is no more. */
void machine_forget_memory_events(struct machine *m);

/* The guest's memory engine, or why there is none to talk to. */
int machine_get_mem(const struct machine *m, struct mem **mem, struct err *err);

#endif
