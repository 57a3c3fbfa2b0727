// SPDX-License-Identifier: Apache-2.0
/*
 * Command-line options as a table: each sub-command states its options once, and gets parsing,
 * error sentences and its --help text from that one statement.
 */
#ifndef QUIRE_VMM_CLI_OPTS_H
#define QUIRE_VMM_CLI_OPTS_H

#include "mm/base/base.h"
#include "mm/base/err.h"

enum opt_kind {
	OPT_FLAG,   /* bool *: set to true */
	OPT_STRING, /* const char **: points into argv */
	OPT_SIZE,   /* u64 *: bytes; K, M, G or T may follow the number */
	OPT_UINT,   /* unsigned int * */
	OPT_TIME,   /* u64 *: nanoseconds; us, ms, s, m or h must follow the number */
	OPT_CHOICE, /* int *: index into the '|'-separated words of .arg, "auto|ept|shadow" */
};

struct opt {
	const char *name; /* without the dashes; NULL ends the table */
	enum opt_kind kind;
	const char
		*arg; /* what help calls the value: "FILE"; for OPT_CHOICE the words themselves */
	void *value;
	const char *help;
};

/* What a sub-command is, for its help. */
struct opt_usage {
	const char *command;  /* "run" */
	const char *operands; /* "NAME", or "" */
	const char *summary;  /* one sentence */
};

enum opts_result { OPTS_OK, OPTS_HELP };

/*
 * Parse argv[1..argc). "--name value" and "--name=value" both work, "--" ends the options; operands
 * are moved to the front of argv[1..] and counted in *nr_operands. --help prints the help on stdout
 * and returns OPTS_HELP. -EINVAL and a sentence that names the option otherwise.
 */
int opts_parse(int argc, char **argv, const struct opt *table, const struct opt_usage *usage,
	       int *nr_operands, struct err *err);

/* "512M" to bytes. -EINVAL when it is no number, has an unknown suffix or does not fit. */
int opts_parse_size(const char *text, u64 *bytes);

/* A whole number. -EINVAL likewise. */
int opts_parse_uint(const char *text, unsigned int *out);

/* "100ms" to nanoseconds. -EINVAL likewise. */
int opts_parse_time(const char *text, u64 *ns);

#endif
