// SPDX-License-Identifier: Apache-2.0
/* What is told of a migration, as JSON: query-migrate's reply and the events. */
#ifndef QUIRE_VMM_CONTROL_MIGRATE_JSON_H
#define QUIRE_VMM_CONTROL_MIGRATE_JSON_H

#include <jansson.h>
#include <sys/time.h>

#include "vmm/migrate/migrate.h"

/*
 * QMP's MigrationInfo, as QEMU 7.2 has it: nothing at all before a migration, figures only of the
 * source and only while there are any. What is ours is in "x-quire", of both sides. NULL: no
 * memory.
 */
json_t *migrate_json(const struct migrate_progress *p);

/* What was measured, what each way would be like ("ways", by name), and which is the choice. */
json_t *plan_json(const struct plan *plan);

/* MIGRATION (its status changed) and MIGRATION_PASS (a round ended), as qmp_event() makes them. */
char *migrate_event_line(const struct migrate_progress *p, const struct timeval *now);
char *migrate_pass_line(const struct migrate_progress *p, const struct timeval *now);

#endif
