// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU's thread: into the guest, out with an exit, one switch on the reason, and again. The
 * states are drawn in vcpu_loop.h.
 *
 * Threads. Everything but vcpu_start() runs on the vCPU's own thread. It owns the vCPU's fields
 * unfinished, run_until and exits (others read the last), and its own one of vm.parked.
 *
 * Locks: vm.lock, in park() and at the start. Devices, the engine and the monitor of a guest on
 * shadow tables (vmm/pv) take their own under an exit, and are never called with it held.
 *
 * What always holds: a parked vCPU has no access half done (finish_access()), so its state is
 * whole; it is counted in vm.parked while, and only while, it waits here; a kick that arrives
 * before KVM_RUN keeps the thread out, since what it was for is looked at under the lock that
 * clears immediate_exit.
 */
#include "vmm/run/vcpu_loop.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "vmm/pv/pv.h"
#include "vmm/run/vcpu_report.h"

/* A vCPU thread needs little; the C library's own minimum and some pages for its calls. */
#define STACK_SIZE (128 * KiB)

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

/* Staying out of the guest, and going in. */

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
	ASSERT(!vcpu->unfinished && !atomic_load(&vcpu->in_guest));
	pthread_mutex_lock(&vm->lock);
	ASSERT(vm->parked < vm->nr_vcpus);
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
	vcpu_bind_thread(vcpu);
	/* a thread names itself by one system call, another one through a file in /proc */
	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	while (may_run(vcpu))
		run_once(vcpu);
	vcpu_unbind_thread(vcpu);
	return NULL;
}

/* All signals but the kick are the main thread's business. */
int vcpu_start(struct vcpu *vcpu, struct err *err)
{
	pthread_attr_t attr;
	sigset_t block, old;
	int ret;

	ASSERT(!vcpu->has_thread);
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
