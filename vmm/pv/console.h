// SPDX-License-Identifier: Apache-2.0
/* The guest's console, from the guest's side; pv.h has the host's. On a vCPU's thread. */
#ifndef QUIRE_VMM_PV_CONSOLE_H
#define QUIRE_VMM_PV_CONSOLE_H

#include "vmm/pv/impl.h"

/* The guest says that there is something in the ring, or room in it again. */
void pv_console_notified(struct pv *pv);

/* Into the ring with input that waits, as far as there is room. */
void pv_console_take_input(struct pv *pv);

/* A hypercall. */
long pv_console_io(struct pv_cpu *cpu, const u64 args[5]);

#endif
