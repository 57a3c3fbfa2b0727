// SPDX-License-Identifier: Apache-2.0
/*
 * How a guest's addresses are translated, as JSON: the one place that says what a client reads
 * (x-quire-mmu, described in quire(1)).
 */
#ifndef QUIRE_VMM_CONTROL_MMU_JSON_H
#define QUIRE_VMM_CONTROL_MMU_JSON_H

#include <jansson.h>

#include "vmm/pv/mmu_stats.h"

/* A new object with everything in @stats; NULL when there is no memory. */
json_t *mmu_json(const struct mmu_stats *stats);

/* Likewise of a check: what was looked at, what is wrong, and the first of it or null. */
json_t *mmu_check_json(const struct mmu_check *check);

#endif
