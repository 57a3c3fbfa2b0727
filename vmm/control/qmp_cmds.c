// SPDX-License-Identifier: Apache-2.0
/*
 * The table of commands, and those that are about the conversation itself. The others are by
 * subject: qmp_machine.c, qmp_memory.c, qmp_checkpoint.c, qmp_migrate.c. All run on the main
 * thread.
 */
#include "vmm/control/qmp_cmds.h"

#include <errno.h>
#include <string.h>

#include "mm/base/base.h"
#include "vmm/control/qmp_args.h"
#include "vmm/control/qmp_checkpoint.h"
#include "vmm/control/qmp_machine.h"
#include "vmm/control/qmp_memory.h"
#include "vmm/control/qmp_migrate.h"
#include "vmm/version.h"

/*
 * The version is a statement about the protocol, since clients choose by it which commands to
 * expect: QEMU 7.2's is what names and replies here follow. Who we are stands in "package".
 */
json_t *qmp_version(void)
{
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", 7, "minor", 2, "micro", 0,
			 "package", "quire-" QUIRE_VERSION);
}

/* ---- Of the conversation ---- */

/*
 * We offer no capabilities, so none can be enabled; that the session negotiated is
 * vmm/control/qmp.c's.
 */
static int qmp_capabilities(struct qmp_call *call)
{
	const json_t *enable = json_object_get(call->args, "enable");

	if (enable && !json_is_array(enable))
		return err_set(call->err, -EINVAL, "Parameter 'enable' must be an array");
	if (json_array_size(enable))
		return err_set(call->err, -EINVAL, "Capability is not available: none is offered");
	return 0;
}

static int query_version(struct qmp_call *call)
{
	return qmp_give(call, qmp_version());
}

/* ---- The table ---- */

static int query_commands(struct qmp_call *call);

static const struct qmp_command commands[] = {
	{.name = "qmp_capabilities", .run = qmp_capabilities, .args = {"enable"}},
	{.name = "query-version", .run = query_version},
	{.name = "query-commands", .run = query_commands},
	{.name = "query-name", .run = qmp_query_name},
	{.name = "query-status", .run = qmp_query_status},
	{.name = "query-kvm", .run = qmp_query_kvm},
	{.name = "query-cpus-fast", .run = qmp_query_cpus_fast},
	{.name = "query-memory-size-summary", .run = qmp_query_memory_size_summary},
	{.name = "stop", .run = qmp_stop},
	{.name = "cont", .run = qmp_cont},
	{.name = "quit", .run = qmp_quit},
	{.name = "system_powerdown", .run = qmp_system_powerdown},
	{.name = "system_reset", .run = qmp_system_reset},
	{.name = "x-quire-stats", .run = qmp_x_quire_stats},
	{.name = "x-quire-memory", .run = qmp_x_quire_memory, .args = {"map"}},
	{.name = "x-quire-mmu", .run = qmp_x_quire_mmu, .args = {"check"}},
	{.name = "x-quire-set-limit", .run = qmp_x_quire_set_limit, .args = {"limit", "limit-min"}},
	{.name = "x-quire-reclaim", .run = qmp_x_quire_reclaim, .args = {"size"}},
	{.name = "x-quire-set-policy", .run = qmp_x_quire_set_policy, .args = {"policy"}},
	{.name = "x-quire-set-proactive", .run = qmp_x_quire_set_proactive, .args = {"mode"}},
	{.name = "x-quire-translate",
	 .run = qmp_x_quire_translate,
	 .args = {"address", "cpu", "access", "user"}},
	{.name = "x-quire-audit", .run = qmp_x_quire_audit},
	{.name = "x-quire-reset-peak", .run = qmp_x_quire_reset_peak},
	{.name = "x-quire-checkpoint",
	 .run = qmp_x_quire_checkpoint,
	 .args = {"dir", "incremental", "every-us", "bandwidth"}},
	{.name = "x-quire-roll-back", .run = qmp_x_quire_roll_back},
	{.name = "x-quire-cancel-checkpoint", .run = qmp_x_quire_cancel_checkpoint},
	{.name = "x-quire-query-checkpoint", .run = qmp_x_quire_query_checkpoint},
	{.name = "migrate", .run = qmp_migrate, .args = {"uri", "detach", "resume", "blk", "inc"}},
	{.name = "migrate-recover", .run = qmp_migrate_recover, .args = {"uri"}},
	{.name = "x-quire-take-back", .run = qmp_x_quire_take_back},
	{.name = "migrate_cancel", .run = qmp_migrate_cancel},
	{.name = "migrate-start-postcopy", .run = qmp_migrate_start_postcopy},
	{.name = "migrate-incoming", .run = qmp_migrate_incoming, .args = {"uri"}},
	{.name = "migrate-set-parameters",
	 .run = qmp_migrate_set_parameters,
	 .args = {"max-bandwidth", "max-postcopy-bandwidth", "downtime-limit", "multifd-channels",
		  "x-quire-strategy", "x-quire-copy", "x-quire-time-limit", "x-quire-late",
		  "x-quire-psk-file", "x-quire-spill"}},
	{.name = "migrate-set-capabilities",
	 .run = qmp_migrate_set_capabilities,
	 .args = {"capabilities"}},
	{.name = "query-migrate", .run = qmp_query_migrate},
	{.name = "query-migrate-parameters", .run = qmp_query_migrate_parameters},
	{.name = "query-migrate-capabilities", .run = qmp_query_migrate_capabilities},
	{.name = "x-quire-plan-migration", .run = qmp_plan_migration, .args = {"uri"}},
	{.name = "x-quire-query-plan", .run = qmp_query_plan},
};

static int query_commands(struct qmp_call *call)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		json_array_append_new(list, json_pack("{s:s}", "name", commands[i].name));
	return qmp_give(call, list);
}

const struct qmp_command *qmp_command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static bool permits(const struct qmp_command *command, const char *arg)
{
	for (size_t i = 0; i < QMP_MAX_ARGS && command->args[i]; i++)
		if (!strcmp(command->args[i], arg))
			return true;
	return false;
}

int qmp_command_check(const struct qmp_command *command, const json_t *args, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)args, key, value)
	{
		if (!permits(command, key))
			return err_set(err, -EINVAL, "Parameter '%s' is unexpected", key);
	}
	return 0;
}
