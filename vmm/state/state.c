// SPDX-License-Identifier: Apache-2.0
/*
 * Saving and loading a machine's state: the order of its parts. Contract in state.h.
 *
 * The vCPUs come first when it is loaded, since setting up an APIC may raise the lines of the
 * interrupt controllers; those then get what they had.
 */
#include "vmm/state/state.h"

#include <errno.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/pv/state.h"
#include "vmm/state/impl.h"

/* ---- Saving ---- */

static int save_machine(struct vm *vm, struct state_buf *buf)
{
	struct state_machine *m;
	int ret = state_begin(buf);

	if (ret)
		return ret;
	m = state_add(buf, STATE_MACHINE, 0, 1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	*m = (struct state_machine){
		.memory = space_size(vm->space),
		.wall_ns = wall_ns(),
		.nr_cpus = vm->nr_vcpus,
		.tsc_khz = vcpu_tsc_khz(vm->vcpus[0]),
		.kvm = vm->kind,
	};
	return 0;
}

static int save_hardware(struct vm *vm, struct state_buf *buf, struct err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = state_save_vcpu(vm, i, buf, err);
	return ret ? ret : state_save_vm(vm, buf, err);
}

int state_save(struct vm *vm, struct state_buf *buf, struct err *err)
{
	int ret = save_machine(vm, buf);

	if (ret)
		return err_set(err, ret, "state: %s", strerror(-ret));
	ret = vm->pv ? state_save_pv(vm, buf, err) : save_hardware(vm, buf, err);
	if (!ret)
		ret = state_save_devices(vm, buf, err);
	if (!ret)
		state_end(buf);
	return ret;
}

/* ---- Loading ---- */

static int parse_machine(const void *data, u32 size, struct state_shape *shape, struct err *err)
{
	struct state_section s, cpuid;
	const struct state_machine *m;
	int ret = state_need(data, size, STATE_MACHINE, 0, sizeof(*m), &s, err);

	if (ret)
		return ret;
	m = s.data;
	if (m->nr_cpus < 1 || m->nr_cpus > VM_MAX_CPUS || m->zero || m->memory < SPACE_MIN_SIZE ||
	    m->memory > SPACE_MAX_SIZE || m->memory % (2 * MiB) || m->kvm > KVM_PVM)
		return err_set(
			err, -EBADMSG,
			"state: no machine has %u processors and %llu MiB (the image is damaged)",
			m->nr_cpus, (unsigned long long)(m->memory / MiB));
	ret = state_need(data, size, STATE_CPUID, 0, 0, &cpuid, err);
	if (ret)
		return ret;
	*shape = (struct state_shape){
		.nr_cpus = m->nr_cpus,
		.memory = m->memory,
		.wall_ns = m->wall_ns,
		.tsc_khz = m->tsc_khz,
		.kvm = m->kvm,
		.pv = state_is_pv(data, size),
		.cpuid = cpuid.data,
	};
	return 0;
}

/* How many instances a tag can have; 0: it is not known. */
static u32 instances(u32 tag, unsigned int nr_cpus)
{
	switch (tag) {
	case STATE_MACHINE:
	case STATE_PIT:
	case STATE_CLOCK:
	case STATE_PV:
		return 1;
	case STATE_PV_TABLES:
		return PV_STATE_TABLES_MAX;
	case STATE_IRQCHIP:
		return STATE_NR_IRQCHIPS;
	case STATE_DEVICE:
		return STATE_SECTIONS_MAX;
	case STATE_CPUID:
	case STATE_REGS:
	case STATE_SREGS:
	case STATE_XSAVE:
	case STATE_XCRS:
	case STATE_DEBUG:
	case STATE_LAPIC:
	case STATE_MSRS:
	case STATE_EVENTS:
	case STATE_TSC:
	case STATE_MP:
	case STATE_PV_CPU:
		return nr_cpus;
	}
	return 0;
}

/* What a later version has put in must not be dropped unseen, unless it says that it may be. */
static int check_tags(const void *data, u32 size, unsigned int nr_cpus, struct err *err)
{
	struct state_section s;
	u32 at = 0;

	while (state_next(data, size, &at, &s)) {
		u32 n = instances(s.tag, nr_cpus);

		if (!n && !state_tag_optional(s.tag))
			return err_set(err, -EOPNOTSUPP,
				       "state: a section of kind %#x is not known here (update "
				       "quire)",
				       s.tag);
		if (n && s.instance >= n)
			return err_set(
				err, -EBADMSG,
				"state: the machine has no %u of section kind %#x (the image "
				"is damaged)",
				s.instance, s.tag);
	}
	return 0;
}

static int check_hardware(const struct state_shape *shape, const void *data, u32 size,
			  struct err *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < shape->nr_cpus; i++)
		ret = state_check_vcpu(i, data, size, err);
	return ret ? ret : state_check_vm(data, size, err);
}

int state_parse(const void *data, u32 size, struct state_shape *shape, struct err *err)
{
	int ret = state_check(data, size, err);

	if (!ret)
		ret = parse_machine(data, size, shape, err);
	if (!ret)
		ret = check_tags(data, size, shape->nr_cpus, err);
	if (!ret)
		ret = shape->pv ? state_check_pv(shape, data, size, err)
				: check_hardware(shape, data, size, err);
	return ret ? ret : state_check_devices(data, size, err);
}

/*
 * The guest keeps the TSC frequency that it has measured. Where the host's differs, KVM must scale
 * it; a difference of a hundredth is how much two hosts differ in measuring the same processor.
 */
static int set_tsc_khz(struct vm *vm, u32 khz, struct err *err)
{
	/* where it cannot, asking for it would change what KVM says of the frequency */
	bool scales = kvm_cap(vm->kvm_fd, KVM_CAP_TSC_CONTROL);

	for (unsigned int i = 0; i < vm->nr_vcpus && khz; i++) {
		u32 host = vcpu_tsc_khz(vm->vcpus[i]), off = khz > host ? khz - host : host - khz;

		if (!off || (scales && !kvm_ioctl_value(vm->vcpus[i]->fd, KVM_SET_TSC_KHZ, khz)))
			continue;
		if (host && off > host / 100)
			return err_set(err, -EOPNOTSUPP,
				       "state: its time-stamp counter runs at %u kHz, this host's "
				       "at %u, and this KVM cannot scale it",
				       khz, host);
	}
	return 0;
}

static int load_hardware(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
			 struct err *err)
{
	int ret = set_tsc_khz(vm, jump->tsc_khz, err);

	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = state_load_vcpu(vm, i, data, size, jump, err);
	return ret ? ret : state_load_vm(vm, data, size, jump, err);
}

int state_load(struct vm *vm, const void *data, u32 size, enum state_clock clock, struct err *err)
{
	struct state_jump jump = {0};
	struct state_shape shape;
	u64 now = wall_ns();
	int ret = state_parse(data, size, &shape, err);

	if (ret)
		return ret;
	if (shape.nr_cpus != vm->nr_vcpus || shape.memory != space_size(vm->space) ||
	    shape.pv != !!vm->pv)
		return err_set(err, -EINVAL, "state: it is of a machine of another shape");
	jump.tsc_khz = shape.tsc_khz;
	if (clock == STATE_CLOCK_JUMP && now > shape.wall_ns)
		jump.ns = now - shape.wall_ns;
	ret = vm->pv ? state_load_pv(vm, data, size, &jump, err)
		     : load_hardware(vm, data, size, &jump, err);
	return ret ? ret : state_load_devices(vm, data, size, err);
}
