// SPDX-License-Identifier: Apache-2.0
/* MIGRATE_AUTO made into a strategy. On the migration's thread. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_AUTO_H
#define QUIRE_VMM_MIGRATE_OUTGOING_AUTO_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;

/* In place of MIGRATE_AUTO the best strategy; the progress has the plan that says so. */
int outgoing_choose_strategy(struct outgoing *o, struct err *err);

#endif
