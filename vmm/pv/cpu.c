// SPDX-License-Identifier: Apache-2.0
/*
 * Hypercalls about one processor: its handlers, stacks, segments, and the start of further ones.
 *
 * Segments. The guest's code runs with the monitor's selectors, whatever it believes: flat ones
 * of 64 and, for processes, of 32 bits. Its own descriptor table is therefore only data, and a
 * process cannot have segments with a base (set_thread_area); bases of FS and GS are registers.
 */
#include "vmm/pv/cpu.h"

#include <errno.h>
#include <string.h>

#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/time.h"
#include "vmm/pv/vcpu.h"

#define MASKS_EVENTS 4 /* in trap_info.flags */

long pv_set_trap_table(struct pv_cpu *cpu, const u64 args[5])
{
	struct trap_info t;

	if (!args[0]) {
		memset(cpu->traps, 0, sizeof(cpu->traps));
		return 0;
	}
	for (u32 i = 0;; i++) {
		if (i > 256 || pv_read(cpu, args[0] + i * sizeof(t), &t, sizeof(t)))
			return -EFAULT;
		if (!t.address)
			return 0;
		if (!PV_CANONICAL(t.address))
			return -EINVAL;
		cpu->traps[t.vector] = (struct pv_trap_entry){
			.address = t.address, .cs = t.cs, .masks_events = t.flags & MASKS_EVENTS};
	}
}

long pv_set_gdt(struct pv_cpu *cpu, const u64 args[5])
{
	u64 frames[PV_MAX_GDT], n = (args[1] + 511) / 512;

	if (args[1] > PV_MAX_GDT * 512 || pv_read(cpu, args[0], frames, n * sizeof(u64)))
		return -EINVAL;
	for (u32 i = 0; i < n; i++)
		if (!pv_is_frame(cpu->vcpu->vm->pv, frames[i]))
			return -EINVAL;
	memcpy(cpu->gdt_frames, frames, n * sizeof(u64));
	cpu->gdt_entries = (u32)args[1];
	return 0;
}

long pv_update_descriptor(struct pv_cpu *cpu, const u64 args[5])
{
	struct pv *pv = cpu->vcpu->vm->pv;

	if (args[0] % sizeof(u64) || !pv_is_frame(pv, args[0] >> PAGE_SHIFT))
		return -EINVAL;
	return pv_write_phys(pv, args[0], &args[1], sizeof(u64)) ? -EINVAL : 0;
}

long pv_stack_switch(struct pv_cpu *cpu, const u64 args[5])
{
	if (!PV_CANONICAL(args[1]))
		return -EINVAL;
	cpu->kernel_sp = args[1];
	return 0;
}

long pv_set_callbacks(struct pv_cpu *cpu, const u64 args[5])
{
	static const u32 types[] = {CALLBACKTYPE_event, CALLBACKTYPE_failsafe,
				    CALLBACKTYPE_syscall};

	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		if (!PV_CANONICAL(args[i]))
			return -EINVAL;
		cpu->callbacks[types[i]] = (struct pv_callback){args[i],
								types[i] == CALLBACKTYPE_event};
	}
	return 0;
}

long pv_callback_op(struct pv_cpu *cpu, const u64 args[5])
{
	struct callback_register r;

	if (args[0] == CALLBACKOP_unregister) {
		struct callback_unregister u;

		if (pv_read(cpu, args[1], &u, sizeof(u)))
			return -EFAULT;
		if (u.type >= PV_NR_CALLBACKS || u.type == CALLBACKTYPE_event)
			return -EINVAL;
		cpu->callbacks[u.type] = (struct pv_callback){0};
		return 0;
	}
	if (args[0] != CALLBACKOP_register)
		return -ENOSYS;
	if (pv_read(cpu, args[1], &r, sizeof(r)))
		return -EFAULT;
	if (r.type >= PV_NR_CALLBACKS || !PV_CANONICAL(r.address))
		return -EINVAL;
	cpu->callbacks[r.type] = (struct pv_callback){
		r.address, r.type == CALLBACKTYPE_event || r.flags & CALLBACKF_mask_events};
	return 0;
}

