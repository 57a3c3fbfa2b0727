// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands of quire. main.c holds the table of them; each takes its own argv (argv[0] is
 * the sub-command's name) and returns the exit status: CMD_OK, CMD_FAILED, CMD_USAGE, or for `run`
 * the value that the guest wrote to the debug-exit port.
 */
#ifndef QUIRE_VMM_CLI_CMD_H
#define QUIRE_VMM_CLI_CMD_H

#include <jansson.h>

#include "mm/base/err.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

int cmd_run(int argc, char **argv);    /* cmd_run.c */
int cmd_doctor(int argc, char **argv); /* cmd_doctor.c */
int cmd_ps(int argc, char **argv);     /* cmd_orders.c, as are the next */
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_quit(int argc, char **argv);
int cmd_powerdown(int argc, char **argv);
int cmd_qmp(int argc, char **argv);
int cmd_stats(int argc, char **argv); /* cmd_memory.c */
int cmd_limit(int argc, char **argv);
int cmd_reclaim(int argc, char **argv);
int cmd_checkpoint(int argc, char **argv); /* cmd_checkpoint.c */
int cmd_restore(int argc, char **argv);	   /* cmd_restore.c */
int cmd_clone(int argc, char **argv);	   /* cmd_clone.c */
int cmd_reset(int argc, char **argv);	   /* cmd_orders.c */
int cmd_migrate(int argc, char **argv);	   /* cmd_migrate.c */
int cmd_receive(int argc, char **argv);	   /* cmd_receive.c */
int cmd_translate(int argc, char **argv);  /* cmd_translate.c */
int cmd_image(int argc, char **argv);	   /* cmd_image.c */

/*
 * Print "quire: " and the sentence on stderr; returns CMD_FAILED, or cmd_usage_error() CMD_USAGE.
 */
int cmd_error(const struct err *err);
int cmd_usage_error(const struct err *err);

/* ASCII only: whatever a guest's process puts into a string cannot then reach the terminal. */
void cmd_print_json(const json_t *value, size_t flags);

/* @status, unless standard output could not be written: that must not look like success. */
int cmd_finish_output(int status);

#endif
