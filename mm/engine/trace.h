// SPDX-License-Identifier: Apache-2.0
/* The reference trace. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_TRACE_H
#define QUIRE_MM_ENGINE_TRACE_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

struct mem;

/* Nothing is recorded where mem_config has no file for it. 0 or -errno. */
int trace_init(struct mem *m, struct err *err);

/* Of the last tenth of a second a failure stays unheard. */
void trace_fini(struct mem *m);

/* A reference was seen, and the page is (about to be) mapped. Under lock. */
void trace_reference(struct mem *m, page_no no, bool write);

/* Write what was recorded. A trace that cannot be written ends; the guest goes on. Under lock. */
void trace_step(struct mem *m);

#endif
