// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU's thread: into the guest, out with an exit, one switch on the reason. Contract in vcpu.h.
 */
#include "mm/base/clock.h"
#include "vmm/vm/vcpu.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/pv/pv.h"
#include "vmm/boot/entry_state.h"

/* A vCPU thread needs little; the C library's own minimum and some pages for its calls. */
#define STACK_SIZE (128 * KiB)

const char *const vcpu_exit_names[VCPU_NR_EXIT_KINDS] = {
	[VCPU_EXIT_IO_IN] = "io-in", [VCPU_EXIT_IO_OUT] = "io-out",
	[VCPU_EXIT_MMIO] = "mmio",   [VCPU_EXIT_INTERRUPTED] = "interrupted",
	[VCPU_EXIT_OTHER] = "other",
};

/* Creation and destruction. */

int vcpu_create(struct vcpu **out, struct vm *vm, unsigned int id, struct err *err)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int size, ret;

	if (!vcpu)
		return err_set(err, -ENOMEM, "out of memory");
	vcpu->vm = vm;
	vcpu->id = id;
	ret = vcpu->fd = kvm_ioctl_value(vm->fd, KVM_CREATE_VCPU, id);
	if (ret < 0)
		goto out_free;
	ret = size = kvm_ioctl_value(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < 0)
		goto out_close;
	vm->run_size = (u32)size;
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		goto out_close;
	}
	*out = vcpu;
	return 0;

out_close:
	close(vcpu->fd);
out_free:
	free(vcpu);
	return err_set(err, ret, "KVM: cannot create vCPU %u: %s", id, strerror(-ret));
}

u32 vcpu_tsc_khz(const struct vcpu *vcpu)
{
	int khz = kvm_ioctl_value(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (u32)khz : 0;
}

int vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	size_t size = sizeof(*cpuid) + cpuid->nent * sizeof(cpuid->entries[0]);
	struct kvm_cpuid2 *copy = malloc(size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, cpuid, size);
	free(vcpu->cpuid);
	vcpu->cpuid = copy;
	return kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, copy);
}

int vcpu_setup(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid, struct err *err)
{
	u8 room[sizeof(struct kvm_msrs) + X86_NR_BOOT_MSRS * sizeof(struct kvm_msr_entry)]
		__attribute__((aligned(_Alignof(struct kvm_msrs)))) = {0};
	struct kvm_msrs *msrs = (void *)room;
	int ret = vcpu_set_cpuid(vcpu, cpuid);

	if (ret < 0)
		return err_set(err, ret, "KVM: cannot set CPUID of vCPU %u: %s", vcpu->id,
			       strerror(-ret));
	msrs->nmsrs = X86_NR_BOOT_MSRS;
	x86_boot_msrs(msrs->entries);
	ret = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, msrs);
	if (ret < (int)X86_NR_BOOT_MSRS)
		return err_set(err, ret < 0 ? ret : -EINVAL, "KVM: cannot set MSR %#x of vCPU %u",
			       ret < 0 ? 0 : msrs->entries[ret].index, vcpu->id);
	return 0;
}

int vcpu_set_boot_state(struct vcpu *vcpu, struct err *err)
{
	struct kvm_run *run = vcpu->run;
	int ret = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &run->s.regs.sregs);

	if (ret < 0)
		return err_set(err, ret, "KVM: cannot read registers: %s", strerror(-ret));
	x86_boot_state(&vcpu->vm->entry, &run->s.regs.regs, &run->s.regs.sregs);
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	if (vcpu->has_thread)
		pthread_join(vcpu->thread, NULL);
	munmap(vcpu->run, vcpu->vm->run_size);
	close(vcpu->fd);
	free(vcpu->cpuid);
	free(vcpu);
}

/* Leaving the guest, and staying out. */

/* Of the vCPU whose thread this is. */
static _Thread_local struct kvm_run *own_run;

/*
 * Its arrival is the message: KVM_RUN returns -EINTR. One that arrives just before KVM_RUN must not
 * be lost; vcpu_kick() has seen to that already, a timer has not.
 */
static void on_kick(int sig)
{
	(void)sig;
	if (own_run)
		own_run->immediate_exit = 1;
}

void vcpu_init_signal(void)
{
	struct sigaction action = {.sa_handler = on_kick};

	sigaction(VCPU_KICK_SIGNAL, &action, NULL);
}

