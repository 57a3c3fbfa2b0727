// SPDX-License-Identifier: Apache-2.0
/*
 * What every sub-command says, and how it ends: sentences go to stderr, results to standard output,
 * and the exit status tells which it was. Below all sub-commands, so that each can use it.
 */
#ifndef QUIRE_VMM_CLI_OUTPUT_H
#define QUIRE_VMM_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "mm/base/err.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

/*
 * Print "quire: " and the sentence on stderr; returns CMD_FAILED, or cmd_usage_error() CMD_USAGE.
 */
int cmd_error(const struct err *err);
int cmd_usage_error(const struct err *err);

/* ASCII only: whatever a guest's process puts into a string cannot then reach the terminal. */
void cmd_print_json(const json_t *value, size_t flags);

/*
 * The columns that @text takes on a terminal: one for each character of its UTF-8. What is printed
 * here has no wide characters and no combining ones.
 */
int cmd_columns(const char *text);

/* One row of a help that lists commands: "  name       operands               help". */
void cmd_print_help_row(FILE *out, const char *name, const char *operands, const char *help);

/* @status, unless standard output could not be written: that must not look like success. */
int cmd_finish_output(int status);

#endif
