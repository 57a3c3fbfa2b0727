// SPDX-License-Identifier: Apache-2.0
/*
 * Guest memory as the hypercalls see it: by frame, and by the guest kernel's linear addresses,
 * which are walked in the guest's own tables with its kernel's rights.
 */
#include "vmm/pv/memory.h"

#include <errno.h>
#include <string.h>

#include "vmm/pv/impl.h"
#include "vmm/vm/memory.h"

int pv_read_phys(struct pv *pv, u64 at, void *data, u64 len)
{
	return vm_read(pv->vm, gpa(at), data, len);
}

int pv_write_phys(struct pv *pv, u64 at, const void *data, u64 len)
{
	int ret = vm_write(pv->vm, gpa(at), data, len);

	/* where the guest wants things to be written it may have a table */
	for (u64 page = at >> PAGE_SHIFT; !ret && page <= (at + len - 1) >> PAGE_SHIFT; page++)
		shadow_data_written(pv->shadow, page);
	return ret;
}

int pv_cmpxchg_phys(struct pv *pv, u64 at, u64 *expected, u64 value)
{
	return vm_cmpxchg(pv->vm, gpa(at), expected, value);
}

int pv_change_phys(struct pv *pv, u64 at, u64 clear, u64 set, u64 *old)
{
	u64 value;
	int ret = pv_read_phys(pv, at, old, sizeof(*old));

	if (ret)
		return ret;
	do {
		value = (*old & ~clear) | set;
		ret = value == *old ? 0 : pv_cmpxchg_phys(pv, at, old, value);
	} while (ret > 0);
	shadow_data_written(pv->shadow, at >> PAGE_SHIFT);
	return ret;
}

bool pv_is_frame(const struct pv *pv, u64 frame)
{
	return frame < pv->nr_frames &&
	       space_ptr(pv->vm->space, gpa(frame << PAGE_SHIFT), PAGE_SIZE);
}

/* What ptwalk() and the shadow tables need of guest memory. */

static bool read_entry(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	*entry = 0;
	return !pv_read_phys(opaque, at.v, entry, size);
}

static bool change_entry(void *opaque, gpa_t at, u32 size, u64 old, u64 new)
{
	u64 expected = old;

	ASSERT(size == sizeof(u64));
	return !pv_cmpxchg_phys(opaque, at.v, &expected, new);
}

static bool read_table(void *opaque, u64 frame, u64 entries[SHADOW_ENTRIES])
{
	return !pv_read_phys(opaque, frame << PAGE_SHIFT, entries, PAGE_SIZE);
}

static bool where(void *opaque, u64 frame, u64 *machine)
{
	*machine = frame << PAGE_SHIFT;
	return pv_is_frame(opaque, frame);
}

void pv_shadow_guest(struct pv *pv, struct shadow_guest *guest)
{
	*guest = (struct shadow_guest){
		.opaque = pv,
		.entries = {.opaque = pv, .read = read_entry, .cmpxchg = change_entry},
		.table = read_table,
		.where = where,
		.nr_frames = pv->nr_frames,
	};
}

static void set_mode(const struct pv_cpu *cpu, enum shadow_view view, struct ptwalk_mode *mode)
{
	*mode = (struct ptwalk_mode){
		.cr0 = CR0_PG | CR0_WP,
		.cr3 = cpu->roots[view] << PAGE_SHIFT,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = PV_MAXPHYADDR,
	};
}

void pv_walk_mode(struct vcpu *vcpu, struct ptwalk_mode *mode, bool *user)
{
	const struct pv_cpu *cpu = &vcpu->vm->pv->cpus[vcpu->id];

	*user = cpu->user;
	set_mode(cpu, cpu->user ? SHADOW_USER : SHADOW_KERNEL, mode);
}

