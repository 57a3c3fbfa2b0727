// SPDX-License-Identifier: Apache-2.0
/* Hypercalls about one processor; each is a pv_hypercall_fn (vmm/pv/hypercall.h). */
#ifndef QUIRE_VMM_PV_CPU_H
#define QUIRE_VMM_PV_CPU_H

#include "vmm/pv/impl.h"

long pv_set_trap_table(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_gdt(struct pv_cpu *cpu, const u64 args[5]);
long pv_stack_switch(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_callbacks(struct pv_cpu *cpu, const u64 args[5]);
long pv_callback_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_fpu_taskswitch(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_debugreg(struct pv_cpu *cpu, const u64 args[5]);
long pv_get_debugreg(struct pv_cpu *cpu, const u64 args[5]);
long pv_update_descriptor(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_segment_base(struct pv_cpu *cpu, const u64 args[5]);
long pv_vcpu_op(struct pv_cpu *cpu, const u64 args[5]);

#endif
