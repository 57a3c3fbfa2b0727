// SPDX-License-Identifier: Apache-2.0
/*
 * What this host can do for guests and their memory, gathered from KVM, userfaultfd, sysfs and one
 * measurement. Nothing here changes the host.
 */
#ifndef QUIRE_VMM_KVM_HOST_H
#define QUIRE_VMM_KVM_HOST_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/kvm/kvm.h"
#include "vmm/cli/probe.h"

/* What translates guest-physical addresses. */
enum host_paging {
	HOST_PAGING_UNKNOWN,
	HOST_PAGING_EPT,    /* Intel, second step in hardware */
	HOST_PAGING_NPT,    /* AMD, likewise */
	HOST_PAGING_SHADOW, /* KVM builds shadow page tables in software */
};

struct host {
	char kernel[132];
	int kvm_status;	    /* 0, or why /dev/kvm cannot be used (-errno) */
	struct err kvm_why; /* the sentence for it */
	enum kvm_kind kind;
	enum host_paging paging;
	const char *paging_source; /* the file that told, or "" */
	struct probe_result cpl0;
	int cpl0_status;
	int max_cpus, max_slots;
	u64 dirty_ring_bytes; /* 0: none */
	int manual_protect;   /* bits of KVM_DIRTY_LOG_MANUAL_CAPS; 0: none */
	bool memory_fault_info, guest_memfd, pre_fault;
	int uffd_status; /* 0, or why userfaultfd cannot be used (-errno) */
	u64 uffd_features;
	char thp[16], thp_shmem[16]; /* the mode in force: "madvise", "advise", ... */
	u64 hugetlb_pages, hugetlb_free;
};

void host_examine(struct host *host);

/* Of this kind of KVM; *source: the file that told, or "". */
enum host_paging host_paging(enum kvm_kind kind, const char **source);

const char *host_kind_name(enum kvm_kind kind);	       /* "intel", "amd", "pvm", "unknown" */
const char *host_paging_name(enum host_paging paging); /* "ept", "npt", "shadow", "unknown" */

/* userfaultfd's features by name, in the order of their bits; NULL where there is none. */
#define HOST_NR_UFFD_FEATURES 17
const char *host_uffd_feature_name(unsigned int bit);

/*
 * Whether --mmu auto takes shadow tables of ours for a kernel that can run on them (one with a Xen
 * PV entry). Where KVM emulates kernel code, such a kernel runs a thousand times faster at CPL 3;
 * elsewhere KVM's own paging is faster.
 */
bool host_prefers_shadow(enum kvm_kind kind);

/* How a stock Linux kernel runs here, if at all. */
enum host_linux { HOST_LINUX_NOT, HOST_LINUX_EPT, HOST_LINUX_SHADOW };
enum host_linux host_runs_linux(const struct host *host);

#endif
