// SPDX-License-Identifier: Apache-2.0
/* The QMP commands, and at the end the table of them. Each asks or tells the machine one thing. */
#include "vmm/control/qmp_cmds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "vmm/control/checkpoint_json.h"
#include "vmm/control/memory_json.h"
#include "vmm/control/mmu_json.h"
#include "vmm/control/qmp_args.h"
#include "vmm/control/qmp_migrate.h"
#include "vmm/control/translate_json.h"
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

/* ---- Handlers: struct qmp_command's run ---- */

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

static int query_name(struct qmp_call *call)
{
	return qmp_give(call, json_pack("{s:s}", "name", machine_name(call->machine)));
}

static int query_status(struct qmp_call *call)
{
	enum machine_state state = machine_state(call->machine);

	return qmp_give(call, json_pack("{s:s, s:b, s:b}", "status", machine_state_name(state),
					"singlestep", 0, "running", state == MACHINE_RUNNING));
}

/* There is no quire without KVM. */
static int query_kvm(struct qmp_call *call)
{
	return qmp_give(call, json_pack("{s:b, s:b}", "enabled", 1, "present", 1));
}

/* One package of single-threaded cores: the topology that vmm/kvm/cpuid.h gives the guest. */
static json_t *describe_cpu(const struct machine *m, unsigned int cpu)
{
	return json_pack("{s:i, s:o, s:i, s:s, s:{s:i, s:i, s:i}}", "cpu-index", (int)cpu,
			 "qom-path", json_sprintf("/machine/cpu%u", cpu), "thread-id",
			 (int)machine_cpu_tid(m, cpu), "target", "x86_64", "props", "socket-id", 0,
			 "core-id", (int)cpu, "thread-id", 0);
}

static int query_cpus_fast(struct qmp_call *call)
{
	json_t *cpus = json_array();

	for (unsigned int i = 0; i < machine_nr_cpus(call->machine); i++)
		json_array_append_new(cpus, describe_cpu(call->machine, i));
	return qmp_give(call, cpus);
}

static int query_memory_size_summary(struct qmp_call *call)
{
	u64 size = machine_memory_size(call->machine);

	return qmp_give(call, json_pack("{s:o}", "base-memory", qmp_bytes(size)));
}

static int stop(struct qmp_call *call)
{
	return machine_pause(call->machine, call->err);
}

static int cont(struct qmp_call *call)
{
	return machine_resume(call->machine, call->err);
}

static int quit(struct qmp_call *call)
{
	machine_quit(call->machine, SHUTDOWN_BY_QMP_QUIT);
	return 0;
}

static int system_powerdown(struct qmp_call *call)
{
	return machine_powerdown(call->machine, call->err);
}

static int system_reset(struct qmp_call *call)
{
	return machine_reset(call->machine, call->err);
}

static json_t *exit_counts(const struct machine *m)
{
	struct machine_exit_count counts[MACHINE_MAX_EXIT_KINDS];
	unsigned int n = machine_exit_counts(m, counts);
	json_t *exits = json_object();

	for (unsigned int i = 0; i < n; i++)
		json_object_set_new(exits, counts[i].name, qmp_bytes(counts[i].count));
	return exits;
}

/* Pages that KVM has mapped, by size; null where it does not tell. */
static json_t *mapped_pages(const struct machine *m)
{
	u64 pages[MACHINE_NR_PAGE_SIZES];

	if (machine_mapped_pages(m, pages))
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "4K", qmp_bytes(pages[0]), "2M", qmp_bytes(pages[1]),
			 "1G", qmp_bytes(pages[2]));
}

/*
 * "stored" is what the VMM spends on pages that are not in guest memory. It is 0 where there is no
 * memory engine, and so is "limit".
 */
static int x_quire_stats(struct qmp_call *call)
{
	struct machine *m = call->machine;
	struct mem_stats mem = {.limit = 0};
	u64 resident;
	int code = machine_memory_resident(m, &resident);

	machine_memory_stats(m, &mem, NULL);

	if (code)
		return err_set(call->err, code, "resident memory cannot be told: %s",
			       strerror(-code));
	return qmp_give(call, json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
					machine_name(m), "pid", (int)getpid(), "state",
					machine_state_name(machine_state(m)), "memory",
					qmp_bytes(machine_memory_size(m)), "resident",
					qmp_bytes(resident), "stored", qmp_bytes(mem.store_bytes),
					"limit", qmp_bytes(mem.limit), "mapped", mapped_pages(m),
					"exits", exit_counts(m)));
}

/* ---- Handlers: the memory engine ---- */

#define MAX_MAP_CELLS 65536

static int add_map(struct qmp_call *call, json_t *memory, u32 n)
{
	struct mem_map_cell *cells = calloc(n, sizeof(*cells));
	int ret = -ENOMEM;

	if (cells)
		ret = machine_memory_map(call->machine, cells, n, call->err);
	else
		err_set(call->err, ret, "no memory for the map");
	if (!ret && json_object_set_new(memory, "map", memory_map_json(cells, n)))
		ret = err_set(call->err, -ENOMEM, "no memory for the reply");
	free(cells);
	return ret;
}

