// SPDX-License-Identifier: Apache-2.0
/*
 * Hypercalls by which a guest asks what it runs on, and about memory as a whole. They answer from
 * what is fixed at the guest's start; which ports its processes may use is all that they keep.
 *
 * Threads: the vCPU's own, with pv.lock held.
 */
#include "vmm/pv/info.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"

/* The Xen whose interface this is: 4.17. */
#define VERSION (4u << 16 | 17)

static long answer(struct pv_cpu *cpu, u64 at, const void *data, size_t size)
{
	return pv_write(cpu, at, data, size) ? -EFAULT : 0;
}

static long features(struct pv_cpu *cpu, u64 at)
{
	struct xen_feature_info info;

	if (pv_read(cpu, at, &info, sizeof(info)))
		return -EFAULT;
	info.submap = info.submap_idx ? 0
				      : 1u << XENFEAT_mmu_pt_update_preserve_ad |
						1u << XENFEAT_gnttab_map_avail_bits |
						1u << XENFEAT_pae_pgdir_above_4gb;
	return answer(cpu, at, &info, sizeof(info));
}

long pv_xen_version(struct pv_cpu *cpu, const u64 args[5])
{
	xen_extraversion_t extra = ".0-quire";
	xen_capabilities_info_t capabilities = "xen-3.0-x86_64";
	xen_changeset_info_t changeset = "";
	struct xen_platform_parameters platform = {MONITOR_M2P - 0x8000000000};
	xen_domain_handle_t handle = {0};
	struct xen_compile_info compile = {"", "", "", ""};

	switch (args[0]) {
	case XENVER_version:
		return VERSION;
	case XENVER_extraversion:
		return answer(cpu, args[1], extra, sizeof(extra));
	case XENVER_compile_info:
		return answer(cpu, args[1], &compile, sizeof(compile));
	case XENVER_capabilities:
		return answer(cpu, args[1], capabilities, sizeof(capabilities));
	case XENVER_changeset:
		return answer(cpu, args[1], changeset, sizeof(changeset));
	case XENVER_platform_parameters:
		return answer(cpu, args[1], &platform, sizeof(platform));
	case XENVER_get_features:
		return features(cpu, args[1]);
	case XENVER_pagesize:
		return PAGE_SIZE;
	case XENVER_guest_handle:
		return answer(cpu, args[1], handle, sizeof(handle));
	default:
		return -ENOSYS;
	}
}

static long machphys(struct pv_cpu *cpu, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct xen_machphys_mapping m = {
		.v_start = MONITOR_M2P,
		.v_end = MONITOR_M2P + pv->monitor.m2p_size,
		.max_mfn = pv->nr_frames - 1,
	};

	return answer(cpu, at, &m, sizeof(m));
}

/* Its memory is what it was given at the start: there is no map, and no more or less to be had. */
long pv_memory_op(struct pv_cpu *cpu, const u64 args[5])
{
	const struct pv *pv = cpu->vcpu->vm->pv;

	switch (args[0]) {
	case XENMEM_machphys_mapping:
		return machphys(cpu, args[1]);
	case XENMEM_current_reservation:
	case XENMEM_maximum_reservation:
		return (long)pv->nr_pages;
	case XENMEM_maximum_ram_page:
		return (long)pv->nr_frames - 1;
	case XENMEM_decrease_reservation:
	case XENMEM_increase_reservation:
	case XENMEM_populate_physmap:
		return 0; /* of so many extents, none */
	default:
		return -ENOSYS;
	}
}

/* Which ports processes may use: vmm/pv/emulate.c asks. Other hardware a guest does not have. */
long pv_physdev_op(struct pv_cpu *cpu, const u64 args[5])
{
	struct physdev_set_iobitmap map;
	struct physdev_set_iopl level;

	switch (args[0]) {
	case PHYSDEVOP_set_iopl:
		if (pv_read(cpu, args[1], &level, sizeof(level)))
			return -EFAULT;
		if (level.iopl > 3)
			return -EINVAL;
		cpu->iopl = (u8)level.iopl;
		return 0;
	case PHYSDEVOP_set_iobitmap:
		if (pv_read(cpu, args[1], &map, sizeof(map)))
			return -EFAULT;
		if (map.nr_ports > 65536)
			return -EINVAL;
		memcpy(&cpu->io_bitmap, &map.bitmap, sizeof(cpu->io_bitmap));
		cpu->io_ports = map.nr_ports;
		return 0;
	default:
		return -ENOSYS;
	}
}

long pv_vm_assist(struct pv_cpu *cpu, const u64 args[5])
{
	(void)cpu;
	switch (args[1]) {
	case VMASST_TYPE_4gb_segments:
	case VMASST_TYPE_4gb_segments_notify:
	case VMASST_TYPE_writable_pagetables:
	case VMASST_TYPE_pae_extended_cr3:
		return 0;
	default:
		return -EINVAL;
	}
}
