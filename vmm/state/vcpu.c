// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual processor's state: what KVM has of it, structure by structure.
 *
 * The order of loading matters:
 *	CPUID first: it decides which registers and MSRs exist
 *	SREGS before LAPIC: they hold the APIC's base and mode
 *	XSAVE before XCRS: the area is what the processor can have, not what XCR0 allows
 *	LAPIC before the MSRs: the TSC deadline is refused while its timer is in another mode
 *	the MSRs with the TSC deadline last: a deadline is a value of the TSC
 *	EVENTS late: pending exceptions and interrupts, which loading registers would drop
 *	MP last: from then on the processor can be woken
 *
 * Saving goes the other way round, and must:
 *	MP first: asking for it makes KVM act on a start-up IPI that waits, which sets registers
 *	the MSRs before LAPIC: a timer that fires in between is then in both, not in neither
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/x86/regs.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/state/impl.h"

#define MAX_MSRS     1024u
#define MSRS_AT_ONCE 128u /* KVM takes fewer than 256 */

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

/* Parts that come before the MSRs: all but two. */
#define NR_EARLY (ARRAY_SIZE(parts) - 2)

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

/* KVM_GET_MSRS or KVM_SET_MSRS. Returns at how many it stopped: @n, or the one that it refused. */
static int msrs_io(int fd, unsigned long request, struct kvm_msr_entry *entries, u32 n)
{
	u8 room[sizeof(struct kvm_msrs) + MSRS_AT_ONCE * sizeof(*entries)]
		__attribute__((aligned(_Alignof(struct kvm_msrs))));
	struct kvm_msrs *msrs = (void *)room;
	u32 done = 0;

	while (done < n) {
		u32 some = MIN(n - done, MSRS_AT_ONCE);
		int got;

		*msrs = (struct kvm_msrs){.nmsrs = some};
		memcpy(msrs->entries, entries + done, some * sizeof(*entries));
		got = ioctl(fd, request, msrs);
		if (got < 0)
			return -errno;
		memcpy(entries + done, msrs->entries, (u32)got * sizeof(*entries));
		done += (u32)got;
		if ((u32)got < some)
			break;
	}
	return (int)done;
}

/*
 * Setting one of these makes KVM write the time of day into guest memory, once, where the guest
 * asked for it long ago. That memory is restored with the rest of it.
 */
static bool is_wall_clock(u32 index)
{
	return index == 0x11 || index == 0x4b564d00; /* MSR_KVM_WALL_CLOCK, _NEW */
}

/*
 * Move the indices of those that can be read to the front; how many, or -errno. KVM stops at the
 * first that cannot: asking for all that are left, again and again, is a call for each of those few
 * and not for each register (vCPUs stand still meanwhile).
 */
static int readable_msrs(int fd, u32 *indices, u32 n)
{
	struct kvm_msr_entry *e = calloc(n, sizeof(*e));
	u32 at = 0;

	if (!e)
		return -ENOMEM;
	for (u32 i = 0; i < n; i++)
		e[i].index = indices[i];
	for (u32 i = 0; i < n;) {
		int got = msrs_io(fd, KVM_GET_MSRS, e + i, n - i);

		if (got < 0) {
			free(e);
			return got;
		}
		for (u32 end = i + (u32)got; i < end; i++)
			indices[at++] = e[i].index;
		i++; /* this one cannot be read, or there is none */
	}
	free(e);
	return (int)at;
}

/* Found out once: which are saved. The deadline is moved to the end. */
static int learn_msrs(struct vm *vm, int fd)
{
	u32 *indices = NULL, n = 0, at = 0;
	bool deadline = false;
	int ret = list_msrs(vm, &indices, &n);

	if (ret >= 0)
		ret = readable_msrs(fd, indices, n);
	for (int i = 0; i < ret; i++) {
		if (indices[i] == MSR_TSC_DEADLINE)
			deadline = true;
		else if (!is_wall_clock(indices[i]))
			indices[at++] = indices[i];
	}
	if (ret < 0) {
		free(indices);
		return ret;
	}
	if (deadline)
		indices[at++] = MSR_TSC_DEADLINE;
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
	ret = msrs_io(fd, KVM_GET_MSRS, msrs->entries, msrs->nmsrs);
	if (ret >= 0 && (u32)ret < vm->nr_msrs)
		ret = -EIO; /* one that could be read before */
	return MIN(ret, 0);
}

