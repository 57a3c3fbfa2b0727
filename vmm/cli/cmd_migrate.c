// SPDX-License-Identifier: Apache-2.0
/*
 * `quire migrate`: order it, show how far it is, wait for its end. The work is done in the guest's
 * own process, which ends once the guest is elsewhere; ending this one (Ctrl-C) cancels it. With
 * --plan nothing moves: what it would be like is measured there, and shown.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/base.h"
#include "mm/wire/wire.h"
#include "vmm/control/client.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/follow.h"
#include "vmm/cli/memory_view.h"
#include "vmm/migrate/migrate.h"
#include "vmm/migrate/format.h"
#include "vmm/cli/opts.h"
#include "vmm/cli/plan_view.h"

#define POLL_US 20000

struct order {
	const char *guest, *address, *psk_file, *spill;
	char psk_path[PATH_MAX], spill_path[PATH_MAX];
	char from[PATH_MAX + sizeof("file:")]; /* the address, if it is a spill */
	bool precopy, postcopy, hybrid, copy, recover, plan, json;
	unsigned int streams, downtime_ms;
	u64 bandwidth, time_ns;
	int late;
};

static const char *const lates[] = {"go-on", "cancel", "post-copy"};

/* As far as it goes by itself: when the other side does not answer, people have to look there. */
static bool is_over(const json_t *progress)
{
	return follow_is(progress, "completed") || follow_is(progress, "failed") ||
	       follow_is(progress, "cancelled") || follow_is(progress, "postcopy-paused") ||
	       !*follow_status(progress) || /* there was no migration yet */
	       (follow_is(progress, "x-quire-unsure") && json_object_get(progress, "error-desc"));
}

static void show_progress(const void *opaque, const json_t *progress)
{
	const json_t *ram = json_object_get(progress, "ram");
	u64 total = view_count(ram, "total"), left = view_count(ram, "remaining");

	(void)opaque;
	fprintf(stderr, "%s", view_text(progress, "status"));
	if (!ram)
		return; /* there is nothing to count yet */
	fprintf(stderr,
		": round %llu, %llu%% of it, %s sent, %.0f MiB/s, %llu pages/s dirtied, "
		"%llu ms of downtime expected",
		(unsigned long long)view_count(ram, "dirty-sync-count") + 1,
		(unsigned long long)(total ? 100 * (total - MIN(left, total)) / total : 0),
		view_size(ram, "transferred").s,
		json_real_value(json_object_get(ram, "mbps")) / 8 * 1e6 / (double)MiB,
		(unsigned long long)view_count(ram, "dirty-pages-rate"),
		(unsigned long long)view_count(progress, "expected-downtime"));
}

/* What was predicted, beside what came of it; nothing where nothing was. */
static struct view_size expected_ms(const json_t *plan, const char *key)
{
	struct view_size text = {""};

	if (plan)
		snprintf(text.s, sizeof(text.s), " (%.1f expected)",
			 (double)view_count(plan, key) / 1e3);
	return text;
}

static struct view_size expected_size(const json_t *plan, const char *key)
{
	struct view_size text = {""};

	if (plan)
		snprintf(text.s, sizeof(text.s), " (%.1f expected)",
			 (double)view_count(plan, key) / (double)MiB);
	return text;
}

static void print_summary(const struct order *order, const json_t *progress)
{
	const json_t *ram = json_object_get(progress, "ram");
	const json_t *ours = json_object_get(progress, "x-quire");
	const json_t *plan = plan_view_chosen(json_object_get(progress, "x-quire-plan"));
	bool handed = json_is_true(json_object_get(ours, "hand-over"));

	if (order->from[0]) {
		printf("%s: has all of its memory, from %s\n", order->guest, order->address);
		return;
	}
	printf("%s: %s to %s, %s; downtime %.1f ms%s, in all %.1f ms%s, %s sent%s in %llu rounds\n",
	       order->guest, handed ? "handed over" : "moved", order->address,
	       view_text(ours, "strategy"), (double)view_count(ours, "downtime-us") / 1e3,
	       expected_ms(plan, "downtime-us").s, (double)view_count(ours, "total-us") / 1e3,
	       expected_ms(plan, "total-us").s, view_size(ram, "transferred").s,
	       expected_size(plan, "bytes").s,
	       (unsigned long long)view_count(ram, "dirty-sync-count"));
}

