// SPDX-License-Identifier: Apache-2.0
/* quire run: launch a guest from its kernel, and stay until it ends. */
#include <errno.h>

#include "vmm/cli/cmd.h"
#include "vmm/cli/launch.h"
#include "vmm/cli/session.h"

struct run {
	struct launch launch;
	int backing, mmu;
};

static void add_machine_options(struct run *run, struct opt *table)
{
	struct vm_config *vm = &run->launch.vm;
	const struct opt options[] = {
		{"kernel", OPT_STRING, "FILE", &vm->kernel,
		 "kernel to boot: bzImage, vmlinux or any PVH ELF"},
		{"initrd", OPT_STRING, "FILE", &vm->initrd, "initial RAM disk"},
		{"append", OPT_STRING, "STRING", &vm->append, "kernel command line"},
		{"memory", OPT_SIZE, "SIZE", &vm->memory, "guest memory (default 256M)"},
		{"cpus", OPT_UINT, "N", &vm->nr_cpus, "virtual processors, 1 to 16 (default 1)"},
		{"mmu", OPT_CHOICE, "auto|ept|shadow", &run->mmu,
		 "who translates addresses: KVM, or shadow page tables (default auto)"},
		{"backing", OPT_CHOICE, "memfd|anon|hugetlb", &run->backing,
		 "what guest memory is made of (default memfd)"},
	};

	launch_append(table, options, ARRAY_SIZE(options));
}

static int parse(struct run *run, int argc, char **argv, struct err *err)
{
	static const enum space_backing backings[] = {SPACE_MEMFD, SPACE_ANON, SPACE_HUGETLB};
	struct opt table[LAUNCH_MAX_OPTIONS] = {0};
	const struct opt_usage usage = {"run", "", "Launch a guest and stay until it ends."};
	int nr_operands, ret;

	add_machine_options(run, table);
	launch_add_options(&run->launch, table);
	ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);
	if (ret)
		return ret;
	if (nr_operands)
		return err_set(err, -EINVAL, "%s: unexpected (options begin with --)", argv[1]);
	if (!run->launch.vm.kernel)
		return err_set(err, -EINVAL,
			       "--kernel: missing (give a bzImage, vmlinux or PVH ELF)");
	run->launch.vm.backing = backings[run->backing];
	run->launch.vm.mmu = (enum vm_mmu)run->mmu;
	return launch_check(&run->launch, err);
}

int cmd_run(int argc, char **argv)
{
	struct run run = {
		.launch = {.vm = {.memory = 256 * MiB, .nr_cpus = 1}, .ready_fd = -1},
	};
	struct err err;
	int ret = parse(&run, argc, argv, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	return ret ? cmd_usage_error(&err) : session_run(&run.launch);
}
