// SPDX-License-Identifier: Apache-2.0
/* Faults that go through memory in order. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_STREAM_H
#define QUIRE_MM_ENGINE_STREAM_H

#include "mm/base/addr.h"

/* Places where a guest goes through its memory in order: so many at a time are followed. */
#define NR_STREAMS 8

struct stream {
	page_no next; /* the fault that would continue it */
	u32 width;    /* pages to bring in then */
	u64 used;     /* when, in faults */
};

struct streams {
	struct stream at[NR_STREAMS];
	u64 nr_faults; /* the clock of stream.used */
};

struct mem;

/* How many pages a fault on @no should bring in; it is counted as a fault. Under lock. */
u32 stream_width(struct mem *m, page_no no);

/* Pages [no, no + n) are about to come in: the next fault is expected behind. Under lock. */
void stream_took(struct mem *m, page_no no, u32 n);

#endif
