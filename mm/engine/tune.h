// SPDX-License-Identifier: Apache-2.0
/* The controllers. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_TUNE_H
#define QUIRE_MM_ENGINE_TUNE_H

#include "mm/base/base.h"

struct mem;

/* A second has passed, about: @period_ns. Called without locks. */
void tune_step(struct mem *m, u64 period_ns);

#endif
