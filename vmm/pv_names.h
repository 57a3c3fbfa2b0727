// SPDX-License-Identifier: Apache-2.0
/* Names of hypercalls, for statistics and the log. */
#ifndef QUIRE_VMM_PV_NAMES_H
#define QUIRE_VMM_PV_NAMES_H

#include "mm/base.h"

/* "unknown" for a number that has none. */
const char *pv_hypercall_name(u32 nr);

#endif
