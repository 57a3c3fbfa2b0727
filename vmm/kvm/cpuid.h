// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest's processors say they are: the host's features as far as KVM can give them, with
 * the topology of this machine, KVM's paravirtual leaves, and nothing that this KVM cannot really
 * run.
 */
#ifndef QUIRE_VMM_KVM_CPUID_H
#define QUIRE_VMM_KVM_CPUID_H

#include <linux/kvm.h>

#include "mm/base/base.h"
#include "vmm/kvm/kvm.h"

/* The part of the table that all vCPUs of a machine share. */
struct cpuid_machine {
	unsigned int nr_cpus; /* one package, one thread per core */
	u32 tsc_khz;	      /* 0: unknown, the timing leaf is left out */
	enum kvm_kind kind;
};

/*
 * What this host's KVM can give, in a table with space for @room entries, enough for
 * cpuid_adjust(). The caller frees it; NULL with errno set on failure.
 */
struct kvm_cpuid2 *cpuid_template(int kvm_fd, u32 *room);

/* Room that cpuid_adjust() needs beyond the entries that are in @cpuid when it is called. */
#define CPUID_EXTRA_ENTRIES 20

/*
 * Turn the table from kvm_supported_cpuid() into that of vCPU @cpu (its APIC id as well).
 * Idempotent, so that one table serves all vCPUs in turn. @room counts the entries that the
 * allocation has space for.
 */
void cpuid_adjust(struct kvm_cpuid2 *cpuid, u32 room, const struct cpuid_machine *m,
		  unsigned int cpu);

#endif
