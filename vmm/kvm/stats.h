// SPDX-License-Identifier: Apache-2.0
/*
 * KVM's own counters of a VM, from its statistics descriptor: how guest memory is mapped.
 *
 * Source: Documentation/virt/kvm/api.rst of Linux, 4.133 KVM_GET_STATS_FD.
 */
#ifndef QUIRE_VMM_KVM_STATS_H
#define QUIRE_VMM_KVM_STATS_H

#include "mm/base/base.h"

/* Mappings in the second-level (or shadow) tables, by size of page. */
struct kvm_mapped {
	u64 pages_4k;
	u64 pages_2m;
	u64 pages_1g;
};

/* -errno when the kernel has no statistics descriptor or lacks one of the counters. */
int kvm_stats_mapped(int vm_fd, struct kvm_mapped *mapped);

/* A counter that is read again and again. */
struct kvm_counter {
	int fd; /* of the statistics; -1: none */
	u64 at;
};

/* Of a VM or a vCPU, by its name. -errno as above; .fd is to be closed. */
int kvm_counter_open(int kvm_fd, const char *name, struct kvm_counter *counter);
int kvm_counter_read(const struct kvm_counter *counter, u64 *value);

#endif
