// SPDX-License-Identifier: Apache-2.0
/* Hypercalls about page tables; each is a pv_hypercall_fn (vmm/pv/hypercall.h). */
#ifndef QUIRE_VMM_PV_MMU_H
#define QUIRE_VMM_PV_MMU_H

#include "vmm/pv/impl.h"

long pv_mmu_update(struct pv_cpu *cpu, const u64 args[5]);
long pv_mmuext_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_update_va_mapping(struct pv_cpu *cpu, const u64 args[5]);

#endif
