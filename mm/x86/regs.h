// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers of the processor's registers: bits of control registers, EFER and RFLAGS, numbers of
 * MSRs, types of segments. Those that quire uses, and nothing else; the bits of page-table entries
 * and of a page fault's error code are in mm/x86/ptwalk.h, with what they mean for a walk.
 *
 * Sources: Intel SDM volume 3, "Control registers" (2.5), "Extended feature enable register"
 * (2.2.1), "Code- and data-segment descriptor types" (3.4.5.1), "System descriptor types" (3.5);
 * volume 1, "EFLAGS register" (3.4.3); volume 4 for MSRs. AMD APM volume 2, 3.1, 3.2, 4.8.
 */
#ifndef QUIRE_MM_X86_REGS_H
#define QUIRE_MM_X86_REGS_H

#include "mm/base/base.h"

#define CR0_PE ((u64)1 << 0)
#define CR0_MP ((u64)1 << 1)
#define CR0_TS ((u64)1 << 3)
#define CR0_ET ((u64)1 << 4)
#define CR0_NE ((u64)1 << 5)
#define CR0_WP ((u64)1 << 16)
#define CR0_AM ((u64)1 << 18)
#define CR0_PG ((u64)1 << 31)

#define CR4_PSE	       ((u64)1 << 4)
#define CR4_PAE	       ((u64)1 << 5)
#define CR4_PGE	       ((u64)1 << 7)
#define CR4_OSFXSR     ((u64)1 << 9)
#define CR4_OSXMMEXCPT ((u64)1 << 10)
#define CR4_LA57       ((u64)1 << 12)
#define CR4_OSXSAVE    ((u64)1 << 18)
#define CR4_SMEP       ((u64)1 << 20)
#define CR4_SMAP       ((u64)1 << 21)
#define CR4_PKE	       ((u64)1 << 22)

#define EFER_SCE ((u64)1 << 0)
#define EFER_LME ((u64)1 << 8)
#define EFER_LMA ((u64)1 << 10)
#define EFER_NXE ((u64)1 << 11)

#define RFLAGS_FIXED  ((u64)1 << 1) /* always one */
#define RFLAGS_STATUS ((u64)0x8d5)  /* CF, PF, AF, ZF, SF, OF: what arithmetic leaves */
#define RFLAGS_TF     ((u64)1 << 8)
#define RFLAGS_IF     ((u64)1 << 9)
#define RFLAGS_DF     ((u64)1 << 10)
#define RFLAGS_IOPL   ((u64)3 << 12)
#define RFLAGS_NT     ((u64)1 << 14)
#define RFLAGS_RF     ((u64)1 << 16)
#define RFLAGS_VM     ((u64)1 << 17)
#define RFLAGS_AC     ((u64)1 << 18)
#define RFLAGS_ID     ((u64)1 << 21)

#define MSR_TSC		   0x10u
#define MSR_APIC_BASE	   0x1bu
#define MSR_MISC_ENABLE	   0x1a0u
#define MSR_PAT		   0x277u
#define MSR_MTRR_DEF_TYPE  0x2ffu
#define MSR_TSC_DEADLINE   0x6e0u
#define MSR_EFER	   0xc0000080u
#define MSR_STAR	   0xc0000081u
#define MSR_LSTAR	   0xc0000082u
#define MSR_CSTAR	   0xc0000083u
#define MSR_SFMASK	   0xc0000084u
#define MSR_FS_BASE	   0xc0000100u
#define MSR_GS_BASE	   0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u

#define MISC_ENABLE_FAST_STRINGS 1u
#define MTRR_DEF_TYPE_ENABLE	 (1u << 11)
#define MTRR_TYPE_WRITE_BACK	 6u
#define PAT_AT_RESET		 0x0007040600070406u

/* The bits of a descriptor's type, of code and data. */
#define SEGMENT_TYPE_CODE	 (1u << 3)
#define SEGMENT_TYPE_EXPAND_DOWN (1u << 2) /* of data; of code: conforming */
#define SEGMENT_TYPE_WRITABLE	 (1u << 1) /* of data */
#define SEGMENT_TYPE_READABLE	 (1u << 1) /* of code */
#define SEGMENT_TYPE_ACCESSED	 (1u << 0)
/* The type of a system descriptor: a task that runs. */
#define SEGMENT_TYPE_BUSY_TASK 0xbu

#endif
