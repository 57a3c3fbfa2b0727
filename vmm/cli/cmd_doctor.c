// SPDX-License-Identifier: Apache-2.0
/*
 * quire doctor: what this host's KVM can do, in words a person understands, or as JSON. What is
 * found out is examine.h's; here is only how it is said. Exit status 0 says that guests can run.
 */
#include <jansson.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cli/cmd.h"
#include "vmm/cli/examine.h"
#include "vmm/cli/opts.h"

static void row(const char *name, const char *value, const char *remark)
{
	printf("  %-20s %s%s%s\n", name, value, remark[0] ? "  - " : "", remark);
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static const char *kind_words(const struct host *h)
{
	switch (h->kind) {
	case KVM_INTEL:
		return "hardware, Intel VT-x (module kvm_intel)";
	case KVM_AMD:
		return "hardware, AMD-V (module kvm_amd)";
	case KVM_PVM:
		return "PVM, without hardware virtualization (module kvm_pvm)";
	case KVM_UNKNOWN:
		break;
	}
	return "of a kind that this host does not tell";
}

static const char *paging_words(const struct host *h)
{
	switch (h->paging) {
	case HOST_PAGING_EPT:
		return "EPT: guest-physical addresses are translated in hardware";
	case HOST_PAGING_NPT:
		return "NPT: guest-physical addresses are translated in hardware";
	case HOST_PAGING_SHADOW:
		return "none: KVM keeps shadow page tables in software";
	case HOST_PAGING_UNKNOWN:
		break;
	}
	return "not known";
}

static void print_speed(const struct host *h)
{
	char value[80];

	if (h->cpl0_status) {
		row("kernel code", "could not be measured", h->kvm_why.text);
		return;
	}
	snprintf(value, sizeof(value), "%s, %.3g million instructions/s at CPL 0",
		 h->cpl0.emulated ? "emulated" : "native", h->cpl0.instructions_per_second / 1e6);
	row("kernel code", value, "measured with a VM of one page");
}

static const char *mmu_name(const struct host *h)
{
	return host_prefers_shadow(h->kind) ? "shadow" : "ept";
}

static void print_mmu(const struct host *h)
{
	row("--mmu auto", mmu_name(h),
	    host_prefers_shadow(h->kind)
		    ? "for a kernel that can run at CPL 3 (Xen PV), as kernel code is emulated"
		    : "KVM's own paging");
}

static void print_kvm(const struct host *h)
{
	char value[80];

	if (h->kvm_status) {
		row("KVM", "not usable", h->kvm_why.text);
		return;
	}
	row("KVM", kind_words(h), "");
	row("second-level paging", paging_words(h), h->paging_source);
	print_speed(h);
	print_mmu(h);
	snprintf(value, sizeof(value), "%.2f ms to a VM's first exit", h->cpl0.create_ms);
	row("start-up", value, "");
	snprintf(value, sizeof(value), "%d processors, %d memory slots", h->max_cpus, h->max_slots);
	row("limits per guest", value, "");
	snprintf(value, sizeof(value), "%llu entries",
		 (unsigned long long)(h->dirty_ring_bytes / sizeof(struct kvm_dirty_gfn)));
	row("dirty ring", h->dirty_ring_bytes ? value : "no", "");
	row("manual protect", yes_no(h->manual_protect), "dirty log cleared piece by piece");
	row("memory-fault exits", yes_no(h->memory_fault_info), "KVM names the page that it lacks");
	row("guest_memfd", yes_no(h->guest_memfd), "");
	row("prefault", yes_no(h->pre_fault), "guest pages mapped ahead of their use");
}

/* Names in lines of about 60 columns, under the first. */
static void print_uffd(const struct host *h)
{
	size_t column = 0;

	if (h->uffd_status) {
		row("userfaultfd", "not usable",
		    "allow access to /dev/userfaultfd, or set vm.unprivileged_userfaultfd=1");
		return;
	}
	printf("  %-20s", "userfaultfd");
	for (unsigned int bit = 0; bit < HOST_NR_UFFD_FEATURES; bit++) {
		const char *name = host_uffd_feature_name(bit);

		if (!(h->uffd_features >> bit & 1))
			continue;
		column += strlen(name) + 1;
		if (column > 60) {
			printf("\n%22s", "");
			column = strlen(name) + 1;
		}
		printf(" %s", name);
	}
	printf("\n");
}

static void print_emulated(const struct host *h)
{
	printf("stock Linux runs here%s, on shadow page tables of ours:\n"
	       "its kernel at CPL 3 under the Xen PV ABI (CONFIG_XEN_PV), where its code is\n"
	       "native and what traps is slow. At CPL 0 kernel code is emulated, at %.1f million\n"
	       "instructions a second, and some not at all: a kernel without that ABI needs\n"
	       "tools/quire-lab --host amd-npt, or a host with VT-x or AMD-V. Guests whose work\n"
	       "is at CPL 3, such as the microguest, run at native speed in any case.\n",
	       host_prefers_shadow(h->kind) ? "" : " with --mmu shadow",
	       h->cpl0.instructions_per_second / 1e6);
}

static void print_verdict(const struct host *h)
{
	printf("\nverdict: ");
	if (h->kvm_status)
		printf("no guest can run here: %s\n", h->kvm_why.text);
	else if (h->cpl0_status)
		printf("this KVM does not work\n");
	else if (!h->cpl0.emulated)
		printf("stock Linux runs here at full speed, with %s.\n",
		       h->paging == HOST_PAGING_EPT   ? "EPT"
		       : h->paging == HOST_PAGING_NPT ? "NPT"
						      : "KVM's shadow paging");
	else
		print_emulated(h);
}

static void print_words(const struct host *h)
{
	char value[80];

	printf("quire doctor: %s\n\n", h->kernel);
	print_kvm(h);
	print_uffd(h);
	snprintf(value, sizeof(value), "%s for private, %s for shared memory",
		 h->thp[0] ? h->thp : "none", h->thp_shmem[0] ? h->thp_shmem : "none");
	row("huge pages", value,
	    strcmp(h->thp_shmem, "never") ? "" : "none for --backing memfd, the default");
	snprintf(value, sizeof(value), "%llu reserved, %llu free",
		 (unsigned long long)h->hugetlb_pages, (unsigned long long)h->hugetlb_free);
	row("hugetlb 2M pages", value, "");
	print_verdict(h);
}

static json_t *uffd_json(const struct host *h)
{
	json_t *features = json_array();

	for (unsigned int bit = 0; bit < HOST_NR_UFFD_FEATURES; bit++)
		if (h->uffd_features >> bit & 1)
			json_array_append_new(features, json_string(host_uffd_feature_name(bit)));
	return json_pack("{s:b, s:o}", "usable", !h->uffd_status, "features", features);
}

static json_t *kvm_json(const struct host *h)
{
	return json_pack("{s:b, s:s, s:s, s:i, s:i, s:I, s:b, s:b, s:b, s:b}", "usable",
			 !h->kvm_status && !h->cpl0_status, "kind", host_kind_name(h->kind),
			 "paging", host_paging_name(h->paging), "max-cpus", h->max_cpus,
			 "max-slots", h->max_slots, "dirty-ring-bytes",
			 (json_int_t)h->dirty_ring_bytes, "manual-protect", h->manual_protect != 0,
			 "memory-fault-exits", h->memory_fault_info, "guest-memfd", h->guest_memfd,
			 "prefault", h->pre_fault);
}

static json_t *linux_json(const struct host *h)
{
	static const char *const how[] = {
		[HOST_LINUX_NOT] = NULL, [HOST_LINUX_EPT] = "ept", [HOST_LINUX_SHADOW] = "shadow"};

	return json_pack("{s:b, s:s?, s:s}", "runs-stock-linux",
			 host_runs_linux(h) != HOST_LINUX_NOT, "how", how[host_runs_linux(h)],
			 "mmu-auto", mmu_name(h));
}

static int print_json(const struct host *h)
{
	json_t *root = json_pack(
		"{s:s, s:o, s:{s:b, s:f, s:f}, s:o, s:{s:s, s:s, s:I, s:I}}", "kernel", h->kernel,
		"kvm", kvm_json(h), "cpl0", "emulated", h->cpl0.emulated, "instructions-per-second",
		h->cpl0.instructions_per_second, "create-ms", h->cpl0.create_ms, "userfaultfd",
		uffd_json(h), "huge-pages", "private", h->thp, "shared", h->thp_shmem,
		"hugetlb-reserved", (json_int_t)h->hugetlb_pages, "hugetlb-free",
		(json_int_t)h->hugetlb_free);
	json_t *runs = linux_json(h);

	ASSERT(root && runs);
	json_object_update(root, runs);
	json_decref(runs);
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
	return 0;
}

int cmd_doctor(int argc, char **argv)
{
	bool json = false;
	const struct opt table[] = {
		{"json", OPT_FLAG, NULL, &json, "print JSON"},
		{0},
	};
	const struct opt_usage usage = {
		"doctor", "",
		"Say what this host's KVM can do. Exit status 0 if guests can run here."};
	struct host host;
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands)
		ret = err_set(&err, -EINVAL, "doctor %s: unexpected (it takes no operands)",
			      argv[1]);
	if (ret)
		return cmd_usage_error(&err);
	host_examine(&host);
	if (json)
		print_json(&host);
	else
		print_words(&host);
	return cmd_finish_output(host.kvm_status || host.cpl0_status ? CMD_FAILED : CMD_OK);
}
