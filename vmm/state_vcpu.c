// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual processor's state: what KVM has of it, structure by structure.
 *
 * The order of loading matters:
 *	CPUID first: it decides which registers and MSRs exist
 *	SREGS before LAPIC: they hold the APIC's base and mode
 *	XSAVE before XCRS: the area must be one that the processor can have, not one that XCR0 allows
 *	LAPIC before the MSRs: the TSC deadline is refused while its timer is in another mode
 *	the MSRs with the TSC deadline last: a deadline is a value of the TSC
 *	EVENTS late: pending exceptions and interrupts, which loading registers would drop
 *	MP last: from then on the processor can be woken
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cpuid.h"
#include "vmm/state_impl.h"

#define MSR_TSC		 0x10u
#define MSR_TSC_DEADLINE 0x6e0u
#define MAX_MSRS	 1024u

/* Structures that are read and written by one ioctl each; its number has their size. */
static const struct part {
	u32 tag;
	unsigned long get, set;
	const char *name;
} parts[] = {
	/* in the order of loading */
	{STATE_SREGS, KVM_GET_SREGS, KVM_SET_SREGS, "system registers"},
	{STATE_REGS, KVM_GET_REGS, KVM_SET_REGS, "registers"},
	{STATE_XSAVE, KVM_GET_XSAVE, KVM_SET_XSAVE, "floating-point registers"},
	{STATE_XCRS, KVM_GET_XCRS, KVM_SET_XCRS, "XCR0"},
	{STATE_DEBUG, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, "debug registers"},
	{STATE_LAPIC, KVM_GET_LAPIC, KVM_SET_LAPIC, "local APIC"},
	{STATE_EVENTS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, "pending events"},
	{STATE_MP, KVM_GET_MP_STATE, KVM_SET_MP_STATE, "run state"},
};

/* Parts that come after the MSRs. */
#define LATE_PARTS 2

static int fail(unsigned int cpu, const char *what, int ret, struct err *err)
{
	return err_set(err, ret, "vCPU %u: its %s: %s", cpu, what, strerror(-ret));
}

static u32 part_size(const struct part *p)
{
	return _IOC_SIZE(p->get);
}

/* ---- MSRs ---- */

/* Which MSRs there are to save: KVM's list, of which this host may not let all be read. */
static int list_msrs(struct vm *vm, u32 **out, u32 *n)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(u32));
	int ret;

	if (!list)
		return -ENOMEM;
	list->nmsrs = MAX_MSRS;
	ret = kvm_ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list);
	if (!ret) {
		*n = list->nmsrs;
		*out = malloc(*n * sizeof(u32) + 1);
		ret = *out ? 0 : -ENOMEM;
	}
	if (!ret)
		memcpy(*out, list->indices, *n * sizeof(u32));
	free(list);
	return ret;
}

/* Read @n of them from @entries on; those that cannot be read are taken out. Returns how many. */
static int read_msrs(int fd, struct kvm_msrs *msrs)
{
	u32 done = 0;

	while (done < msrs->nmsrs) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entries[MAX_MSRS];
		} some = {.head = {.nmsrs = msrs->nmsrs - done}};
		int got;

		memcpy(some.entries, msrs->entries + done,
		       (msrs->nmsrs - done) * sizeof(struct kvm_msr_entry));
		got = kvm_ioctl(fd, KVM_GET_MSRS, &some.head);
		if (got < 0)
			return got;
		memcpy(msrs->entries + done, some.entries, (u32)got * sizeof(struct kvm_msr_entry));
		done += (u32)got;
		if (done == msrs->nmsrs)
			break;
		/* the one that it stopped at */
		msrs->nmsrs--;
		memmove(msrs->entries + done, msrs->entries + done + 1,
			(msrs->nmsrs - done) * sizeof(struct kvm_msr_entry));
	}
	return (int)msrs->nmsrs;
}