static int report(const struct order *order, const json_t *progress, struct err *err)
{
	const char *why = json_string_value(json_object_get(progress, "error-desc"));

	if (order->json)
		cmd_print_json(progress, JSON_INDENT(2));
	else if (follow_is(progress, "completed"))
		print_summary(order, progress);
	if (follow_is(progress, "completed"))
		return 0;
	if (follow_is(progress, "postcopy-paused"))
		return err_set(err, -EIO,
			       "guest %s runs there, but the connection broke: %s (quire migrate "
			       "%s URI --recover)",
			       order->guest, why ? why : "?", order->guest);
	if (follow_is(progress, "x-quire-unsure"))
		return err_set(err, -EIO,
			       "guest %s: the other side was told to run it, and did not answer: "
			       "%s (it does not run here; look there)",
			       order->guest, why ? why : "?");
	return err_set(err, -EIO, "migration of %s: %s", order->guest,
		       why			  ? why
		       : *follow_status(progress) ? follow_status(progress)
						  : "there is none");
}

static int set_parameters(struct client *c, const struct order *order, struct err *err)
{
	json_t *args = json_pack(
		"{s:I, s:I, s:i, s:i, s:s, s:b, s:I, s:s, s:s, s:s}", "max-bandwidth",
		(json_int_t)order->bandwidth, "max-postcopy-bandwidth",
		(json_int_t)order->bandwidth, "downtime-limit", (int)order->downtime_ms,
		"multifd-channels", (int)order->streams, "x-quire-strategy",
		order->precopy	  ? "pre-copy"
		: order->postcopy ? "post-copy"
		: order->hybrid	  ? "hybrid"
				  : "auto",
		"x-quire-copy", (int)order->copy, "x-quire-time-limit",
		(json_int_t)(order->time_ns / 1000000), "x-quire-late", lates[order->late],
		"x-quire-psk-file", order->psk_path, "x-quire-spill", order->spill_path);
	int ret = client_execute(c, "migrate-set-parameters", args, NULL, err);

	json_decref(args);
	return ret;
}

/*
 * Not what was set before: a guest that is prepared for post-copy, for instance, is not handed
 * over.
 */
static int set_capabilities(struct client *c, const struct order *order, struct err *err)
{
	bool post = order->postcopy || order->hybrid || order->late == MIGRATE_LATE_POSTCOPY;
	json_t *args = json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability",
				 "postcopy-ram", "state", (int)post, "capability", "auto-converge",
				 "state", 1);
	int ret = client_execute(c, "migrate-set-capabilities", args, NULL, err);

	json_decref(args);
	return ret;
}

/* All that a migration of ours depends on: what other clients have set is not for it. */
static int prepare(struct client *c, const struct order *order, struct err *err)
{
	int ret = set_parameters(c, order, err);

	return ret ? ret : set_capabilities(c, order, err);
}

static int start(struct client *c, const struct order *order, struct err *err)
{
	json_t *args;
	int ret = order->recover ? 0 : prepare(c, order, err);

	if (ret)
		return ret;
	args = json_pack("{s:s, s:b}", "uri", order->address, "resume", (int)order->recover);
	ret = client_execute(c, "migrate", args, NULL, err);
	json_decref(args);
	return ret;
}

static int migrate(struct client *c, const struct order *order, struct err *err)
{
	const struct follow f = {
		.query = "query-migrate",
		.cancel = "migrate_cancel",
		.poll_us = POLL_US,
		.is_over = is_over,
		.show = show_progress,
	};
	json_t *progress = NULL;
	int ret = start(c, order, err);

	if (!ret)
		ret = follow(c, &f, &progress, err);
	if (!ret)
		ret = report(order, progress, err);
	/* the guest is elsewhere: what is left of it here has no use any more */
	if (!ret && !order->from[0])
		client_execute(c, "quit", NULL, NULL, err);
	json_decref(progress);
	return ret;
}

/* ---- A plan ---- */

static bool is_measured(const json_t *answer)
{
	return !follow_is(answer, "measuring");
}

static int show_plan(const struct order *order, const json_t *answer, struct err *err)
{
	const char *why = json_string_value(json_object_get(answer, "error-desc"));

	if (!follow_is(answer, "ready"))
		return err_set(err, -EIO, "plan for %s: %s", order->guest, view_printable(why));
	if (order->json)
		return cmd_print_json(answer, JSON_INDENT(2)), 0;
	if (json_object_get(answer, "no-line"))
		printf("%s: nobody to measure the line with (%s): 1 Gbit/s is assumed\n",
		       order->guest, view_text(answer, "no-line"));
	plan_view_print(json_object_get(answer, "plan"), stdout);
	return 0;
}

static int plan(struct client *c, const struct order *order, struct err *err)
{
	const struct follow f = {
		.query = "x-quire-query-plan", .poll_us = POLL_US, .is_over = is_measured};
	json_t *args = json_pack("{s:s}", "uri", order->address), *answer = NULL;
	int ret = prepare(c, order, err);

	if (!ret)
		ret = client_execute(c, "x-quire-plan-migration", args, NULL, err);
	if (!ret)
		ret = follow(c, &f, &answer, err);
	if (!ret)
		ret = show_plan(order, answer, err);
	json_decref(args);
	json_decref(answer);
	return ret;
}