void vcpu_kick(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	if (vcpu->has_thread)
		pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
}

static void handle_exit(struct vcpu *vcpu);

/*
 * Have KVM complete the access of the last exit, so that the vCPU's state is whole: KVM_RUN returns
 * -EINTR after that, before the guest. But an access of several parts exits for each of them.
 */
static void finish_access(struct vcpu *vcpu)
{
	if (vcpu->vm->pv)
		pv_settle(vcpu);
	while (vcpu->unfinished) {
		vcpu->unfinished = false;
		vcpu->run->immediate_exit = 1;
		if (!ioctl(vcpu->fd, KVM_RUN, 0))
			handle_exit(vcpu);
	}
}

/* Whether a vCPU that is to run must wait all the same. */
static bool held_back(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	return atomic_load(&vm->holds) || atomic_load(&vcpu->napping) ||
	       vm->host->congested(vm->host->opaque);
}

/* Wait until the guest may run; false when the thread is to end instead. */
static bool park(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	int want;

	finish_access(vcpu);
	pthread_mutex_lock(&vm->lock);
	vm->parked++;
	pthread_cond_broadcast(&vm->changed);
	while ((want = atomic_load(&vm->want)) == VM_PAUSE || (want == VM_RUN && held_back(vcpu)))
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->parked--;
	/* under the lock: a kick that comes later stands */
	vcpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&vm->lock);
	return want == VM_RUN;
}

void vcpu_kick_at(struct vcpu *vcpu, enum vcpu_timer timer, u64 at_ns)
{
	struct sigevent kick = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = VCPU_KICK_SIGNAL};
	const struct itimerspec at = {
		.it_value = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)},
	};

	kick._sigev_un._tid = (int)gettid();
	if (!vcpu->has_timer[timer])
		vcpu->has_timer[timer] = !timer_create(CLOCK_MONOTONIC, &kick,
						       &vcpu->timers[timer]);
	if (vcpu->has_timer[timer])
		timer_settime(vcpu->timers[timer], TIMER_ABSTIME, &at, NULL);
}

/* Where its time in the guest is limited: begin it, or end it. */
static void spend_allowance(struct vcpu *vcpu)
{
	u64 allowance = atomic_load(&vcpu->allowance_ns), now;

	if (!allowance || atomic_load(&vcpu->napping)) {
		vcpu->run_until = 0;
		return;
	}
	now = now_ns();
	if (!vcpu->run_until) {
		vcpu->run_until = now + allowance;
		vcpu_kick_at(vcpu, VCPU_TIMER_ALLOWANCE, vcpu->run_until);
	} else if (now >= vcpu->run_until) {
		vcpu->run_until = 0;
		atomic_store(&vcpu->napping, true);
	}
}

static bool may_run(struct vcpu *vcpu)
{
	spend_allowance(vcpu);
	/* a kick whose reason has gone by now must be taken back, which park() does */
	if (atomic_load(&vcpu->vm->want) == VM_RUN && !held_back(vcpu) &&
	    !vcpu->run->immediate_exit)
		return true;
	if (!park(vcpu))
		return false;
	spend_allowance(vcpu); /* a new one, after a nap */
	return true;
}

/* Exits. */

static void count(struct vcpu *vcpu, enum vcpu_exit_kind kind)
{
	/* one writer: a plain increment that readers see whole */
	u64 n = atomic_load_explicit(&vcpu->exits[kind], memory_order_relaxed);

	atomic_store_explicit(&vcpu->exits[kind], n + 1, memory_order_relaxed);
}

static void handle_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	void *data = (u8 *)run + run->io.data_offset;

	vcpu->unfinished = true;
	if (run->io.direction == KVM_EXIT_IO_IN) {
		count(vcpu, VCPU_EXIT_IO_IN);
		devices_in(vcpu->vm->devices, run->io.port, run->io.size, run->io.count, data);
	} else {
		count(vcpu, VCPU_EXIT_IO_OUT);
		devices_out(vcpu->vm->devices, run->io.port, run->io.size, run->io.count, data);
	}
}

/* Nothing lives in the guest-physical holes: reads find a bus with nobody on it. */
static void handle_mmio(struct vcpu *vcpu)
{
	count(vcpu, VCPU_EXIT_MMIO);
	vcpu->unfinished = true;
	if (!vcpu->run->mmio.is_write)
		memset(vcpu->run->mmio.data, 0xff, sizeof(vcpu->run->mmio.data));
}

