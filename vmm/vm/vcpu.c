// SPDX-License-Identifier: Apache-2.0
/*
 * A vCPU as an object: KVM's half of it, what it starts with, and how it is brought out of the
 * guest. The thread that runs it is vmm/run/vcpu_loop.c.
 *
 * Threads. What creates, sets up and destroys is the owner's thread's, while the vCPU has no thread
 * of its own; vcpu_kick() is for any but that one, vcpu_kick_at() and the two that bind are for
 * that one alone. No lock is taken here: kicking needs vm.lock only of those who then wait for the
 * thread to be out (vm_pause(), vm_freeze()).
 *
 * What always holds: run->immediate_exit is set before the signal is sent, so that a kick that
 * comes before KVM_RUN is as good as one inside it; only the thread itself clears it, once it is
 * out and has yet to look at what the kick was for.
 */
#include "vmm/vm/vcpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/entry_state.h"

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

void vcpu_bind_thread(struct vcpu *vcpu)
{
	ASSERT(!own_run && !atomic_load(&vcpu->tid));
	own_run = vcpu->run;
	atomic_store(&vcpu->tid, (int)gettid());
}

void vcpu_unbind_thread(struct vcpu *vcpu)
{
	ASSERT(own_run == vcpu->run);
	for (unsigned int i = 0; i < VCPU_NR_TIMERS; i++)
		if (vcpu->has_timer[i])
			timer_delete(vcpu->timers[i]);
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

void vcpu_kick_at(struct vcpu *vcpu, enum vcpu_timer timer, u64 at_ns)
{
	struct sigevent kick = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = VCPU_KICK_SIGNAL};
	const struct itimerspec at = {
		.it_value = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)},
	};

	ASSERT(!own_run || own_run == vcpu->run); /* not another vCPU's thread */
	kick._sigev_un._tid = (int)gettid();
	if (!vcpu->has_timer[timer])
		vcpu->has_timer[timer] = !timer_create(CLOCK_MONOTONIC, &kick,
						       &vcpu->timers[timer]);
	if (vcpu->has_timer[timer])
		timer_settime(vcpu->timers[timer], TIMER_ABSTIME, &at, NULL);
}
