// SPDX-License-Identifier: Apache-2.0
/* The command line of quire-sim. */
#ifndef QUIRE_TOOLS_SIM_OPTIONS_H
#define QUIRE_TOOLS_SIM_OPTIONS_H

#include "mm/base/base.h"
#include "mm/base/err.h"

/* Lists stay text here: what they may hold depends on the trace. NULL: not given. */
struct options {
	const char *policies;
	const char *frames;
	const char *windows;
	const char *svg;
	const char *generate;
	const char *tick_text;
	u32 tick; /* 0: not given */
	bool json, victims, print, help;
	char **operands; /* in argv */
	int nr_operands;
};

/* Operands move to the front of argv[1..]. -EINVAL and a sentence that names the option. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);

void options_help(void);

/* No list of sizes or windows is longer. */
#define MAX_NUMBERS 10000

/* Ascending, each once; to be freed by the owner of the list. */
struct numbers {
	u32 *n;
	u32 nr;
};

/*
 * Read "3", "1,2,8", "10-20" or a mix of these, all from 1 to UINT32_MAX - 1. @what is the option,
 * for the sentence. -EINVAL, -E2BIG, -ENOMEM.
 */
int numbers_parse(struct numbers *out, const char *what, const char *text, struct err *err);

/* 1 to @last, or @max numbers evenly spread up to @last when that is fewer. -ENOMEM. */
int numbers_spread(struct numbers *out, u32 last, u32 max, struct err *err);

#endif
