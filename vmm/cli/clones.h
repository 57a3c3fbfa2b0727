// SPDX-License-Identifier: Apache-2.0
/*
 * Many guests from one image: a process each, forked from one that has read and checked everything.
 *
 *   this process          reads the image into a base, parses the state, then forks and waits
 *     |-- PREFIX-1        a VM on a private mapping of the base, its main loop, its control socket
 *     |-- PREFIX-2        likewise
 *
 * Always true: nothing is shared with a clone but memory that neither writes. It dies alone, and
 * what it writes, the host copies for it. For the fork to be cheap, and to be allowed at all, this
 * process has one thread and does little but wait.
 */
#ifndef QUIRE_VMM_CLI_CLONES_H
#define QUIRE_VMM_CLI_CLONES_H

#include <sys/types.h>

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/control/rundir.h"

#define CLONES_MAX 65535

struct launch;
struct clones;

/* What each clone is made from. It must outlive the clones. */
struct clones_config {
	const struct launch *launch; /* of a VM with a base; its name and paths are filled in */
	const char *prefix;	     /* of the names: PREFIX-1, PREFIX-2 ... */
	u32 count;
};

struct clone {
	pid_t pid;
	u64 forked_ns; /* CLOCK_MONOTONIC */
	u64 start_ns;  /* from the fork until the guest ran; 0: it never did */
	bool ended;    /* its process is gone */
	int status;    /* as waitpid() has it, if so */
};

/* Refuse names that no guest can have, before anything is made. */
int clones_check(const struct clones_config *cfg, struct err *err);

/*
 * Make them all, and return when each runs or has failed, having said why on stderr. -errno and a
 * sentence: the rest could not be made. Until clones_destroy() SIGINT and SIGTERM are ours.
 */
int clones_make(struct clones **out, const struct clones_config *cfg, struct err *err);

/*
 * Stay until all have ended, and say of each that did not end well how it ended. SIGINT and SIGTERM
 * end them all. Whether every one ended with status 0.
 */
bool clones_wait(struct clones *c);

/* Those that still run go on. NULL is allowed. */
void clones_destroy(struct clones *c);

/* Clone @i, from 0 on, whose name has the number @i + 1. */
const struct clone *clones_get(const struct clones *c, u32 i);
void clones_name(const struct clones_config *cfg, u32 i, char name[RUNDIR_NAME_MAX + 1]);

#endif
