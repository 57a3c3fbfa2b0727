// SPDX-License-Identifier: Apache-2.0
/*
 * The state of a guest on shadow tables, between struct pv and its form in a file. A vCPU that is
 * parked is outside the guest, its registers in struct pv_cpu, or in the midst of it at CPL 3, with
 * KVM having registers and bases (pv_settle()). An interrupt that KVM was to raise there only meant
 * that it should come out, and is not saved.
 */
#include "vmm/pv/state.h"

#include <errno.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/boot/pv_boot.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/time.h"
#include "vmm/pv/vcpu.h"

_Static_assert(sizeof(struct pv_state) == 4184 && sizeof(struct pv_state_cpu) == 4760 &&
		       sizeof(struct kvm_regs) == 144,
	       "the format");
_Static_assert(PV_STATE_PORTS == PV_NR_PORTS && PV_STATE_INPUT == PV_INPUT_SIZE &&
		       PV_STATE_CALLBACKS == PV_NR_CALLBACKS,
	       "all of them");
_Static_assert(PV_PORT_FREE == 0 && PV_PORT_UNBOUND == 1 && PV_PORT_CONSOLE == 2 &&
		       PV_PORT_VIRQ == 3 && PV_PORT_IPI == 4,
	       "the format");
_Static_assert(PV_STATE_NO_FRAME == SHADOW_NO_ROOT && SHADOW_KERNEL == 0 && SHADOW_USER == 1,
	       "the format");

/* ---- Saving ---- */

void pv_save(struct vm *vm, struct pv_state *s)
{
	struct pv *pv = vm->pv;

	*s = (struct pv_state){
		.system_time = pv_time_there(pv),
		.console = pv->console,
		.console_used = pv->console_used,
	};
	for (u32 i = 0; i < PV_NR_PORTS; i++)
		s->ports[i] = (struct pv_state_port){pv->ports[i].kind, pv->ports[i].cpu,
						     pv->ports[i].virq};
	pthread_mutex_lock(&pv->input_lock);
	s->nr_input = atomic_load(&pv->nr_input);
	memcpy(s->input, pv->input, s->nr_input);
	pthread_mutex_unlock(&pv->input_lock);
}

/* What another host's KVM would not know is null for it. */
static u16 data_selector(const struct kvm_segment *seg)
{
	u16 s = seg->selector;

	return s <= 3 || s == MONITOR_USER || s == MONITOR_CODE32 || s == MONITOR_CODE64 ? s : 0;
}

/* What KVM has. */
static int save_registers(const struct pv_cpu *cpu, struct pv_state_cpu *s)
{
	int fd = cpu->vcpu->fd, ret;
	struct kvm_sregs sregs;

	ret = kvm_ioctl(fd, KVM_GET_SREGS, &sregs);
	if (!ret && !cpu->outside)
		ret = kvm_ioctl(fd, KVM_GET_REGS, &s->regs);
	if (ret)
		return ret;
	s->ds = data_selector(&sregs.ds);
	s->es = data_selector(&sregs.es);
	s->fs = data_selector(&sregs.fs);
	s->gs = data_selector(&sregs.gs);
	if (cpu->outside)
		return 0;
	if (monitor_is_at(s->regs.rip)) /* the guest has ended, and cannot be brought out of it */
		return -EAGAIN;
	s->fs_base = sregs.fs.base;
	if (cpu->user) {
		s->gs_user = sregs.gs.base;
		s->cs = sregs.cs.selector == MONITOR_CODE32 ? MONITOR_CODE32 : MONITOR_CODE64;
		s->ss = MONITOR_USER;
	}
	return 0;
}

static void save_handlers(const struct pv_cpu *cpu, struct pv_state_cpu *s)
{
	for (u32 i = 0; i < PV_NR_CALLBACKS; i++)
		s->callbacks[i] = (struct pv_state_handler){
			.address = cpu->callbacks[i].address,
			.masks_events = cpu->callbacks[i].masks_events,
		};
	for (u32 i = 0; i < ARRAY_SIZE(cpu->traps); i++)
		s->traps[i] = (struct pv_state_handler){
			.address = cpu->traps[i].address,
			.cs = cpu->traps[i].cs,
			.masks_events = cpu->traps[i].masks_events,
		};
}

