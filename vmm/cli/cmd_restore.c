// SPDX-License-Identifier: Apache-2.0
/* quire restore: bring a guest back from a checkpoint, and stay until it ends. */
#include <errno.h>

#include "vmm/cli/cmd.h"
#include "vmm/cli/launch.h"
#include "vmm/cli/session.h"
#include "vmm/checkpoint/origin.h"

struct restore {
	struct launch launch;
	struct origin origin;
	unsigned int link;
	int clock;
};

static int parse(struct restore *r, int argc, char **argv, struct err *err)
{
	struct opt table[LAUNCH_MAX_OPTIONS] = {0};
	const struct opt own[] = {
		{"link", OPT_UINT, "N", &r->link, "which link of the chain (default the newest)"},
		{"eager", OPT_FLAG, NULL, &r->origin.eager,
		 "read all memory before the guest runs"},
		{"clock", OPT_CHOICE, "continue|jump", &r->clock,
		 "the guest's time: as if none had passed, or with the host's (default continue)"},
	};
	const struct opt_usage usage = {"restore", "DIR",
					"Bring a guest back and stay until it ends."};
	int nr_operands, ret;

	launch_append(table, own, ARRAY_SIZE(own));
	launch_add_options(&r->launch, table);
	ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);
	if (ret)
		return ret;
	if (nr_operands != 1)
		return err_set(err, -EINVAL, "restore: needs the directory of a checkpoint");
	r->origin.clock = r->clock ? STATE_CLOCK_JUMP : STATE_CLOCK_CONTINUE;
	return launch_check(&r->launch, err);
}

int cmd_restore(int argc, char **argv)
{
	struct restore r = {.launch = {.ready_fd = -1}};
	struct err err;
	int ret = parse(&r, argc, argv, &err), status;

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (ret)
		return cmd_usage_error(&err);
	if (origin_open(&r.origin, argv[1], r.link, &r.launch.vm, &err))
		return cmd_error(&err);
	r.launch.vm.origin = &r.origin;
	status = session_run(&r.launch);
	origin_close(&r.origin);
	return status;
}
