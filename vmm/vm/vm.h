// SPDX-License-Identifier: Apache-2.0
/*
 * One virtual machine: guest memory, KVM's half of the hardware, vCPU threads, devices. It is made
 * by one recipe (vmm/run/vm_create.h), runs until something ends it (vm_end), and is taken apart in
 * reverse order.
 *
 * Threads. The owner's thread creates, starts, stops and destroys. Each vCPU has a thread of its
 * own (vmm/run/vcpu_loop.h), which runs from vm_start() until vm_destroy(). The memory engine
 * (mm/engine/mem.h) has threads of its own, for about as long. vm_end() and vm_fail() may be called
 * from any of them.
 *
 * Locks, in the order in which they may be taken: the devices' lock (vmm/devices/devices.h), the
 * memory engine's, then vm.lock. No ioctl on a vCPU is made under any, and the engine is not called
 * under vm.lock.
 *
 * The face of vmm/vm/, which owns one VM and its vCPUs as objects: what is in them, and how they
 * are stopped, kicked and ended. It uses mm/, vmm/boot, vmm/devices and vmm/kvm; how a VM is made
 * and what its vCPUs do stands above it, in vmm/run. Begin here; then vcpu.h (a vCPU, and how it is
 * brought out of the guest), memory.h (reading and writing guest memory), dirty.h (what the guest
 * has written).
 */
#ifndef QUIRE_VMM_VM_VM_H
#define QUIRE_VMM_VM_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/base/err.h"
#include "mm/image/image_pager.h"
#include "mm/engine/mem.h"
#include "mm/space/space.h"
#include "vmm/boot/load.h"
#include "vmm/devices/devices.h"
#include "vmm/kvm/kvm.h"
#include "vmm/shutdown.h"

#define VM_MAX_CPUS 16

struct incoming_guest; /* vmm/migrate/incoming.h */
struct origin;	       /* vmm/checkpoint/origin.h */
struct pv;	       /* vmm/pv/pv.h */
struct vcpu;	       /* vmm/vm/vcpu.h */

/* What translates the guest's addresses: KVM with the guest's own tables, or shadow tables. */
enum vm_mmu { VM_MMU_AUTO, VM_MMU_EPT, VM_MMU_SHADOW };

/* What to build. The strings belong to the caller and must outlive the VM. */
struct vm_config {
	const char *kernel;
	const char *initrd; /* or NULL */
	const char *append; /* or NULL */
	u64 memory;
	unsigned int nr_cpus;
	enum space_backing backing;
	enum vm_mmu mmu;
	bool check_mmu; /* compare shadow tables with the guest's each second (vmm/pv/pv.h) */
	/* restore this instead of loading a kernel; or NULL. With SPACE_CLONE it has a base. */
	const struct origin *origin;
	/* or wait for this one, whose memory comes by and by; or NULL */
	const struct incoming_guest *incoming;
	/*
	 * How guest memory is managed. It applies where the backing is SPACE_MEMFD; memory made of
	 * anything else is left alone. nr_cpus in it is filled in.
	 */
	struct mem_config mem;
};

/* Why a VM ended. Written once, by the first that calls vm_end() or vm_fail(). */
struct vm_end {
	enum shutdown_cause cause;
	int status;	/* exit status for the process */
	struct err why; /* empty unless something went wrong */
};

/*
 * What a VM asks of its owner. Called from vCPU threads and the memory engine's: it must be quick
 * and thread-safe.
 */
struct vm_host {
	void *opaque;
	void (*ended)(void *opaque); /* vm_end() happened: stop it soon */
	void (*serial_out)(void *opaque, u8 byte);
	void (*serial_ready)(void *opaque);
	/*
	 * Whether the guest must wait, since nobody takes its output; vm_wake() when that changes.
	 */
	bool (*congested)(void *opaque);
	/* Lines for the log: what a developer wants to see of a guest that died. */
	void (*log)(void *opaque, const char *text);
	void (*memory_event)(void *opaque, const struct mem_event *event);
};

/* What the vCPU threads are to do. */
enum vm_want { VM_PAUSE, VM_RUN, VM_QUIT };

struct vm {
	struct vm_config cfg;
	const struct vm_host *host;
	struct space *space;
	struct mem *mem;	 /* NULL: the backing is one that cannot be managed */
	struct image_pager lazy; /* its origin, where the guest was restored from an image */
	struct pv *pv;		 /* of a guest on shadow page tables; NULL otherwise */
	struct devices *devices;
	struct device_host device_host;
	struct boot_entry entry;
	enum kvm_kind kind;
	int kvm_fd, fd;
	u32 run_size; /* of a vCPU's shared kvm_run area */
	u32 *msrs;    /* that this host lets be saved; found out by the first save */
	u32 nr_msrs;
	bool logs_dirty; /* dirty_start() has been */
	u64 *dirty_bits; /* a bit for each page, as KVM gives them; of dirty.c alone */
	struct vcpu *vcpus[VM_MAX_CPUS];
	unsigned int nr_vcpus; /* created so far */

	/* enum vm_want; written under lock, read without it on the way into the guest */
	atomic_int want;
	atomic_int holds; /* by vm_freeze(); likewise */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* want, parked or congestion changed */
	unsigned int
		parked;	   /* vCPU threads that are outside the guest and stay there; under lock */
	bool has_ended;	   /* under lock */
	struct vm_end end; /* likewise */
};

/*
 * Let the vCPUs run; stop them all, returning when each is outside the guest with no I/O under way.
 */
void vm_resume(struct vm *vm);
void vm_pause(struct vm *vm);

/*
 * Like vm_pause(), for good: the owner ends the guest, or knows that it has ended. A vCPU that
 * waits for a page waits no longer, and what it meets on its way out is not reported any more.
 */
void vm_halt(struct vm *vm);

/*
 * Keep the vCPUs out of the guest for a moment, whatever they are to do otherwise: returns when
 * each is outside, with no I/O under way. May be nested, by any threads but the vCPUs' own; not
 * while the VM is destroyed.
 */
void vm_freeze(struct vm *vm);
void vm_thaw(struct vm *vm);

/* Have vCPUs that wait look again at host->congested(). */
void vm_wake(struct vm *vm);

/*
 * Tell the guest that it is not alone: a new generation id (vmm/devices/vmgenid.h). With the vCPUs
 * outside the guest. vm_start() does it for a guest that was restored. One on shadow tables has no
 * such device: nothing is done; and while there are no devices there is nobody to tell.
 */
int vm_new_generation(struct vm *vm, struct err *err);

/* Whether its memory is a clone's (SPACE_CLONE). */
static inline bool vm_is_clone(const struct vm *vm)
{
	return vm->cfg.backing == SPACE_CLONE;
}

/* The guest is at its end, for better (status) or worse (a sentence and status 1). Any thread. */
void vm_end(struct vm *vm, enum shutdown_cause cause, int status);
void vm_fail(struct vm *vm, enum shutdown_cause cause, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether it has ended, and how; @end may be NULL. */
bool vm_ended(struct vm *vm, struct vm_end *end);

#endif
