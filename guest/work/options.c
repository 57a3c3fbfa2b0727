// SPDX-License-Identifier: Apache-2.0
/*
 * Options from text. Each word of guest/abi.h is one row of a table: how its value is read, where
 * it goes, what it may be. Whatever the text is, the result is a filled structure or a sentence.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guest/abi.h"
#include "guest/work/options.h"

enum kind {
	NUMBER, /* decimal, or hexadecimal after 0x */
	SIZE,	/* NUMBER with an optional K, M or G */
	MILLI,	/* decimal fraction with up to three places, stored in thousandths */
	CHOICE, /* one of .choices, stored as its index */
};

struct rule {
	const char *key;
	size_t offset; /* of a uint64_t in struct work_options */
	uint64_t initial;
	uint64_t min, max; /* of the value as stored */
	enum kind kind;
	const char *const *choices; /* ended by NULL */
};

static const char *const jobs[] = {"fill",  "verify", "access", "edge",
				   "churn", "attack", "none",	NULL};
static const char *const hows[] = {"call", "write", NULL};
static const char *const maps[] = {"2m", "4k", NULL};
static const char *const patterns[] = {"sweep", "random", "zipf", "shift", "idle", NULL};
static const char *const damages[] = {"flip", "stale", "foreign", "lost", NULL};

#define AT(name)	offsetof(struct work_options, name)
#define DAY		((uint64_t)86400 * 1000)
#define NOT_GIVEN	UINT64_MAX
#define DEFAULT_TIME_MS 10000

/* clang-format off */
static const struct rule rules[] = {
	{"job",     AT(job),       0,            0, 0,                        CHOICE, jobs},
	{"map",     AT(map),       0,            0, 0,                        CHOICE, maps},
	{"how",     AT(how),       0,            0, 0,                        CHOICE, hows},
	{"batch",   AT(batch),     1,            1, 512,                      NUMBER, NULL},
	{"pattern", AT(pattern),   WORK_RANDOM,  0, 0,                        CHOICE, patterns},
	{"damage",  AT(damage),    0,            0, 0,                        CHOICE, damages},
	{"cpus",    AT(cpus),      1,            1, GUEST_MAX_CPUS,           NUMBER, NULL},
	{"size",    AT(size),      0,            GUEST_PAGE_SIZE, UINT64_MAX, SIZE,   NULL},
	{"skip",    AT(skip),      0,            0, UINT64_MAX,               SIZE,   NULL},
	{"seed",    AT(seed),      1,            0, UINT32_MAX,               NUMBER, NULL},
	{"random",  AT(random),    25,           0, 100,                      NUMBER, NULL},
	{"zero",    AT(zero),      0,            0, 100,                      NUMBER, NULL},
	{"same",    AT(same),      0,            0, 100,                      NUMBER, NULL},
	{"dup",     AT(dup),       0,            0, 100,                      NUMBER, NULL},
	{"write",   AT(write),     50,           0, 100,                      NUMBER, NULL},
	{"theta",   AT(theta),     990,          0, 4000,                     MILLI,  NULL},
	{"hot",     AT(hot),       0,            GUEST_PAGE_SIZE, UINT64_MAX, SIZE,   NULL},
	{"rate",    AT(rate),      0,            0, 1000000,                  NUMBER, NULL},
	{"shift",   AT(shift_ms),  1000,         1, DAY,                      MILLI,  NULL},
	{"time",    AT(time_ms),   NOT_GIVEN,    0, DAY,                      MILLI,  NULL},
	{"status",  AT(status_ms), 0,            0, DAY,                      NUMBER, NULL},
	{"passes",  AT(passes),    NOT_GIVEN,    0, UINT32_MAX,               NUMBER, NULL},
	{"ops",     AT(ops),       0,            0, UINT64_MAX,               NUMBER, NULL},
	{"stop",    AT(stop),      0,            0, 1,                        NUMBER, NULL},
	{"beat",    AT(beat),      0,            0, 1,                        NUMBER, NULL},
	{"gap",     AT(gap),       0,            0, 1,                        NUMBER, NULL},
	{"corrupt", AT(corrupt),   WORK_NO_PAGE, 0, WORK_NO_PAGE - 1,         NUMBER, NULL},
	{"tsc_khz", AT(tsc_khz),   0,            1, 100000000,                NUMBER, NULL},
};
/* clang-format on */

#define NR_RULES (sizeof(rules) / sizeof(rules[0]))

/* A stretch of the command line. */
struct word {
	const char *text;
	size_t length;
};

static uint64_t *field(struct work_options *options, const struct rule *rule)
{
	return (uint64_t *)((char *)options + rule->offset);
}

static bool word_is(struct word word, const char *name)
{
	size_t i;

	for (i = 0; i < word.length && name[i] == word.text[i]; i++)
		;
	return i == word.length && !name[i];
}

static bool word_has(struct word word, char c)
{
	for (size_t i = 0; i < word.length; i++)
		if (word.text[i] == c)
			return true;
	return false;
}

static void drop(struct word *word, size_t count)
{
	word->text += count;
	word->length -= count;
}

