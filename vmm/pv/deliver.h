// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's handlers, entered and left as Xen does it. With pv.lock held, while the processor is
 * outside.
 */
#ifndef QUIRE_VMM_PV_DELIVER_H
#define QUIRE_VMM_PV_DELIVER_H

#include "vmm/pv/impl.h"

enum pv_vector {
	VECTOR_DB = 1,
	VECTOR_NMI,
	VECTOR_UD = 6,
	VECTOR_NM,
	VECTOR_DF,
	VECTOR_GP = 13,
	VECTOR_PF,
	VECTOR_MC = 18
};

/* Enter its handler of an exception; of a callback (CALLBACKTYPE_...). Without one, it dies. */
void pv_deliver(struct pv_cpu *cpu, int vector, u64 error);
void pv_enter_callback(struct pv_cpu *cpu, unsigned int type);

/* Enter the handler of events, if there are any for it. */
void pv_deliver_events(struct pv_cpu *cpu);

/* The iret hypercall: the return from a handler. Not 0: it has died of that. */
int pv_iret(struct pv_cpu *cpu);

/*
 * Before each way out: the guest may be going to where no processor can. And after the handler of
 * events may have been entered: it, too, may be no address.
 */
void pv_check_return(struct pv_cpu *cpu);
void pv_check_rip(struct pv_cpu *cpu);

#endif
