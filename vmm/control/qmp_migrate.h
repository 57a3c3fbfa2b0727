// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP commands about migration, for the table in qmp_cmds.c. Names and replies are those of
 * QEMU's QMP reference manual (qapi/migration.json), version 7.2; what is ours has x-quire in it.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_MIGRATE_H
#define QUIRE_VMM_CONTROL_QMP_MIGRATE_H

#include "vmm/control/qmp_cmds.h"

int qmp_migrate(struct qmp_call *call);
int qmp_migrate_recover(struct qmp_call *call);
int qmp_x_quire_take_back(struct qmp_call *call);
int qmp_migrate_cancel(struct qmp_call *call);
int qmp_migrate_start_postcopy(struct qmp_call *call);
int qmp_migrate_incoming(struct qmp_call *call);
int qmp_migrate_set_parameters(struct qmp_call *call);
int qmp_migrate_set_capabilities(struct qmp_call *call);
int qmp_query_migrate(struct qmp_call *call);
int qmp_query_migrate_parameters(struct qmp_call *call);
int qmp_query_migrate_capabilities(struct qmp_call *call);
int qmp_plan_migration(struct qmp_call *call);
int qmp_query_plan(struct qmp_call *call);

#endif