/* In two parts: the product of a long time and a high frequency does not fit into 64 bits. */
static u64 jumped_tsc(u64 tsc, const struct state_jump *jump)
{
	u64 ms = jump->ns / 1000000, rest = jump->ns % 1000000;

	return tsc + ms * jump->tsc_khz + rest * jump->tsc_khz / 1000000;
}

/*
 * KVM takes a TSC that is within a second of where the VM's TSC is by now for an attempt to
 * synchronize the vCPUs, and lets it run on. The first vCPU is therefore sent far away first; the
 * others are then synchronized with it, which is right for them.
 */
static void unsync_tsc(int fd, u64 tsc)
{
	struct kvm_msr_entry e = {.index = MSR_TSC, .data = tsc + ((u64)1 << 62)};

	msrs_io(fd, KVM_SET_MSRS, &e, 1);
}

/* Some can be read, but not written: that is well if it has the value, or none that matters. */
static bool has_value(int fd, const struct kvm_msr_entry *want)
{
	struct kvm_msr_entry is = {.index = want->index};

	if (msrs_io(fd, KVM_GET_MSRS, &is, 1) != 1)
		return !want->data;
	return is.data == want->data;
}

static int set_msrs(int fd, unsigned int i, struct kvm_msr_entry *entries, u32 n, struct err *err)
{
	for (u32 done = 0; done < n; done++) { /* past the one that was refused */
		int ret = msrs_io(fd, KVM_SET_MSRS, entries + done, n - done);

		if (ret < 0)
			return fail(i, "MSRs", ret, err);
		done += (u32)ret;
		if (done < n && !has_value(fd, &entries[done]))
			return err_set(err, -EINVAL,
				       "vCPU %u: its MSR %#x cannot be %#llx on this host", i,
				       entries[done].index, (unsigned long long)entries[done].data);
	}
	return 0;
}

static struct kvm_msr_entry *find_msr(struct kvm_msrs *msrs, u32 index)
{
	for (u32 k = 0; k < msrs->nmsrs; k++)
		if (msrs->entries[k].index == index)
			return &msrs->entries[k];
	return NULL;
}

/*
 * The deadline is a value of the TSC and keeps its distance to it: a TSC that cannot be set (PVM's
 * guests read the host's) would have it fire at another time, or never.
 */
static void load_tsc(int fd, unsigned int i, struct kvm_msrs *msrs, const struct state_jump *jump)
{
	struct kvm_msr_entry *tsc = find_msr(msrs, MSR_TSC), is = {.index = MSR_TSC};
	struct kvm_msr_entry *deadline = find_msr(msrs, MSR_TSC_DEADLINE);

	if (!tsc)
		return;
	tsc->data = jumped_tsc(tsc->data, jump);
	if (!i)
		unsync_tsc(fd, tsc->data);
	if (!deadline || !deadline->data || msrs_io(fd, KVM_SET_MSRS, tsc, 1) != 1 ||
	    msrs_io(fd, KVM_GET_MSRS, &is, 1) != 1)
		return;
	deadline->data += is.data - tsc->data;
	deadline->data = MAX(deadline->data, 1u); /* 0 is none */
}

