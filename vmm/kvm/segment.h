// SPDX-License-Identifier: Apache-2.0
/* Segments as KVM has them in a vCPU's registers: those that a VMM itself loads. */
#ifndef QUIRE_VMM_KVM_SEGMENT_H
#define QUIRE_VMM_KVM_SEGMENT_H

#include <linux/kvm.h>

#include "mm/x86/regs.h"

enum flat_kind {
	FLAT_DATA,
	FLAT_CODE32,
	FLAT_CODE64,
};

/* A segment over all 4 GiB, or of 64-bit mode, as it is once it was loaded. */
static inline struct kvm_segment flat_segment(u16 selector, u8 dpl, enum flat_kind kind)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = kind == FLAT_DATA
				? SEGMENT_TYPE_WRITABLE | SEGMENT_TYPE_ACCESSED
				: SEGMENT_TYPE_CODE | SEGMENT_TYPE_READABLE | SEGMENT_TYPE_ACCESSED,
		.present = 1,
		.dpl = dpl,
		.db = kind != FLAT_CODE64,
		.s = 1,
		.l = kind == FLAT_CODE64,
		.g = 1,
	};
}

/* A task register that holds a running task of 104 bytes. */
static inline struct kvm_segment task_segment(u16 selector, u64 base)
{
	return (struct kvm_segment){
		.base = base,
		.limit = 0x67,
		.selector = selector,
		.type = SEGMENT_TYPE_BUSY_TASK,
		.present = 1,
	};
}

#endif
