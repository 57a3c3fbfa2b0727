// SPDX-License-Identifier: Apache-2.0
/*
 * One processor of the guest towards KVM, towards the other processors and towards the guest's end:
 * what KVM's vCPU is set to once and for all, the roots of its tables, who is told of a change.
 *
 * Threads. Setting up is the owner's thread's, before the vCPU runs; the rest is for vCPU threads,
 * each about itself or, to kick and to flush, about the others.
 *
 * Locks: pv.lock is held throughout, but for setting up.
 *
 * What always holds: while a processor is outside, its state is in struct pv_cpu and KVM's vCPU
 * stands in the monitor; after pv_flush_others() no other one is in the guest with what it knew of
 * the tables before.
 */
#include "vmm/pv/vcpu.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/kvm/segment.h"
#include "vmm/pv/impl.h"

/* What KVM's vCPU is, once and for all: in the monitor, about to leave it. */

/* Of a data segment, as a process has loaded it: null or one that is flat. The base comes later. */
static struct kvm_segment loaded(u16 selector)
{
	if (!(selector & ~3))
		return (struct kvm_segment){.selector = selector, .unusable = 1};
	if (selector == MONITOR_USER)
		return flat_segment(selector, 3, FLAT_DATA);
	return flat_segment(selector, 3, selector == MONITOR_CODE64 ? FLAT_CODE64 : FLAT_CODE32);
}

static void set_segments(const struct pv_cpu *cpu, struct kvm_sregs *s)
{
	s->cs = flat_segment(MONITOR_CODE, 0, FLAT_CODE64);
	s->ss = flat_segment(MONITOR_DATA, 0, FLAT_DATA);
	s->ds = loaded(cpu->ds);
	s->es = loaded(cpu->es);
	s->fs = loaded(cpu->fs);
	s->gs = loaded(cpu->gs);
}

bool pv_has_xsave(const struct vcpu *vcpu)
{
	for (u32 i = 0; i < vcpu->cpuid->nent; i++)
		if (vcpu->cpuid->entries[i].function == 1)
			return vcpu->cpuid->entries[i].ecx >> 26 & 1;
	return false;
}

/* Its state is here from now on. */
void pv_leave_guest(struct pv_cpu *cpu)
{
	cpu->outside = true;
	shadow_left(cpu->vcpu->vm->pv->shadow, cpu->id);
}

static int set_sregs(struct pv_cpu *cpu)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct kvm_sregs s;
	int ret = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s);

	if (ret < 0)
		return ret;
	set_segments(cpu, &s);
	s.tr = task_segment((u16)(MONITOR_TASK + 16 * cpu->id),
			    monitor_task(&vcpu->vm->pv->monitor, cpu->id));
	s.gdt = (struct kvm_dtable){.base = monitor_gdt(), .limit = PAGE_SIZE - 1};
	s.idt = (struct kvm_dtable){.base = monitor_idt(), .limit = PAGE_SIZE - 1};
	s.cr0 = PV_CR0;
	s.cr3 = cpu->cr3[SHADOW_KERNEL];
	s.cr4 = PV_CR4;
	/* PVM leaves the processor's own as it is, and KVM there knows of none */
	if (pv_has_xsave(vcpu) && vcpu->vm->kind != KVM_PVM)
		s.cr4 |= CR4_OSXSAVE;
	s.efer = PV_EFER;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	return kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &s);
}

/* What SYSCALL clears: the guest finds all of it in r11. */
#define SYSCALL_CLEARS (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC)

static int set_msrs(struct pv_cpu *cpu)
{
	u8 room[sizeof(struct kvm_msrs) + 4 * sizeof(struct kvm_msr_entry)]
		__attribute__((aligned(_Alignof(struct kvm_msrs)))) = {0};
	struct kvm_msrs *msrs = (void *)room;

	msrs->nmsrs = 4;
	msrs->entries[0] = (struct kvm_msr_entry){
		.index = MSR_STAR, .data = (u64)MONITOR_CODE << 32 | (u64)MONITOR_CODE32 << 48};
	msrs->entries[1] = (struct kvm_msr_entry){.index = MSR_LSTAR,
						  .data = monitor_syscall_entry()};
	msrs->entries[2] = (struct kvm_msr_entry){.index = MSR_CSTAR,
						  .data = monitor_syscall_entry()};
	msrs->entries[3] = (struct kvm_msr_entry){.index = MSR_SFMASK, .data = SYSCALL_CLEARS};
	return kvm_ioctl(cpu->vcpu->fd, KVM_SET_MSRS, msrs) == 4 ? 0 : -EINVAL;
}

int pv_set_up_vcpu(struct pv_cpu *cpu)
{
	int ret;

	pv_set_roots(cpu);
	pv_leave_guest(cpu);
	cpu->load_fs = cpu->load_gs = true;
	ret = set_sregs(cpu);
	if (!ret)
		ret = set_msrs(cpu);
	cpu->vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return ret;
}

void pv_set_roots(struct pv_cpu *cpu)
{
	shadow_set_roots(cpu->vcpu->vm->pv->shadow, cpu->id, cpu->roots, cpu->cr3);
	cpu->load_cr3 = true;
}

bool pv_take_operations(struct pv_cpu *cpu, u64 n)
{
	if (n > cpu->operations)
		return false;
	cpu->operations -= n;
	return true;
}

void pv_kick(struct pv_cpu *cpu)
{
	if (!pthread_equal(cpu->vcpu->thread, pthread_self()))
		vcpu_kick(cpu->vcpu);
}

void pv_flush_others(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u64 generation = shadow_generation(pv->shadow);

	for (unsigned int i = 0; i < pv->vm->nr_vcpus; i++) {
		struct pv_cpu *other = &pv->cpus[i];

		if (other == cpu || other->outside || other->flushed == generation)
			continue;
		vcpu_kick(other->vcpu);
		while (atomic_load(&other->vcpu->in_guest))
			sched_yield();
	}
}

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