static u32 save_flags(const struct pv_cpu *cpu)
{
	return (cpu->initialised ? PV_STATE_INITIALISED : 0) | (cpu->up ? PV_STATE_UP : 0) |
	       (cpu->user ? PV_STATE_USER : 0) | (cpu->blocked ? PV_STATE_BLOCKED : 0) |
	       (cpu->cr0 & CR0_TS ? PV_STATE_TS : 0);
}

int pv_save_cpu(struct vm *vm, u32 id, struct pv_state_cpu *s)
{
	const struct pv_cpu *cpu = &vm->pv->cpus[id];

	*s = (struct pv_state_cpu){
		.regs = cpu->regs,
		.kernel_sp = cpu->kernel_sp,
		.cr2 = cpu->cr2,
		.cr4 = cpu->cr4,
		.xcr0 = cpu->xcr0,
		.fs_base = cpu->fs_base,
		.gs_kernel = cpu->gs_kernel,
		.gs_user = cpu->gs_user,
		.roots = {cpu->roots[SHADOW_KERNEL], cpu->roots[SHADOW_USER]},
		.vcpu_info = cpu->vcpu_info,
		.time_copy = cpu->time_copy,
		.runstate_at = cpu->runstate_at,
		.timer = cpu->timer,
		.poll_until = cpu->poll_until,
		.runstate_entered = cpu->runstate.state_entry_time,
		.flags = save_flags(cpu),
		.runstate = (u32)cpu->runstate.state,
		.poll_port = cpu->poll_port,
		.gdt_entries = cpu->gdt_entries,
		.io_bitmap = cpu->io_bitmap,
		.io_ports = cpu->io_ports,
		.iopl = cpu->iopl,
		.cs = cpu->cs,
		.ss = cpu->ss,
	};
	memcpy(s->runstate_time, cpu->runstate.time, sizeof(s->runstate_time));
	memcpy(s->dr, cpu->dr, sizeof(s->dr));
	memcpy(s->gdt_frames, cpu->gdt_frames, sizeof(s->gdt_frames));
	save_handlers(cpu, s);
	return save_registers(cpu, s);
}

bool pv_next_table(struct vm *vm, u64 *frame)
{
	return shadow_next_table(vm->pv->shadow, frame);
}

/* ---- Loading ---- */

void pv_load(struct vm *vm, const struct pv_state *s, u64 jump)
{
	struct pv *pv = vm->pv;

	pthread_mutex_lock(&pv->lock);
	shadow_forget_all(pv->shadow);
	pv->shared_info = gfn_gpa(pv_shared_info_frame(vm->space)).v;
	pv->nr_pages = pv_nr_pages(vm->space);
	pv->console = s->console;
	pv->console_used = s->console_used;
	pv_measure_tsc(pv);
	pv->clock_offset = (s64)(s->system_time + jump - now_ns());
	pv->lost_time = true;
	for (u32 i = 0; i < PV_NR_PORTS; i++)
		pv->ports[i] = (struct pv_port){s->ports[i].kind, s->ports[i].cpu,
						s->ports[i].virq};
	pthread_mutex_lock(&pv->input_lock);
	memcpy(pv->input, s->input, sizeof(pv->input));
	atomic_store(&pv->nr_input, s->nr_input);
	pthread_mutex_unlock(&pv->input_lock);
	pthread_mutex_unlock(&pv->lock);
}

static void load_handlers(struct pv_cpu *cpu, const struct pv_state_cpu *s)
{
	for (u32 i = 0; i < PV_NR_CALLBACKS; i++)
		cpu->callbacks[i] = (struct pv_callback){s->callbacks[i].address,
							 s->callbacks[i].masks_events};
	for (u32 i = 0; i < ARRAY_SIZE(cpu->traps); i++)
		cpu->traps[i] = (struct pv_trap_entry){s->traps[i].address, s->traps[i].cs,
						       s->traps[i].masks_events};
}

