// SPDX-License-Identifier: Apache-2.0
/*
 * quire ps: the guests on this host, each asked by its own control socket. A guest that was killed
 * leaves a socket behind; who lists the guests clears it away.
 *
 * What a guest's process answers is not trusted: it is shown by way of memory_view.h, or passed on
 * as JSON, in bytes.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "mm/base/base.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/opts.h"
#include "vmm/control/client.h"
#include "vmm/control/rundir.h"

/* The socket of a guest that was killed: remove it, unless a new guest is just taking the name. */
static void remove_stale(const char *path)
{
	struct rundir_claim claim;

	if (!rundir_claim(&claim, path, NULL))
		rundir_release(&claim);
}

/* What to show of the guest at @path; NULL when there is none (any more). */
static json_t *ask_row(const char *name, const char *path)
{
	json_t *row = NULL;
	struct client *c;
	pid_t pid = 0;
	int ret = client_connect(&c, path, CLIENT_TIMEOUT_MS, NULL);

	if (ret == -ENOENT)
		remove_stale(path);
	if (!ret) {
		pid = client_peer(c);
		ret = client_execute(c, "x-quire-stats", NULL, &row, NULL);
		client_close(c);
	}
	if (ret == -ENOENT || ret == -ECONNRESET)
		return NULL;
	if (ret) /* it hangs, perhaps: its process is what the user needs to know */
		return json_pack("{s:s, s:i, s:s}", "name", name, "pid", (int)pid, "state",
				 "unresponsive");
	json_object_set_new(row, "name", json_string(name));
	json_object_del(row, "exits");
	json_object_del(row, "mapped");
	return row;
}

static int add_row(void *rows, const char *name, const char *path)
{
	json_t *row = ask_row(name, path);

	if (row)
		json_array_append_new(rows, row);
	return 0;
}

static void print_rows(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("%-20s %8s %-14s %12s %12s %12s\n", "NAME", "PID", "STATE", "MEMORY", "RESIDENT",
	       "STORED");
	json_array_foreach(rows, i, row)
	{
		printf("%-20s %8lld %-14s %12s %12s %12s\n", view_text(row, "name"),
		       (long long)json_integer_value(json_object_get(row, "pid")),
		       view_text(row, "state"), view_size(row, "memory").s,
		       view_size(row, "resident").s, view_size(row, "stored").s);
	}
}

int cmd_ps(int argc, char **argv)
{
	bool json = false;
	const struct opt table[] = {
		{"json", OPT_FLAG, NULL, &json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {"ps", "", "List the guests on this host."};
	struct err err;
	json_t *rows;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands)
		ret = err_set(&err, -EINVAL, "%s: unexpected (ps takes no operands)", argv[1]);
	if (ret)
		return cmd_usage_error(&err);
	rows = json_array();
	ret = rundir_for_each(add_row, rows, &err);
	if (!ret && json)
		cmd_print_json(rows, JSON_INDENT(2));
	else if (!ret)
		print_rows(rows);
	json_decref(rows);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
