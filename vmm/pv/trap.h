// SPDX-License-Identifier: Apache-2.0
/* What becomes of a trap. */
#ifndef QUIRE_VMM_PV_TRAP_H
#define QUIRE_VMM_PV_TRAP_H

#include "vmm/pv/impl.h"

/*
 * Of @vector (its error code, else 0), while the processor is outside and pv.lock held. Afterwards
 * it goes on wherever its registers say, unless the guest has ended.
 */
void pv_trap(struct pv_cpu *cpu, int vector, u64 error);

#endif
