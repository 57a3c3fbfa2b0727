// SPDX-License-Identifier: Apache-2.0
/* The two threads that decide how much must go, and when. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_MANAGER_H
#define QUIRE_MM_ENGINE_MANAGER_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct mem;

/* Start the evictor and the manager, as far as they do not run yet. Prepared, under birth_lock. */
int manager_start(struct mem *m, struct err *err);

/* Whether there is no time left for watching: guest memory is near the limit, or has no limit. */
bool manager_is_due(struct mem *m);

/* Join them; m->stopping is set and both were woken. */
void manager_stop(struct mem *m);

#endif
