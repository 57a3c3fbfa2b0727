// SPDX-License-Identifier: Apache-2.0
/*
 * What becomes of a trap: the VMM's own (a shadow fault, a hypercall, an instruction to carry out),
 * or the guest's, whose handler is entered as Xen enters it, with this on the kernel's stack, from
 * low addresses up:
 *
 *	rcx, r11, [error code], rip, cs with the event mask in its upper half, rflags, rsp, ss
 *
 * The guest kernel tells by the RPL in cs whether it was interrupted itself (0) or a process (3).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/pv/impl.h"

#define DR6_STEP ((u64)1 << 14)

#define CS_RPL 3u

enum {
	VECTOR_DB = 1,
	VECTOR_NMI,
	VECTOR_UD = 6,
	VECTOR_NM,
	VECTOR_DF,
	VECTOR_GP = 13,
	VECTOR_PF,
	VECTOR_MC = 18
};

void pv_guest_dies(struct pv_cpu *cpu, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vm_fail(cpu->vcpu->vm, SHUTDOWN_BY_GUEST_PANIC, "vcpu %u: rip %#llx: %s", cpu->id,
		(unsigned long long)cpu->regs.rip, text);
}

void pv_switch_to(struct pv_cpu *cpu, bool user)
{
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
	bool masked = pv_get_mask(cpu);
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
	pv_switch_to(cpu, false);
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
		pv_set_mask(cpu, true);
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
	pv_switch_to(cpu, (f.cs & CS_RPL) == CS_RPL);
	if (!cpu->user) {
		cpu->cs = PV_KERNEL_CS;
		cpu->ss = PV_KERNEL_SS;
	}
	pv_set_mask(cpu, !(f.rflags & RFLAGS_IF));
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

	if ((u64)((s64)(rip << 16) >> 16) != rip || (compat && rip > UINT32_MAX))
		pv_deliver(cpu, VECTOR_GP, 0);
}

static bool in_hole(u64 linear)
{
	return (linear >> 39 & 511) - MONITOR_FIRST_SLOT < MONITOR_NR_SLOTS;
}

/*
 * Tables that lead to where the guest has no memory: as on an address beyond what the processor
 * has. It is a fault of the guest's, and its kernel's to judge; the machine goes on.
 */
static u32 no_memory(const struct pv_cpu *cpu, u32 error)
{
	return (error & (PTWALK_ERROR_WRITE | PTWALK_ERROR_FETCH)) | PTWALK_ERROR_PRESENT |
	       PTWALK_ERROR_RESERVED | (cpu->user ? PTWALK_ERROR_USER : 0);
}

static void page_fault(struct pv_cpu *cpu, u32 error)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	enum shadow_view view = cpu->user ? SHADOW_USER : SHADOW_KERNEL;
	enum shadow_outcome outcome = SHADOW_FAULT;
	u64 began = now_ns();

	if (in_hole(cpu->cr2))
		error = (error & ~(u32)PTWALK_ERROR_USER) | (cpu->user ? PTWALK_ERROR_USER : 0);
	else
		outcome = shadow_fault(pv->shadow, cpu->id, view, cpu->cr2, &error);
	pv->stats.fault_ns += now_ns() - began;
	if (outcome == SHADOW_STARVED) /* nobody else may ever come by himself */
		pv_flush_others(cpu);
	if (outcome == SHADOW_FILLED || outcome == SHADOW_STARVED)
		return;
	if (outcome == SHADOW_NO_MEMORY)
		error = no_memory(cpu, error);
	pv_write_phys(pv, cpu->vcpu_info + offsetof(struct vcpu_info, arch.cr2), &cpu->cr2,
		      sizeof(cpu->cr2));
	pv_deliver(cpu, VECTOR_PF, error);
}

static void invalid_opcode(struct pv_cpu *cpu)
{
	struct kvm_regs *r = &cpu->regs;

	if (r->rip != monitor_syscall_entry()) {
		if (!pv_emulate_cpuid(cpu))
			pv_deliver(cpu, VECTOR_UD, 0);
		return;
	}
	r->rip = r->rcx;
	r->rflags = r->r11;
	if (!cpu->user) {
		pv_hypercall(cpu);
		return;
	}
	cpu->vcpu->vm->pv->stats.syscalls++;
	pv_enter_callback(cpu, CALLBACKTYPE_syscall);
}

void pv_trap(struct pv_cpu *cpu, int vector, u64 error)
{
	struct pv *pv = cpu->vcpu->vm->pv;

	pv->stats.traps[vector]++;
	switch (vector) {
	case VECTOR_UD:
		invalid_opcode(cpu);
		return;
	case VECTOR_PF:
		page_fault(cpu, (u32)error);
		return;
	case VECTOR_GP:
		if (!error && pv_emulate_privileged(cpu))
			pv->stats.emulated++;
		else
			pv_deliver(cpu, vector, error);
		return;
	case VECTOR_NM:
		cpu->cr0 &= ~(u64)8; /* TS: the guest saw it */
		cpu->load_cr0 = true;
		pv_deliver(cpu, vector, 0);
		return;
	case VECTOR_DB: /* of all its causes only single steps are the guest's to have */
		cpu->dr[6] |= DR6_STEP;
		pv_deliver(cpu, vector, 0);
		return;
	case MONITOR_INTERRUPT:
		pv->stats.interrupts++;
		return;
	}
	if (vector == VECTOR_DF || vector == VECTOR_NMI || vector == VECTOR_MC || vector >= 32)
		pv_guest_dies(cpu, "interrupt vector %d, which nobody raises", vector);
	else
		pv_deliver(cpu, vector, error);
}
