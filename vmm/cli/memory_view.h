// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine's numbers for a person. The client's side (memory_view_print) shows what a
 * guest's process answered, which is not trusted: text that could move the cursor about is not
 * printed, a missing number is a dash. The VMM's own side is the sentence for an event.
 */
#ifndef QUIRE_VMM_CLI_MEMORY_VIEW_H
#define QUIRE_VMM_CLI_MEMORY_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "mm/engine/mem.h"

/* @text if it is printable ASCII, "?" if it is not, "-" if it is empty or NULL. */
const char *view_printable(const char *text);

/* Likewise for a string of @object. */
const char *view_text(const json_t *object, const char *key);

struct view_size {
	char s[32];
};

/* A number of bytes in MiB. */
struct view_size view_size(const json_t *object, const char *key);

/* A time in the unit in which it has one to three digits before the point. */
struct view_size view_time(u64 ns);

/* A whole number; 0 where there is none. */
u64 view_count(const json_t *object, const char *key);

/* What x-quire-memory returned, a dozen lines or two. */
void memory_view_print(const json_t *memory, FILE *out);

/* What an event means and what can be done, without the guest's name; NULL: not worth a line. */
const char *memory_event_sentence(const struct mem_event *event, struct err *room);

#endif
