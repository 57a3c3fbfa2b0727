// SPDX-License-Identifier: Apache-2.0
/* Room under the hard limit. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_ROOM_H
#define QUIRE_MM_ENGINE_ROOM_H

#include "mm/base/base.h"

struct mem;

/* How far below the limit reclaim in the background sets in, in bytes. Under lock. */
u64 room_margin(const struct mem *m);

/* Whether @n pages more fit under the limit. Under lock. */
bool room_fits(struct mem *m, u32 n);

/* Make it so, evicting and waiting as need be. Under lock, which is let go of meanwhile. */
void room_make(struct mem *m, u32 n);

/* Whether nobody has to go for a page that nobody waits for. Under lock. */
bool room_is_plenty(struct mem *m);

/* More is in use than before: see whether the evictor has something to do. Under lock. */
void room_call_evictor(struct mem *m);

#endif
