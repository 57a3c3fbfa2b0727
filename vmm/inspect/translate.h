// SPDX-License-Identifier: Apache-2.0
/*
 * Where a guest's address leads, a linear one or an offset in a segment: every entry of the guest's
 * own tables on the way, for each of them the second step (vmm/inspect/nested.h), and what a TLB
 * miss there costs at most.
 *
 * The vCPUs stand still for it. Nothing of the guest changes: no accessed bit is set, and no page
 * is brought in, neither the tables nor what they lead to.
 *
 * The face of vmm/inspect/, which owns nothing: it looks. It uses mm/, vmm/pv, vmm/vm and what is
 * below. Begin here; nested.h is the second step, from guest-physical to the host.
 */
#ifndef QUIRE_VMM_INSPECT_TRANSLATE_H
#define QUIRE_VMM_INSPECT_TRANSLATE_H

#include "mm/base/err.h"
#include "vmm/inspect/nested.h"
#include "mm/x86/ptwalk.h"
#include "mm/x86/segment.h"
#include "vmm/kvm/stats.h"

struct vm;

struct translate_order {
	u64 cpu;
	/* In a segment of the vCPU's; else a linear address. Of one byte. */
	bool segmented;
	enum segment_name segment;
	u64 address;
	struct ptwalk_access access;
};

/* An entry of the guest's tables. */
struct translation_step {
	struct ptwalk_step guest;
	bool has_shadow; /* there is a shadow table in this one's place; and its entry */
	u64 shadow;
	u32 index;		   /* of the entry in its table */
	struct nested_walk second; /* of the entry's own address */
};

struct translation {
	struct translate_order order;
	struct segment segment;		      /* order.segmented: as the vCPU has it */
	enum segment_outcome segment_outcome; /* else SEGMENT_DONE */
	u64 linear;
	enum ptwalk_paging paging;
	/* Never PTWALK_RACED; PTWALK_NOT_CANONICAL, too, where the segment faults. */
	enum ptwalk_outcome outcome;
	struct ptwalk_result walk;
	struct translation_step steps[PTWALK_MAX_LEVELS]; /* as many as the walk has */
	struct nested_walk page;			  /* PTWALK_DONE: of where it leads */
	/*
	 * PTWALK_DONE: what a TLB miss costs at most. With a second step in hardware the guest's
	 * levels and the host's are walked; else those of KVM's shadow tables, which map what the
	 * guest's do, in pages no larger than the host's. The other kind is 0.
	 */
	bool shadowed;		 /* the guest runs on shadow tables of ours (vmm/pv/pv.h) */
	bool user;		 /* and those are for a process */
	const char *host_paging; /* host_paging_name() of this host's */
	u32 guest_levels, host_levels, shadow_levels;
	u32 references;
	/* All of the second step, beside what KVM has mapped at this moment. */
	struct nested_count map[NESTED_NR_SIZES];
	bool has_kvm; /* it tells */
	struct kvm_mapped kvm;
};

/*
 * For one thread at a time, and not a vCPU's. -EINVAL: no such vCPU; -EBUSY: a table has to come
 * from another host first; else -errno of KVM, or of reading a table. With a sentence.
 */
int translate(struct vm *vm, const struct translate_order *order, struct translation *t,
	      struct err *err);

#endif
