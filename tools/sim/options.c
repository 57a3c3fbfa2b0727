// SPDX-License-Identifier: Apache-2.0
/* Options and lists of numbers. Contract in options.h. */
#include "tools/sim/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/policy/policy.h"
#include "tools/sim/generate.h"

/* Where the value goes: one of the two. */
struct option {
	const char *name, *arg;
	size_t text, flag; /* offsets in struct options */
	const char *help;
};

#define TEXT(field) .text = offsetof(struct options, field)
#define FLAG(field) .flag = offsetof(struct options, field)

static const struct option table[] = {
	{"policy", "LIST", TEXT(policies),
	 .help = "replacement policies, and opt (default: all of them)"},
	{"frames", "LIST", TEXT(frames),
	 .help = "memory sizes in pages: 3, or 1,2,8, or 10-20, or all (default: about 20)"},
	{"window", "LIST", TEXT(windows),
	 .help = "also Denning's working set, for windows of so many references"},
	{"tick", "N", TEXT(tick_text),
	 .help = "references per period of nfu (default: as many as there are frames)"},
	{"victims", NULL, FLAG(victims), .help = "also which pages are evicted, in order"},
	{"svg", "FILE", TEXT(svg), .help = "draw the faults over the memory sizes"},
	{"json", NULL, FLAG(json), .help = "print JSON"},
	{"generate", "NAME", TEXT(generate), .help = "replay a built-in trace, see below"},
	{"print", NULL, FLAG(print), .help = "only print the trace, as numbers"},
	{"help", NULL, FLAG(help), .help = "print this"},
};

void options_help(void)
{
	printf("usage: quire-sim [OPTIONS] TRACE|-|NUMBERS\n"
	       "Replay a reference trace through replacement policies and count the faults. The\n"
	       "trace is a file that `quire run --trace-pages` recorded, or one of page numbers,\n"
	       "or the numbers themselves: quire-sim --frames 3 7,0,1,2,0,3,0,4,2,3\n"
	       "\noptions:\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct option *o = &table[i];
		int n = printf("  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

		printf("%*s%s\n", n < 19 ? 19 - n : 1, "", o->help);
	}
	printf("\npolicies; +idle behind one gives its victims a second chance:\n");
	for (const struct policy_ops *const *p = policy_table; *p; p++) {
		int n = printf("  %s%s", (*p)->name, (*p)->max_param ? ":N" : "");

		printf("%*s%s\n", 19 - n, "", (*p)->summary);
	}
	printf("  opt              knows the future: no policy has fewer faults\n");
	printf("\nbuilt-in traces:\n");
	for (const struct generator *g = generators; g->name; g++)
		printf("  %-17s%s\n", g->name, g->summary);
}

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strlen(table[i].name) == len && !memcmp(table[i].name, name, len))
			return &table[i];
	return NULL;
}

/* argv[*at] is an option; *at moves on when its value is the next word. */
static int parse_one(struct options *o, int argc, char **argv, int *at, struct err *err)
{
	const char *word = argv[*at] + 2, *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct option *opt = !strncmp(argv[*at], "--", 2) ? find(word, len) : NULL;

	if (!opt)
		return err_set(err, -EINVAL, "%s: unknown option (quire-sim --help lists them)",
			       argv[*at]);
	if (!opt->arg && equals)
		return err_set(err, -EINVAL, "--%s: takes no value", opt->name);
	if (!opt->arg) {
		*(bool *)((char *)o + opt->flag) = true;
		return 0;
	}
	if (!equals && *at + 1 == argc)
		return err_set(err, -EINVAL, "--%s: its value is missing (give %s)", opt->name,
			       opt->arg);
	*(const char **)((char *)o + opt->text) = equals ? equals + 1 : argv[++*at];
	return 0;
}

static int parse_tick(struct options *o, struct err *err)
{
	struct numbers n;
	int ret;

	if (!o->tick_text)
		return 0;
	ret = numbers_parse(&n, "--tick", o->tick_text, err);
	if (ret)
		return ret;
	o->tick = n.n[0];
	if (n.nr != 1)
		ret = err_set(err, -EINVAL, "--tick %s: not one number", o->tick_text);
	free(n.n);
	return ret;
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	bool only_operands = false;
	int ret;

	*o = (struct options){.operands = argv + 1};
	for (int i = 1; i < argc; i++) {
		if (only_operands || argv[i][0] != '-' || !argv[i][1]) {
			o->operands[o->nr_operands++] = argv[i];
		} else if (!strcmp(argv[i], "--")) {
			only_operands = true;
		} else {
			ret = parse_one(o, argc, argv, &i, err);
			if (ret)
				return ret;
		}
	}
	return parse_tick(o, err);
}

/* ---- Lists of numbers ---- */

/* Digits at *@text, which moves behind them; 0 when there are none, or the number is too large. */
static u32 take_number(const char **text)
{
	u64 n = 0;

	for (; **text >= '0' && **text <= '9'; ++*text)
		n = MIN(n * 10 + (u64)(**text - '0'), UINT32_MAX);
	return n == UINT32_MAX ? 0 : (u32)n;
}

static int append(struct numbers *list, u32 first, u32 last, const char *what, struct err *err)
{
	if ((u64)last - first >= MAX_NUMBERS - list->nr)
		return err_set(err, -E2BIG, "%s: more than %d numbers (give fewer)", what,
			       MAX_NUMBERS);
	for (u64 n = first; n <= last; n++)
		list->n[list->nr++] = (u32)n;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return (x > y) - (x < y);
}

static void sort(struct numbers *list)
{
	u32 kept = 0;

	qsort(list->n, list->nr, sizeof(list->n[0]), by_size);
	for (u32 i = 0; i < list->nr; i++)
		if (!kept || list->n[kept - 1] != list->n[i])
			list->n[kept++] = list->n[i];
	list->nr = kept;
}

static int parse_list(struct numbers *list, const char *what, const char *text, struct err *err)
{
	const char *at = text;
	u32 first, last;
	int ret;

	do {
		first = last = take_number(&at);
		if (*at == '-') {
			at++;
			last = take_number(&at);
		}
		if (!first || last < first || (*at && *at != ','))
			return err_set(
				err, -EINVAL,
				"%s %.80s: not a list of numbers (give 3, or 1,2,8, or 10-20)",
				what, text);
		ret = append(list, first, last, what, err);
		if (ret)
			return ret;
	} while (*at++ == ',');
	return 0;
}

static int alloc(struct numbers *list, struct err *err)
{
	*list = (struct numbers){.n = malloc(MAX_NUMBERS * sizeof(list->n[0]))};
	return list->n ? 0 : err_set(err, -ENOMEM, "not enough memory");
}

int numbers_parse(struct numbers *out, const char *what, const char *text, struct err *err)
{
	struct numbers list;
	int ret = alloc(&list, err);

	if (ret)
		return ret;
	ret = parse_list(&list, what, text, err);
	if (ret) {
		free(list.n);
		return ret;
	}
	sort(&list);
	*out = list;
	return 0;
}

int numbers_spread(struct numbers *out, u32 last, u32 max, struct err *err)
{
	u32 steps = MIN(last, max);
	int ret = alloc(out, err);

	ASSERT(last && max && max <= MAX_NUMBERS);
	if (ret)
		return ret;
	for (u32 i = 1; i <= steps; i++)
		out->n[out->nr++] = (u32)((u64)last * i / steps);
	return 0;
}
