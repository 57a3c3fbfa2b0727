// SPDX-License-Identifier: Apache-2.0
/* What userfaultfd reports, answered. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_FAULT_H
#define QUIRE_MM_ENGINE_FAULT_H

#include "mm/base/err.h"

struct mem;

/* Start the handler threads: guest memory is registered. Under lock, which they wait for. */
int fault_start(struct mem *m, struct err *err);

/* Join them; m->stopping is set and stop_fd readable. */
void fault_stop(struct mem *m);

#endif
