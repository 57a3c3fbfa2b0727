// SPDX-License-Identifier: Apache-2.0
/* One processor of the guest towards KVM, the others and the guest's end. With pv.lock held. */
#ifndef QUIRE_VMM_PV_VCPU_H
#define QUIRE_VMM_PV_VCPU_H

#include "vmm/pv/impl.h"

/*
 * What KVM's vCPU is, once and for all, with the roots and selectors of @cpu. 0 or -errno. Before
 * it runs, and without the lock.
 */
int pv_set_up_vcpu(struct pv_cpu *cpu);

/* Whether its CPUID says XSAVE. */
bool pv_has_xsave(const struct vcpu *vcpu);

/* It has trapped: its state is in struct pv_cpu from now on. */
void pv_leave_guest(struct pv_cpu *cpu);

/* cpu->roots have changed: on the way back it is on the tables that stand in for them. */
void pv_set_roots(struct pv_cpu *cpu);

/* Have a processor look at what has changed. */
void pv_kick(struct pv_cpu *cpu);

/*
 * Make all others drop what they know of tables: whoever may be in the guest with what was so
 * before is brought out, and waited for.
 */
void pv_flush_others(struct pv_cpu *cpu);

/* It is about to do @n more things in one hypercall. False: that is too much. */
bool pv_take_operations(struct pv_cpu *cpu, u64 n);

/* The guest has done what no kernel survives: it ends, with where it was and this. */
void pv_guest_dies(struct pv_cpu *cpu, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