static int execute(const struct order *order, struct err *err)
{
	struct client *c;
	int ret = client_connect(&c, order->guest, CLIENT_TIMEOUT_MS, err);

	if (ret)
		return ret;
	ret = order->plan ? plan(c, order, err) : migrate(c, order, err);
	client_close(c);
	return ret;
}

/* ---- What was ordered ---- */

/* The guest's process has a working directory of its own. */
static int find_key(struct order *order, struct err *err)
{
	if (order->psk_file && !realpath(order->psk_file, order->psk_path))
		return err_set(err, -errno, "--tls-psk %s: %s", order->psk_file, strerror(errno));
	return 0;
}

/* Of the destination: its source is lost, and the rest of its memory is in a directory. */
static int check_address(struct order *order, struct err *err)
{
	const char *scheme = "file:";
	char dir[PATH_MAX];

	if (!order->recover || strncmp(order->address, scheme, strlen(scheme)) != 0)
		return wire_check_address(order->address, err);
	if (client_path(order->address + strlen(scheme), dir, err))
		return -EINVAL;
	snprintf(order->from, sizeof(order->from), "%s%s", scheme, dir);
	order->address = order->from;
	return 0;
}

static int check(struct order *order, int nr_operands, struct err *err)
{
	if (nr_operands != 2)
		return err_set(err, -EINVAL, "migrate: needs a guest's name and an address");
	if (order->precopy + order->postcopy + order->hybrid + order->plan > 1)
		return err_set(err, -EINVAL,
			       "--precopy, --postcopy, --hybrid, --plan: give one of them");
	if (order->plan && order->recover)
		return err_set(err, -EINVAL, "--recover: there is nothing to plan any more");
	if (order->bandwidth > INT64_MAX || order->downtime_ms > 2000000)
		return err_set(err, -EINVAL, "migrate: a number is too large");
	if (!order->streams || order->streams > MIGRATE_MAX_STREAMS)
		return err_set(err, -EINVAL, "--streams %u: give 1 to %d", order->streams,
			       MIGRATE_MAX_STREAMS);
	if (check_address(order, err))
		return -EINVAL;
	if (order->spill && client_path(order->spill, order->spill_path, err))
		return -EINVAL;
	return find_key(order, err);
}

/* As opts_parse(). */
static int parse(struct order *order, int argc, char **argv, struct err *err)
{
	const struct opt table[] = {
		{"plan", OPT_FLAG, NULL, &order->plan,
		 "measure for a second, and say what each way would be like"},
		{"precopy", OPT_FLAG, NULL, &order->precopy,
		 "memory first, in rounds (default is the way that --plan marks)"},
		{"postcopy", OPT_FLAG, NULL, &order->postcopy,
		 "the guest moves at once, its memory afterwards"},
		{"hybrid", OPT_FLAG, NULL, &order->hybrid,
		 "one round of memory, then the guest, then the rest"},
		{"copy", OPT_FLAG, NULL, &order->copy,
		 "copy memory also where it could be handed over on this host"},
		{"downtime", OPT_UINT, "MS", &order->downtime_ms,
		 "how long the guest may stand still (default 20)"},
		{"bandwidth", OPT_SIZE, "RATE", &order->bandwidth,
		 "send so many bytes a second at most"},
		{"streams", OPT_UINT, "N", &order->streams,
		 "connections for memory, 1 to 16 (default 1)"},
		{"time-limit", OPT_TIME, "TIME", &order->time_ns,
		 "rounds are to end within this time (default never mind)"},
		{"late", OPT_CHOICE, "go-on|cancel|post-copy", &order->late,
		 "what to do when they do not (default go-on)"},
		{"tls-psk", OPT_STRING, "FILE", &order->psk_file, "TLS with this key"},
		{"spill", OPT_STRING, "DIR", &order->spill,
		 "post-copy: keep there what is not over there yet, should this host be lost"},
		{"recover", OPT_FLAG, NULL, &order->recover,
		 "go on with a migration whose connection broke after the guest had moved"},
		{"json", OPT_FLAG, NULL, &order->json, "print JSON"},
		{0},
	};
	const struct opt_usage usage = {
		"migrate", "NAME URI", "Move a running guest to where quire receive waits at URI."};
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);

	if (ret)
		return ret;
	order->guest = nr_operands > 0 ? argv[1] : NULL;
	order->address = nr_operands > 1 ? argv[2] : NULL;
	return check(order, nr_operands, err);
}

int cmd_migrate(int argc, char **argv)
{
	struct order order = {.streams = 1, .downtime_ms = 20};
	struct err err;
	int ret = parse(&order, argc, argv, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (ret)
		return cmd_usage_error(&err);
	follow_take_signals();
	ret = execute(&order, &err);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
