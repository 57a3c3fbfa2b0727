// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands about images of guests, which lie in directories: info, verify, flatten. An
 * image is not trusted: what is text in it goes to the terminal as ASCII, or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mm/image/image.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/opts.h"

/* One directory as the only operand. CMD_OK and *@dir NULL: only help was wanted. */
static int parse(int argc, char **argv, const struct opt *table, const struct opt_usage *usage,
		 const char **dir)
{
	struct err err;
	int nr_operands, ret = opts_parse(argc, argv, table, usage, &nr_operands, &err);

	*dir = NULL;
	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands != 1)
		ret = err_set(&err, -EINVAL, "%s: needs the directory of one image",
			      usage->command);
	if (ret)
		return cmd_usage_error(&err);
	*dir = argv[1];
	return CMD_OK;
}

/* ---- Progress ---- */

/* A percentage that stays on its line; only where somebody looks. */
static void show_progress(void *opaque, u64 done, u64 all)
{
	int *last = opaque, percent = all ? (int)((double)done / (double)all * 100) : 100;

	if (percent == *last)
		return;
	*last = percent;
	fprintf(stderr, "\r%3d%%", percent);
}

static image_progress_fn progress_fn(void)
{
	return isatty(STDERR_FILENO) ? show_progress : NULL;
}

static void end_progress(void)
{
	if (progress_fn())
		fprintf(stderr, "\r    \r");
}

/* ---- info ---- */

/* The list, however long it is: the caller's to free(). Their number, or -errno. */
static int list_links(const char *dir, struct image_link_info **links, struct err *err)
{
	*links = NULL;
	for (u32 max = 64;; max *= 2) {
		struct image_link_info *more = realloc(*links, max * sizeof(*more));
		int n;

		if (!more)
			return err_set(err, -ENOMEM, "%s: out of memory", dir);
		*links = more;
		n = image_list(dir, more, max, err);
		if (n < 0 || (u32)n < max)
			return n;
	}
}

/* The configuration as JSON, if it is that. */
static json_t *config_value(const char *config)
{
	json_t *value = json_loads(config, 0, NULL);

	if (!value)
		value = json_string(config);
	return value ? value : json_null();
}

static void print_json(const struct image_link_info *links, int n)
{
	json_t *array = json_array(), *all;

	for (int i = 0; i < n; i++) {
		const struct image_link_info *l = &links[i];

		json_array_append_new(
			array,
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "link",
				  (json_int_t)l->number, "parent", (json_int_t)l->parent, "version",
				  (json_int_t)l->version, "when", (json_int_t)l->when, "bytes",
				  (json_int_t)l->bytes, "pages", (json_int_t)l->pages, "patterns",
				  (json_int_t)l->patterns, "shared", (json_int_t)l->shared, "raw",
				  (json_int_t)l->raw, "config", config_value(l->config)));
	}
	all = json_pack("{s:I, s:o}", "memory",
			(json_int_t)links[0].nr_pages * (json_int_t)PAGE_SIZE, "links", array);
	cmd_print_json(all, JSON_INDENT(2));
	json_decref(all);
}

static double mib(u64 bytes)
{
	return (double)bytes / (double)MiB;
}

static void print_links(const struct image_link_info *links, int n)
{
	printf("memory of the guest: %.1f MiB\n", mib((u64)links[0].nr_pages * PAGE_SIZE));
	printf("%8s %8s %-19s %12s %10s %10s %10s %10s\n", "LINK", "PARENT", "WRITTEN", "SIZE",
	       "PAGES", "PATTERNS", "SHARED", "RAW");
	for (int i = 0; i < n; i++) {
		const struct image_link_info *l = &links[i];
		time_t when = (time_t)l->when;
		char date[32] = "-", parent[16] = "-";
		struct tm tm;

		if (localtime_r(&when, &tm))
			strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		if (l->parent)
			snprintf(parent, sizeof(parent), "%u", l->parent);
		printf("%8u %8s %-19s %8.1f MiB %10llu %10llu %10llu %10llu\n", l->number, parent,
		       date, mib(l->bytes), (unsigned long long)l->pages,
		       (unsigned long long)l->patterns, (unsigned long long)l->shared,
		       (unsigned long long)l->raw);
	}
}

static int image_info(int argc, char **argv)
{
	bool json = false;
	const struct opt table[] = {
		{"json", OPT_FLAG, NULL, &json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {"image info", "DIR", "List the links of an image."};
	struct image_link_info *links;
	const char *dir;
	struct err err;
	int n, status = parse(argc, argv, table, &usage, &dir);

	if (!dir)
		return status;
	n = list_links(dir, &links, &err);
	if (n < 0)
		status = cmd_error(&err);
	else if (json)
		print_json(links, n);
	else
		print_links(links, n);
	free(links);
	return cmd_finish_output(status);
}

/* ---- verify ---- */

static int image_verify_cmd(int argc, char **argv)
{
	const struct opt table[] = {{0}};
	const struct opt_usage usage = {
		"image verify", "DIR",
		"Read all of an image, and check it against its checksums. Stops at damage."};
	const char *dir;
	struct err err;
	int percent = -1, ret, status = parse(argc, argv, table, &usage, &dir);

	if (!dir)
		return status;
	ret = image_verify(dir, progress_fn(), &percent, &err);
	end_progress();
	return ret ? cmd_error(&err) : CMD_OK;
}

/* ---- flatten ---- */

static int image_flatten_cmd(int argc, char **argv)
{
	const char *to = NULL, *dir;
	unsigned int number = 0;
	const struct opt table[] = {
		{"to", OPT_STRING, "DIR2", &to, "make a new image there, and leave DIR alone"},
		{"link", OPT_UINT, "N", &number, "links up to this one (default the newest)"},
		{0},
	};
	const struct opt_usage usage = {
		"image flatten", "DIR",
		"Make one link of all, or of all up to one, that can stand for itself."};
	struct err err;
	int percent = -1, ret, status = parse(argc, argv, table, &usage, &dir);

	if (!dir)
		return status;
	ret = image_flatten(dir, number, to, progress_fn(), &percent, &err);
	end_progress();
	return ret ? cmd_error(&err) : CMD_OK;
}

/* ---- The command ---- */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *operands, *help;
} actions[] = {
	{"info", image_info, "DIR", "list its links"},
	{"verify", image_verify_cmd, "DIR", "check all of it against its checksums"},
	{"flatten", image_flatten_cmd, "DIR [--to DIR2]", "make one link of all"},
};

static void print_help(void)
{
	printf("usage: quire image ACTION [OPTIONS] DIR\nLook after images of guests.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		cmd_print_help_row(stdout, actions[i].name, actions[i].operands, actions[i].help);
}

int cmd_image(int argc, char **argv)
{
	struct err err;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help();
		return cmd_finish_output(CMD_OK);
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(actions); i++)
		if (!strcmp(argv[1], actions[i].name))
			return actions[i].run(argc - 1, argv + 1);
	if (argc > 1)
		err_set(&err, -EINVAL, "image: %s: unknown action (give info, verify or flatten)",
			argv[1]);
	else
		err_set(&err, -EINVAL, "image: what with it? (give info, verify or flatten)");
	return cmd_usage_error(&err);
}
