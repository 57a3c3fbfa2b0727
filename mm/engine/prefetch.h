// SPDX-License-Identifier: Apache-2.0
/* Pages come in before they are asked for. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_PREFETCH_H
#define QUIRE_MM_ENGINE_PREFETCH_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

struct mem;

/* Only where there is a pager that does not bring pages by itself. In charge, before vCPUs run. */
int prefetch_start(struct mem *m, struct err *err);
void prefetch_stop(struct mem *m);

/* The guest asked for a page, and so many came. Under lock. */
void prefetch_touched(struct mem *m, page_no no, u32 n);

#endif
