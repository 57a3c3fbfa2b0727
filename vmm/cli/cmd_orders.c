// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands that talk to running guests over QMP: ps, qmp, and the orders that take guests'
 * names (pause, resume, powerdown, quit). Those about memory are in cmd_memory.c.
 *
 * What a guest's process answers is not trusted: it is shown by way of memory_view.h, or passed on
 * as JSON, in bytes.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "vmm/control/client.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/opts.h"
#include "vmm/control/rundir.h"

/* A guest that is asked to start anew loads its kernel again, in an emulated host for seconds. */
#define COMMAND_TIMEOUT_MS 30000
#define QUIT_TIMEOUT_MS	   10000

/* ---- Output ---- */

int cmd_finish_output(int status)
{
	struct err err;

	if (!fflush(stdout) && !ferror(stdout))
		return status;
	err_set(&err, -EIO, "standard output: %s", strerror(errno));
	return cmd_error(&err);
}

void cmd_print_json(const json_t *value, size_t flags)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | flags);
	putchar('\n');
}

/* ---- ps ---- */

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
		return CMD_OK;
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

/* ---- Orders: one QMP command for each of several guests ---- */

/* One that is answered when it is done; only "quit" is waited for beyond its answer. */
struct order {
	const char *name;    /* the sub-command */
	const char *command; /* QMP */
	int timeout_ms;
	const char *summary;
};

static int order_one(const struct order *order, const char *guest, struct err *err)
{
	struct client *c;
	int ret = client_connect(&c, guest, order->timeout_ms, err);

	if (ret)
		return ret;
	ret = client_execute(c, order->command, NULL, NULL, err);
	client_close(c);
	return ret;
}

/* Wait for the end of the process behind @pidfd. */
static int wait_for_end(int pidfd, const char *guest, struct err *err)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	int ret;

	do {
		ret = poll(&fd, 1, QUIT_TIMEOUT_MS);
	} while (ret < 0 && errno == EINTR);
	if (ret > 0)
		return 0;
	return err_set(err, -ETIMEDOUT, "guest %s: agreed to quit, but is still there after %d s",
		       guest, QUIT_TIMEOUT_MS / 1000);
}

/*
 * As order_one(), and the process has really gone, with its name free again, when this returns. The
 * process is taken hold of before it can end, so that no other one can be mistaken for it.
 */
static int quit_one(const struct order *order, const char *guest, struct err *err)
{
	struct client *c;
	int pidfd, ret = client_connect(&c, guest, order->timeout_ms, err);

	if (ret)
		return ret;
	pidfd = pidfd_open(client_peer(c), 0);
	ret = client_execute(c, order->command, NULL, NULL, err);
	client_close(c);
	if (pidfd < 0)
		return ret;
	/* a guest that ended of itself just now is as gone as was asked for */
	if (!ret || ret == -ECONNRESET)
		ret = wait_for_end(pidfd, guest, err);
	close(pidfd);
	return ret;
}

/* A guest that cannot be reached does not keep the order from the ones named after it. */
static int give_order(const struct order *order, int argc, char **argv)
{
	const struct opt table[] = {{0}};
	const struct opt_usage usage = {order->name, "NAME...", order->summary};
	int (*const one)(const struct order *, const char *,
			 struct err *) = strcmp(order->command, "quit") ? order_one : quit_one;
	struct err err;
	int nr_guests, status = CMD_OK;
	int ret = opts_parse(argc, argv, table, &usage, &nr_guests, &err);

	if (ret == OPTS_HELP)
		return CMD_OK;
	if (!ret && !nr_guests)
		ret = err_set(&err, -EINVAL, "%s: which guest? (quire ps lists them)", order->name);
	if (ret)
		return cmd_usage_error(&err);
	for (int i = 1; i <= nr_guests; i++)
		if (one(order, argv[i], &err))
			status = cmd_error(&err);
	return status;
}

int cmd_pause(int argc, char **argv)
{
	static const struct order order = {"pause", "stop", CLIENT_TIMEOUT_MS,
					   "Stop the processors of running guests."};

	return give_order(&order, argc, argv);
}

int cmd_resume(int argc, char **argv)
{
	static const struct order order = {"resume", "cont", CLIENT_TIMEOUT_MS,
					   "Let the processors of paused guests run again."};

	return give_order(&order, argc, argv);
}

int cmd_powerdown(int argc, char **argv)
{
	static const struct order order = {
		"powerdown", "system_powerdown", CLIENT_TIMEOUT_MS,
		"Press the power button of guests, and return at once: they end when they like."};

	return give_order(&order, argc, argv);
}

int cmd_quit(int argc, char **argv)
{
	static const struct order order = {
		"quit", "quit", CLIENT_TIMEOUT_MS,
		"End guests without asking them, and wait until their processes are gone."};

	return give_order(&order, argc, argv);
}

int cmd_reset(int argc, char **argv)
{
	static const struct order order = {
		"reset", "x-quire-roll-back", COMMAND_TIMEOUT_MS,
		"Roll guests back to their last checkpoint, or to what they were restored from."};

	return give_order(&order, argc, argv);
}

/* ---- qmp ---- */

/* The arguments as an object; *args stays NULL when there are none. */
static int parse_args(const char *text, json_t **args, struct err *err)
{
	json_error_t why;

	if (!text)
		return 0;
	*args = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!*args)
		return err_set(err, -EINVAL, "arguments: not JSON: %s", why.text);
	if (json_is_object(*args))
		return 0;
	json_decref(*args);
	return err_set(err, -EINVAL,
		       "arguments: not a JSON object (write them as '{\"key\": value}')");
}

/* Which command it is we do not know, so it gets the time of the slowest. */
static int execute(const char *guest, const char *command, json_t *args, struct err *err)
{
	struct client *c;
	json_t *value;
	int ret = client_connect(&c, guest, COMMAND_TIMEOUT_MS, err);

	if (ret)
		return ret;
	ret = client_execute(c, command, args, &value, err);
	client_close(c);
	if (ret)
		return ret;
	cmd_print_json(value, JSON_INDENT(2));
	json_decref(value);
	return 0;
}

int cmd_qmp(int argc, char **argv)
{
	const struct opt table[] = {{0}};
	const struct opt_usage usage = {
		"qmp", "NAME COMMAND [JSON]",
		"Execute one QMP command with JSON as its arguments, and print what it returns."};
	json_t *args = NULL;
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return CMD_OK;
	if (!ret && (nr_operands < 2 || nr_operands > 3))
		ret = err_set(
			&err, -EINVAL,
			"qmp: needs a guest's name and a command (query-commands lists them)");
	if (!ret)
		ret = parse_args(nr_operands > 2 ? argv[3] : NULL, &args, &err);
	if (ret)
		return cmd_usage_error(&err);
	ret = execute(argv[1], argv[2], args, &err);
	json_decref(args);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
