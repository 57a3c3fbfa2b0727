// SPDX-License-Identifier: Apache-2.0
/*
 * The Xen PV guest: memory beside its own, the state its processors start with, and the way between
 * KVM's vCPU and struct pv_cpu. Contract in pv.h.
 *
 *        KVM_RUN                                               pv_enter(): a way out is assembled
 *   in the guest ---- trap, through the monitor ----> outside ------------------------------.
 *     |      ^                                         (pv_exit() has handled it)           |
 *     |      `-------------------------------------------------------------------- KVM_RUN -'
 *     `-- kicked: KVM_RUN returns -EINTR. To change anything the guest must trap: an interrupt is
 *         injected (MONITOR_INTERRUPT), now or as soon as the way out is at its end.
 */
#include "vmm/pv/pv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/kvm/host.h"
#include "vmm/boot/pv_build.h"
#include "vmm/kvm/segment.h"
#include "vmm/pv/impl.h"

/* What a guest may have. */
#define RFLAGS_GUEST (RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID)

/* Tables for the arena: a 32nd of guest memory, and not too few. */
#define ARENA_SHARE 32
#define ARENA_MIN   ((u32)2048)

static struct pv_cpu *cpu_of(struct vcpu *vcpu)
{
	return &vcpu->vm->pv->cpus[vcpu->id];
}

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
static void leave_guest(struct pv_cpu *cpu)
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
	leave_guest(cpu);
	cpu->load_fs = cpu->load_gs = true;
	ret = set_sregs(cpu);
	if (!ret)
		ret = set_msrs(cpu);
	cpu->vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return ret;
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
	leave_guest(cpu);
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
		leave_guest(cpu);
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
