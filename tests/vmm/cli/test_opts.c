// SPDX-License-Identifier: Apache-2.0
/* The option parser: every kind of value, every kind of mistake. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cli/opts.h"
#include "vmm/cli/output.h"

struct values {
	bool flag;
	const char *string;
	u64 size;
	unsigned int number;
	int choice;
};

static int parse(struct values *v, int argc, char **argv, int *nr_operands, struct err *err)
{
	const struct opt table[] = {
		{"flag", OPT_FLAG, NULL, &v->flag, "a flag"},
		{"string", OPT_STRING, "TEXT", &v->string, "a text"},
		{"size", OPT_SIZE, "SIZE", &v->size, "a size"},
		{"number", OPT_UINT, "N", &v->number, "a number"},
		{"choice", OPT_CHOICE, "one|two|three", &v->choice, "one of three"},
		{0},
	};
	const struct opt_usage usage = {"test", "NAME", "For tests."};

	return opts_parse(argc, argv, table, &usage, nr_operands, err);
}

static struct values v;
static struct err err;
static int nr;
static char first[64];

/* Parse @words, which end with NULL; the outcome is in the variables above. */
static int parse_words(const char *const *words)
{
	char *argv[16] = {(char *)"test"};
	int argc = 1, ret;

	for (; *words; words++)
		argv[argc++] = (char *)*words;
	v = (struct values){0};
	err.text[0] = first[0] = '\0';
	nr = -1;
	ret = parse(&v, argc, argv, &nr, &err);
	if (nr > 0)
		snprintf(first, sizeof(first), "%s", argv[1]);
	return ret;
}

#define PARSE(...) parse_words((const char *const[]){__VA_ARGS__, NULL})

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--flag", "--string", "a b", "--size=3M", "--number", "7",
			       "--choice", "three"),
			 OPTS_OK);
	assert_true(v.flag);
	assert_string_equal(v.string, "a b");
	assert_int_equal(v.size, 3 * MiB);
	assert_int_equal(v.number, 7);
	assert_int_equal(v.choice, 2);
	assert_int_equal(nr, 0);
	/* a value may look like an option */
	assert_int_equal(PARSE("--string", "--flag"), OPTS_OK);
	assert_string_equal(v.string, "--flag");
	assert_false(v.flag);
}

static void test_operands(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--flag", "NAME", "--number", "1"), OPTS_OK);
	assert_int_equal(nr, 1);
	assert_string_equal(first, "NAME");
	assert_int_equal(PARSE("--", "--flag"), OPTS_OK);
	assert_int_equal(nr, 1);
	assert_string_equal(first, "--flag");
	assert_false(v.flag);
	assert_int_equal(PARSE("-"), OPTS_OK);
	assert_int_equal(nr, 1);
}

static void test_mistakes(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--nope"), -EINVAL);
	assert_non_null(strstr(err.text, "--nope"));
	assert_int_equal(PARSE("-x"), -EINVAL);
	assert_int_equal(PARSE("--flag=1"), -EINVAL);
	assert_int_equal(PARSE("--string"), -EINVAL);
	assert_int_equal(PARSE("--size", "3X"), -EINVAL);
	assert_int_equal(PARSE("--number", "-1"), -EINVAL);
	assert_int_equal(PARSE("--number", "4294967296"), -EINVAL);
	assert_int_equal(PARSE("--choice", "tw"), -EINVAL);
	assert_non_null(strstr(err.text, "one|two|three"));
	assert_int_equal(PARSE("--choice", ""), -EINVAL);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		u64 bytes;
	} good[] = {{"0", 0},
		    {"1", 1},
		    {"4096", 4096},
		    {"1k", KiB},
		    {"256M", 256 * MiB},
		    {"2G", 2 * GiB},
		    {"16777215T", 16777215ull << 40}};
	static const char *const bad[] = {"",
					  "M",
					  "-1",
					  "1.5G",
					  "1GB",
					  "0x10",
					  " 1",
					  "1 ",
					  "1K1",
					  "++1",
					  "99999999999999999999",
					  "16777216T"};
	u64 bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(opts_parse_size(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(opts_parse_size(bad[i], &bytes), -EINVAL);
}

static void test_columns(void **state)
{
	(void)state;
	assert_int_equal(cmd_columns(""), 0);
	assert_int_equal(cmd_columns("--kernel FILE"), 13);
	assert_int_equal(cmd_columns("--kernel FILE \u2026"), 15);  /* three bytes */
	assert_int_equal(cmd_columns("\u00e9\u20ac\U0001d11e"), 3); /* of two, three and four */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	 cmocka_unit_test(test_operands),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_columns),
	};

	return cmocka_run_group_tests_name("opts", tests, NULL, NULL);
}
