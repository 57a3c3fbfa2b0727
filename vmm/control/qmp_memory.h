// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP commands about the guest's memory and how its addresses are translated; all of them are
 * ours, so x-quire is in every name. For the table in qmp_cmds.c, which is the only caller.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_MEMORY_H
#define QUIRE_VMM_CONTROL_QMP_MEMORY_H

#include "vmm/control/qmp_cmds.h"

int qmp_x_quire_memory(struct qmp_call *call);
int qmp_x_quire_set_limit(struct qmp_call *call);
int qmp_x_quire_reclaim(struct qmp_call *call);
int qmp_x_quire_set_policy(struct qmp_call *call);
int qmp_x_quire_set_proactive(struct qmp_call *call);
int qmp_x_quire_translate(struct qmp_call *call);
int qmp_x_quire_audit(struct qmp_call *call);
int qmp_x_quire_reset_peak(struct qmp_call *call);
int qmp_x_quire_mmu(struct qmp_call *call);

#endif