static void load_fields(struct pv_cpu *cpu, const struct pv_state_cpu *s)
{
	cpu->regs = s->regs;
	cpu->kernel_sp = s->kernel_sp;
	cpu->cr0 = PV_CR0 | (s->flags & PV_STATE_TS ? CR0_TS : 0);
	cpu->cr2 = s->cr2;
	cpu->cr4 = s->cr4;
	cpu->xcr0 = s->xcr0;
	cpu->fs_base = s->fs_base;
	cpu->gs_kernel = s->gs_kernel;
	cpu->gs_user = s->gs_user;
	memcpy(cpu->roots, s->roots, sizeof(cpu->roots));
	cpu->vcpu_info = s->vcpu_info;
	cpu->time_copy = s->time_copy;
	cpu->runstate_at = s->runstate_at;
	cpu->timer = s->timer;
	cpu->poll_until = s->poll_until;
	cpu->poll_port = s->poll_port;
	cpu->runstate.state = (int)s->runstate;
	cpu->runstate.state_entry_time = s->runstate_entered;
	memcpy(cpu->runstate.time, s->runstate_time, sizeof(s->runstate_time));
	memcpy(cpu->dr, s->dr, sizeof(cpu->dr));
	memcpy(cpu->gdt_frames, s->gdt_frames, sizeof(cpu->gdt_frames));
	cpu->gdt_entries = s->gdt_entries;
	cpu->io_bitmap = s->io_bitmap;
	cpu->io_ports = s->io_ports;
	cpu->iopl = (u8)s->iopl;
	cpu->initialised = s->flags & PV_STATE_INITIALISED;
	cpu->up = s->flags & PV_STATE_UP;
	cpu->user = s->flags & PV_STATE_USER;
	cpu->blocked = s->flags & PV_STATE_BLOCKED;
	cpu->cs = s->cs;
	cpu->ss = s->ss;
	cpu->ds = s->ds;
	cpu->es = s->es;
	cpu->fs = s->fs;
	cpu->gs = s->gs;
}

/* Its KVM vCPU becomes as one that has just left the guest. */
static int load_vcpu(struct pv_cpu *cpu)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct kvm_vcpu_events none = {0};
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	int ret;

	vcpu->run->kvm_dirty_regs = 0;
	ret = pv_set_up_vcpu(cpu);
	if (!ret && pv_has_xsave(vcpu)) {
		xcrs.xcrs[0].value = cpu->xcr0;
		ret = kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs);
	}
	return ret ? ret : kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &none);
}

int pv_load_cpu(struct vm *vm, u32 id, const struct pv_state_cpu *s)
{
	struct pv *pv = vm->pv;
	struct pv_cpu *cpu = &pv->cpus[id];
	int ret;

	pthread_mutex_lock(&pv->lock);
	*cpu = (struct pv_cpu){
		.id = id, .vcpu = vm->vcpus[id], .lost_time = true, .load_cr0 = true};
	load_fields(cpu, s);
	load_handlers(cpu, s);
	ret = load_vcpu(cpu);
	pthread_mutex_unlock(&pv->lock);
	return ret;
}

void pv_load_tables(struct vm *vm, const u32 *frames, u32 n)
{
	pthread_mutex_lock(&vm->pv->lock);
	for (u32 i = 0; i < n; i++)
		shadow_note_table(vm->pv->shadow, frames[i]);
	pthread_mutex_unlock(&vm->pv->lock);
}

/* ---- Where it is ---- */

void pv_where(struct vcpu *vcpu, struct pv_place *place)
{
	const struct pv *pv = vcpu->vm->pv;
	const struct pv_cpu *cpu = &pv->cpus[vcpu->id];
	struct kvm_regs r = cpu->regs;

	if (!cpu->outside)
		kvm_ioctl(vcpu->fd, KVM_GET_REGS, &r);
	*place = (struct pv_place){
		.roots = {cpu->roots[SHADOW_KERNEL], cpu->roots[SHADOW_USER]},
		.linear = {r.rip, r.rip + 15, r.rsp, r.rsp - 8, cpu->kernel_sp - 8, cpu->fs_base,
			   cpu->gs_kernel, cpu->gs_user, cpu->callbacks[CALLBACKTYPE_event].address,
			   cpu->callbacks[CALLBACKTYPE_syscall].address},
		.physical = {pv->shared_info, pv->console, cpu->vcpu_info, cpu->time_copy},
	};
}
