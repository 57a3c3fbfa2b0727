// SPDX-License-Identifier: Apache-2.0
/* The last of a pre-copy in slices of time, where the guest writes much. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_SLICES_H
#define QUIRE_VMM_MIGRATE_OUTGOING_SLICES_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;

/* Whether the other side is so near that short slices are worth it: o->is_near. */
int outgoing_find_near(struct outgoing *o, struct err *err);

/*
 * Watch the guest for a moment: whether it writes more than a third of what goes in that time, so
 * that rounds would do little good. *@left: pages in o->dirty afterwards.
 */
int outgoing_watch(struct outgoing *o, u64 *left, bool *fast, struct err *err);

/*
 * Make what is left (o->dirty, *@left pages) so little that the pause is short. Where that does not
 * do, o->is_near says so from then on.
 */
int outgoing_slices(struct outgoing *o, u64 *left, struct err *err);

#endif
