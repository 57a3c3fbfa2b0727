// SPDX-License-Identifier: Apache-2.0
/*
 * What is counted where the VMM translates a guest's addresses (vmm/pv/pv.h): the shapes alone, for
 * those who count and those who show it. Counts and times are since the guest's start, unless they
 * are said to be of now.
 */
#ifndef QUIRE_VMM_PV_MMU_STATS_H
#define QUIRE_VMM_PV_MMU_STATS_H

#include "mm/shadow/shadow.h"

#define PV_NR_VECTORS	 256
#define PV_NR_HYPERCALLS 56

/* Of one hypercall: that of a multicall has in it what it calls, which is counted there as well. */
struct pv_call_stats {
	u64 count;
	u64 ns;
};

struct pv_stats {
	u64 traps[PV_NR_VECTORS]; /* by vector; system calls and hypercalls are UD */
	struct pv_call_stats calls[PV_NR_HYPERCALLS];
	u64 syscalls;		  /* of processes, passed to the kernel */
	u64 emulated;		  /* privileged instructions that were carried out */
	u64 events;		  /* entries of the kernel's handler of events */
	u64 interrupts;		  /* by which a processor was brought out of the guest */
	u64 entries_written;	  /* of the guest's tables, by hypercalls */
	u64 monitor_instructions; /* at CPL 0, those that entered by a vector included */
	u64 fault_ns;		  /* in shadow faults */
	u64 call_ns;		  /* in hypercalls */
};

struct mmu_stats {
	bool shadow; /* shadow tables of ours; else KVM's, and the rest is zeros */
	struct pv_stats pv;
	struct shadow_stats tables;
	u32 arena_pages; /* there are for tables */
};

/* What comparing all shadow tables with the guest's has found. */
struct mmu_check {
	struct shadow_check seen;
	u64 wrong;     /* disagreements: each is a defect */
	char why[128]; /* the first of them; else "" */
};

#endif
