// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-commands of quire. main.c holds the table of them; each takes its own argv (argv[0] is
 * the sub-command's name) and returns the exit status: CMD_OK, CMD_FAILED, CMD_USAGE, or for `run`
 * the value that the guest wrote to the debug-exit port.
 */
#ifndef QUIRE_VMM_CMD_H
#define QUIRE_VMM_CMD_H

#include "mm/err.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

int cmd_run(int argc, char **argv);    /* cmd_run.c */
int cmd_doctor(int argc, char **argv); /* cmd_doctor.c */
int cmd_ps(int argc, char **argv);     /* cmd_client.c, as are the rest */
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_quit(int argc, char **argv);
int cmd_powerdown(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_qmp(int argc, char **argv);

/*
 * Print "quire: " and the sentence on stderr; returns CMD_FAILED, or cmd_usage_error() CMD_USAGE.
 */
int cmd_error(const struct err *err);
int cmd_usage_error(const struct err *err);

#endif
