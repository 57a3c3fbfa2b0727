// SPDX-License-Identifier: Apache-2.0
/* What is told of a migration by its destination; incoming_progress() is in incoming.h. */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_PROGRESS_H
#define QUIRE_VMM_MIGRATE_INCOMING_PROGRESS_H

#include "vmm/migrate/migrate.h"

struct incoming;

/* Any thread; not under lock. */
void incoming_set_status(struct incoming *in, enum migrate_status status);

#endif
