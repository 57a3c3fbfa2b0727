// SPDX-License-Identifier: Apache-2.0
/* References, and the working set. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_AGE_H
#define QUIRE_MM_ENGINE_AGE_H

#include "mm/engine/stats.h"

int age_init(struct mem *m);
void age_fini(struct mem *m);

/* Time has passed: unmap some pages, draw some samples. Called without locks. */
void age_step(struct mem *m, u64 period_ns);

/* A page that is being mapped was a sample. Under lock. */
void age_sample_touched(struct mem *m, page_no no, u64 now);

/* A scanned page came back. Under lock. */
void age_returned(struct mem *m);

/* Pages in memory by their ages: added to @ages. Called without locks. */
void age_histogram(struct mem *m, u64 ages[MEM_NR_AGES]);

#endif
