// SPDX-License-Identifier: Apache-2.0
/* From watching to being in charge. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_CHARGE_H
#define QUIRE_MM_ENGINE_CHARGE_H

#include "mm/base/err.h"

struct mem;

/* Take charge of guest memory. Does nothing the second time. Prepared; called without locks. */
int charge_take(struct mem *m, struct err *err);

#endif
