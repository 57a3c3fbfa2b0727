// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that runs a virtual processor.
 *
 *                          want == VM_RUN, not congested
 *  vcpu_start --> PARKED ------------------------------------> IN THE GUEST
 *                  ^  |                                         |       ^
 *                  |  | want == VM_QUIT       KVM_RUN returns   |       | want == VM_RUN
 *                  |  v                                         v       |
 *                  | (gone)                                   HANDLING AN EXIT
 *                  |                                                |
 *                  `------------------------------------------------'
 *                                 want != VM_RUN, or congested
 *
 * A parked vCPU has no half-finished port or memory access: KVM completes one only when it is
 * entered again, so parking enters it once more with immediate_exit set.
 */
#ifndef QUIRE_VMM_RUN_VCPU_LOOP_H
#define QUIRE_VMM_RUN_VCPU_LOOP_H

#include "mm/base/err.h"
#include "vmm/vm/vcpu.h"

/* Start its thread, once: it runs or parks, as vm->want says. vcpu_destroy() waits for its end. */
int vcpu_start(struct vcpu *vcpu, struct err *err);

#endif
