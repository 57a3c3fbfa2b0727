// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP commands about checkpoints; ours, so x-quire is in every name. For the table in
 * qmp_cmds.c, which is the only caller.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_CHECKPOINT_H
#define QUIRE_VMM_CONTROL_QMP_CHECKPOINT_H

#include "vmm/control/qmp_cmds.h"

int qmp_x_quire_checkpoint(struct qmp_call *call);
int qmp_x_quire_cancel_checkpoint(struct qmp_call *call);
int qmp_x_quire_query_checkpoint(struct qmp_call *call);
int qmp_x_quire_roll_back(struct qmp_call *call);

#endif