/* Found out once: which can be read. The deadline is moved to the end. */
static int learn_msrs(struct vm *vm, int fd)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + MAX_MSRS * sizeof(struct kvm_msr_entry));
	u32 *indices = NULL, n = 0, at = 0;
	int ret = msrs ? list_msrs(vm, &indices, &n) : -ENOMEM;

	for (u32 i = 0; i < n && !ret; i++)
		msrs->entries[i].index = indices[i];
	if (!ret) {
		msrs->nmsrs = n;
		ret = read_msrs(fd, msrs);
	}
	for (int i = 0; i < ret; i++)
		if (msrs->entries[i].index != MSR_TSC_DEADLINE)
			indices[at++] = msrs->entries[i].index;
	if (ret > 0 && at < (u32)ret)
		indices[at++] = MSR_TSC_DEADLINE;
	free(msrs);
	if (ret < 0) {
		free(indices);
		return ret;
	}
	vm->msrs = indices;
	vm->nr_msrs = at;
	return 0;
}

static int save_msrs(struct vm *vm, unsigned int i, struct state_buf *buf)
{
	int fd = vm->vcpus[i]->fd, ret = vm->msrs ? 0 : learn_msrs(vm, fd);
	struct kvm_msrs *msrs;

	if (ret)
		return ret;
	msrs = state_add(buf, STATE_MSRS, i, 1,
			 (u32)sizeof(*msrs) + vm->nr_msrs * (u32)sizeof(struct kvm_msr_entry));
	if (!msrs)
		return -ENOMEM;
	msrs->nmsrs = vm->nr_msrs;
	for (u32 k = 0; k < vm->nr_msrs; k++)
		msrs->entries[k].index = vm->msrs[k];
	ret = kvm_ioctl(fd, KVM_GET_MSRS, msrs);
	if (ret >= 0 && (u32)ret < vm->nr_msrs)
		ret = -EIO; /* one that could be read before */
	return MIN(ret, 0);
}

static u64 jumped_tsc(u64 tsc, const struct state_jump *jump)
{
	return tsc + (u64)((double)jump->ns * jump->tsc_khz / 1e6);
}

/* One by one after a refusal: KVM will not take back some values as it gave them. */
static int load_msrs(struct vm *vm, unsigned int i, const struct state_section *s,
		     const struct state_jump *jump)
{
	struct kvm_msrs *msrs = malloc(s->size);
	u32 done = 0;
	int ret = 0;

	if (!msrs)
		return -ENOMEM;
	memcpy(msrs, s->data, s->size);
	for (u32 k = 0; k < msrs->nmsrs; k++)
		if (msrs->entries[k].index == MSR_TSC)
			msrs->entries[k].data = jumped_tsc(msrs->entries[k].data, jump);
	while (ret >= 0 && done < msrs->nmsrs) {
		u32 rest = msrs->nmsrs - done;

		memmove(msrs->entries, (const struct kvm_msr_entry *)(msrs->entries + done),
			rest * sizeof(msrs->entries[0]));
		msrs->nmsrs = rest;
		ret = kvm_ioctl(vm->vcpus[i]->fd, KVM_SET_MSRS, msrs);
		done = (u32)MAX(ret, 0) + 1; /* past the one that was refused */
		if (ret == (int)rest)
			break;
	}
	free(msrs);
	return MIN(ret, 0);
}

/* ---- CPUID ---- */

static int save_cpuid(struct vm *vm, unsigned int i, struct state_buf *buf)
{
	const struct kvm_cpuid2 *cpuid = vm->vcpus[i]->cpuid;
	u32 size = (u32)(sizeof(*cpuid) + cpuid->nent * sizeof(cpuid->entries[0]));
	void *room = state_add(buf, STATE_CPUID, i, 1, size);

	if (!room)
		return -ENOMEM;
	memcpy(room, cpuid, size);
	return 0;
}

static int load_cpuid(struct vm *vm, unsigned int i, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_need(data, size, STATE_CPUID, i, 0, &s, err);

	if (ret || atomic_load(&vm->vcpus[i]->tid))
		return ret; /* a vCPU that has a thread keeps what it has */
	ret = vcpu_set_cpuid(vm->vcpus[i], s.data);
	return ret ? fail(i, "CPUID", ret, err) : 0;
}

/* ---- All of it ---- */

static int save_part(struct vm *vm, unsigned int i, const struct part *p, struct state_buf *buf)
{
	void *room = state_add(buf, p->tag, i, 1, part_size(p));

	if (!room)
		return -ENOMEM;
	return ioctl(vm->vcpus[i]->fd, p->get, room) < 0 ? -errno : 0;
}

/*
 * The guest's TSC less the host's. Together with the host's TSC at the moment when kvm-clock was read
 * it says what the guest's was then: that is exact, while the MSR was read at another moment.
 */
