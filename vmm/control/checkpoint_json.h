// SPDX-License-Identifier: Apache-2.0
/* struct checkpoint_progress as JSON: the reply of x-quire-query-checkpoint, and an event. */
#ifndef QUIRE_VMM_CONTROL_CHECKPOINT_JSON_H
#define QUIRE_VMM_CONTROL_CHECKPOINT_JSON_H

#include <jansson.h>
#include <sys/time.h>

#include "vmm/checkpoint/checkpoint.h"

/* A new reference, or NULL without memory. Sizes in bytes, times in microseconds. */
json_t *checkpoint_json(const struct checkpoint_progress *progress);

/* The event X_QUIRE_CHECKPOINT as a line, malloc()ed; NULL without memory. */
char *checkpoint_event_line(const struct checkpoint_progress *progress, const struct timeval *now);

#endif
