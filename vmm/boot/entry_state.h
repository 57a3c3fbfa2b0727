// SPDX-License-Identifier: Apache-2.0
/*
 * The processor's architecture as the VMM needs it: the registers with which a first vCPU starts,
 * and the MSRs that a PC's firmware would have set. Pure: no ioctl is made here.
 */
#ifndef QUIRE_VMM_BOOT_ENTRY_STATE_H
#define QUIRE_VMM_BOOT_ENTRY_STATE_H

#include <linux/kvm.h>

#include "vmm/boot/load.h"

/*
 * Fill @regs and @sregs for @entry (vmm/boot/load.h). @sregs must hold the vCPU's state after
 * reset: what boot does not define (APIC base, TR, LDT) is kept.
 */
void x86_boot_state(const struct boot_entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs);

#define X86_NR_BOOT_MSRS 2

/* MSRs to set on every vCPU before it runs. */
void x86_boot_msrs(struct kvm_msr_entry msrs[X86_NR_BOOT_MSRS]);

#endif
