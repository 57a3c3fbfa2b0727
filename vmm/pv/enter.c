// SPDX-License-Identifier: Apache-2.0
/*
 * The way between KVM's vCPU and struct pv_cpu, on the vCPU's own thread: out of the guest with a
 * trap, which is handled (trap.c), and back in by a way out of the monitor that is assembled for
 * it (monitor.h). pv_enter(), pv_exit() and pv_settle() of pv.h are here.
 *
 *        KVM_RUN                                               pv_enter(): a way out is assembled
 *   in the guest ---- trap, through the monitor ----> outside ------------------------------.
 *     |      ^                                         (pv_exit() has handled it)           |
 *     |      `-------------------------------------------------------------------- KVM_RUN -'
 *     `-- kicked: KVM_RUN returns -EINTR. To change anything the guest must trap: an interrupt is
 *         injected (MONITOR_INTERRUPT), now or as soon as the way out is at its end.
 *
 * Locks: pv.lock, from the trap to the end of its handling, and while the way out is assembled; it
 * is not held in the guest, nor while a processor waits for a kick.
 *
 * What always holds: between pv_exit() and pv_enter() the processor is outside, and all of its
 * state in struct pv_cpu; nobody enters with tables that were changed before, unless he flushes.
 */
#include "vmm/pv/pv.h"

#include <poll.h>
#include <signal.h>

#include "vmm/pv/console.h"
#include "vmm/pv/deliver.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/port.h"
#include "vmm/pv/stats.h"
#include "vmm/pv/time.h"
#include "vmm/pv/trap.h"
#include "vmm/pv/vcpu.h"

/* What a guest may have. */
#define RFLAGS_GUEST (RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID)

static struct pv_cpu *cpu_of(struct vcpu *vcpu)
{
	return &vcpu->vm->pv->cpus[vcpu->id];
}

/* Out of the guest. */

static void fail_in_monitor(struct pv_cpu *cpu, int vector)
{
	const struct monitor_frame *f = monitor_get_frame(&cpu->vcpu->vm->pv->monitor, cpu->id);

	vm_fail(cpu->vcpu->vm, SHUTDOWN_BY_ERROR,
		"vcpu %u: exception %d in the monitor at %#llx, address %#llx (a defect of quire)",
		cpu->id, vector, (unsigned long long)f->rip, (unsigned long long)cpu->cr2);
}

/* The state of the guest, from the monitor's frame and the registers. */
static bool take_state(struct pv_cpu *cpu, u64 *error, int vector)
{
	struct monitor *m = &cpu->vcpu->vm->pv->monitor;
	const struct kvm_run *run = cpu->vcpu->run;
	const struct monitor_frame *f = monitor_get_frame(m, cpu->id);
	const struct kvm_sregs *s = &run->s.regs.sregs;

	cpu->cr2 = s->cr2;
	if (!(f->cs & 3) && f->rip != monitor_syscall_entry())
		return false;
	cpu->regs = run->s.regs.regs;
	cpu->regs.rip = f->rip;
	cpu->regs.rsp = f->rsp;
	cpu->regs.rflags = f->rflags;
	cpu->fs_base = s->fs.base;
	if (cpu->user) {
		cpu->gs_user = s->gs.base;
		cpu->cs = f->cs == MONITOR_CODE32 ? MONITOR_CODE32 : MONITOR_CODE64;
		cpu->ss = MONITOR_USER;
	}
	pv_leave_guest(cpu);
	*error = monitor_has_error_code(vector) ? monitor_error_code(m, cpu->id) : 0;
	return true;
}

bool pv_exit(struct vcpu *vcpu)
{
	struct pv_cpu *cpu = cpu_of(vcpu);
	struct kvm_run *run = vcpu->run;
	int vector;
	u64 error;

	if (run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN)
		return true;
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != MONITOR_PORT)
		return false;
	vector = monitor_vector(run->s.regs.regs.rip);
	pthread_mutex_lock(&vcpu->vm->pv->lock);
	cpu->nr_touches = 0; /* they have been made */
	if (vector < 0)	     /* the pause of a way out that was too long: on with it */
		pv_leave_guest(cpu);
	else if (take_state(cpu, &error, vector))
		pv_trap(cpu, vector, error);
	else
		fail_in_monitor(cpu, vector);
	pv_check_in_time(cpu);
	pthread_mutex_unlock(&vcpu->vm->pv->lock);
	return true;
}

/* Into the guest. */

static void add_touches(struct monitor_exit *x, const struct pv_cpu *of)
{
	for (u32 i = 0; i < of->nr_touches; i++)
		monitor_touch(x, &of->touches[i]);
}

/*
 * A processor goes on only when KVM knows of all changes so far, be they its own: of those that
 * nobody has taken yet, and of those that another has in its way out, which it may be about to
 * take. Touches do no harm if they are made twice. False: there are more than one way out has room
 * for.
 */
static bool touch(struct pv_cpu *cpu, struct monitor_exit *x)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u32 room = MONITOR_MAX_TOUCHES;

	cpu->ways_out++;
	for (unsigned int i = 0; i < pv->vm->nr_vcpus; i++) {
		struct pv_cpu *other = &pv->cpus[i];

		if (other == cpu || cpu->repeated[i] == other->ways_out)
			continue;
		if (other->nr_touches > room)
			return false;
		add_touches(x, other);
		room -= other->nr_touches;
		cpu->repeated[i] = other->ways_out;
	}
	cpu->nr_touches = shadow_touches(pv->shadow, cpu->touches, room);
	add_touches(x, cpu);
	return cpu->nr_touches < room;
}