static int load_msrs(struct vm *vm, unsigned int i, const struct state_section *s,
		     const struct state_jump *jump, struct err *err)
{
	int fd = vm->vcpus[i]->fd, ret;
	struct kvm_msrs *msrs = malloc(s->size);

	if (!msrs)
		return fail(i, "MSRs", -ENOMEM, err);
	memcpy(msrs, s->data, s->size);
	load_tsc(fd, i, msrs, jump);
	ret = set_msrs(fd, i, msrs->entries, msrs->nmsrs, err);
	free(msrs);
	return ret;
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

/* Registers that wait in the shared area for the first KVM_RUN: KVM does not tell them. */
static int settle_registers(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret = 0;

	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
		ret = kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &run->s.regs.sregs);
	if (!ret && run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		ret = kvm_ioctl(vcpu->fd, KVM_SET_REGS, &run->s.regs.regs);
	if (!ret)
		run->kvm_dirty_regs = 0;
	return ret;
}

static int save_parts(struct vm *vm, unsigned int i, size_t from, size_t to, struct state_buf *buf,
		      struct err *err)
{
	while (to-- > from) {
		int ret = save_part(vm, i, &parts[to], buf);

		if (ret)
			return fail(i, parts[to].name, ret, err);
	}
	return 0;
}

int state_save_vcpu(struct vm *vm, unsigned int i, struct state_buf *buf, struct err *err)
{
	int ret = save_cpuid(vm, i, buf);

	if (ret)
		return fail(i, "CPUID", ret, err);
	ret = settle_registers(vm->vcpus[i]);
	if (ret)
		return fail(i, "registers", ret, err);
	ret = save_parts(vm, i, NR_EARLY, ARRAY_SIZE(parts), buf, err);
	if (ret)
		return ret;
	ret = save_msrs(vm, i, buf);
	if (!ret)
		ret = state_save_tsc(vm, i, buf);
	if (ret)
		return fail(i, "MSRs", ret, err);
	return save_parts(vm, i, 0, NR_EARLY, buf, err);
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

static int load_parts(struct vm *vm, unsigned int i, size_t from, size_t to, const void *data,
		      u32 size, struct err *err)
{
	int ret = 0;

	for (size_t k = from; k < to && !ret; k++)
		ret = load_part(vm, i, &parts[k], data, size, err);
	return ret;
}

int state_load_vcpu(struct vm *vm, unsigned int i, const void *data, u32 size,
		    const struct state_jump *jump, struct err *err)
{
	struct state_section msrs;
	int ret = load_cpuid(vm, i, data, size, err);

	if (!ret)
		ret = load_parts(vm, i, 0, NR_EARLY, data, size, err);
	if (!ret)
		ret = state_need(data, size, STATE_MSRS, i, 0, &msrs, err);
	if (!ret)
		ret = load_msrs(vm, i, &msrs, jump, err);
	if (!ret)
		ret = load_parts(vm, i, NR_EARLY, ARRAY_SIZE(parts), data, size, err);
	/* what waits for the first KVM_RUN would come on top */
	vm->vcpus[i]->run->kvm_dirty_regs = 0;
	return ret;
}

/* ---- What vCPUs of every kind of guest have ---- */

static const struct part *xsave(void)
{
	const struct part *p = parts;

	while (p->tag != STATE_XSAVE)
		p++;
	return p;
}

int state_save_common(struct vm *vm, unsigned int i, struct state_buf *buf, struct err *err)
{
	int ret = save_cpuid(vm, i, buf);

	if (!ret)
		ret = save_part(vm, i, xsave(), buf);
	return ret ? fail(i, xsave()->name, ret, err) : 0;
}

int state_load_common(struct vm *vm, unsigned int i, const void *data, u32 size, struct err *err)
{
	int ret = load_cpuid(vm, i, data, size, err);

	return ret ? ret : load_part(vm, i, xsave(), data, size, err);
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

int state_check_common(unsigned int i, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_need(data, size, STATE_XSAVE, i, part_size(xsave()), &s, err);

	if (!ret)
		ret = state_need(data, size, STATE_CPUID, i, 0, &s, err);
	return ret ? ret
		   : check_list(&s, sizeof(struct kvm_cpuid2), sizeof(struct kvm_cpuid_entry2),
				err);
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
	return ret ? ret : state_check_common(i, data, size, err);
}
