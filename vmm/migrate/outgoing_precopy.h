// SPDX-License-Identifier: Apache-2.0
/* Memory goes while the guest runs here. On the migration's thread. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_PRECOPY_H
#define QUIRE_VMM_MIGRATE_OUTGOING_PRECOPY_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;
struct throttle;

struct outgoing_precopy {
	struct throttle *throttle; /* from the rounds to the end of the pause; or NULL */
	u64 *last;		   /* pages that were found dirty the time before */
};

/*
 * All of what is to go while the guest runs. Afterwards o->dirty says what is left. vCPUs that were
 * slowed down still are: let go before the pause, they would write much more than is left.
 */
int outgoing_precopy(struct outgoing *o, struct err *err);

/* The pause is over, or there is none: everybody runs freely again. */
void outgoing_end_precopy(struct outgoing *o);

#endif
