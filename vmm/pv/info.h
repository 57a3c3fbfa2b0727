// SPDX-License-Identifier: Apache-2.0
/* Hypercalls by which a guest asks what it runs on; each is a pv_hypercall_fn (hypercall.h). */
#ifndef QUIRE_VMM_PV_INFO_H
#define QUIRE_VMM_PV_INFO_H

#include "vmm/pv/impl.h"

long pv_xen_version(struct pv_cpu *cpu, const u64 args[5]);
long pv_memory_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_physdev_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_vm_assist(struct pv_cpu *cpu, const u64 args[5]);

#endif
