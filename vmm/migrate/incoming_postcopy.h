// SPDX-License-Identifier: Apache-2.0
/* Memory that comes after the guest. incoming_finish_from() is in incoming.h. */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_POSTCOPY_H
#define QUIRE_VMM_MIGRATE_INCOMING_POSTCOPY_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct incoming;
struct image;

struct incoming_postcopy {
	struct image *spill; /* to finish from; or NULL; under lock */
	bool filled;	     /* all that was missing has come from there; of the thread */
};

/*
 * Until nothing is missing. -ECANCELED: it is ending. Lost connections are waited for, however
 * long.
 */
int incoming_complete(struct incoming *in, struct err *err);

#endif