long pv_fpu_taskswitch(struct pv_cpu *cpu, const u64 args[5])
{
	cpu->cr0 = args[0] ? cpu->cr0 | CR0_TS : cpu->cr0 & ~CR0_TS;
	cpu->load_cr0 = true;
	return 0;
}

/* Kept, and given back; no breakpoint is ever set. */
long pv_set_debugreg(struct pv_cpu *cpu, const u64 args[5])
{
	if (args[0] >= ARRAY_SIZE(cpu->dr))
		return -EINVAL;
	cpu->dr[args[0]] = args[1];
	return 0;
}

long pv_get_debugreg(struct pv_cpu *cpu, const u64 args[5])
{
	return args[0] < ARRAY_SIZE(cpu->dr) ? (long)cpu->dr[args[0]] : -EINVAL;
}

long pv_set_segment_base(struct pv_cpu *cpu, const u64 args[5])
{
	if (args[0] != SEGBASE_GS_USER_SEL && !PV_CANONICAL(args[1]))
		return -EINVAL;
	switch (args[0]) {
	case SEGBASE_FS:
		cpu->fs_base = args[1];
		cpu->load_fs = true;
		return 0;
	case SEGBASE_GS_USER:
		cpu->gs_user = args[1];
		return 0;
	case SEGBASE_GS_KERNEL:
		cpu->gs_kernel = args[1];
		cpu->load_gs = true;
		return 0;
	case SEGBASE_GS_USER_SEL: /* all selectors are flat: the base is 0 */
		cpu->gs_user = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Further processors. */

static void take_registers(struct pv_cpu *to, const struct cpu_user_regs *r)
{
	to->regs = (struct kvm_regs){
		.rax = r->rax,
		.rbx = r->rbx,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rsp = r->rsp,
		.rbp = r->rbp,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rip = r->rip,
		.rflags = r->rflags,
	};
	to->cs = PV_KERNEL_CS;
	to->ss = PV_KERNEL_SS;
}

static void take_context(struct pv_cpu *to, const struct vcpu_guest_context *c)
{
	take_registers(to, &c->user_regs);
	for (u32 i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++)
		if (c->trap_ctxt[i].address)
			to->traps[c->trap_ctxt[i].vector] = (struct pv_trap_entry){
				.address = c->trap_ctxt[i].address,
				.cs = c->trap_ctxt[i].cs,
				.masks_events = c->trap_ctxt[i].flags & MASKS_EVENTS,
			};
	to->gdt_entries = (u32)c->gdt_ents;
	memcpy(to->gdt_frames, c->gdt_frames, sizeof(to->gdt_frames));
	to->kernel_sp = c->kernel_sp;
	to->callbacks[CALLBACKTYPE_event] = (struct pv_callback){c->event_callback_eip, true};
	to->callbacks[CALLBACKTYPE_failsafe] = (struct pv_callback){c->failsafe_callback_eip,
								    false};
	to->callbacks[CALLBACKTYPE_syscall] = (struct pv_callback){
		c->syscall_callback_eip, c->flags & VGCF_syscall_disables_events};
	to->fs_base = c->fs_base;
	to->gs_kernel = c->gs_base_kernel;
	to->gs_user = c->gs_base_user;
}

static bool good_gdt(const struct pv *pv, const unsigned long *frames, u64 entries)
{
	if (entries > PV_MAX_GDT * 512)
		return false;
	for (u32 i = 0; i < (entries + 511) / 512; i++)
		if (!pv_is_frame(pv, frames[i]))
			return false;
	return true;
}

static bool good_context(const struct pv *pv, const struct vcpu_guest_context *c)
{
	const u64 linear[] = {c->event_callback_eip,   c->failsafe_callback_eip,
			      c->syscall_callback_eip, c->fs_base,
			      c->gs_base_kernel,       c->gs_base_user,
			      c->user_regs.rip,	       c->kernel_sp};

	for (u32 i = 0; i < ARRAY_SIZE(linear); i++)
		if (!PV_CANONICAL(linear[i]))
			return false;
	for (u32 i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++)
		if (!PV_CANONICAL(c->trap_ctxt[i].address))
			return false;
	return c->flags & VGCF_in_kernel && pv_is_frame(pv, c->ctrlreg[3] >> PAGE_SHIFT) &&
	       (!c->ctrlreg[1] || pv_is_frame(pv, c->ctrlreg[1] >> PAGE_SHIFT)) &&
	       good_gdt(pv, c->gdt_frames, c->gdt_ents);
}

static long initialise(struct pv_cpu *cpu, struct pv_cpu *to, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct vcpu_guest_context c;

	if (pv_read(cpu, at, &c, sizeof(c)))
		return -EFAULT;
	if (to->initialised)
		return -EEXIST;
	if (!good_context(pv, &c))
		return -EINVAL;
	take_context(to, &c);
	to->roots[SHADOW_KERNEL] = c.ctrlreg[3] >> PAGE_SHIFT;
	to->roots[SHADOW_USER] = c.ctrlreg[1] ? c.ctrlreg[1] >> PAGE_SHIFT : SHADOW_NO_ROOT;
	pv_set_roots(to);
	to->user = false;
	to->load_fs = to->load_gs = to->load_cr0 = true;
	to->initialised = true;
	return 0;
}

static long register_info(struct pv_cpu *cpu, struct pv_cpu *to, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct vcpu_register_vcpu_info r;
	struct vcpu_info info;

	if (pv_read(cpu, at, &r, sizeof(r)))
		return -EFAULT;
	if (!pv_is_frame(pv, r.mfn) || r.offset > PAGE_SIZE - sizeof(info) || r.offset % 8)
		return -EINVAL;
	if (pv_read_phys(pv, to->vcpu_info, &info, sizeof(info)))
		return -EFAULT;
	/* what came meanwhile may have been missed: look again */
	info.evtchn_upcall_pending = 1;
	info.evtchn_pending_sel = ~(xen_ulong_t)0;
	if (pv_write_phys(pv, (r.mfn << PAGE_SHIFT) + r.offset, &info, sizeof(info)))
		return -EFAULT;
	to->vcpu_info = (r.mfn << PAGE_SHIFT) + r.offset;
	return 0;
}

static long power(struct pv_cpu *to, bool up)
{
	if (!to->initialised)
		return -EINVAL;
	to->up = up;
	if (up)
		pv_update_time(to);
	pv_kick(to);
	return 0;
}

long pv_vcpu_op(struct pv_cpu *cpu, const u64 args[5])
{
	struct vm *vm = cpu->vcpu->vm;
	struct pv_cpu *to;

	if (args[1] >= vm->nr_vcpus)
		return -ENOENT;
	to = &vm->pv->cpus[args[1]];
	switch (args[0]) {
	case VCPUOP_initialise:
		return initialise(cpu, to, args[2]);
	case VCPUOP_up:
	case VCPUOP_down:
		return power(to, args[0] == VCPUOP_up);
	case VCPUOP_is_up:
		return to->up;
	case VCPUOP_register_vcpu_info:
		return register_info(cpu, to, args[2]);
	case VCPUOP_get_runstate_info:
	case VCPUOP_register_runstate_memory_area:
	case VCPUOP_register_vcpu_time_memory_area:
		return pv_runstate_op(cpu, to, (u32)args[0], args[2]);
	case VCPUOP_set_periodic_timer:
	case VCPUOP_stop_periodic_timer:
	case VCPUOP_set_singleshot_timer:
	case VCPUOP_stop_singleshot_timer:
		return to == cpu ? pv_timer_op(cpu, (u32)args[0], args[2]) : -EINVAL;
	default:
		return -ENOSYS;
	}
}
