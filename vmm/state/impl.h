// SPDX-License-Identifier: Apache-2.0
/* What the files of vmm/state/state.h share. For vmm/state/ alone. */
#ifndef QUIRE_VMM_STATE_IMPL_H
#define QUIRE_VMM_STATE_IMPL_H

#include "vmm/state/format.h"
#include "vmm/vm/vcpu.h"
#include "vmm/vm/vm.h"

/* KVM's: two PICs and an IO-APIC. */
#define STATE_NR_IRQCHIPS 3

/* By how much the guest's time jumps when it is loaded, in ns. */
struct state_jump {
	u64 ns;
	u32 tsc_khz;
};

/* vCPU @i: into sections, out of them, and whether they are what they must be. */
int state_save_vcpu(struct vm *vm, unsigned int i, struct state_buf *buf, struct err *err);
int state_load_vcpu(struct vm *vm, unsigned int i, const void *data, u32 size,
		    const struct state_jump *jump, struct err *err);
int state_check_vcpu(unsigned int i, const void *data, u32 size, struct err *err);

/* Of that, what vCPUs of every kind of guest have: CPUID and the XSAVE area. */
int state_save_common(struct vm *vm, unsigned int i, struct state_buf *buf, struct err *err);
int state_load_common(struct vm *vm, unsigned int i, const void *data, u32 size, struct err *err);
int state_check_common(unsigned int i, const void *data, u32 size, struct err *err);

/* All processors of a guest on shadow tables, and what they share. */
int state_save_pv(struct vm *vm, struct state_buf *buf, struct err *err);
int state_load_pv(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
		  struct err *err);
int state_check_pv(const struct state_shape *shape, const void *data, u32 size, struct err *err);

/*
 * vCPU @i's TSC as an offset from the host's, where KVM tells; and all TSCs set to agree with the
 * clock, which has been set just now, as they did when @saved was read.
 */
int state_save_tsc(struct vm *vm, unsigned int i, struct state_buf *buf);
void state_align_tscs(struct vm *vm, const void *data, u32 size, const struct kvm_clock_data *saved,
		      u32 khz);

/* The same for interrupt controllers, timers, clock. */
int state_save_vm(struct vm *vm, struct state_buf *buf, struct err *err);
int state_load_vm(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
		  struct err *err);
int state_check_vm(const void *data, u32 size, struct err *err);

/* And for devices. */
int state_save_devices(struct vm *vm, struct state_buf *buf, struct err *err);
int state_load_devices(struct vm *vm, const void *data, u32 size, struct err *err);
int state_check_devices(const void *data, u32 size, struct err *err);

#endif
