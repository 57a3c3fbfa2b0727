// SPDX-License-Identifier: Apache-2.0
/*
 * Option tables; the contract is in opts.h.
 *
 * A value is written as its option is met, so the last one counts; operands are moved to the front
 * of argv, which is why it is not const. No state but that.
 */
#include "vmm/cli/opts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/output.h"

/* Decimal digits only: strtoull() alone would take "-1", " 1" and "0x1" as well. */
static int parse_number(const char *text, u64 *out, const char **end)
{
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &stop, 10);
	if (errno)
		return -ERANGE;
	*end = stop;
	return 0;
}

int opts_parse_size(const char *text, u64 *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *end, *suffix;
	u64 n;
	unsigned int shift = 0;

	if (parse_number(text, &n, &end))
		return -EINVAL;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -EINVAL;
	*bytes = n << shift;
	return 0;
}

int opts_parse_time(const char *text, u64 *ns)
{
	static const struct {
		const char *suffix;
		u64 ns;
	} units[] = {{"us", 1000},
		     {"ms", 1000000},
		     {"s", 1000000000},
		     {"m", 60000000000},
		     {"h", 3600000000000}};
	const char *end;
	u64 n;

	if (parse_number(text, &n, &end))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(end, units[i].suffix) && n <= UINT64_MAX / units[i].ns) {
			*ns = n * units[i].ns;
			return 0;
		}
	return -EINVAL;
}

int opts_parse_uint(const char *text, unsigned int *out)
{
	const char *end;
	u64 n;

	if (parse_number(text, &n, &end) || *end || n > UINT32_MAX)
		return -EINVAL;
	*out = (unsigned int)n;
	return 0;
}

static int parse_choice(const char *text, const char *words, int *out)
{
	size_t len = strlen(text);
	int i = 0;

	for (const char *w = words; w; i++) {
		const char *bar = strchr(w, '|');
		size_t n = bar ? (size_t)(bar - w) : strlen(w);

		if (n == len && !memcmp(w, text, n)) {
			*out = i;
			return 0;
		}
		w = bar ? bar + 1 : NULL;
	}
	return -EINVAL;
}

static int set_value(const struct opt *o, const char *value, struct err *err)
{
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->value = true;
		return 0;
	case OPT_STRING:
		*(const char **)o->value = value;
		return 0;
	case OPT_SIZE:
		if (!opts_parse_size(value, o->value))
			return 0;
		return err_set(err, -EINVAL, "--%s %s: not a size (give a number and K, M or G)",
			       o->name, value);
	case OPT_UINT:
		if (!opts_parse_uint(value, o->value))
			return 0;
		return err_set(err, -EINVAL, "--%s %s: not a number", o->name, value);
	case OPT_TIME:
		if (!opts_parse_time(value, o->value))
			return 0;
		return err_set(err, -EINVAL, "--%s %s: not a time (give a number and ms, s or m)",
			       o->name, value);
	case OPT_CHOICE:
		if (!parse_choice(value, o->arg, o->value))
			return 0;
		return err_set(err, -EINVAL, "--%s %s: unknown value (give %s)", o->name, value,
			       o->arg);
	}
	ASSERT(false);
	return -EINVAL;
}

static const struct opt *find(const struct opt *table, const char *name, size_t len)
{
	for (const struct opt *o = table; o->name; o++)
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

static void print_help(const struct opt *table, const struct opt_usage *usage)
{
	printf("usage: quire %s%s%s%s\n%s\n", usage->command, table->name ? " [OPTIONS]" : "",
	       usage->operands[0] ? " " : "", usage->operands, usage->summary);
	if (table->name)
		printf("\noptions:\n");
	for (const struct opt *o = table; o->name; o++) {
		const char *arg = o->arg ? o->arg : "";
		int n = (int)strlen("  --") + cmd_columns(o->name) + !!o->arg + cmd_columns(arg);

		printf("  --%s%s%s", o->name, o->arg ? " " : "", arg);
		if (n >= 30) /* it reaches into the column of what is said of it */
			n = printf("\n") - 1;
		printf("%*s%s\n", 30 - n, "", o->help);
	}
}

/* Parse the option at argv[*i], moving *i to its value where that is a word of its own. */
static int parse_one(int argc, char **argv, int *i, const struct opt *table, struct err *err)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	const struct opt *o = find(table, name, eq ? (size_t)(eq - name) : strlen(name));
	const char *value = NULL;

	if (!o)
		return err_set(err, -EINVAL, "%s: unknown option (--help lists them)", argv[*i]);
	if (o->kind == OPT_FLAG) {
		if (eq)
			return err_set(err, -EINVAL, "--%s: takes no value", o->name);
	} else if (eq) {
		value = eq + 1;
	} else if (*i + 1 < argc) {
		value = argv[++*i];
	} else {
		return err_set(err, -EINVAL, "--%s: needs a value (%s)", o->name, o->arg);
	}
	return set_value(o, value, err);
}

int opts_parse(int argc, char **argv, const struct opt *table, const struct opt_usage *usage,
	       int *nr_operands, struct err *err)
{
	bool options_end = false;
	int n = 0, ret;

	for (int i = 1; i < argc; i++) {
		if (options_end || strncmp(argv[i], "-", 1) || !argv[i][1]) {
			argv[1 + n++] = argv[i];
		} else if (!strcmp(argv[i], "--")) {
			options_end = true;
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			print_help(table, usage);
			return OPTS_HELP;
		} else if (strncmp(argv[i], "--", 2)) {
			return err_set(err, -EINVAL, "%s: unknown option (--help lists them)",
				       argv[i]);
		} else {
			ret = parse_one(argc, argv, &i, table, err);
			if (ret)
				return ret;
		}
	}
	*nr_operands = n;
	return OPTS_OK;
}
