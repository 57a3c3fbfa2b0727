// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual processor: KVM's half of it, and how it is brought out of the guest. The thread that
 * runs it, with its states, is vmm/run/vcpu_loop.h.
 *
 * To bring a vCPU out of the guest, vcpu_kick() sets immediate_exit in the area shared with KVM and
 * then sends the thread a signal: whether the thread is just before, inside or just after KVM_RUN,
 * it comes out.
 *
 * Registers at start-up go in through the shared area (KVM_CAP_SYNC_REGS) with the first KVM_RUN.
 * No register is read or written by ioctl while the guest runs.
 */
#ifndef QUIRE_VMM_VM_VCPU_H
#define QUIRE_VMM_VM_VCPU_H

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "vmm/vm/vm.h"

enum vcpu_exit_kind {
	VCPU_EXIT_IO_IN,
	VCPU_EXIT_IO_OUT,
	VCPU_EXIT_MMIO,
	VCPU_EXIT_INTERRUPTED,
	VCPU_EXIT_OTHER,
	VCPU_NR_EXIT_KINDS,
};

extern const char *const vcpu_exit_names[VCPU_NR_EXIT_KINDS];

/* Brings a vCPU's thread out of KVM_RUN, or out of waiting. */
#define VCPU_KICK_SIGNAL SIGUSR1

/* Timers that kick a vCPU: one for each purpose. */
enum vcpu_timer { VCPU_TIMER_ALLOWANCE, VCPU_TIMER_GUEST, VCPU_NR_TIMERS };

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	struct kvm_cpuid2 *cpuid; /* as it was set: KVM may tell another when it is asked */
	pthread_t thread;
	bool has_thread;
	bool unfinished; /* the last exit was an access that KVM has yet to complete */
	/*
	 * For vmm/migrate/throttle.h: how long it may be in the guest before it naps, 0: for ever;
	 * and whether it naps, until somebody else ends that.
	 */
	_Atomic u64 allowance_ns;
	atomic_bool napping;
	u64 run_until; /* its present allowance ends then; of its own thread, as are the next */
	timer_t timers[VCPU_NR_TIMERS];
	bool has_timer[VCPU_NR_TIMERS];
	/* KVM_RUN is under way, or about to be; for pv_flush_others() */
	atomic_bool in_guest;
	atomic_int tid; /* host thread id; 0 before the thread runs */
	_Atomic u64 exits[VCPU_NR_EXIT_KINDS];
};

/* Create vCPU @id of @vm. */
int vcpu_create(struct vcpu **out, struct vm *vm, unsigned int id, struct err *err);

/* Its time-stamp counter's frequency; 0 where KVM does not know. */
u32 vcpu_tsc_khz(const struct vcpu *vcpu);

/* Give it its CPUID table, once; a copy is kept. 0 or -errno. */
int vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid);

/* Give it its CPUID table and the MSRs that firmware would have set. */
int vcpu_setup(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid, struct err *err);

/* Registers of the boot processor, from vm->entry; before vcpu_start(). */
int vcpu_set_boot_state(struct vcpu *vcpu, struct err *err);

/* Wait for the thread to end (vm->want is VM_QUIT) and free the vCPU. NULL is allowed. */
void vcpu_destroy(struct vcpu *vcpu);

/* Bring the vCPU out of the guest, now. From any thread but its own. */
void vcpu_kick(struct vcpu *vcpu);

/* Kick this thread's vCPU at a time of CLOCK_MONOTONIC, once; a second call moves it. */
void vcpu_kick_at(struct vcpu *vcpu, enum vcpu_timer timer, u64 at_ns);

/*
 * Make the calling thread the vCPU's: kicks by signal and timer mean it from now on. When it is
 * about to end, its timers go.
 */
void vcpu_bind_thread(struct vcpu *vcpu);
void vcpu_unbind_thread(struct vcpu *vcpu);

/* Install the handler of the kick signal; once per process, before any vCPU thread. */
void vcpu_init_signal(void);

#endif
