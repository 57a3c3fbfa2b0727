// SPDX-License-Identifier: Apache-2.0
/*
 * What the memory engine told and the main thread has not heard yet: a queue of fixed size between
 * the engine's threads, which must not wait, and one reader. When it is full the oldest event goes,
 * so that the reader ends up with what is true now.
 */
#ifndef QUIRE_VMM_MACHINE_MEMORY_EVENTS_H
#define QUIRE_VMM_MACHINE_MEMORY_EVENTS_H

#include <pthread.h>

#include "mm/engine/mem.h"

/* Some for each kind there is; they are read within a turn of the main loop. */
#define MEMORY_EVENTS_MAX 16

struct memory_events {
	pthread_mutex_t lock; /* nothing else is locked under it */
	unsigned int first, nr;
	struct mem_event ring[MEMORY_EVENTS_MAX];
};

void memory_events_init(struct memory_events *q);
void memory_events_fini(struct memory_events *q);

/* From any thread. */
void memory_events_put(struct memory_events *q, const struct mem_event *event);

/* The oldest one; false when there is none. */
bool memory_events_take(struct memory_events *q, struct mem_event *event);
void memory_events_clear(struct memory_events *q);

#endif
