// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP commands about the machine as such: what it is, whether it runs, its end. For the table
 * in qmp_cmds.c, which is the only caller.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_MACHINE_H
#define QUIRE_VMM_CONTROL_QMP_MACHINE_H

#include "vmm/control/qmp_cmds.h"

int qmp_query_name(struct qmp_call *call);
int qmp_query_status(struct qmp_call *call);
int qmp_query_kvm(struct qmp_call *call);
int qmp_query_cpus_fast(struct qmp_call *call);
int qmp_query_memory_size_summary(struct qmp_call *call);
int qmp_stop(struct qmp_call *call);
int qmp_cont(struct qmp_call *call);
int qmp_quit(struct qmp_call *call);
int qmp_system_powerdown(struct qmp_call *call);
int qmp_system_reset(struct qmp_call *call);
int qmp_x_quire_stats(struct qmp_call *call);

#endif
