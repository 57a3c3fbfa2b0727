// SPDX-License-Identifier: Apache-2.0
/* What QMP's handlers have in common: their arguments and replies. */
#ifndef QUIRE_VMM_CONTROL_QMP_ARGS_H
#define QUIRE_VMM_CONTROL_QMP_ARGS_H

#include "mm/base/base.h"
#include "vmm/control/qmp_cmds.h"

/* Bytes, or anything else that is counted. */
json_t *qmp_bytes(u64 n);

/* Reply with @value, which is taken over; jansson gives NULL when there is no memory. */
int qmp_give(struct qmp_call *call, json_t *value);

/*
 * Arguments by name. One that is left out and may be leaves the variable as it was. The sentences
 * are those of QEMU's input visitors. 0 or -EINVAL.
 */
enum qmp_presence { QMP_OPTIONAL, QMP_REQUIRED };

int qmp_arg(const struct qmp_call *call, const char *key, enum qmp_presence presence,
	    const json_t **value); /* NULL: it is left out */
int qmp_number(const struct qmp_call *call, const char *key, enum qmp_presence presence,
	       u64 *n); /* whole, from 0 on */
int qmp_string(const struct qmp_call *call, const char *key, enum qmp_presence presence,
	       const char **text);
int qmp_bool(const struct qmp_call *call, const char *key, bool *flag);

/* The place of the argument in @names, of @n; @what: the names, for who gives another. */
int qmp_choice(const struct qmp_call *call, const char *key, const char *const *names,
	       unsigned int n, const char *what, unsigned int *choice);

#endif
