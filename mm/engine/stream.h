// SPDX-License-Identifier: Apache-2.0
/* Faults that go through memory in order. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_STREAM_H
#define QUIRE_MM_ENGINE_STREAM_H

#include "mm/base/addr.h"

struct mem;

/* How many pages a fault on @no should bring in; it is counted as a fault. Under lock. */
u32 stream_width(struct mem *m, page_no no);

/* Pages [no, no + n) are about to come in: the next fault is expected behind. Under lock. */
void stream_took(struct mem *m, page_no no, u32 n);

#endif