int pv_segments(struct vcpu *vcpu, struct segment segments[SEGMENT_NR], enum segment_mode *mode)
{
	const struct segment flat = {
		.limit = UINT32_MAX, .type = SEGMENT_TYPE_WRITABLE, .usable = true, .wide = true};
	const struct pv_cpu *cpu = &vcpu->vm->pv->cpus[vcpu->id];
	u64 fs = cpu->fs_base, gs = cpu->user ? cpu->gs_user : cpu->gs_kernel;
	u16 cs = cpu->cs;
	struct kvm_sregs s;

	if (!cpu->outside) {
		int ret = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s);

		if (ret)
			return ret;
		fs = s.fs.base;
		gs = cpu->user ? s.gs.base : gs;
		cs = s.cs.selector;
	}
	for (u32 i = 0; i < SEGMENT_NR; i++)
		segments[i] = flat;
	segments[SEGMENT_CS].type = SEGMENT_TYPE_CODE | SEGMENT_TYPE_READABLE;
	segments[SEGMENT_FS].base = fs;
	segments[SEGMENT_GS].base = gs;
	*mode = cpu->user && cs == MONITOR_CODE32 ? SEGMENT_PROTECTED : SEGMENT_64_BIT;
	return 0;
}

u32 pv_shadow_walk(struct vcpu *vcpu, u64 linear, u64 entries[4])
{
	const struct pv *pv = vcpu->vm->pv;
	const struct pv_cpu *cpu = &pv->cpus[vcpu->id];
	u64 table = cpu->cr3[cpu->user ? SHADOW_USER : SHADOW_KERNEL];

	for (u32 i = 0; i < 4; i++) {
		u64 at = (table & PV_ENTRY_ADDRESS) - pv->monitor.machine;

		if (at >= pv->monitor.size)
			return i;
		at += (linear >> (39 - 9 * i) & 511) * sizeof(u64);
		memcpy(&entries[i], pv->monitor.memory + at, sizeof(u64));
		table = entries[i];
		if (!(table & PTWALK_PRESENT) || (i && table & PTWALK_LARGE))
			return i + 1;
	}
	return 4;
}

static enum ptwalk_outcome walk(struct pv_cpu *cpu, u64 linear, enum ptwalk_kind kind,
				struct ptwalk_result *r)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	const struct ptwalk_memory memory = {
		.opaque = pv, .read = read_entry, .cmpxchg = change_entry};
	const struct ptwalk_access access = {kind, PTWALK_BY_SUPERVISOR};
	struct ptwalk_mode mode;

	set_mode(cpu, SHADOW_KERNEL, &mode);
	return ptwalk(&mode, &memory, &access, linear, r);
}

static int copy(struct pv_cpu *cpu, u64 linear, u8 *data, u64 len, enum ptwalk_kind kind)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	int ret = 0;

	while (len && !ret) {
		u64 some = MIN(len, PAGE_SIZE - linear % PAGE_SIZE);
		struct ptwalk_result r;

		if (walk(cpu, linear, kind, &r) != PTWALK_DONE)
			return -EFAULT;
		ret = kind == PTWALK_WRITE ? pv_write_phys(pv, r.at.v, data, some)
					   : pv_read_phys(pv, r.at.v, data, some);
		linear += some;
		data += some;
		len -= some;
	}
	return ret;
}

int pv_read(struct pv_cpu *cpu, u64 linear, void *data, u64 len)
{
	return copy(cpu, linear, data, len, PTWALK_READ);
}

int pv_write(struct pv_cpu *cpu, u64 linear, const void *data, u64 len)
{
	return copy(cpu, linear, (u8 *)(uintptr_t)data, len, PTWALK_WRITE);
}

int pv_find_phys(struct pv_cpu *cpu, u64 linear, u64 len, u64 *at)
{
	struct ptwalk_result r;

	if (linear % PAGE_SIZE + len > PAGE_SIZE ||
	    walk(cpu, linear, PTWALK_WRITE, &r) != PTWALK_DONE)
		return -EFAULT;
	*at = r.at.v;
	return 0;
}

int pv_find_pte(struct pv_cpu *cpu, u64 linear, u64 *at)
{
	struct ptwalk_result r;

	walk(cpu, linear, PTWALK_READ, &r);
	if (!r.nr_steps || r.steps[r.nr_steps - 1].level != 1)
		return -EFAULT;
	*at = r.steps[r.nr_steps - 1].at.v;
	return 0;
}
