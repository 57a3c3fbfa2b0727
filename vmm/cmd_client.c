// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands that talk to running guests over QMP: ps, stats, qmp, and the orders that take
 * guests' names (pause, resume, powerdown, quit).
 *
 * What a guest's process answers is shown to a person, so it is not trusted: text that could move
 * the cursor about is not printed, a missing number is a dash. JSON output is passed on as JSON, in
 * bytes; sizes for people are in MiB.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "mm/base.h"
#include "vmm/client.h"
#include "vmm/cmd.h"
#include "vmm/opts.h"
#include "vmm/rundir.h"

/* A guest that is asked to start anew loads its kernel again, in an emulated host for seconds. */
#define COMMAND_TIMEOUT_MS 30000
#define QUIT_TIMEOUT_MS	   10000

/* ---- Output ---- */

/* What printf() could not write must not look like success. */
static int finish_output(int status)
{
	struct err err;

	if (!fflush(stdout) && !ferror(stdout))
		return status;
	err_set(&err, -EIO, "standard output: %s", strerror(errno));
	return cmd_error(&err);
}

/* ASCII only: whatever a guest's process puts into a string cannot then reach the terminal. */
static void print_json(const json_t *value, size_t flags)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | flags);
	putchar('\n');
}

static const char *printable(const char *text)
{
	if (!text || !text[0])
		return "-";
	for (const char *c = text; *c; c++)
		if (!isascii(*c) || !isprint(*c))
			return "?";
	return text;
}

static const char *text_at(const json_t *object, const char *key)
{
	return printable(json_string_value(json_object_get(object, key)));
}

struct size_text {
	char s[32];
};

static struct size_text size_at(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);
	struct size_text text = {"-"};

	if (json_is_integer(n))
		snprintf(text.s, sizeof(text.s), "%.1f MiB",
			 (double)json_integer_value(n) / (double)MiB);
	return text;
}

/* What is no number counts as 0, as jansson has it. */
static u64 total_exits(const json_t *stats)
{
	const char *kind;
	json_t *count;
	u64 n = 0;

	json_object_foreach(json_object_get(stats, "exits"), kind, count)
		n += (u64)json_integer_value(count);
	return n;
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
		printf("%-20s %8lld %-14s %12s %12s %12s\n", text_at(row, "name"),
		       (long long)json_integer_value(json_object_get(row, "pid")),
		       text_at(row, "state"), size_at(row, "memory").s, size_at(row, "resident").s,
		       size_at(row, "stored").s);
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
		print_json(rows, JSON_INDENT(2));
	else if (!ret)
		print_rows(rows);
	json_decref(rows);
	return finish_output(ret ? cmd_error(&err) : CMD_OK);
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

/* ---- stats ---- */

/* How KVM has mapped guest memory: null where it does not tell. */
static void print_mapped(const json_t *mapped)
{
	const char *size;
	json_t *pages;

	if (!json_is_object(mapped))
		return;
	printf("mapped   ");
	json_object_foreach((json_t *)mapped, size, pages)
		printf(" %lld x %s", (long long)json_integer_value(pages), size);
	printf("\n");
}

static void print_stats(const json_t *stats)
{
	const char *kind;
	json_t *count;

	printf("name      %s\n", text_at(stats, "name"));
	printf("pid       %lld\n", (long long)json_integer_value(json_object_get(stats, "pid")));
	printf("state     %s\n", text_at(stats, "state"));
	printf("memory    %s\n", size_at(stats, "memory").s);
	printf("resident  %s\n", size_at(stats, "resident").s);
	printf("stored    %s\n", size_at(stats, "stored").s);
	print_mapped(json_object_get(stats, "mapped"));
	printf("exits     %llu\n", (unsigned long long)total_exits(stats));
	json_object_foreach(json_object_get(stats, "exits"), kind,
			    count) if (json_integer_value(count))
		printf("  %-14s %lld\n", printable(kind), (long long)json_integer_value(count));
}

/* One line for --watch, with the exits taken since the last one. */
static void print_sample(const json_t *stats, u64 exits)
{
	printf("%-14s %12s %12s %12llu\n", text_at(stats, "state"), size_at(stats, "resident").s,
	       size_at(stats, "stored").s, (unsigned long long)exits);
}

/* A line each second until the guest ends, which is the good end of watching it. */
static int watch_stats(struct client *c, bool json, struct err *err)
{
	const struct timespec second = {.tv_sec = 1};
	u64 exits = 0, before;
	bool seen = false;
	json_t *stats;
	int ret;

	if (!json)
		printf("%-14s %12s %12s %12s\n", "STATE", "RESIDENT", "STORED", "EXITS");
	while (!(ret = client_execute(c, "x-quire-stats", NULL, &stats, err))) {
		before = exits;
		exits = total_exits(stats);
		if (json)
			print_json(stats, JSON_COMPACT);
		else
			print_sample(stats, exits - before);
		json_decref(stats);
		seen = true;
		if (fflush(stdout))
			return 0; /* finish_output() says why */
		nanosleep(&second, NULL);
	}
	return ret == -ECONNRESET && seen ? 0 : ret;
}

static int show_stats(struct client *c, bool json, struct err *err)
{
	json_t *stats;
	int ret = client_execute(c, "x-quire-stats", NULL, &stats, err);

	if (ret)
		return ret;
	if (json)
		print_json(stats, JSON_INDENT(2));
	else
		print_stats(stats);
	json_decref(stats);
	return 0;
}

int cmd_stats(int argc, char **argv)
{
	bool watch = false, json = false;
	const struct opt table[] = {
		{"watch", OPT_FLAG, NULL, &watch, "a line each second until the guest ends"},
		{"json", OPT_FLAG, NULL, &json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {"stats", "NAME",
					"Show what a guest and its VMM are doing."};
	struct client *c;
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return CMD_OK;
	if (!ret && nr_operands != 1)
		ret = err_set(&err, -EINVAL,
			      "stats: needs the name of one guest (quire ps lists them)");
	if (ret)
		return cmd_usage_error(&err);
	ret = client_connect(&c, argv[1], CLIENT_TIMEOUT_MS, &err);
	if (ret)
		return cmd_error(&err);
	ret = watch ? watch_stats(c, json, &err) : show_stats(c, json, &err);
	client_close(c);
	return finish_output(ret ? cmd_error(&err) : CMD_OK);
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
	print_json(value, JSON_INDENT(2));
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
	return finish_output(ret ? cmd_error(&err) : CMD_OK);
}
