// SPDX-License-Identifier: Apache-2.0
/* The table of hypercalls. With pv.lock held, while the processor is outside. */
#ifndef QUIRE_VMM_PV_HYPERCALL_H
#define QUIRE_VMM_PV_HYPERCALL_H

#include "vmm/pv/impl.h"

/* What each one in the table is: its answer is 0 or above, or -errno as Xen numbers it. */
typedef long (*pv_hypercall_fn)(struct pv_cpu *cpu, const u64 args[5]);

/* Carry out the one in the processor's registers. */
void pv_hypercall(struct pv_cpu *cpu);

/* Carry out one with these arguments: a call of a multicall, or a test's. */
long pv_call(struct pv_cpu *cpu, u64 nr, const u64 args[5]);

#endif
