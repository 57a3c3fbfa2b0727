// SPDX-License-Identifier: Apache-2.0
/* Contract in output.h. */
#include "vmm/cli/output.h"

#include <errno.h>
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

/* Every byte but those that continue a character. */
int cmd_columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* printf()'s own widths count bytes. */
static void print_padded(FILE *out, const char *text, int columns)
{
	int n = cmd_columns(text);

	fprintf(out, "%s%*s ", text, n < columns ? columns - n : 0, "");
}

void cmd_print_help_row(FILE *out, const char *name, const char *operands, const char *help)
{
	fprintf(out, "  ");
	print_padded(out, name, 10);
	print_padded(out, operands, 22);
	fprintf(out, "%s\n", help);
}

int cmd_finish_output(int status)
{
	struct err err;

	if (!fflush(stdout) && !ferror(stdout))
		return status;
	err_set(&err, -EIO, "standard output: %s", strerror(errno));
	return cmd_error(&err);
}
