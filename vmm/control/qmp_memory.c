// SPDX-License-Identifier: Apache-2.0
/*
 * Orders to the memory engine, and questions to it and to the page tables. Contract in
 * qmp_memory.h.
 */
#include "vmm/control/qmp_memory.h"

#include <errno.h>
#include <stdlib.h>

#include "mm/base/base.h"
#include "mm/engine/stats.h"
#include "vmm/control/memory_json.h"
#include "vmm/control/mmu_json.h"
#include "vmm/control/qmp_args.h"
#include "vmm/control/translate_json.h"

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

int qmp_x_quire_memory(struct qmp_call *call)
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

int qmp_x_quire_set_limit(struct qmp_call *call)
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
int qmp_x_quire_reclaim(struct qmp_call *call)
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

int qmp_x_quire_set_policy(struct qmp_call *call)
{
	const char *policy;
	int ret = qmp_string(call, "policy", QMP_REQUIRED, &policy);

	return ret ? ret : machine_set_policy(call->machine, policy, call->err);
}

int qmp_x_quire_set_proactive(struct qmp_call *call)
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

int qmp_x_quire_translate(struct qmp_call *call)
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

int qmp_x_quire_audit(struct qmp_call *call)
{
	u64 wrong;
	int ret = machine_audit_memory(call->machine, &wrong, call->err);

	return ret ? ret : qmp_give(call, json_pack("{s:o}", "wrong", qmp_bytes(wrong)));
}

int qmp_x_quire_reset_peak(struct qmp_call *call)
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

int qmp_x_quire_mmu(struct qmp_call *call)
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
