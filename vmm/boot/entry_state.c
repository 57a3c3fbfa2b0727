// SPDX-License-Identifier: Apache-2.0
/*
 * Start-up state of a vCPU; the contract is in entry_state.h.
 *
 * PVH: docs/misc/pvh.pandoc of Xen ("32-bit protected mode, paging off, flat segments, ebx points
 * to start_info"). 64-bit Linux: Documentation/arch/x86/boot.rst ("64-bit BOOT PROTOCOL").
 */
#include "vmm/boot/entry_state.h"

#include "vmm/kvm/segment.h"

#define SEL_CODE 0x10
#define SEL_DATA 0x18

void x86_boot_state(const struct boot_entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	bool long64 = entry->mode == BOOT_LONG64;

	*regs = (struct kvm_regs){.rip = entry->rip.v, .rflags = RFLAGS_FIXED};
	sregs->cs = flat_segment(SEL_CODE, 0, long64 ? FLAT_CODE64 : FLAT_CODE32);
	sregs->ds = flat_segment(SEL_DATA, 0, FLAT_DATA);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = task_segment(0, 0);
	sregs->idt = (struct kvm_dtable){0};
	sregs->cr0 = CR0_PE | CR0_ET;
	if (!long64) {
		regs->rbx = entry->info.v;
		sregs->gdt = (struct kvm_dtable){0};
		return;
	}
	regs->rsi = entry->info.v;
	sregs->gdt = (struct kvm_dtable){.base = entry->gdt.v, .limit = 4 * 8 - 1};
	sregs->cr0 |= CR0_PG;
	sregs->cr3 = entry->cr3.v;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
}

void x86_boot_msrs(struct kvm_msr_entry msrs[X86_NR_BOOT_MSRS])
{
	msrs[0] = (struct kvm_msr_entry){
		.index = MSR_MTRR_DEF_TYPE,
		.data = MTRR_DEF_TYPE_ENABLE | MTRR_TYPE_WRITE_BACK, /* everywhere */
	};
	msrs[1] = (struct kvm_msr_entry){
		.index = MSR_MISC_ENABLE,
		.data = MISC_ENABLE_FAST_STRINGS,
	};
}
