// SPDX-License-Identifier: Apache-2.0
/* A bounded queue of the memory engine's events. Contract in memory_events.h. */
#include "vmm/machine/memory_events.h"

void memory_events_init(struct memory_events *q)
{
	*q = (struct memory_events){.nr = 0};
	pthread_mutex_init(&q->lock, NULL);
}

void memory_events_fini(struct memory_events *q)
{
	pthread_mutex_destroy(&q->lock);
}

static void drop_first(struct memory_events *q)
{
	q->first = (q->first + 1) % MEMORY_EVENTS_MAX;
	q->nr--;
}

void memory_events_put(struct memory_events *q, const struct mem_event *event)
{
	pthread_mutex_lock(&q->lock);
	if (q->nr == MEMORY_EVENTS_MAX)
		drop_first(q);
	q->ring[(q->first + q->nr++) % MEMORY_EVENTS_MAX] = *event;
	pthread_mutex_unlock(&q->lock);
}

bool memory_events_take(struct memory_events *q, struct mem_event *event)
{
	bool some;

	pthread_mutex_lock(&q->lock);
	some = q->nr;
	if (some) {
		*event = q->ring[q->first];
		drop_first(q);
	}
	pthread_mutex_unlock(&q->lock);
	return some;
}

void memory_events_clear(struct memory_events *q)
{
	pthread_mutex_lock(&q->lock);
	q->nr = 0;
	pthread_mutex_unlock(&q->lock);
}
