// SPDX-License-Identifier: Apache-2.0
/*
 * Ports of event channels as the guest sees them: bits in its memory, and who is told of them. With
 * pv.lock held.
 */
#ifndef QUIRE_VMM_PV_PORT_H
#define QUIRE_VMM_PV_PORT_H

#include "vmm/pv/impl.h"

/* An event on @port: pending, and its processor brought to see it. */
void pv_send_event(struct pv *pv, u32 port);

/* The same, on whatever port the guest has bound to @virq of this processor, if any. */
void pv_send_virq(struct pv_cpu *cpu, u32 virq);

/* Whether @port is pending. */
bool pv_port_pending(struct pv *pv, u32 port);

/* The guest closes a port: nothing is pending. It unmasks one: what is pending is told now. */
int pv_clear_port(struct pv *pv, u32 port);
int pv_unmask_port(struct pv *pv, u32 port);

/* Whether the processor has an event to take: one that is pending, and events not masked. */
bool pv_event_pending(struct pv_cpu *cpu);

/* The byte by which a processor's kernel keeps all events away, as cli does interrupts. */
enum pv_event_mask { PV_EVENTS_OPEN, PV_EVENTS_MASKED };
enum pv_event_mask pv_get_mask(struct pv_cpu *cpu);
void pv_set_mask(struct pv_cpu *cpu, enum pv_event_mask mask);

#endif
