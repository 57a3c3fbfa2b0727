// SPDX-License-Identifier: Apache-2.0
/*
 * quire receive: wait for a guest that moves here from another quire, and stay until it ends. An
 * address is checked here, so that a wrong one is bad usage; MACHINE_DEFER is none, and QMP's
 * migrate-incoming brings one.
 */
#include <errno.h>
#include <string.h>

#include "mm/wire/wire.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/launch.h"
#include "vmm/cli/session.h"

static int parse(struct launch *l, int argc, char **argv, struct err *err)
{
	struct opt table[LAUNCH_MAX_OPTIONS] = {0};
	const struct opt own[] = {
		{"tls-psk", OPT_STRING, "FILE", &l->machine.psk_file,
		 "take guests over TLS with this key alone"},
	};
	const struct opt_usage usage = {"receive", "URI",
					"Wait for a guest and stay until it ends.\n"
					"URI is unix:PATH, tcp:HOST:PORT or tcp:[IPv6]:PORT; or "
					"defer, until QMP says where."};
	int nr_operands, ret;

	launch_append(table, own, ARRAY_SIZE(own));
	launch_add_options(l, table);
	ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);
	if (ret)
		return ret;
	if (nr_operands != 1)
		return err_set(err, -EINVAL, "receive: needs an address to listen at");
	if (l->paused)
		return err_set(err, -EINVAL,
			       "--paused: the guest is as it was where it comes from");
	if (strcmp(argv[1], MACHINE_DEFER) && wire_check_address(argv[1], err))
		return -EINVAL;
	l->machine.receive = argv[1];
	return launch_check(l, err);
}

int cmd_receive(int argc, char **argv)
{
	struct launch l = {.ready_fd = -1};
	struct err err;
	int ret = parse(&l, argc, argv, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	return ret ? cmd_usage_error(&err) : session_run(&l);
}
