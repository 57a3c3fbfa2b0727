// SPDX-License-Identifier: Apache-2.0
/* What kind of KVM this host has, and what translates a guest's addresses there. */
#ifndef QUIRE_VMM_KVM_HOST_H
#define QUIRE_VMM_KVM_HOST_H

#include "mm/base/base.h"
#include "vmm/kvm/kvm.h"

/* What translates guest-physical addresses. */
enum host_paging {
	HOST_PAGING_UNKNOWN,
	HOST_PAGING_EPT,    /* Intel, second step in hardware */
	HOST_PAGING_NPT,    /* AMD, likewise */
	HOST_PAGING_SHADOW, /* KVM builds shadow page tables in software */
};

/* Of this kind of KVM; *source: the file that told, or "". */
enum host_paging host_paging(enum kvm_kind kind, const char **source);

const char *host_kind_name(enum kvm_kind kind);	       /* "intel", "amd", "pvm", "unknown" */
const char *host_paging_name(enum host_paging paging); /* "ept", "npt", "shadow", "unknown" */

/* The first line of a small file, as sysfs has them, without its end; "" where there is none. */
void host_read_line(const char *path, char *out, size_t size);

/*
 * Whether --mmu auto takes shadow tables of ours for a kernel that can run on them (one with a Xen
 * PV entry). Where KVM emulates kernel code, such a kernel runs a thousand times faster at CPL 3;
 * elsewhere KVM's own paging is faster.
 */
bool host_prefers_shadow(enum kvm_kind kind);

#endif
