// SPDX-License-Identifier: Apache-2.0
/*
 * What this host can do for guests and their memory, gathered from KVM, userfaultfd, sysfs and one
 * measurement, for quire doctor. Nothing here changes the host.
 */
#ifndef QUIRE_VMM_CLI_EXAMINE_H
#define QUIRE_VMM_CLI_EXAMINE_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/cli/cpl0_speed.h"
#include "vmm/kvm/host.h"

struct host {
	char kernel[132];
	int kvm_status;	    /* 0, or why /dev/kvm cannot be used (-errno) */
	struct err kvm_why; /* the sentence for it */
	enum kvm_kind kind;
	enum host_paging paging;
	const char *paging_source; /* the file that told, or "" */
	struct cpl0_speed cpl0;
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

/* userfaultfd's features by name, in the order of their bits; NULL where there is none. */
#define HOST_NR_UFFD_FEATURES 17
const char *host_uffd_feature_name(unsigned int bit);

/* How a stock Linux kernel runs here, if at all. */
enum host_linux { HOST_LINUX_NOT, HOST_LINUX_EPT, HOST_LINUX_SHADOW };
enum host_linux host_runs_linux(const struct host *host);

#endif
