// SPDX-License-Identifier: Apache-2.0
/*
 * What `quire run` and `quire restore` have in common: the options of the host's side (where the
 * guest's console and control socket are, how its memory is managed), and the life of the process
 * that is the guest.
 */
#ifndef QUIRE_VMM_LAUNCH_H
#define QUIRE_VMM_LAUNCH_H

#include "vmm/machine.h"
#include "vmm/opts.h"
#include "vmm/rundir.h"
#include "vmm/vm.h"

/* What the options say. All zeros but vm.memory and vm.nr_cpus before parsing. */
struct launch {
	struct vm_config vm;
	struct machine_config machine;
	const char *qmp;
	const char *log_path;
	int proactive, clean;
	bool paused, detach;
	char default_name[RUNDIR_NAME_MAX + 1];
	char socket_path[RUNDIR_PATH_MAX];
	int ready_fd; /* --detach: the pipe to the parent; else -1 */
};

#define LAUNCH_MAX_OPTIONS 32

/* Append the @n options in @from to the table, which ends with an empty one. */
void launch_append(struct opt table[LAUNCH_MAX_OPTIONS], const struct opt *from, size_t n);

/* Append the options of the host's side. */
void launch_add_options(struct launch *l, struct opt table[LAUNCH_MAX_OPTIONS]);

/* After parsing: what must go together, must not, or is wrong in itself; and the environment. */
int launch_check(struct launch *l, struct err *err);

/*
 * Bring the guest up and stay until it ends, or with --detach until it runs. Returns the exit
 * status; errors have been printed.
 */
int launch_guest(struct launch *l);

#endif
