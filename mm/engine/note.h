// SPDX-License-Identifier: Apache-2.0
/* What is noted of a page. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_NOTE_H
#define QUIRE_MM_ENGINE_NOTE_H

#include "mm/base/addr.h"

struct mem;

/* The page has been seen in use, and is mapped. Under lock. */
void note_use(struct mem *m, page_no no);

/*
 * The page is what the engine has of it, from now on: the origin is not asked for it any more, and
 * is told so. Under lock.
 */
void note_own(struct mem *m, page_no no);

/* Let go of the stored copy of a page, if it has one. Under lock. */
void note_drop_copy(struct mem *m, page_no no);

#endif
