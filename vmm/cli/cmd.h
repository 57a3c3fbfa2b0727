// SPDX-License-Identifier: Apache-2.0
/*
 * vmm/cli: the program `quire` for the person who types it. It owns the process: its command line,
 * what it prints, its exit status, its signals, and, in a process that is a guest, the main loop
 * from the first turn to the last. It may use everything below it, and nothing uses it.
 *
 * Where to begin: main.c has the table of sub-commands. Each is a file cmd_NAME.c, takes its own
 * argv (argv[0] is the sub-command's name) and returns the exit status: CMD_OK, CMD_FAILED,
 * CMD_USAGE, or where it is a guest the value that this wrote to the debug-exit port. Two kinds:
 *
 *   run, restore, receive, clone   become guests: launch.h (their options), session.h (their life),
 *                                  clones.h (many of them)
 *   all others but doctor, image   are clients of a guest's control socket (vmm/control/client.h),
 *                                  and trust nothing that they are told (memory_view.h)
 *
 * opts.h parses for all of them, output.h prints for all of them. There is one thread, except in a
 * process that is a guest, where all of this runs on the main one.
 */
#ifndef QUIRE_VMM_CLI_CMD_H
#define QUIRE_VMM_CLI_CMD_H

#include "vmm/cli/output.h"

int cmd_run(int argc, char **argv);	/* cmd_run.c */
int cmd_restore(int argc, char **argv); /* cmd_restore.c */
int cmd_clone(int argc, char **argv);	/* cmd_clone.c */
int cmd_receive(int argc, char **argv); /* cmd_receive.c */
int cmd_ps(int argc, char **argv);	/* cmd_ps.c */
int cmd_pause(int argc, char **argv);	/* cmd_orders.c, as are the next */
int cmd_resume(int argc, char **argv);
int cmd_powerdown(int argc, char **argv);
int cmd_quit(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_qmp(int argc, char **argv);	   /* cmd_qmp.c */
int cmd_stats(int argc, char **argv);	   /* cmd_stats.c */
int cmd_limit(int argc, char **argv);	   /* cmd_memory.c */
int cmd_reclaim(int argc, char **argv);	   /* cmd_memory.c */
int cmd_translate(int argc, char **argv);  /* cmd_translate.c */
int cmd_checkpoint(int argc, char **argv); /* cmd_checkpoint.c */
int cmd_migrate(int argc, char **argv);	   /* cmd_migrate.c */
int cmd_image(int argc, char **argv);	   /* cmd_image.c */
int cmd_doctor(int argc, char **argv);	   /* cmd_doctor.c */

#endif
