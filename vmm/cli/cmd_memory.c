// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands that move a running guest's memory: limit, reclaim. They are clients of the
 * control socket. Sizes for people are in MiB, JSON is in bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mm/base/base.h"
#include "vmm/control/client.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/opts.h"

/* The engine answers within milliseconds, on a busy host within seconds. */
#define TIMEOUT_MS 30000

/* ---- limit ---- */

static int execute(struct client *c, const char *command, json_t *args, json_t **value,
		   struct err *err)
{
	int ret = client_execute(c, command, args, value, err);

	json_decref(args);
	return ret;
}

/* What came of it; the guest may need a while to get there. */
static int show_limit(struct client *c, struct err *err)
{
	json_t *memory, *shown;
	int ret = execute(c, "x-quire-memory", NULL, &memory, err);

	if (ret)
		return ret;
	shown = json_pack("{s:O?, s:O?, s:O?, s:O?}", "limit", json_object_get(memory, "limit"),
			  "limit-min", json_object_get(memory, "limit-min"), "resident",
			  json_object_get(memory, "resident"), "store",
			  json_object_get(memory, "store"));
	cmd_print_json(shown, JSON_INDENT(2));
	json_decref(shown);
	json_decref(memory);
	return 0;
}

static int set_limit(const char *guest, u64 limit, u64 limit_min, bool json, struct err *err)
{
	struct client *c;
	int ret = client_connect(&c, guest, TIMEOUT_MS, err);

	if (ret)
		return ret;
	ret = execute(c, "x-quire-set-limit",
		      json_pack("{s:I, s:I}", "limit", (json_int_t)limit, "limit-min",
				(json_int_t)limit_min),
		      NULL, err);
	if (!ret && json)
		ret = show_limit(c, err);
	client_close(c);
	return ret;
}

/* A size that a JSON integer can hold. */
static int parse_size(const char *command, const char *text, u64 *bytes, struct err *err)
{
	if (!opts_parse_size(text, bytes) && *bytes <= INT64_MAX)
		return 0;
	return err_set(err, -EINVAL, "%s: %s: not a size (give a number and K, M or G)", command,
		       text);
}

int cmd_limit(int argc, char **argv)
{
	u64 limit = 0, limit_min = 0;
	bool json = false;
	const struct opt table[] = {
		{"min", OPT_SIZE, "SIZE", &limit_min,
		 "let the limit move between this and SIZE, by fault frequency"},
		{"json", OPT_FLAG, NULL, &json, "print what came of it, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {
		"limit", "NAME SIZE|none",
		"Change how much memory a running guest may occupy, what is stored included."};
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands != 2)
		ret = err_set(&err, -EINVAL, "limit: needs a guest's name and a size (or none)");
	if (!ret && strcmp(argv[2], "none"))
		ret = parse_size("limit", argv[2], &limit, &err);
	if (!ret && limit_min > limit)
		ret = err_set(&err, -EINVAL, "--min: more than the limit itself");
	if (ret)
		return cmd_usage_error(&err);
	ret = set_limit(argv[1], limit, limit_min, json, &err);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}

/* ---- reclaim ---- */

/* Slice by slice, as x-quire-reclaim works, until all went or nothing more goes. */
static int reclaim_all(struct client *c, u64 size, u64 *went, struct err *err)
{
	json_t *value;
	u64 some = 1;
	int ret = 0;

	for (*went = 0; *went < size && some && !ret; *went += some) {
		json_int_t rest = (json_int_t)(size - *went);

		some = 0;
		ret = execute(c, "x-quire-reclaim", json_pack("{s:I}", "size", rest), &value, err);
		if (ret)
			break;
		some = MIN(view_count(value, "reclaimed"), size - *went);
		json_decref(value);
	}
	return ret;
}

static int reclaim(const char *guest, u64 size, bool json, struct err *err)
{
	struct client *c;
	json_t *shown;
	u64 went = 0;
	int ret = client_connect(&c, guest, TIMEOUT_MS, err);

	if (ret)
		return ret;
	ret = reclaim_all(c, size, &went, err);
	client_close(c);
	if (ret)
		return ret;
	shown = json_pack("{s:I}", "reclaimed", (json_int_t)went);
	if (json)
		cmd_print_json(shown, JSON_INDENT(2));
	else
		printf("reclaimed %s\n", view_size(shown, "reclaimed").s);
	json_decref(shown);
	return 0;
}

int cmd_reclaim(int argc, char **argv)
{
	bool json = false;
	const struct opt table[] = {
		{"json", OPT_FLAG, NULL, &json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {
		"reclaim", "NAME SIZE",
		"Push so much of a running guest's memory out now, and say how much went."};
	struct err err;
	u64 size = 0;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands != 2)
		ret = err_set(&err, -EINVAL, "reclaim: needs a guest's name and a size");
	if (!ret)
		ret = parse_size("reclaim", argv[2], &size, &err);
	if (ret)
		return cmd_usage_error(&err);
	ret = reclaim(argv[1], size, json, &err);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
