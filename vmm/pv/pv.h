// SPDX-License-Identifier: Apache-2.0
/*
 * A guest whose kernel runs at CPL 3, under the Xen PV ABI, on shadow page tables
 * (mm/shadow/shadow.h).
 *
 * Every exception, system call and interrupt of the guest comes to the VMM through the monitor
 * (vmm/pv/monitor.h). The VMM is then what Xen is to such a kernel: it gives the trap to the
 * guest's own handler, or carries out the hypercall. Between a trap and the way back the whole
 * state of a processor is in struct pv_cpu, and nothing of it in KVM.
 *
 * Locking: pv.lock is held while a trap is handled. It comes before all other locks of the VM.
 *
 * The face of vmm/pv/, which owns everything that stands between such a kernel and KVM. It uses
 * mm/, vmm/vm and what is below that. Begin with monitor.h (drawn there), then enter.c (in and out
 * of the guest) and trap.c (what becomes of a trap). From below to above:
 *
 *   impl.h       the structures          port, deliver  events' bits; handlers entered and left
 *   memory       guest memory            console, time  told to the guest as Xen does
 *   vcpu         one processor           mmu, cpu, event, info  the hypercalls, by subject
 *   monitor      the code at CPL 0       hypercall      their table
 *   cpuid        what processors say     emulate, trap  instructions; what becomes of a trap
 *   state        as bytes, and checked   stats, enter   numbers and the check; the way in and out
 *
 * Sources: public headers of Xen (xen.h, arch-x86/xen-x86_64.h, vcpu.h, event_channel.h, ...).
 */
#ifndef QUIRE_VMM_PV_PV_H
#define QUIRE_VMM_PV_PV_H

#include "mm/x86/ptwalk.h"
#include "mm/x86/segment.h"
#include "vmm/pv/mmu_stats.h"
#include "vmm/vm/vcpu.h"

struct pv;

/* Memory for tables beside the guest's own: what vm_create() does for such a guest. */
int pv_create(struct vm *vm, struct err *err);
void pv_destroy(struct pv *pv); /* NULL is allowed */

/* Bring vCPU 0 to the kernel's first instruction. */
int pv_set_boot_state(struct vm *vm, struct err *err);

/*
 * On the vCPU's thread: before each KVM_RUN. False: the guest is not to be entered now; look again
 * whether it may run at all.
 */
bool pv_enter(struct vcpu *vcpu);

/* After each KVM_RUN that brought an exit: whether it was the monitor's, and has been handled. */
bool pv_exit(struct vcpu *vcpu);

/* Bring a vCPU that may be in the monitor out of it, so that its state is whole. */
void pv_settle(struct vcpu *vcpu);

/*
 * While the vCPU is outside the guest: how its guest's own tables are walked in the view it has
 * now, and the shadow entries on the way to @linear, from level 4 down: how many there are.
 */
void pv_walk_mode(struct vcpu *vcpu, struct ptwalk_mode *mode, bool *user);
/* The segments that its guest has in that view. -errno of KVM. */
int pv_segments(struct vcpu *vcpu, struct segment segments[SEGMENT_NR], enum segment_mode *mode);
u32 pv_shadow_walk(struct vcpu *vcpu, u64 linear, u64 entries[4]);

/*
 * What a vCPU, which is parked, needs to go on: frames of its tables of level 4 (all ones: none),
 * linear addresses, which may be in either, and guest-physical ones, 0 for none.
 */
struct pv_place {
	u64 roots[2];
	u64 linear[10];
	u64 physical[4];
};
void pv_where(struct vcpu *vcpu, struct pv_place *place);

#define PV_CPUID_EXTRA 16

/* The features of such a guest's processors; the table has room for PV_CPUID_EXTRA more entries. */
void pv_cpuid_adjust(struct kvm_cpuid2 *cpuid, u32 room, enum kvm_kind kind);

/*
 * Bytes for the guest's console: how many it took; never waits, and from one thread at a time.
 * Whether it uses that console at all.
 */
size_t pv_console_input(struct pv *pv, const u8 *data, size_t len);
bool pv_console_in_use(const struct pv *pv);

/* What has been counted so far. */
void pv_get_stats(struct pv *pv, struct mmu_stats *stats);

/*
 * Compare all shadow tables with the guest's, while no vCPU is in the guest. A disagreement is a
 * defect of quire. With vm_config.check_mmu that is done each second as well, on a vCPU's thread,
 * and ends the guest with this sentence.
 */
#define PV_CHECK_FAILED                                                                          \
	"its shadow tables disagree with its own in %llu places, first %s (this is a defect of " \
	"quire)"
void pv_check(struct pv *pv, struct mmu_check *check);

#endif
