// SPDX-License-Identifier: Apache-2.0
/* Names of hypercalls and vectors, for statistics and the log. */
#ifndef QUIRE_VMM_PV_NAMES_H
#define QUIRE_VMM_PV_NAMES_H

#include "mm/base/base.h"

/* "mmu_update", "PF"; NULL for a number that has none. */
const char *pv_hypercall_name(u32 nr);
const char *pv_vector_name(u32 vector);

#endif
