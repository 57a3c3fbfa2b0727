// SPDX-License-Identifier: Apache-2.0
/* What is counted of a guest on shadow tables (pv.h shows it), and its check while it runs. */
#ifndef QUIRE_VMM_PV_STATS_H
#define QUIRE_VMM_PV_STATS_H

#include "vmm/pv/impl.h"

/* After a trap, with pv.lock held: if a check is due; the guest ends if it fails. */
void pv_check_in_time(struct pv_cpu *cpu);

#endif
