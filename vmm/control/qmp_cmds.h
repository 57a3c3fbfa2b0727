// SPDX-License-Identifier: Apache-2.0
/*
 * The commands that QMP clients may execute: one table of name, handler and permitted arguments.
 * A command has QEMU's name and QEMU's reply where its meaning is QEMU's; what is ours alone is
 * called x-quire-something. Nothing is listed that does not work: clients go by the list.
 *
 * Source of names and replies: QEMU's QMP reference manual (qapi/control.json, run-state.json,
 * machine.json, misc.json), version 7.2.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_CMDS_H
#define QUIRE_VMM_CONTROL_QMP_CMDS_H

#include <jansson.h>

#include "mm/base/err.h"
#include "vmm/machine/machine.h"

/* One execution of a command. */
struct qmp_call {
	struct machine *machine;
	const json_t *args; /* an object that holds permitted members only, or NULL */
	json_t *ret;	    /* the reply; left NULL it is an empty object */
	struct err *err;
};

#define QMP_MAX_ARGS 10

struct qmp_command {
	const char *name;
	/*
	 * On failure -errno and a sentence, which become the error's class (-ENOSYS:
	 * CommandNotFound, anything else: GenericError) and desc.
	 */
	int (*run)(struct qmp_call *call);
	const char *args[QMP_MAX_ARGS]; /* names of permitted arguments, NULL after the last */
};

/* NULL when there is no such command. */
const struct qmp_command *qmp_command_find(const char *name);

/* Refuse any member of @args that @command does not know. */
int qmp_command_check(const struct qmp_command *command, const json_t *args, struct err *err);

/* {"qemu": {...}, "package": ...}: what query-version returns and the greeting contains. */
json_t *qmp_version(void);

#endif
