// SPDX-License-Identifier: Apache-2.0
/* What the owner of an engine is told. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_OWNER_H
#define QUIRE_MM_ENGINE_OWNER_H

#include "mm/engine/mem.h"

/* Tell the owner that something happened. Under lock or not. */
void owner_tell(struct mem *m, enum mem_event_kind kind);

/* The guest cannot go on: cut it off (mem_cut()) and say why. */
void owner_fail(struct mem *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
