// SPDX-License-Identifier: Apache-2.0
/*
 * A Xen PV guest is made and unmade: the memory beside its own (the monitor, the tables' arena),
 * and what its processors begin with. Contract in pv.h.
 *
 * Threads: the owner's, before any vCPU runs and after the last has ended. No lock is needed then;
 * the two that the guest lives with are made here.
 *
 * What always holds: vm->pv is set before anything in it can fail, so that pv_destroy() takes it
 * apart at whatever stage it is.
 */
#include "vmm/pv/pv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/boot/pv_build.h"
#include "vmm/kvm/host.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/init.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/time.h"
#include "vmm/pv/vcpu.h"

/* Tables for the arena: a 32nd of guest memory, and not too few. */
#define ARENA_SHARE 32
#define ARENA_MIN   ((u32)2048)

/* Birth. */

static int map_monitor(struct vm *vm, struct err *err)
{
	struct pv *pv = vm->pv;
	struct kvm_userspace_memory_region region = {
		.slot = space_nr_slots(vm->space),
		.guest_phys_addr = pv->monitor.machine,
		.memory_size = pv->monitor.size,
		.userspace_addr = (uintptr_t)pv->monitor.memory,
	};
	int ret = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);

	return ret < 0 ? err_set(err, ret, "KVM: cannot map the monitor: %s", strerror(-ret)) : 0;
}

static void fill_frames(struct pv *pv)
{
	u64 pfn = 0;

	for (unsigned int i = 0; i < space_nr_slots(pv->vm->space); i++) {
		const struct space_slot *slot = space_slot(pv->vm->space, i);

		for (u64 at = 0; at < slot->size; at += PAGE_SIZE)
			monitor_set_frame(&pv->monitor, (slot->start.v + at) >> PAGE_SHIFT, pfn++);
	}
}

static int create_shadow(struct pv *pv, u32 pages, struct err *err)
{
	struct vm *vm = pv->vm;
	struct shadow_config cfg = {
		.arena = pv->monitor.memory + pv->monitor.arena,
		.machine = pv->monitor.machine + pv->monitor.arena,
		.pages = pages,
		.maxphyaddr = PV_MAXPHYADDR,
		.first = MONITOR_FIRST_SLOT,
		.nr = MONITOR_NR_SLOTS,
		.fixed = pv->monitor.fixed,
		.nr_cpus = vm->cfg.nr_cpus,
	};
	int ret;

	pv_shadow_guest(pv, &cfg.guest);
	ret = shadow_create(&pv->shadow, &cfg);
	return ret ? err_set(err, ret, "shadow page tables: %s", strerror(-ret)) : 0;
}

int pv_make(struct vm *vm, u32 pages, struct err *err)
{
	struct pv *pv = calloc(1, sizeof(*pv));
	const struct space_slot *last = space_slot(vm->space, space_nr_slots(vm->space) - 1);
	u64 end = last->start.v + last->size, machine = align_up(MAX(end, 4 * GiB), GiB);
	enum host_paging paging;
	const char *unused;
	int ret;

	if (!pv)
		return err_set(err, -ENOMEM, "out of memory");
	pv->vm = vm;
	vm->pv = pv;
	pthread_mutex_init(&pv->lock, NULL);
	paging = host_paging(vm->kind, &unused);
	pthread_mutex_init(&pv->input_lock, NULL);
	pv->touches = paging != HOST_PAGING_EPT && paging != HOST_PAGING_NPT;
	pv->nr_frames = end >> PAGE_SHIFT;
	ret = monitor_create(&pv->monitor, machine, pv->nr_frames, vm->cfg.nr_cpus, pages);
	if (ret)
		return err_set(err, ret, "the monitor's memory: %s", strerror(-ret));
	fill_frames(pv);
	return create_shadow(pv, pages, err);
}

int pv_create(struct vm *vm, struct err *err)
{
	u64 share = space_size(vm->space) / PAGE_SIZE / ARENA_SHARE;
	int ret = pv_make(vm, (u32)MAX((u64)ARENA_MIN, share), err);

	return ret ? ret : map_monitor(vm, err);
}

void pv_destroy(struct pv *pv)
{
	if (!pv)
		return;
	shadow_destroy(pv->shadow);
	monitor_destroy(&pv->monitor);
	pthread_mutex_destroy(&pv->input_lock);
	pthread_mutex_destroy(&pv->lock);
	free(pv);
}

static void init_cpu(struct pv_cpu *cpu, struct vcpu *vcpu)
{
	cpu->id = vcpu->id;
	cpu->vcpu = vcpu;
	cpu->cr0 = PV_CR0;
	cpu->cr4 = PV_CR4 | (pv_has_xsave(vcpu) ? CR4_OSXSAVE : 0);
	cpu->xcr0 = 1;
	cpu->cs = PV_KERNEL_CS;
	cpu->ss = PV_KERNEL_SS;
	cpu->ds = cpu->es = cpu->fs = cpu->gs = MONITOR_USER;
	cpu->roots[SHADOW_KERNEL] = cpu->roots[SHADOW_USER] = SHADOW_NO_ROOT;
	cpu->vcpu_info = vcpu->vm->pv->shared_info + offsetof(struct shared_info, vcpu_info) +
			 cpu->id * sizeof(struct vcpu_info);
	cpu->outside = true;
}

void pv_init(struct vm *vm)
{
	const struct pv_boot *boot = &vm->entry.pv;
	struct pv *pv = vm->pv;
	struct pv_cpu *first = &pv->cpus[0];

	pv->shared_info = gfn_gpa(boot->shared_info).v;
	pv->console = gfn_gpa(boot->console).v;
	pv->nr_pages = boot->nr_pages;
	pv->clock_offset = -(s64)now_ns();
	pv->ports[PV_CONSOLE_PORT] = (struct pv_port){.kind = PV_PORT_CONSOLE};
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		init_cpu(&pv->cpus[i], vm->vcpus[i]);
	first->roots[SHADOW_KERNEL] = boot->root.v;
	first->regs = (struct kvm_regs){.rip = boot->rip,
					.rsp = boot->rsp,
					.rsi = boot->start_info,
					.rflags = RFLAGS_FIXED};
	first->initialised = first->up = true;
}

int pv_set_boot_state(struct vm *vm, struct err *err)
{
	struct pv *pv = vm->pv;
	int ret = 0;

	pv_init(vm);
	pv_measure_tsc(pv);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = pv_set_up_vcpu(&pv->cpus[i]);
	if (ret)
		return err_set(err, ret, "KVM: cannot set registers: %s", strerror(-ret));
	pv_set_wallclock(pv);
	pv_update_time(&pv->cpus[0]);
	return 0;
}