/* A KVM whose tables the processor walks itself wants none. */
static void forget_touches(struct pv *pv)
{
	struct shadow_touch touches[MONITOR_MAX_TOUCHES];

	while (shadow_touches(pv->shadow, touches, MONITOR_MAX_TOUCHES) == MONITOR_MAX_TOUCHES)
		;
}

/* False: only to come back, and go on with what is left. */
static bool assemble(struct pv_cpu *cpu, struct monitor_exit *x)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u64 generation = shadow_generation(pv->shadow);

	monitor_begin(x, &pv->monitor, cpu->id);
	if (!pv->touches)
		forget_touches(pv);
	else if (!touch(cpu, x))
		return false;
	if (cpu->load_cr3 || generation != cpu->flushed)
		monitor_load_cr3(x, cpu->cr3[cpu->user ? SHADOW_USER : SHADOW_KERNEL]);
	if (cpu->load_cr0)
		monitor_load_cr0(x, PV_CR0 | (cpu->cr0 & CR0_TS));
	if (cpu->load_gs)
		monitor_write_msr(x, MSR_GS_BASE, cpu->user ? cpu->gs_user : cpu->gs_kernel);
	if (cpu->load_fs)
		monitor_write_msr(x, MSR_FS_BASE, cpu->fs_base);
	cpu->load_cr3 = cpu->load_cr0 = cpu->load_gs = cpu->load_fs = false;
	cpu->flushed = generation;
	shadow_flushed(pv->shadow, cpu->id, generation);
	return true;
}

static void leave(struct pv_cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu->run;
	struct kvm_regs *r = &cpu->regs;
	struct monitor_exit x;
	const struct monitor_frame frame = {
		.rip = r->rip,
		.cs = cpu->user && cpu->cs == MONITOR_CODE32 ? MONITOR_CODE32 : MONITOR_CODE64,
		.rflags = (r->rflags & RFLAGS_GUEST) | RFLAGS_IF | RFLAGS_FIXED,
		.rsp = r->rsp,
		.ss = MONITOR_USER,
	};
	u64 rsp;

	ASSERT(cpu->outside);
	run->s.regs.regs = *r;
	run->s.regs.regs.rip = assemble(cpu, &x)
				       ? monitor_finish(&x, &frame, r->rax, r->rcx, r->rdx, &rsp)
				       : monitor_pause(&x, &rsp);
	run->s.regs.regs.rsp = rsp;
	run->s.regs.regs.rflags = RFLAGS_FIXED;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	cpu->outside = false;
	/* and the one of the vector that it came by */
	cpu->vcpu->vm->pv->stats.monitor_instructions += x.instructions + 1;
}

/* It is in the guest, and something waits for it: have it trap. */
static void interrupt(struct pv_cpu *cpu)
{
	struct kvm_interrupt irq = {.irq = MONITOR_INTERRUPT};
	struct kvm_run *run = cpu->vcpu->run;

	if (run->ready_for_interrupt_injection && run->if_flag)
		kvm_ioctl(cpu->vcpu->fd, KVM_INTERRUPT, &irq);
	else
		run->request_interrupt_window = 1;
}

/* The host's timer kicks the vCPU when the guest's next timer is due. */
static void arm_timer(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u64 at = cpu->timer;

	if (cpu->blocked && cpu->poll_until)
		at = at ? MIN(at, cpu->poll_until) : cpu->poll_until;
	if (!at || at == cpu->armed)
		return;
	cpu->armed = at;
	vcpu_kick_at(cpu->vcpu, VCPU_TIMER_GUEST, at - (u64)pv->clock_offset);
}

/* Until somebody kicks it. A kick that has come already is not missed. */
static void wait_for_kick(struct vcpu *vcpu)
{
	sigset_t kick, before;

	sigemptyset(&kick);
	sigaddset(&kick, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, &before);
	if (!vcpu->run->immediate_exit)
		ppoll(NULL, 0, NULL, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool pv_enter(struct vcpu *vcpu)
{
	struct pv_cpu *cpu = cpu_of(vcpu);
	struct pv *pv = vcpu->vm->pv;
	bool needs_trap = false, waits;

	vcpu->run->request_interrupt_window = 0;
	pthread_mutex_lock(&pv->lock);
	pv_find_time(cpu);
	pv_console_take_input(pv);
	pv_check_timer(cpu);
	if (cpu->blocked && pv_event_pending(cpu))
		cpu->blocked = false;
	waits = cpu->outside && (cpu->blocked || !cpu->up);
	arm_timer(cpu);
	if (!waits && cpu->outside) {
		pv_check_return(cpu);
		pv_deliver_events(cpu);
		pv_check_rip(cpu);
		leave(cpu);
	} else if (!cpu->outside) {
		needs_trap = pv_event_pending(cpu) || cpu->flushed != shadow_generation(pv->shadow);
	}
	if (!waits)
		atomic_store(&vcpu->in_guest, true);
	pthread_mutex_unlock(&pv->lock);
	if (waits)
		wait_for_kick(vcpu);
	if (needs_trap)
		interrupt(cpu);
	return !waits;
}

void pv_settle(struct vcpu *vcpu)
{
	struct pv_cpu *cpu = cpu_of(vcpu);

	while (!cpu->outside && !vm_ended(vcpu->vm, NULL)) {
		struct kvm_regs r;

		if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 || !monitor_is_at(r.rip))
			return;
		vcpu->run->immediate_exit = 0;
		vcpu->run->request_interrupt_window = 1;
		if (!ioctl(vcpu->fd, KVM_RUN, 0))
			pv_exit(vcpu);
	}
}
