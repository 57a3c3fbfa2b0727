// SPDX-License-Identifier: Apache-2.0
/*
 * What a Xen PV guest's processors say they are: what KVM can give, without what only CPL 0 could
 * use or what the ABI has other ways for, and with Xen's own leaves in the place of KVM's.
 *
 * Sources: Intel SDM volume 2A "CPUID"; public/arch-x86/cpuid.h of Xen for leaves from 0x40000000
 * on.
 */
#include <string.h>

#include "vmm/pv_impl.h"

#define BIT(n) (1u << (n))

#define LEAF_HYPERVISOR 0x40000000u
#define XEN_VERSION	(4u << 16 | 17)

/* Bits that go. */
static const struct {
	u32 function, index;
	u32 eax, ebx, ecx, edx;
} gone[] = {
	/* MONITOR, VMX, SMX, PCID, x2APIC, TSC deadline; VME, PSE, MCE, APIC, SEP, MTRR, PGE, MCA,
	   PSE-36, ACPI */
	{1, 0, 0, 0, BIT(3) | BIT(5) | BIT(6) | BIT(17) | BIT(21) | BIT(24),
	 BIT(1) | BIT(3) | BIT(7) | BIT(9) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17) |
		 BIT(22)},
	/* FSGSBASE, TSC_ADJUST, SMEP, INVPCID, SMAP, PT; UMIP, PKU, OSPKE, WAITPKG, CET, LA57, PKS;
	   UINTR, CET-IBT, AMX, and what speculation control has */
	{7, 0, 0, BIT(0) | BIT(1) | BIT(7) | BIT(10) | BIT(20) | BIT(25),
	 BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(31),
	 BIT(5) | BIT(20) | BIT(22) | BIT(24) | BIT(25) | BIT(26) | BIT(27) | BIT(28) | BIT(31)},
	{0xd, 1, BIT(3) | BIT(4), 0, 0, 0}, /* XSAVES, XFD */
	{0x80000001, 0, 0, 0, BIT(2) | BIT(10) | BIT(12) | BIT(13), BIT(3) | BIT(13) | BIT(26)},
};

static void remove_bits(struct kvm_cpuid_entry2 *e)
{
	for (u32 i = 0; i < ARRAY_SIZE(gone); i++)
		if (e->function == gone[i].function && e->index == gone[i].index) {
			e->eax &= ~gone[i].eax;
			e->ebx &= ~gone[i].ebx;
			e->ecx &= ~gone[i].ecx;
			e->edx &= ~gone[i].edx;
		}
}

static void set_leaf(struct kvm_cpuid_entry2 *e)
{
	u32 number = e->function - LEAF_HYPERVISOR;

	e->eax = e->ebx = e->ecx = e->edx = 0;
	if (number == 0) {
		e->eax = LEAF_HYPERVISOR + 2;
		e->ebx = XEN_CPUID_SIGNATURE_EBX;
		e->ecx = XEN_CPUID_SIGNATURE_ECX;
		e->edx = XEN_CPUID_SIGNATURE_EDX;
	} else if (number == 1) {
		e->eax = XEN_VERSION;
	}
}

static void add_leaf(struct kvm_cpuid2 *cpuid, u32 room, u32 function)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return;
	if (cpuid->nent < room)
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){.function = function};
}

void pv_cpuid_adjust(struct kvm_cpuid2 *cpuid, u32 room)
{
	for (u32 i = 0; i < 3; i++)
		add_leaf(cpuid, room, LEAF_HYPERVISOR + i);
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		remove_bits(e);
		if (e->function == 1) {
			e->ecx |= BIT(31);			  /* a hypervisor is present */
			e->ecx |= e->ecx & BIT(26) ? BIT(27) : 0; /* OSXSAVE with XSAVE */
		}
		if (e->function >> 28 == 4)
			set_leaf(e);
	}
}
