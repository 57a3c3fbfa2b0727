// SPDX-License-Identifier: Apache-2.0
/* Privileged instructions of a kernel at CPL 3. With pv.lock held; the processor is outside. */
#ifndef QUIRE_VMM_PV_EMULATE_H
#define QUIRE_VMM_PV_EMULATE_H

#include "vmm/pv/impl.h"

/* Whether rip is at one, and it has been carried out: then rip is behind it. */
bool pv_emulate_privileged(struct pv_cpu *cpu);

/* The same for cpuid behind the prefix that forces it. */
bool pv_emulate_cpuid(struct pv_cpu *cpu);

#endif
