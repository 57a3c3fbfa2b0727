// SPDX-License-Identifier: Apache-2.0
/*
 * `quire checkpoint`: order it, show how far it is, wait for its end. The work is done in the
 * guest's own process; ending this one (Ctrl-C) cancels it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "mm/base/base.h"
#include "vmm/control/client.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/follow.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/opts.h"

#define POLL_US 50000

struct order {
	const char *guest;
	char dir[PATH_MAX];
	bool incremental, json;
	u64 every_ns, bandwidth;
};

static bool is_over(const json_t *progress)
{
	return follow_is(progress, "done") || follow_is(progress, "failed") ||
	       follow_is(progress, "cancelled");
}

static void show_progress(const void *opaque, const json_t *progress)
{
	const struct order *order = opaque;
	u64 all = view_count(progress, "all-pages");

	if (order->every_ns)
		fprintf(stderr, "%llu links, the last of %s, %llu us of pause",
			(unsigned long long)view_count(progress, "count"),
			view_size(progress, "bytes").s,
			(unsigned long long)view_count(progress, "pause-us"));
	else
		fprintf(stderr, "%s: %3llu%%", view_text(progress, "status"),
			(unsigned long long)(100 * view_count(progress, "done-pages") /
					     MAX(all, 1)));
}

static int report(const struct order *order, const json_t *progress, struct err *err)
{
	const char *status = follow_status(progress), *why;
	bool stopped = order->every_ns && !strcmp(status, "cancelled");

	if (order->json)
		cmd_print_json(progress, JSON_INDENT(2));
	else if (!strcmp(status, "done") || stopped)
		printf("%s: %llu link%s, the last (%llu) of %llu pages in %s; pause %.1f ms, in "
		       "all %.1f ms\n",
		       order->dir, (unsigned long long)view_count(progress, "count"),
		       view_count(progress, "count") == 1 ? "" : "s",
		       (unsigned long long)view_count(progress, "link"),
		       (unsigned long long)view_count(progress, "pages"),
		       view_size(progress, "bytes").s,
		       (double)view_count(progress, "pause-us") / 1e3,
		       (double)view_count(progress, "total-us") / 1e3);
	if (!strcmp(status, "done") || stopped)
		return 0;
	why = json_string_value(json_object_get(progress, "error"));
	return err_set(err, -EIO, "checkpoint of %s: %s", order->guest, why ? why : status);
}

static int checkpoint(const struct order *order, struct err *err)
{
	const struct follow f = {
		.query = "x-quire-query-checkpoint",
		.cancel = "x-quire-cancel-checkpoint",
		.poll_us = POLL_US,
		.is_over = is_over,
		.show = show_progress,
		.opaque = order,
	};
	struct client *c;
	json_t *args, *progress = NULL;
	int ret = client_connect(&c, order->guest, CLIENT_TIMEOUT_MS, err);

	if (ret)
		return ret;
	args = json_pack("{s:s, s:b, s:I, s:I}", "dir", order->dir, "incremental",
			 order->incremental, "every-us", (json_int_t)(order->every_ns / 1000),
			 "bandwidth", (json_int_t)order->bandwidth);
	ret = client_execute(c, "x-quire-checkpoint", args, NULL, err);
	json_decref(args);
	if (!ret)
		ret = follow(c, &f, &progress, err);
	if (!ret)
		ret = report(order, progress, err);
	json_decref(progress);
	client_close(c);
	return ret;
}

int cmd_checkpoint(int argc, char **argv)
{
	struct order order = {0};
	const struct opt table[] = {
		{"incremental", OPT_FLAG, NULL, &order.incremental,
		 "only what changed since this guest's last checkpoint, which went to DIR too"},
		{"every", OPT_TIME, "TIME", &order.every_ns,
		 "go on with increments at this pace (100ms, 2s, 1m) until Ctrl-C"},
		{"bandwidth", OPT_SIZE, "RATE", &order.bandwidth,
		 "write so many bytes a second at most"},
		{"json", OPT_FLAG, NULL, &order.json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {"checkpoint", "NAME DIR",
					"Save a guest as it is at this moment, while it runs on."};
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands != 2)
		ret = err_set(&err, -EINVAL, "checkpoint: needs a guest's name and a directory");
	if (!ret && order.bandwidth > INT64_MAX)
		ret = err_set(&err, -EINVAL, "--bandwidth: too much");
	if (!ret)
		ret = client_path(argv[2], order.dir, &err);
	if (ret)
		return cmd_usage_error(&err);
	order.guest = argv[1];
	follow_take_signals();
	ret = checkpoint(&order, &err);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