static void handle_internal_error(struct vcpu *vcpu)
{
	bool pvm = vcpu->vm->kind == KVM_PVM;

	switch (vcpu->run->internal.suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		vcpu_report(
			vcpu, SHUTDOWN_BY_ERROR,
			pvm ? "KVM here emulates CPL 0 and does not know this instruction (run the "
			      "guest on a hardware KVM or in tools/quire-lab)"
			    : "KVM had to emulate this instruction and could not");
		break;
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR,
			    "KVM met an exception while delivering another");
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR, "KVM could not deliver an event to the guest");
		break;
	default:
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR, "KVM met an internal error");
	}
}

static void handle_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_end(vcpu->vm, SHUTDOWN_BY_GUEST_OFF, 0);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_end(vcpu->vm, SHUTDOWN_BY_GUEST_RESET, 0);
		break;
	default:
		vcpu_report(vcpu, SHUTDOWN_BY_GUEST_PANIC, "the guest reports a crash");
	}
}

static void handle_exit(struct vcpu *vcpu)
{
	char text[64];

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(vcpu);
		return;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		return;
	case KVM_EXIT_INTR:
		count(vcpu, VCPU_EXIT_INTERRUPTED);
		return;
	}
	count(vcpu, VCPU_EXIT_OTHER);
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		vcpu_report(vcpu, SHUTDOWN_BY_GUEST_PANIC,
			    "triple fault: the guest met an exception that it could not handle");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		handle_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, sizeof(text),
			 "the processor refused to enter the guest (reason %#llx)",
			 (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR, text);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(vcpu);
		break;
	default:
		snprintf(text, sizeof(text), "unexpected KVM exit %u", vcpu->run->exit_reason);
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR, text);
	}
}

static void handle_run_error(struct vcpu *vcpu, int errnum)
{
	char text[96];

	switch (errnum) {
	case EINTR:
		count(vcpu, VCPU_EXIT_INTERRUPTED);
		return;
	case EAGAIN: /* a processor that waits for its start-up IPI */
		return;
	case EFAULT:
		vcpu_report(vcpu, SHUTDOWN_BY_ERROR,
			    "the host could not provide a page of guest memory (out of memory?)");
		return;
	}
	snprintf(text, sizeof(text), "KVM_RUN: %s", strerror(errnum));
	vcpu_report(vcpu, SHUTDOWN_BY_ERROR, text);
}

static void run_once(struct vcpu *vcpu)
{
	int ret;

	if (vcpu->vm->pv && !pv_enter(vcpu))
		return;
	ret = ioctl(vcpu->fd, KVM_RUN, 0);
	atomic_store(&vcpu->in_guest, false);
	vcpu->unfinished = false;
	if (ret)
		handle_run_error(vcpu, errno);
	else if (!vcpu->vm->pv || !pv_exit(vcpu))
		handle_exit(vcpu);
}

static void *run_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	char name[16];

	/* not before others can send it a signal: one that waits would miss its kick */
	pthread_mutex_lock(&vcpu->vm->lock);
	pthread_mutex_unlock(&vcpu->vm->lock);
	atomic_store(&vcpu->tid, (int)gettid());
	own_run = vcpu->run;
	/* a thread names itself by one system call, another one through a file in /proc */
	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	while (may_run(vcpu))
		run_once(vcpu);
	for (unsigned int i = 0; i < VCPU_NR_TIMERS; i++)
		if (vcpu->has_timer[i])
			timer_delete(vcpu->timers[i]);
	return NULL;
}

/* All signals but the kick are the main thread's business. */
int vcpu_start(struct vcpu *vcpu, struct err *err)
{
	pthread_attr_t attr;
	sigset_t block, old;
	int ret;

	sigfillset(&block);
	sigdelset(&block, VCPU_KICK_SIGNAL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, MAX(STACK_SIZE, (u64)PTHREAD_STACK_MIN));
	pthread_sigmask(SIG_SETMASK, &block, &old);
	pthread_mutex_lock(&vcpu->vm->lock);
	ret = pthread_create(&vcpu->thread, &attr, run_thread, vcpu);
	vcpu->has_thread = !ret;
	pthread_mutex_unlock(&vcpu->vm->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (ret)
		return err_set(err, -ret, "vCPU %u: cannot start its thread: %s", vcpu->id,
			       strerror(ret));
	return 0;
}
