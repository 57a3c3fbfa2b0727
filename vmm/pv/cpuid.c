// SPDX-License-Identifier: Apache-2.0
/*
 * What a Xen PV guest's processors say they are: what KVM can give, without what only CPL 0 could
 * use or what the ABI has other ways for, and with Xen's own leaves in the place of KVM's.
 *
 * Sources: Intel SDM volume 2A "CPUID"; public/arch-x86/cpuid.h of Xen for leaves from 0x40000000
 * on.
 */
#include <cpuid.h>
#include <string.h>

#include "vmm/pv/impl.h"

#define BIT(n) (1u << (n))

#define LEAF_XSAVE	0xdu
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

/* The entry, made where there is none; NULL when the table is full. */
static struct kvm_cpuid_entry2 *need(struct kvm_cpuid2 *cpuid, u32 room, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *e;

	for (u32 i = 0; i < cpuid->nent; i++) {
		e = &cpuid->entries[i];
		if (e->function == function && e->index == index)
			return e;
	}
	if (cpuid->nent >= room)
		return NULL;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){.function = function, .index = index};
	return e;
}

/*
 * On PVM a process that executes cpuid or xgetbv is answered by the processor itself, and uses what
 * it finds: its kernel has to know of the same registers, or it would not switch them. So what code
 * at CPL 3 can use is shown as the processor has it, and the XSAVE area with all that its XCR0
 * enables, but for AMX, which takes a permission that no guest has.
 */
#define AMX_STATE (BIT(17) | BIT(18))

static const struct {
	u32 function;
	u32 ebx, ecx, edx;
} native[] = {
	/* SSE3, PCLMUL, SSSE3, FMA, CX16, SSE4, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND */
	{1, 0,
	 BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) |
		 BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30),
	 0},
	/* BMI, AVX2, ERMS, AVX-512, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA; VBMI, GFNI, VAES, ... */
	{7,
	 BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(21) |
		 BIT(23) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30) | BIT(31),
	 BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(22),
	 BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(23)},
};

static void show_native_features(struct kvm_cpuid2 *cpuid, u32 room)
{
	for (u32 i = 0; i < ARRAY_SIZE(native); i++) {
		struct kvm_cpuid_entry2 *e = need(cpuid, room, native[i].function, 0);
		u32 eax, ebx, ecx, edx;

		__cpuid_count(native[i].function, 0, eax, ebx, ecx, edx);
		if (!e)
			continue;
		e->ebx = (e->ebx & ~native[i].ebx) | (ebx & native[i].ebx);
		e->ecx = (e->ecx & ~native[i].ecx) | (ecx & native[i].ecx);
		e->edx = (e->edx & ~native[i].edx) | (edx & native[i].edx);
	}
}

static void show_native_xsave(struct kvm_cpuid2 *cpuid, u32 room)
{
	u32 enabled, high, eax, ebx, ecx, edx;

	__asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
	for (u32 i = 0; i < 32; i++) {
		struct kvm_cpuid_entry2 *e;

		if (i > 1 && !(enabled & ~AMX_STATE & BIT(i)))
			continue;
		e = need(cpuid, room, LEAF_XSAVE, i);
		__cpuid_count(LEAF_XSAVE, i, eax, ebx, ecx, edx);
		if (!e)
			continue;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->eax = i ? eax : enabled & ~AMX_STATE;
		e->ebx = ebx;
		e->ecx = i == 1 ? 0 : ecx;
		e->edx = 0;
	}
}

static void show_native(struct kvm_cpuid2 *cpuid, u32 room)
{
	u32 eax, ebx, ecx, edx;

	show_native_features(cpuid, room);
	__cpuid(1, eax, ebx, ecx, edx);
	if (ecx & BIT(27)) /* OSXSAVE: xgetbv is there */
		show_native_xsave(cpuid, room);
}

void pv_cpuid_adjust(struct kvm_cpuid2 *cpuid, u32 room, enum kvm_kind kind)
{
	for (u32 i = 0; i < 3; i++)
		need(cpuid, room, LEAF_HYPERVISOR + i, 0);
	if (kind == KVM_PVM)
		show_native(cpuid, room);
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
