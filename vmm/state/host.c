// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a host can run a guest that was saved elsewhere: it must have everything that the guest
 * was told it has. Names of features are those of /proc/cpuinfo.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/cpuid.h"
#include "vmm/pv/pv.h"
#include "vmm/state/impl.h"

enum reg { EAX, EBX, ECX, EDX };

/* Registers of feature bits, and bits of them that are no features of the host. */
static const struct word {
	u32 function, index;
	enum reg reg;
	u32 others; /* OSXSAVE and OSPKE mirror CR4, the APIC bit its MSR */
	const char *const names[32];
} words[] = {
	{1, 0, ECX, 1u << 27, {"pni",	 "pclmulqdq", "dtes64", "monitor", "ds_cpl",
			       "vmx",	 "smx",	      "est",	"tm2",	   "ssse3",
			       "cid",	 "sdbg",      "fma",	"cx16",	   "xtpr",
			       "pdcm",	 NULL,	      "pcid",	"dca",	   "sse4_1",
			       "sse4_2", "x2apic",    "movbe",	"popcnt",  "tsc_deadline_timer",
			       "aes",	 "xsave",     NULL,	"avx",	   "f16c",
			       "rdrand", "hypervisor"}},
	{1, 0, EDX, 1u << 9, {"fpu",  "vme",   "de",   "pse",	  "tsc",  "msr", "pae",	 "mce",
			      "cx8",  "apic",  NULL,   "sep",	  "mtrr", "pge", "mca",	 "cmov",
			      "pat",  "pse36", "pn",   "clflush", NULL,	  "dts", "acpi", "mmx",
			      "fxsr", "sse",   "sse2", "ss",	  "ht",	  "tm",	 "ia64", "pbe"}},
	{7, 0, EBX, 0, {"fsgsbase", "tsc_adjust", "sgx",      "bmi1",	    "hle",
			"avx2",	    NULL,	  "smep",     "bmi2",	    "erms",
			"invpcid",  "rtm",	  "cqm",      NULL,	    "mpx",
			"rdt_a",    "avx512f",	  "avx512dq", "rdseed",	    "adx",
			"smap",	    "avx512ifma", NULL,	      "clflushopt", "clwb",
			"intel_pt", "avx512pf",	  "avx512er", "avx512cd",   "sha_ni",
			"avx512bw", "avx512vl"}},
	{7,
	 0,
	 ECX,
	 1u << 4,
	 {[1] = "avx512vbmi",
	  "umip",
	  "pku",
	  NULL,
	  "waitpkg",
	  "avx512_vbmi2",
	  NULL,
	  "gfni",
	  "vaes",
	  "vpclmulqdq",
	  "avx512_vnni",
	  "avx512_bitalg",
	  [14] = "avx512_vpopcntdq",
	  [16] = "la57",
	  [22] = "rdpid",
	  [25] = "cldemote",
	  [27] = "movdiri",
	  "movdir64b"}},
	{7,
	 0,
	 EDX,
	 0,
	 {[2] = "avx512_4vnniw",
	  "avx512_4fmaps",
	  "fsrm",
	  [8] = "avx512_vp2intersect",
	  [10] = "md_clear",
	  [14] = "serialize",
	  [22] = "amx_bf16",
	  "avx512_fp16",
	  "amx_tile",
	  "amx_int8",
	  "spec_ctrl",
	  "stibp",
	  [29] = "arch_capabilities",
	  [31] = "ssbd"}},
	{7, 1, EAX, 0, {[4] = "avx_vnni", "avx512_bf16"}},
	{0xd, 0, EAX, 0, {"x87 state", "sse state", "avx state"}},
	{0xd, 1, EAX, 0, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
	{0x80000001, 0, ECX, 0, {"lahf_lm",	  "cmp_legacy", "svm",	      "extapic",
				 "cr8_legacy",	  "abm",	"sse4a",      "misalignsse",
				 "3dnowprefetch", "osvw",	"ibs",	      "xop",
				 "skinit",	  "wdt",	[15] = "lwp", "fma4",
				 "tce",		  [21] = "tbm", "topoext",    "perfctr_core"}},
	{0x80000001,
	 0,
	 EDX,
	 1u << 9,
	 {[11] = "syscall",
	  [19] = "mp",
	  "nx",
	  [22] = "mmxext",
	  [25] = "fxsr_opt",
	  "pdpe1gb",
	  "rdtscp",
	  [29] = "lm",
	  "3dnowext",
	  "3dnow"}},
	{0x40000001,
	 0,
	 EAX,
	 0,
	 {[0] = "kvm_clock_old",
	  "kvm_nop_io_delay",
	  [3] = "kvm_clock",
	  [5] = "kvm_steal_time",
	  "kvm_pv_eoi",
	  "kvm_pv_unhalt",
	  [9] = "kvm_pv_tlb_flush",
	  [11] = "kvm_pv_ipi",
	  "kvm_poll_control",
	  "kvm_pv_sched_yield",
	  [15] = "kvm_msi_ext_dest_id",
	  "kvm_map_gpa_range",
	  [24] = "kvm_clock_stable"}},
	{0x80000008, 0, EBX, 0, {"clzero", "irperf", "xsaveerptr", [12] = "amd_ibpb"}},
};

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *cpuid, u32 function, u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static u32 word_of(const struct kvm_cpuid2 *cpuid, const struct word *w)
{
	const struct kvm_cpuid_entry2 *e = find(cpuid, w->function, w->index);

	if (!e)
		return 0;
	switch (w->reg) {
	case EAX:
		return e->eax;
	case EBX:
		return e->ebx;
	case ECX:
		return e->ecx;
	case EDX:
		break;
	}
	return e->edx;
}

static bool same_vendor(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b)
{
	const struct kvm_cpuid_entry2 *x = find(a, 0, 0), *y = find(b, 0, 0);

	return x && y && x->ebx == y->ebx && x->ecx == y->ecx && x->edx == y->edx;
}

static void vendor_name(const struct kvm_cpuid2 *cpuid, char name[13])
{
	const struct kvm_cpuid_entry2 *e = find(cpuid, 0, 0);

	memset(name, 0, 13);
	if (!e)
		return;
	memcpy(name, &e->ebx, 4);
	memcpy(name + 4, &e->edx, 4);
	memcpy(name + 8, &e->ecx, 4);
}

/* Room for a sentence's list of names. */
struct names {
	char text[180];
	u32 nr, more;
};

static void add_name(struct names *n, const struct word *w, u32 bit)
{
	char name[40];
	size_t used = strlen(n->text);

	if (w->names[bit])
		snprintf(name, sizeof(name), "%s", w->names[bit]);
	else
		snprintf(name, sizeof(name), "cpuid-%x.%u-%c-%u", w->function, w->index,
			 "abcd"[w->reg], bit);
	n->nr++;
	if (used + strlen(name) + 3 > sizeof(n->text))
		n->more++;
	else
		snprintf(n->text + used, sizeof(n->text) - used, "%s%s", used ? ", " : "", name);
}

int state_check_cpuid(const struct kvm_cpuid2 *shown, const struct kvm_cpuid2 *host,
		      struct err *err)
{
	struct names missing = {.nr = 0};
	char theirs[13], ours[13];

	if (!same_vendor(shown, host)) {
		vendor_name(shown, theirs);
		vendor_name(host, ours);
		return err_set(err, -EOPNOTSUPP,
			       "it was saved on a processor of another vendor (%s; here %s): its "
			       "kernel has adapted itself to that one",
			       theirs, ours);
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		u32 lacks = word_of(shown, &words[i]) & ~word_of(host, &words[i]) &
			    ~words[i].others;

		for (u32 bit = 0; bit < 32; bit++)
			if (lacks >> bit & 1)
				add_name(&missing, &words[i], bit);
	}
	if (!missing.nr)
		return 0;
	if (missing.more)
		return err_set(err, -EOPNOTSUPP,
			       "this host lacks what it was running with: %s and "
			       "%u more",
			       missing.text, missing.more);
	return err_set(err, -EOPNOTSUPP, "this host lacks what it was running with: %s",
		       missing.text);
}

int state_check_host(const struct state_shape *shape, int kvm_fd, struct err *err)
{
	struct cpuid_machine m = {
		.nr_cpus = shape->nr_cpus,
		.tsc_khz = shape->tsc_khz,
		.kind = shape->pv ? KVM_UNKNOWN : kvm_kind(),
	};
	struct kvm_cpuid2 *host;
	u32 room;
	int ret;

	if (!shape->pv && (shape->kvm == KVM_PVM) != (m.kind == KVM_PVM))
		return err_set(err, -EOPNOTSUPP,
			       "it was saved on another kind of KVM (one %s hardware help)",
			       shape->kvm == KVM_PVM ? "without" : "with");
	host = cpuid_template(kvm_fd, &room);
	if (!host)
		return err_set(err, -errno, "KVM: cannot read its CPUID: %s", strerror(errno));
	cpuid_adjust(host, room, &m, 0);
	if (shape->pv)
		pv_cpuid_adjust(host, room, kvm_kind());
	ret = state_check_cpuid(shape->cpuid, host, err);
	free(host);
	return ret;
}
