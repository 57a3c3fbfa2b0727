// SPDX-License-Identifier: Apache-2.0
/* The last words of a vCPU that cannot go on. */
#ifndef QUIRE_VMM_RUN_VCPU_REPORT_H
#define QUIRE_VMM_RUN_VCPU_REPORT_H

#include "vmm/shutdown.h"
#include "vmm/vm/vcpu.h"

/*
 * Say why a vCPU cannot go on: one sentence with rip, the instruction's bytes and @meaning ends the
 * guest (vm_fail), and all registers go to the log. On the vCPU's own thread. Nothing is said when
 * the guest has ended already.
 */
void vcpu_report(struct vcpu *vcpu, enum shutdown_cause cause, const char *meaning);

#endif
