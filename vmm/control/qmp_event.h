// SPDX-License-Identifier: Apache-2.0
/*
 * What a QMP server says unasked, as lines: every client gets the same. This is below the session
 * and the commands: whoever has something to tell makes its line here (memory_json.c,
 * checkpoint_json.c, migrate_json.c), and control.c passes it on.
 *
 * There is no state here and no lock; any thread may call. The caller frees what it gets, which is
 * NULL when there is no memory.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_EVENT_H
#define QUIRE_VMM_CONTROL_QMP_EVENT_H

#include <jansson.h>
#include <sys/time.h>

#include "vmm/machine/machine.h"
#include "vmm/shutdown.h"

/* @value, which is taken over and may be NULL, as a line of its own: it ends in CR LF. */
char *qmp_line(json_t *value);

/* An event: its name, when it was, and its data (taken over; NULL: it has none). */
char *qmp_event(const char *name, json_t *data, const struct timeval *now);

/* What happened to the machine. */
char *qmp_event_line(enum machine_event event, enum shutdown_cause cause,
		     const struct timeval *now);

#endif
