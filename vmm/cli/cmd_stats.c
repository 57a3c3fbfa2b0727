// SPDX-License-Identifier: Apache-2.0
/*
 * quire stats: what a guest and its VMM are doing, once or each second. A client of the control
 * socket; what it is told is not trusted. Sizes for people are in MiB, JSON is in bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "mm/base/base.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/mmu_view.h"
#include "vmm/cli/opts.h"
#include "vmm/control/client.h"

static u64 total_exits(const json_t *stats)
{
	const char *kind;
	json_t *count;
	u64 n = 0;

	json_object_foreach(json_object_get(stats, "exits"), kind, count)
		n += (u64)json_integer_value(count);
	return n;
}

/* How KVM has mapped guest memory: null where it does not tell. */
static void print_mapped(const json_t *mapped)
{
	const char *size;
	json_t *pages;

	if (!json_is_object(mapped))
		return;
	printf("mapped   ");
	json_object_foreach((json_t *)mapped, size, pages)
		printf(" %lld x %s", (long long)json_integer_value(pages), view_printable(size));
	printf("\n");
}

static void print_exits(const json_t *stats)
{
	const char *kind;
	json_t *count;

	printf("exits     %llu\n", (unsigned long long)total_exits(stats));
	json_object_foreach(json_object_get(stats, "exits"), kind, count)
	{
		if (json_integer_value(count))
			printf("  %-14s %lld\n", view_printable(kind),
			       (long long)json_integer_value(count));
	}
}

/* "engine" is there where guest memory is managed. */
static void print_stats(const json_t *stats)
{
	const json_t *engine = json_object_get(stats, "engine");

	printf("name      %s\n", view_text(stats, "name"));
	printf("pid       %lld\n", (long long)json_integer_value(json_object_get(stats, "pid")));
	printf("state     %s\n", view_text(stats, "state"));
	printf("memory    %s\n", view_size(stats, "memory").s);
	printf("resident  %s\n", view_size(stats, "resident").s);
	printf("stored    %s\n", view_size(stats, "stored").s);
	print_mapped(json_object_get(stats, "mapped"));
	if (engine)
		memory_view_print(engine, stdout);
	mmu_view_print(json_object_get(stats, "mmu"), stdout);
	print_exits(stats);
}

/* Add what @command returns as @key, where the guest has an answer to it. */
static int add(struct client *c, const char *command, json_t *stats, const char *key,
	       struct err *err)
{
	json_t *value;
	int ret = client_execute(c, command, NULL, &value, err);

	if (!ret)
		json_object_set_new(stats, key, value);
	return ret == -EREMOTEIO ? 0 : ret;
}

/* What x-quire-stats returns, with what others do as "engine" and "mmu" where there is such. */
static int ask_stats(struct client *c, json_t **stats, struct err *err)
{
	int ret = client_execute(c, "x-quire-stats", NULL, stats, err);

	if (ret)
		return ret;
	ret = add(c, "x-quire-memory", *stats, "engine", err);
	if (!ret)
		ret = add(c, "x-quire-mmu", *stats, "mmu", err);
	if (ret)
		json_decref(*stats);
	return ret;
}

/* Faults on pages that were not in memory. */
static u64 major_faults(const json_t *stats)
{
	const json_t *faults = json_object_get(json_object_get(stats, "engine"), "faults");

	return view_count(json_object_get(faults, "store"), "count") +
	       view_count(json_object_get(faults, "tier"), "count");
}

struct counters {
	u64 faults, exits;
};

/* One line for --watch, with what was counted since the last one. */
static void print_sample(const json_t *stats, struct counters *before)
{
	struct counters now = {.faults = major_faults(stats), .exits = total_exits(stats)};

	printf("%-14s %12s %12s %12s %10llu %12llu\n", view_text(stats, "state"),
	       view_size(stats, "resident").s, view_size(stats, "stored").s,
	       view_count(stats, "limit") ? view_size(stats, "limit").s : "-",
	       (unsigned long long)(now.faults - before->faults),
	       (unsigned long long)(now.exits - before->exits));
	*before = now;
}

/* A line each second until the guest ends, which is the good end of watching it. */
static int watch_stats(struct client *c, bool json, struct err *err)
{
	const struct timespec second = {.tv_sec = 1};
	struct counters before = {0};
	bool seen = false;
	json_t *stats;
	int ret;

	if (!json)
		printf("%-14s %12s %12s %12s %10s %12s\n", "STATE", "RESIDENT", "STORED", "LIMIT",
		       "FAULTS", "EXITS");
	while (!(ret = ask_stats(c, &stats, err))) {
		if (json)
			cmd_print_json(stats, JSON_COMPACT);
		else
			print_sample(stats, &before);
		json_decref(stats);
		seen = true;
		if (fflush(stdout))
			return 0; /* cmd_finish_output() says why */
		nanosleep(&second, NULL);
	}
	return ret == -ECONNRESET && seen ? 0 : ret;
}

static int show_stats(struct client *c, bool json, struct err *err)
{
	json_t *stats;
	int ret = ask_stats(c, &stats, err);

	if (ret)
		return ret;
	if (json)
		cmd_print_json(stats, JSON_INDENT(2));
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
		return cmd_finish_output(CMD_OK);
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
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
