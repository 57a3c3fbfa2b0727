// SPDX-License-Identifier: Apache-2.0
/*
 * What becomes of a trap: it is the VMM's own (a shadow fault, a hypercall, an instruction to carry
 * out), or the guest's, whose handler is entered (deliver.c).
 *
 * Threads: the vCPU's own, with pv.lock held, while the processor is outside.
 */
#include "vmm/pv/trap.h"

#include "mm/base/clock.h"
#include "vmm/pv/deliver.h"
#include "vmm/pv/emulate.h"
#include "vmm/pv/hypercall.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/vcpu.h"

#define DR6_STEP ((u64)1 << 14)

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
		cpu->cr0 &= ~CR0_TS; /* the guest saw it */
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
