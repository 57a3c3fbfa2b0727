// SPDX-License-Identifier: Apache-2.0
/*
 * A blocking QMP client, for the sub-commands that talk to a running guest. Everything has a time
 * limit: a VMM that hangs gives an error, not a hanging terminal. Replies are not trusted.
 */
#ifndef QUIRE_VMM_CONTROL_CLIENT_H
#define QUIRE_VMM_CONTROL_CLIENT_H

#include <jansson.h>
#include <sys/types.h>

#include "mm/base/err.h"

#define CLIENT_TIMEOUT_MS 5000

struct client; /* the server has a struct conn for each of them, in control.c */

/*
 * Connect to the guest called @guest or, if it contains a '/', to the socket at that path.
 * @timeout_ms limits this call and each later one. -ENOENT when there is no such guest, which
 * includes one that was killed and left its socket; -ETIMEDOUT when it accepts nobody.
 */
int client_connect(struct client **out, const char *guest, int timeout_ms, struct err *err);
void client_close(struct client *c);

/*
 * The absolute form of a path on the command line: the guest's process has a working directory of
 * its own. It need not exist. @out has PATH_MAX bytes.
 */
int client_path(const char *path, char *out, struct err *err);

/* The process that listens at the other end; 0 when it cannot be told. */
pid_t client_peer(const struct client *c);

/*
 * Execute @command and wait for its reply; events are skipped. The first call also waits for the
 * greeting and negotiates. @args is an object or NULL, and stays the caller's; *ret is a new
 * reference, unless @ret is NULL.
 *
 * -EREMOTEIO with the server's own sentence when it refuses. Anything else ends the conversation:
 * -ETIMEDOUT, -ECONNRESET when the guest has ended, -EPROTO when what answers is no QMP server.
 */
int client_execute(struct client *c, const char *command, json_t *args, json_t **ret,
		   struct err *err);

#endif
