// SPDX-License-Identifier: Apache-2.0
/*
 * What `quire run`, `restore`, `receive` and `clone` have in common: the options of the host's side
 * (where the guest's console and control socket are, how its memory is managed), and what follows
 * from them. struct launch is what was ordered; session.h makes a guest of it.
 */
#ifndef QUIRE_VMM_CLI_LAUNCH_H
#define QUIRE_VMM_CLI_LAUNCH_H

#include "vmm/machine/machine.h"
#include "vmm/cli/opts.h"
#include "vmm/control/rundir.h"
#include "vmm/vm/vm.h"

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
	int ready_fd; /* the pipe to the parent, which gets .ready once the guest is up; else -1 */
	u32 ready;
	bool is_clone; /* its parent tells of a signal that ends all */
};

#define LAUNCH_MAX_OPTIONS 32

/* Append the @n options in @from to the table, which ends with an empty one. */
void launch_append(struct opt table[LAUNCH_MAX_OPTIONS], const struct opt *from, size_t n);

/* Append the options of the host's side. */
void launch_add_options(struct launch *l, struct opt table[LAUNCH_MAX_OPTIONS]);

/* Refuse options of managed memory, in words, where they have no meaning. */
int launch_refuse_memory_options(int argc, char **argv, struct err *err);

/* After parsing: what must go together, must not, or is wrong in itself; and the environment. */
int launch_check(struct launch *l, struct err *err);

#endif