static int x_quire_memory(struct qmp_call *call)
{
	struct mem_stats stats;
	u64 cells = 0;
	int ret = qmp_number(call, "map", QMP_OPTIONAL, &cells);

	if (!ret && json_object_get(call->args, "map") && (!cells || cells > MAX_MAP_CELLS))
		ret = err_set(call->err, -EINVAL, "Parameter 'map' expects a number from 1 to %u",
			      MAX_MAP_CELLS);
	if (!ret)
		ret = machine_memory_stats(call->machine, &stats, call->err);
	if (!ret)
		ret = qmp_give(call, memory_json(&stats));
	if (!ret && cells)
		ret = add_map(call, call->ret, (u32)cells);
	if (ret) {
		json_decref(call->ret);
		call->ret = NULL;
	}
	return ret;
}

static int x_quire_set_limit(struct qmp_call *call)
{
	u64 limit, limit_min = 0;
	int ret = qmp_number(call, "limit", QMP_REQUIRED, &limit);

	if (!ret)
		ret = qmp_number(call, "limit-min", QMP_OPTIONAL, &limit_min);
	return ret ? ret : machine_set_limit(call->machine, limit, limit_min, call->err);
}

/*
 * In slices: this reply tells what went within some ten milliseconds, and a client asks again until
 * it has what it wants, or 0 is what it gets. Others are served between.
 */
static int x_quire_reclaim(struct qmp_call *call)
{
	u64 size;
	s64 went;
	int ret = qmp_number(call, "size", QMP_REQUIRED, &size);

	if (ret)
		return ret;
	went = machine_reclaim(call->machine, size, call->err);
	return went < 0 ? (int)went
			: qmp_give(call, json_pack("{s:o}", "reclaimed", qmp_bytes((u64)went)));
}

static int x_quire_set_policy(struct qmp_call *call)
{
	const char *policy;
	int ret = qmp_string(call, "policy", QMP_REQUIRED, &policy);

	return ret ? ret : machine_set_policy(call->machine, policy, call->err);
}

static int x_quire_set_proactive(struct qmp_call *call)
{
	static const char *const modes[] = {
		[MEM_PROACTIVE_OFF] = "off",
		[MEM_PROACTIVE_PROMOTIONS] = "promotions",
		[MEM_PROACTIVE_STALL] = "stall",
	};
	unsigned int mode = 0;
	int ret = qmp_arg(call, "mode", QMP_REQUIRED, &(const json_t *){NULL});

	if (!ret)
		ret = qmp_choice(call, "mode", modes, ARRAY_SIZE(modes), "off, promotions or stall",
				 &mode);
	return ret ? ret : machine_set_proactive(call->machine, mode, call->err);
}

/* A number, or a string where it has more than 63 bits. */
static int get_address(const struct qmp_call *call, struct translate_order *order)
{
	const json_t *value;
	int ret = qmp_arg(call, "address", QMP_REQUIRED, &value);

	if (ret || !json_is_string(value))
		return ret ? ret : qmp_number(call, "address", QMP_REQUIRED, &order->address);
	if (translate_parse_address(json_string_value(value), order))
		ret = err_set(call->err, -EINVAL,
			      "Parameter 'address' expects a number or a string like \"0x1000\" "
			      "or \"gs:0x10\"");
	return ret;
}

static int x_quire_translate(struct qmp_call *call)
{
	struct translate_order order = {0};
	struct translation *t;
	unsigned int kind = PTWALK_READ;
	bool user = false;
	int ret = get_address(call, &order);

	if (!ret)
		ret = qmp_number(call, "cpu", QMP_OPTIONAL, &order.cpu);
	if (!ret)
		ret = qmp_choice(call, "access", translate_kind_names, TRANSLATE_NR_KINDS,
				 "read, write or fetch", &kind);
	if (!ret)
		ret = qmp_bool(call, "user", &user);
	if (ret)
		return ret;
	order.access = (struct ptwalk_access){
		.kind = (enum ptwalk_kind)kind,
		.by = user ? PTWALK_BY_USER : PTWALK_BY_SUPERVISOR,
	};
	t = malloc(sizeof(*t));
	if (!t)
		return err_set(call->err, -ENOMEM, "no memory for the translation");
	ret = machine_translate(call->machine, &order, t, call->err);
	if (!ret)
		ret = qmp_give(call, translate_json(t));
	free(t);
	return ret;
}

static int x_quire_audit(struct qmp_call *call)
{
	u64 wrong;
	int ret = machine_audit_memory(call->machine, &wrong, call->err);

	return ret ? ret : qmp_give(call, json_pack("{s:o}", "wrong", qmp_bytes(wrong)));
}

