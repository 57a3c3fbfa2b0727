// SPDX-License-Identifier: Apache-2.0
/* Time as the guest is told it, in ns since it began. With pv.lock held, unless said otherwise. */
#ifndef QUIRE_VMM_PV_TIME_H
#define QUIRE_VMM_PV_TIME_H

#include "vmm/pv/impl.h"

/* The system time of now; and the same, as the guest itself computes it. */
u64 pv_system_time(const struct pv *pv);
u64 pv_time_there(const struct pv *pv);

/* How fast the guest's counter is. While no vCPU runs, without the lock. */
void pv_measure_tsc(struct pv *pv);

/* Tell a processor what it computes its time from; and all of them the wall clock. */
void pv_update_time(struct pv_cpu *cpu);
void pv_set_wallclock(struct pv *pv);

/* Tell it anew, if the guest was elsewhere meanwhile. */
void pv_find_time(struct pv_cpu *cpu);

/* Fire the processor's timer if it is due, and end a poll that has lasted long enough. */
void pv_check_timer(struct pv_cpu *cpu);

/* Hypercalls; the latter two are VCPUOP_... of pv_vcpu_op(). */
long pv_set_timer_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_timer_op(struct pv_cpu *cpu, u32 op, u64 at);
long pv_runstate_op(struct pv_cpu *cpu, struct pv_cpu *to, u32 op, u64 at);

#endif
