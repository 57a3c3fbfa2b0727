// SPDX-License-Identifier: Apache-2.0
/*
 * Start-up state of a vCPU; the contract is in entry_state.h.
 *
 * PVH: docs/misc/pvh.pandoc of Xen ("32-bit protected mode, paging off, flat segments, ebx points
 * to start_info"). 64-bit Linux: Documentation/arch/x86/boot.rst ("64-bit BOOT PROTOCOL").
 */
#include "vmm/boot/entry_state.h"

/* CR0, CR4, EFER bits: Intel SDM volume 3, 2.5 and 2.2.1 */
#define CR0_PE	 (1u << 0)
#define CR0_ET	 (1u << 4)
#define CR0_PG	 (1u << 31)
#define CR4_PAE	 (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define RFLAGS_FIXED 0x2 /* bit 1 is always one */

/* Segment types: SDM volume 3, 3.4.5.1 */
#define SEG_CODE     0xb /* execute, read, accessed */
#define SEG_DATA     0x3 /* read, write, accessed */
#define SEG_TSS_BUSY 0xb

#define SEL_CODE 0x10
#define SEL_DATA 0x18

#define MSR_MTRR_DEF_TYPE    0x2ffu
#define MTRR_ENABLE_WB	     0x806u /* bit 11: on; type 6: write-back everywhere */
#define MSR_MISC_ENABLE	     0x1a0u
#define MISC_ENABLE_FAST_STR 0x1u

static struct kvm_segment segment(u16 selector, u8 type, bool code64)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = 0,
		.db = !code64,
		.s = 1,
		.l = code64,
		.g = 1,
	};
}

void x86_boot_state(const struct boot_entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	bool long64 = entry->mode == BOOT_LONG64;

	*regs = (struct kvm_regs){.rip = entry->rip.v, .rflags = RFLAGS_FIXED};
	sregs->cs = segment(SEL_CODE, SEG_CODE, long64);
	sregs->ds = segment(SEL_DATA, SEG_DATA, false);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = SEG_TSS_BUSY, .present = 1};
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
	msrs[0] = (struct kvm_msr_entry){.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB};
	msrs[1] = (struct kvm_msr_entry){.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STR};
}
