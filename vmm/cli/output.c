// SPDX-License-Identifier: Apache-2.0
/* Contract in output.h. */
#include "vmm/cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int cmd_error(const struct err *err)
{
	fprintf(stderr, "quire: %s\n", err->text);
	return CMD_FAILED;
}

int cmd_usage_error(const struct err *err)
{
	cmd_error(err);
	return CMD_USAGE;
}

void cmd_print_json(const json_t *value, size_t flags)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | flags);
	putchar('\n');
}

int cmd_finish_output(int status)
{
	struct err err;

	if (!fflush(stdout) && !ferror(stdout))
		return status;
	err_set(&err, -EIO, "standard output: %s", strerror(errno));
	return cmd_error(&err);
}