/* Value of @c as a digit, or 16 and more when it is none. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	return 16;
}

static bool multiply(uint64_t *value, uint64_t by)
{
	return !__builtin_mul_overflow(*value, by, value);
}

/* Take the digits at the start of @word. False when there is none, or the number does not fit. */
static bool take_digits(struct word *word, unsigned int base, uint64_t *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i < word->length && digit(word->text[i]) < base; i++) {
		if (!multiply(value, base))
			return false;
		if (__builtin_add_overflow(*value, digit(word->text[i]), value))
			return false;
	}
	drop(word, i);
	return i > 0;
}

/* Hexadecimal is for the numbers that other tools print that way, as addresses and seeds. */
static bool take_number(struct word *word, uint64_t *value)
{
	if (word->length > 2 && word->text[0] == '0' && word->text[1] == 'x') {
		drop(word, 2);
		return take_digits(word, 16, value);
	}
	return take_digits(word, 10, value);
}

/* In either case: 4k and 4K are the same size. */
static bool take_suffix(struct word *word, uint64_t *value)
{
	static const char suffixes[] = "KMG";

	for (unsigned int i = 0; word->length && suffixes[i]; i++) {
		if ((word->text[0] & ~0x20) != suffixes[i])
			continue;
		drop(word, 1);
		return multiply(value, (uint64_t)1 << (10 * (i + 1)));
	}
	return true;
}

/* What follows the digits of a MILLI, "" or ".5" or ".125"; @value is scaled by it. */
static bool take_fraction(struct word *word, uint64_t *value)
{
	uint64_t fraction = 0;
	uint64_t unit = 1000;

	if (!multiply(value, unit))
		return false;
	if (!word->length || word->text[0] != '.')
		return true;
	drop(word, 1);
	while (word->length && digit(word->text[0]) < 10 && unit > 1) {
		unit /= 10;
		fraction += digit(word->text[0]) * unit;
		drop(word, 1);
	}
	return unit < 1000 && !__builtin_add_overflow(*value, fraction, value);
}

static bool take_choice(struct word *word, const char *const *choices, uint64_t *value)
{
	for (*value = 0; choices[*value]; ++*value) {
		if (word_is(*word, choices[*value])) {
			drop(word, word->length);
			return true;
		}
	}
	return false;
}

/* Store @word as the value of @rule: all of it must make sense, and be within the limits. */
static bool store(struct work_options *options, const struct rule *rule, struct word word)
{
	uint64_t value = 0;
	bool ok = false;

	if (rule->kind == CHOICE) {
		ok = take_choice(&word, rule->choices, &value);
	} else {
		ok = take_number(&word, &value);
		if (ok && rule->kind == SIZE)
			ok = take_suffix(&word, &value);
		if (ok && rule->kind == MILLI)
			ok = take_fraction(&word, &value);
		ok = ok && value >= rule->min && value <= rule->max;
	}
	*field(options, rule) = value;
	return ok && !word.length;
}

/* The whole word is quoted: the user knows it, and need not count words. */
static int complain(struct line *why, const char *what, struct word word)
{
	line_start(why);
	line_text(why, what);
	line_bytes(why, word.text, word.length);
	return -1;
}

static const struct rule *find_rule(struct word key)
{
	for (size_t i = 0; i < NR_RULES; i++)
		if (word_is(key, rules[i].key))
			return &rules[i];
	return NULL;
}

/* A later word for the same key wins, as on a kernel's command line. */
static int parse_word(struct work_options *options, struct word word, struct line *why)
{
	struct word key = word;
	struct word value = word;
	const struct rule *rule;

	for (key.length = 0; key.length < word.length && word.text[key.length] != '='; key.length++)
		;
	if (word_has(key, '.'))
		return 0;
	rule = find_rule(key);
	if (!rule)
		return complain(why, "unknown option: ", word);
	if (key.length == word.length)
		return complain(why, "no value: ", word);
	drop(&value, key.length + 1);
	if (!store(options, rule, value))
		return complain(why, "bad value: ", word);
	return 0;
}

/* Commas too, for command lines that pass all of this as the value of one word (guest/linux/). */
static bool separates(char c)
{
	return c == ' ' || c == ',' || c == '\t' || c == '\n';
}

static int parse_words(struct work_options *options, const char *text, struct line *why)
{
	while (*text) {
		struct word word = {text, 0};

		while (word.text[word.length] && !separates(word.text[word.length]))
			word.length++;
		if (word.length && parse_word(options, word, why))
			return -1;
		text += word.length;
		if (*text)
			text++;
	}
	return 0;
}

/* How long a job goes on whose end was not given depends on what else may end it. */
static void set_end(struct work_options *options)
{
	bool lasts = options->job == WORK_ACCESS || options->job == WORK_CHURN;

	if (options->time_ms == NOT_GIVEN)
		options->time_ms = lasts && !options->ops && !options->stop ? DEFAULT_TIME_MS : 0;
	if (options->passes == NOT_GIVEN)
		options->passes = options->stop ? 0 : 1;
}

int work_options_parse(struct work_options *options, const char *text, struct line *why)
{
	for (size_t i = 0; i < NR_RULES; i++)
		*field(options, &rules[i]) = rules[i].initial;
	if (parse_words(options, text, why))
		return -1;
	if (options->zero + options->same + options->dup > 100)
		return complain(why, "zero=, same= and dup= together exceed 100",
				(struct word){"", 0});
	set_end(options);
	return 0;
}
