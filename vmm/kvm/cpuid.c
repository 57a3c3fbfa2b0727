// SPDX-License-Identifier: Apache-2.0
/*
 * CPUID for the guest; the contract is in cpuid.h.
 *
 * Leaves and bits are those of the Intel SDM volume 2A "CPUID", the AMD APM volume 3 appendix E,
 * and for 0x40000000 upwards Documentation/virt/kvm/x86/cpuid.rst of Linux.
 */
#include "vmm/kvm/cpuid.h"

#include <asm/kvm_para.h>
#include <stdlib.h>
#include <string.h>

#define KVM_LEAF_BASE	  0x40000000u
#define KVM_LEAF_FEATURES 0x40000001u
#define KVM_LEAF_TIMING	  0x40000010u /* eax: TSC in kHz, ebx: APIC bus in kHz */
#define APIC_BUS_KHZ	  1000000u    /* KVM's local APIC timer counts nanoseconds */

#define BIT(n) (1u << (n))

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, u32 function, u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* The entry, created with zeros where there is none; NULL when the table is full. */
static struct kvm_cpuid_entry2 *need(struct kvm_cpuid2 *cpuid, u32 room, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, function, index);

	if (e || cpuid->nent >= room)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){.function = function, .index = index};
	return e;
}

/* Bits needed to number @n things. */
static u32 id_bits(unsigned int n)
{
	u32 bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void set_features(struct kvm_cpuid2 *cpuid, const struct cpuid_machine *m, unsigned int cpu)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, 1, 0);

	if (!e)
		return;
	e->ebx = (e->ebx & 0x0000ffff) | m->nr_cpus << 16 | cpu << 24;
	e->ecx |= BIT(31); /* a hypervisor is present */
	e->ecx |= BIT(21); /* x2APIC: the in-kernel local APIC has it, whatever the host's lacks */
	e->ecx |= BIT(24); /* TSC deadline timer: likewise */
	e->ecx &= ~BIT(3); /* MONITOR/MWAIT would stop in the guest without an exit */
	e->ecx &= ~BIT(5); /* VMX: guests of the guest could not be saved (vmm/state/state.h) */
	e->edx &= ~BIT(28);
	if (m->nr_cpus > 1)
		e->edx |= BIT(28); /* the count in ebx is valid */
}

/*
 * Intel's leaf 4: which processors share a cache. The last level is shared by all, others by none.
 */
static void set_caches(struct kvm_cpuid2 *cpuid, const struct cpuid_machine *m)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		u32 level = e->eax >> 5 & 7, sharing;

		if ((e->function != 4 && e->function != 0x8000001d) || !(e->eax & 0x1f))
			continue;
		sharing = level >= 3 ? m->nr_cpus - 1 : 0;
		e->eax = (e->eax & 0x3fff) | sharing << 14;
		if (e->function == 4)
			e->eax |= ((1u << id_bits(m->nr_cpus)) - 1) << 26;
	}
}

/* Leaf 0xb: level 0 is the one thread of a core, level 1 the cores of the one package. */
static void set_topology(struct kvm_cpuid2 *cpuid, u32 room, const struct cpuid_machine *m,
			 unsigned int cpu)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, 0, 0);

	if (e && e->eax < 0xb)
		return;
	for (u32 level = 0; level < 3; level++) {
		e = need(cpuid, room, 0xb, level);
		if (!e)
			return;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->eax = level == 1 ? id_bits(m->nr_cpus) : 0;
		e->ebx = level == 0 ? 1 : level == 1 ? m->nr_cpus : 0;
		e->ecx = level | (level < 2 ? (level + 1) << 8 : 0);
		e->edx = cpu;
	}
	/* Leaf 0x1f would say the same with more levels; without it 0xb counts. */
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0x1f)
			cpuid->entries[i].eax = cpuid->entries[i].ebx = cpuid->entries[i].ecx = 0;
}

/* AMD has leaves of its own for the same. */
static void set_amd_topology(struct kvm_cpuid2 *cpuid, const struct cpuid_machine *m,
			     unsigned int cpu)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, 0x80000001, 0);

	if (e)
		e->ecx &= ~BIT(2); /* SVM: like VMX */
	e = find(cpuid, 0x80000008, 0);
	if (e)
		e->ecx = (m->nr_cpus - 1) | id_bits(m->nr_cpus) << 12;
	e = find(cpuid, 0x8000001e, 0);
	if (e) {
		e->eax = cpu;
		e->ebx = cpu; /* core id; one thread per core */
		e->ecx = 0;   /* node 0, one node */
	}
}

static void set_timing(struct kvm_cpuid2 *cpuid, u32 room, const struct cpuid_machine *m)
{
	struct kvm_cpuid_entry2 *base = find(cpuid, KVM_LEAF_BASE, 0);
	struct kvm_cpuid_entry2 *e;

	if (!base || !m->tsc_khz)
		return;
	e = need(cpuid, room, KVM_LEAF_TIMING, 0);
	if (!e)
		return;
	e->eax = m->tsc_khz;
	e->ebx = APIC_BUS_KHZ;
	base->eax = MAX(base->eax, KVM_LEAF_TIMING);
}

/*
 * No asynchronous page faults. A guest that has asked for them before its local APIC is enabled
 * faults for ever on one page: KVM fetches the page, cannot announce it, and meanwhile does not map
 * it either. Linux does that when no firmware has enabled the APIC for it. And a page of ours is
 * back sooner than the guest has switched to another task.
 */
static void mask_async_faults(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, KVM_LEAF_FEATURES, 0);

	if (e)
		e->eax &= ~(BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_ASYNC_PF_VMEXIT) |
			    BIT(KVM_FEATURE_ASYNC_PF_INT));
}

/*
 * On PVM, code at CPL 0 runs in KVM's instruction emulator, which lacks cmpxchg16b and xsave: a
 * kernel that believes in them dies there. What needs xsave (AVX and all beyond) goes with it.
 */
static void mask_pvm_gaps(struct kvm_cpuid2 *cpuid)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:
			e->ecx &= ~(BIT(12) | BIT(13) | BIT(26) | BIT(27) | BIT(28) | BIT(29));
			break;
		case 7:
			if (e->index == 0) {
				e->ebx &= ~(BIT(5) | BIT(16) | BIT(17) | BIT(21) | BIT(28) |
					    BIT(30) | BIT(31));
				e->ecx &= ~(BIT(1) | BIT(6) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |
					    BIT(14));
				e->edx &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) |
					    BIT(25));
			} else {
				e->eax = e->ebx = e->ecx = e->edx = 0;
			}
			break;
		case 0xd:
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		}
	}
}

void cpuid_adjust(struct kvm_cpuid2 *cpuid, u32 room, const struct cpuid_machine *m,
		  unsigned int cpu)
{
	set_features(cpuid, m, cpu);
	set_caches(cpuid, m);
	set_topology(cpuid, room, m, cpu);
	set_amd_topology(cpuid, m, cpu);
	set_timing(cpuid, room, m);
	mask_async_faults(cpuid);
	if (m->kind == KVM_PVM)
		mask_pvm_gaps(cpuid);
}

struct kvm_cpuid2 *cpuid_template(int kvm_fd, u32 *room)
{
	struct kvm_cpuid2 *cpuid = kvm_supported_cpuid(kvm_fd), *grown;

	if (!cpuid)
		return NULL;
	*room = cpuid->nent + CPUID_EXTRA_ENTRIES;
	grown = realloc(cpuid, sizeof(*cpuid) + *room * sizeof(cpuid->entries[0]));
	if (!grown)
		free(cpuid);
	return grown;
}
