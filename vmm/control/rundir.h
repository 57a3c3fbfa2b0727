// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime directory: where running guests are found by name.
 *
 *   $QUIRE_RUNTIME_DIR, else $XDG_RUNTIME_DIR/quire, else /run/quire	mode 0700, ours
 *     NAME.qmp		the QMP socket of the guest called NAME
 *     NAME.qmp.lock	held (flock) by the process that serves there, and containing its process id
 *
 * Always true: a socket is created, replaced or removed only by the holder of its lock. The lock,
 * not the socket, says who lives: it vanishes with its process, however that ends, so what a killed
 * guest left behind is told from a living guest without guessing. Both files go when a guest ends
 * in good order.
 */
#ifndef QUIRE_VMM_CONTROL_RUNDIR_H
#define QUIRE_VMM_CONTROL_RUNDIR_H

#include <sys/types.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

#define RUNDIR_NAME_MAX 63
/* A socket's path must fit into sockaddr_un.sun_path with its final NUL. */
#define RUNDIR_PATH_MAX 108

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,62}: no '/', no '.' or '-' first, so it is safe in paths and argv. */
bool rundir_name_valid(const char *name);

/* Make the directory if it is missing, and refuse one that others own or may write to. */
int rundir_create(struct err *err);

/* Path of the socket of @name. -EINVAL for a bad name, -ENAMETOOLONG when no socket can have it. */
int rundir_socket_path(const char *name, char path[RUNDIR_PATH_MAX], struct err *err);

/*
 * Call @fn with the name and socket path of every guest in the directory, living or not, in order
 * of names. A directory that does not exist has none. Stops at the first nonzero result, and
 * returns it.
 */
typedef int (*rundir_guest_fn)(void *opaque, const char *name, const char *path);
int rundir_for_each(rundir_guest_fn fn, void *opaque, struct err *err);

/* The exclusive right to serve at one path. */
struct rundir_claim {
	int lock_fd;
	char path[RUNDIR_PATH_MAX];
};

/*
 * Claim @path (in the directory or anywhere else), and clear away a socket that nobody serves. On
 * success nothing exists at @path and only this claim may create it. -EADDRINUSE with a sentence
 * that names the process when it is taken; -EEXIST when what is in the way is no socket.
 */
int rundir_claim(struct rundir_claim *claim, const char *path, struct err *err);

/* Remove the socket and the lock. */
void rundir_release(struct rundir_claim *claim);

#endif
