// SPDX-License-Identifier: Apache-2.0
/*
 * TSCs in step with kvm-clock. MSRs and clock are read and set one after the other, with time going
 * on in between; a guest that compares them afterwards finds a skew and gives its TSC up. But KVM
 * can read its clock and the host's TSC at one moment, and knows each guest TSC as an offset from
 * the host's: that is exact.
 */
#include "vmm/state/impl.h"

/* The guest's TSC less the host's. -errno on kernels before 5.16: then the MSRs must do. */
static int tsc_offset(struct vm *vm, unsigned int i, unsigned long order, u64 *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vm->vcpus[i]->fd, order, &attr) < 0 ? -errno : 0;
}

int state_save_tsc(struct vm *vm, unsigned int i, struct state_buf *buf)
{
	u64 offset, *room;

	/* on PVM the guest reads the host's own, whatever the offset */
	if (vm->kind == KVM_PVM || tsc_offset(vm, i, KVM_GET_DEVICE_ATTR, &offset))
		return 0;
	room = state_add(buf, STATE_TSC, i, 1, sizeof(*room));
	if (!room)
		return -ENOMEM;
	*room = offset;
	return 0;
}

/* What it was when the clock was read, and on by as much as the clock has gone on since. */
static void align(struct vm *vm, unsigned int i, u64 saved_offset,
		  const struct kvm_clock_data *saved, const struct kvm_clock_data *now, u32 khz)
{
	/* the clock may be a little behind what it was set to */
	double ticks = (double)(s64)(now->clock - saved->clock) * khz / 1e6;
	u64 tsc = saved->host_tsc + saved_offset + (u64)(s64)ticks, offset = tsc - now->host_tsc;

	tsc_offset(vm, i, KVM_SET_DEVICE_ATTR, &offset);
}

void state_align_tscs(struct vm *vm, const void *data, u32 size, const struct kvm_clock_data *saved,
		      u32 khz)
{
	struct kvm_clock_data now = {.clock = 0};
	struct state_section s;

	if (vm->kind == KVM_PVM || !(saved->flags & KVM_CLOCK_HOST_TSC) || !khz ||
	    kvm_ioctl(vm->fd, KVM_GET_CLOCK, &now) || !(now.flags & KVM_CLOCK_HOST_TSC))
		return;
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		if (!state_need(data, size, STATE_TSC, i, sizeof(u64), &s, NULL))
			align(vm, i, *(const u64 *)s.data, saved, &now, khz);
}
