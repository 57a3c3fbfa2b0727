// SPDX-License-Identifier: Apache-2.0
/* One round of pages, whichever file has it sent. On the migration's thread. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_ROUND_H
#define QUIRE_VMM_MIGRATE_OUTGOING_ROUND_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;

/* What the connection takes, as learned from rounds so far. */
struct outgoing_speed {
	double rate;	       /* bytes a second; 0: nothing was learned yet */
	double bytes_per_page; /* as they are after encoding */
};

/* Add what was written since the last time to @pages. */
int outgoing_harvest(struct outgoing *o, u64 *pages, struct err *err);

/* Send what is in o->todo, and learn from it what the connection takes. */
int outgoing_send_round(struct outgoing *o, struct err *err);

/* How long so many pages would take, by what was learned. 0: nothing was yet. */
u64 outgoing_pages_ns(const struct outgoing *o, u64 pages);

/* Bytes a second, likewise. */
double outgoing_rate(const struct outgoing *o);

/* Whether it is to go over to post-copy, as was asked for or decided. */
bool outgoing_wants_postcopy(struct outgoing *o);

#endif
