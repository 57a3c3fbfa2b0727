// SPDX-License-Identifier: Apache-2.0
/* quire qmp: one command to a guest's control socket, and what it returns, as JSON. */
#include <errno.h>
#include <jansson.h>

#include "vmm/cli/cmd.h"
#include "vmm/cli/opts.h"
#include "vmm/control/client.h"

/* Which command it is we do not know, so it gets the time of the slowest. */
#define TIMEOUT_MS 30000

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

static int execute(const char *guest, const char *command, json_t *args, struct err *err)
{
	struct client *c;
	json_t *value;
	int ret = client_connect(&c, guest, TIMEOUT_MS, err);

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
		return cmd_finish_output(CMD_OK);
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