static int tsc_offset(struct vm *vm, unsigned int i, unsigned long order, u64 *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vm->vcpus[i]->fd, order, &attr) < 0 ? -errno : 0;
}

/* Kernels before 5.16 do not tell: then the MSR must do. */
static int save_tsc(struct vm *vm, unsigned int i, struct state_buf *buf)
{
	u64 offset, *room;

	if (tsc_offset(vm, i, KVM_GET_DEVICE_ATTR, &offset))
		return 0;
	room = state_add(buf, STATE_TSC, i, 1, sizeof(*room));
	if (!room)
		return -ENOMEM;
	*room = offset;
	return 0;
}

bool state_saved_tsc(const void *data, u32 size, unsigned int i, u64 host_tsc, u64 *tsc)
{
	struct state_section s;

	if (state_need(data, size, STATE_TSC, i, sizeof(u64), &s, NULL))
		return false;
	*tsc = host_tsc + *(const u64 *)s.data;
	return true;
}

int state_set_tsc(struct vm *vm, unsigned int i, u64 tsc, u64 host_tsc)
{
	u64 offset = tsc - host_tsc;

	return tsc_offset(vm, i, KVM_SET_DEVICE_ATTR, &offset);
}

int state_save_vcpu(struct vm *vm, unsigned int i, struct state_buf *buf, struct err *err)
{
	int ret = save_cpuid(vm, i, buf);

	if (ret)
		return fail(i, "CPUID", ret, err);
	for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
		ret = save_part(vm, i, &parts[k], buf);
		if (ret)
			return fail(i, parts[k].name, ret, err);
	}
	ret = save_msrs(vm, i, buf);
	if (!ret)
		ret = save_tsc(vm, i, buf);
	return ret ? fail(i, "MSRs", ret, err) : 0;
}

static int load_part(struct vm *vm, unsigned int i, const struct part *p, const void *data,
		     u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_need(data, size, p->tag, i, part_size(p), &s, err);

	if (ret)
		return ret;
	ret = ioctl(vm->vcpus[i]->fd, p->set, s.data) < 0 ? -errno : 0;
	return ret ? fail(i, p->name, ret, err) : 0;
}

int state_load_vcpu(struct vm *vm, unsigned int i, const void *data, u32 size,
		    const struct state_jump *jump, struct err *err)
{
	struct state_section msrs;
	int ret = load_cpuid(vm, i, data, size, err);

	for (size_t k = 0; k < ARRAY_SIZE(parts) - LATE_PARTS && !ret; k++)
		ret = load_part(vm, i, &parts[k], data, size, err);
	if (!ret)
		ret = state_need(data, size, STATE_MSRS, i, 0, &msrs, err);
	if (!ret) {
		ret = load_msrs(vm, i, &msrs, jump);
		if (ret)
			return fail(i, "MSRs", ret, err);
	}
	for (size_t k = ARRAY_SIZE(parts) - LATE_PARTS; k < ARRAY_SIZE(parts) && !ret; k++)
		ret = load_part(vm, i, &parts[k], data, size, err);
	return ret;
}

/* ---- Whether it can be a state at all ---- */

/* A list's count and the section's size must agree. */
static int check_list(const struct state_section *s, size_t head, size_t entry, struct err *err)
{
	u32 n;

	if (s->size >= head) {
		memcpy(&n, s->data, sizeof(n));
		if (n <= MAX_MSRS && s->size == head + n * entry)
			return 0;
	}
	return err_set(err, -EBADMSG,
		       "state: a list of vCPU %u has the wrong size (the image is "
		       "damaged)",
		       s->instance);
}

int state_check_vcpu(unsigned int i, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = 0;

	for (size_t k = 0; k < ARRAY_SIZE(parts) && !ret; k++)
		ret = state_need(data, size, parts[k].tag, i, part_size(&parts[k]), &s, err);
	if (!ret)
		ret = state_need(data, size, STATE_MSRS, i, 0, &s, err);
	if (!ret)
		ret = check_list(&s, sizeof(struct kvm_msrs), sizeof(struct kvm_msr_entry), err);
	if (!ret)
		ret = state_need(data, size, STATE_CPUID, i, 0, &s, err);
	return ret ? ret
		   : check_list(&s, sizeof(struct kvm_cpuid2), sizeof(struct kvm_cpuid_entry2),
				err);
}
