// SPDX-License-Identifier: Apache-2.0
/* The guest stops here and goes on there. On the migration's thread. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_SWITCHOVER_H
#define QUIRE_VMM_MIGRATE_OUTGOING_SWITCHOVER_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;

/*
 * Stop the guest, send the rest of it, and let it go. On failure it runs here again, unless o->gone
 * is set: then it stays frozen, and may run there.
 */
int outgoing_switch_over(struct outgoing *o, struct err *err);

/* The other side may be waiting for a last word that will not come: say that the guest stays. */
void outgoing_withdraw(struct outgoing *o, const struct err *why);

#endif
