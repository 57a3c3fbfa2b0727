// SPDX-License-Identifier: Apache-2.0
/*
 * A plan of a migration for a person, out of what a guest's process answered (plan_json()), which
 * is not trusted: see memory_view.h.
 */
#ifndef QUIRE_VMM_CLI_PLAN_VIEW_H
#define QUIRE_VMM_CLI_PLAN_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* What was measured, a line for each way, and the choice with its reason. */
void plan_view_print(const json_t *plan, FILE *out);

/* What was predicted of the chosen way; NULL: nothing. Not a new reference. */
const json_t *plan_view_chosen(const json_t *plan);

#endif
