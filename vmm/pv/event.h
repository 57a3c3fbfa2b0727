// SPDX-License-Identifier: Apache-2.0
/*
 * Hypercalls about event channels and about waiting for them; each is a pv_hypercall_fn
 * (vmm/pv/hypercall.h).
 */
#ifndef QUIRE_VMM_PV_EVENT_H
#define QUIRE_VMM_PV_EVENT_H

#include "vmm/pv/impl.h"

long pv_event_channel_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_sched_op(struct pv_cpu *cpu, const u64 args[5]);

#endif
