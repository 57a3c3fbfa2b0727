// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's handlers are entered and left, as Xen does it: an exception's, a callback's or that
 * of events, with this on the kernel's stack, from low addresses up:
 *
 *	rcx, r11, [error code], rip, cs with the event mask in its upper half, rflags, rsp, ss
 *
 * The guest kernel tells by the RPL in cs whether it was interrupted itself (0) or a process (3).
 *
 * Threads: the vCPU's own, with pv.lock held, while the processor is outside.
 *
 * What always holds: a processor that enters a handler is in the kernel's view then; where a stack
 * or a handler is missing the guest ends, and nothing more is done for it.
 */
#include "vmm/pv/deliver.h"

#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/port.h"
#include "vmm/pv/vcpu.h"

#define CS_RPL 3u

/* From the kernel to a process, or back. */
static void switch_to(struct pv_cpu *cpu, enum shadow_view view)
{
	bool user = view == SHADOW_USER;

	if (cpu->user == user)
		return;
	cpu->user = user;
	cpu->load_cr3 = cpu->load_gs = true;
}

/* Enter the guest kernel at @handler; @error: NULL when there is no error code. */
static void bounce(struct pv_cpu *cpu, u64 handler, bool mask, const u64 *error)
{
	struct kvm_regs *r = &cpu->regs;
	u64 frame[8], sp = align_down(cpu->user ? cpu->kernel_sp : r->rsp, 16);
	bool masked = pv_get_mask(cpu) == PV_EVENTS_MASKED;
	u32 n = 0;

	frame[n++] = r->rcx;
	frame[n++] = r->r11;
	if (error)
		frame[n++] = *error;
	frame[n++] = r->rip;
	frame[n++] = (cpu->user ? cpu->cs : cpu->cs & ~CS_RPL) | (u64)masked << 32;
	frame[n++] = (r->rflags & ~RFLAGS_IF) | (masked ? 0 : RFLAGS_IF);
	frame[n++] = r->rsp;
	frame[n++] = cpu->ss;
	sp -= n * sizeof(u64);
	switch_to(cpu, SHADOW_KERNEL);
	if (pv_write(cpu, sp, frame, n * sizeof(u64))) {
		pv_guest_dies(cpu, "its kernel's stack at %#llx cannot be written",
			      (unsigned long long)sp);
		return;
	}
	r->rip = handler;
	r->rsp = sp;
	r->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	cpu->cs = PV_KERNEL_CS;
	cpu->ss = PV_KERNEL_SS;
	if (mask)
		pv_set_mask(cpu, PV_EVENTS_MASKED);
}

void pv_deliver(struct pv_cpu *cpu, int vector, u64 error)
{
	const struct pv_trap_entry *t = &cpu->traps[vector];

	if (!t->address) {
		pv_guest_dies(cpu,
			      "exception %d (error code %#llx, address %#llx), and the guest has "
			      "no handler for it",
			      vector, (unsigned long long)error, (unsigned long long)cpu->cr2);
		return;
	}
	bounce(cpu, t->address, t->masks_events, monitor_has_error_code(vector) ? &error : NULL);
}

void pv_enter_callback(struct pv_cpu *cpu, unsigned int type)
{
	const struct pv_callback *c = &cpu->callbacks[type];

	if (!c->address) {
		pv_guest_dies(cpu, "callback %u is needed, and the guest has not said where it is",
			      type);
		return;
	}
	bounce(cpu, c->address, c->masks_events, NULL);
}

void pv_deliver_events(struct pv_cpu *cpu)
{
	if (!pv_event_pending(cpu))
		return;
	cpu->vcpu->vm->pv->stats.events++;
	pv_enter_callback(cpu, CALLBACKTYPE_event);
}

/* An address that is none would fault in the monitor's iretq: the guest has the fault at once. */
void pv_check_rip(struct pv_cpu *cpu)
{
	if (!PV_CANONICAL(cpu->regs.rip))
		pv_deliver(cpu, VECTOR_GP, 0);
}

/* The return from a handler: to the kernel, or to a process. */
int pv_iret(struct pv_cpu *cpu)
{
	struct iret_context f;
	struct kvm_regs *r = &cpu->regs;

	if (pv_read(cpu, r->rsp, &f, sizeof(f))) {
		pv_guest_dies(cpu, "iret with its frame at %#llx, which cannot be read",
			      (unsigned long long)r->rsp);
		return -1;
	}
	r->rax = f.rax;
	r->rip = f.rip;
	r->rsp = f.rsp;
	r->rflags = f.rflags;
	if (!(f.flags & VGCF_IN_SYSCALL)) {
		r->r11 = f.r11;
		r->rcx = f.rcx;
	}
	cpu->cs = (u16)f.cs | CS_RPL;
	cpu->ss = (u16)f.ss | CS_RPL;
	switch_to(cpu, (f.cs & CS_RPL) == CS_RPL ? SHADOW_USER : SHADOW_KERNEL);
	if (!cpu->user) {
		cpu->cs = PV_KERNEL_CS;
		cpu->ss = PV_KERNEL_SS;
	}
	pv_set_mask(cpu, f.rflags & RFLAGS_IF ? PV_EVENTS_OPEN : PV_EVENTS_MASKED);
	return 0;
}

/*
 * The processor would refuse such an address in the monitor, at the end of its way out. But it is
 * the guest's: of an iret hypercall, or of whoever jumped to the page for system calls with it in
 * rcx.
 */
void pv_check_return(struct pv_cpu *cpu)
{
	u64 rip = cpu->regs.rip;
	bool compat = cpu->user && cpu->cs == MONITOR_CODE32;

	if (!PV_CANONICAL(rip) || (compat && rip > UINT32_MAX))
		pv_deliver(cpu, VECTOR_GP, 0);
}
