// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine's numbers as JSON: the one place that says what a client reads (x-quire-memory
 * and the X_QUIRE_... events, described in quire(1)). Sizes are in bytes unless the name says
 * otherwise, shares between 0 and 1.
 */
#ifndef QUIRE_VMM_CONTROL_MEMORY_JSON_H
#define QUIRE_VMM_CONTROL_MEMORY_JSON_H

#include <jansson.h>
#include <sys/time.h>

#include "mm/engine/mem.h"

struct mem_map_cell; /* mm/engine/stats.h */
struct mem_stats;

/* A new object with everything in @stats; NULL when there is no memory. */
json_t *memory_json(const struct mem_stats *stats);

/* A new array of @n arrays of the number of pages in each state; NULL when there is no memory. */
json_t *memory_map_json(const struct mem_map_cell *cells, u32 n);

/* "X_QUIRE_..." */
const char *memory_event_name(enum mem_event_kind kind);

/* The event as a line of QMP. The caller frees it; NULL when there is no memory. */
char *memory_event_line(const struct mem_event *event, const struct timeval *now);

#endif