static int x_quire_reset_peak(struct qmp_call *call)
{
	return machine_reset_memory_peak(call->machine, call->err);
}

static int add_check(struct qmp_call *call)
{
	struct mmu_check check;
	int ret = machine_check_mmu(call->machine, &check, call->err);

	if (!ret && json_object_set_new(call->ret, "check", mmu_check_json(&check)))
		ret = err_set(call->err, -ENOMEM, "no memory for the reply");
	return ret;
}

static int x_quire_mmu(struct qmp_call *call)
{
	struct mmu_stats stats;
	bool check = false;
	int ret = qmp_bool(call, "check", &check);

	if (!ret)
		ret = machine_mmu_stats(call->machine, &stats, call->err);
	if (!ret)
		ret = qmp_give(call, mmu_json(&stats));
	if (!ret && check)
		ret = add_check(call);
	if (ret) {
		json_decref(call->ret);
		call->ret = NULL;
	}
	return ret;
}

static int x_quire_checkpoint(struct qmp_call *call)
{
	struct machine_checkpoint order = {0};
	u64 every_us = 0;
	int ret = qmp_string(call, "dir", QMP_REQUIRED, &order.dir);

	if (!ret)
		ret = qmp_bool(call, "incremental", &order.incremental);
	if (!ret)
		ret = qmp_number(call, "every-us", QMP_OPTIONAL, &every_us);
	if (!ret)
		ret = qmp_number(call, "bandwidth", QMP_OPTIONAL, &order.bandwidth);
	if (!ret && every_us > UINT64_MAX / 1000)
		ret = err_set(call->err, -EINVAL, "Parameter 'every-us' is out of range");
	order.every_ns = every_us * 1000;
	return ret ? ret : machine_checkpoint(call->machine, &order, call->err);
}

static int x_quire_cancel_checkpoint(struct qmp_call *call)
{
	return machine_cancel_checkpoint(call->machine, call->err);
}

static int x_quire_query_checkpoint(struct qmp_call *call)
{
	struct checkpoint_progress progress;

	machine_checkpoint_progress(call->machine, &progress);
	return qmp_give(call, checkpoint_json(&progress));
}

static int x_quire_roll_back(struct qmp_call *call)
{
	struct machine_rolled_back rolled;
	int ret = machine_roll_back(call->machine, &rolled, call->err);

	return ret ? ret
		   : qmp_give(call, json_pack("{s:I, s:I}", "pages", (json_int_t)rolled.pages,
					      "pause-us", (json_int_t)(rolled.pause_ns / 1000)));
}

/* ---- The table ---- */

static int query_commands(struct qmp_call *call);

static const struct qmp_command commands[] = {
	{.name = "qmp_capabilities", .run = qmp_capabilities, .args = {"enable"}},
	{.name = "query-version", .run = query_version},
	{.name = "query-commands", .run = query_commands},
	{.name = "query-name", .run = query_name},
	{.name = "query-status", .run = query_status},
	{.name = "query-kvm", .run = query_kvm},
	{.name = "query-cpus-fast", .run = query_cpus_fast},
	{.name = "query-memory-size-summary", .run = query_memory_size_summary},
	{.name = "stop", .run = stop},
	{.name = "cont", .run = cont},
	{.name = "quit", .run = quit},
	{.name = "system_powerdown", .run = system_powerdown},
	{.name = "system_reset", .run = system_reset},
	{.name = "x-quire-stats", .run = x_quire_stats},
	{.name = "x-quire-memory", .run = x_quire_memory, .args = {"map"}},
	{.name = "x-quire-mmu", .run = x_quire_mmu, .args = {"check"}},
	{.name = "x-quire-set-limit", .run = x_quire_set_limit, .args = {"limit", "limit-min"}},
	{.name = "x-quire-reclaim", .run = x_quire_reclaim, .args = {"size"}},
	{.name = "x-quire-set-policy", .run = x_quire_set_policy, .args = {"policy"}},
	{.name = "x-quire-set-proactive", .run = x_quire_set_proactive, .args = {"mode"}},
	{.name = "x-quire-translate",
	 .run = x_quire_translate,
	 .args = {"address", "cpu", "access", "user"}},
	{.name = "x-quire-audit", .run = x_quire_audit},
	{.name = "x-quire-reset-peak", .run = x_quire_reset_peak},
	{.name = "x-quire-checkpoint",
	 .run = x_quire_checkpoint,
	 .args = {"dir", "incremental", "every-us", "bandwidth"}},
	{.name = "x-quire-roll-back", .run = x_quire_roll_back},
	{.name = "x-quire-cancel-checkpoint", .run = x_quire_cancel_checkpoint},
	{.name = "x-quire-query-checkpoint", .run = x_quire_query_checkpoint},
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

	json_object_foreach((json_t *)args, key, value) if (!permits(command, key)) return err_set(
		err, -EINVAL, "Parameter '%s' is unexpected", key);
	return 0;
}
