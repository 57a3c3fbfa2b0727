// SPDX-License-Identifier: Apache-2.0
/* Each asks or tells the machine one thing. Contract in qmp_machine.h. */
#include "vmm/control/qmp_machine.h"

#include <string.h>
#include <unistd.h>

#include "mm/engine/stats.h"
#include "vmm/control/qmp_args.h"

int qmp_query_name(struct qmp_call *call)
{
	return qmp_give(call, json_pack("{s:s}", "name", machine_name(call->machine)));
}

int qmp_query_status(struct qmp_call *call)
{
	enum machine_state state = machine_state(call->machine);

	return qmp_give(call, json_pack("{s:s, s:b, s:b}", "status", machine_state_name(state),
					"singlestep", 0, "running", state == MACHINE_RUNNING));
}

/* There is no quire without KVM. */
int qmp_query_kvm(struct qmp_call *call)
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

int qmp_query_cpus_fast(struct qmp_call *call)
{
	json_t *cpus = json_array();

	for (unsigned int i = 0; i < machine_nr_cpus(call->machine); i++)
		json_array_append_new(cpus, describe_cpu(call->machine, i));
	return qmp_give(call, cpus);
}

int qmp_query_memory_size_summary(struct qmp_call *call)
{
	u64 size = machine_memory_size(call->machine);

	return qmp_give(call, json_pack("{s:o}", "base-memory", qmp_bytes(size)));
}

int qmp_stop(struct qmp_call *call)
{
	return machine_pause(call->machine, call->err);
}

int qmp_cont(struct qmp_call *call)
{
	return machine_resume(call->machine, call->err);
}

int qmp_quit(struct qmp_call *call)
{
	machine_quit(call->machine, SHUTDOWN_BY_QMP_QUIT);
	return 0;
}

int qmp_system_powerdown(struct qmp_call *call)
{
	return machine_powerdown(call->machine, call->err);
}

int qmp_system_reset(struct qmp_call *call)
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
int qmp_x_quire_stats(struct qmp_call *call)
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
