// SPDX-License-Identifier: Apache-2.0
/*
 * The process that is a guest: its main loop, from the first turn to the last, and what lives as
 * long as that does: the machine, its control socket, the signals that end it.
 *
 * All of it runs on the main thread. The machine's listeners are set here, and pass on what they
 * hear to the control socket.
 */
#ifndef QUIRE_VMM_CLI_SESSION_H
#define QUIRE_VMM_CLI_SESSION_H

#include "vmm/cli/launch.h"

/*
 * Bring the guest up and stay until it ends, or with --detach until it runs. Returns the exit
 * status; errors have been printed.
 */
int session_run(struct launch *l);

/*
 * The parts of it, for who makes several guests: once for all, open the log and drop what no guest
 * needs; then, in the process that is to be the guest and with its name, serial port and control
 * socket filled in, live until it ends. Returns the exit status.
 */
int session_open(struct launch *l, struct err *err);
int session_live(const struct launch *l);

#endif
