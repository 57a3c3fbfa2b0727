// SPDX-License-Identifier: Apache-2.0
/* struct mmu_stats and struct mmu_check as JSON. Contract in mmu_json.h. */
#include "vmm/control/mmu_json.h"

#include <stdio.h>

#include "vmm/pv/names.h"

static json_t *number(u64 n)
{
	return json_integer((json_int_t)MIN(n, (u64)INT64_MAX));
}

/* Those that there were. */
static json_t *traps_json(const struct pv_stats *pv)
{
	json_t *object = json_object();
	char name[16];

	for (u32 i = 0; i < PV_NR_VECTORS; i++) {
		if (!pv->traps[i])
			continue;
		snprintf(name, sizeof(name), "%u", i);
		json_object_set_new(object, pv_vector_name(i) ? pv_vector_name(i) : name,
				    number(pv->traps[i]));
	}
	return object;
}

static json_t *calls_json(const struct pv_stats *pv)
{
	json_t *object = json_object();
	char name[24];

	for (u32 i = 0; i < PV_NR_HYPERCALLS; i++) {
		const struct pv_call_stats *c = &pv->calls[i];

		if (!c->count)
			continue;
		snprintf(name, sizeof(name), "%u", i);
		json_object_set_new(
			object, pv_hypercall_name(i) ? pv_hypercall_name(i) : name,
			json_pack("{s:o, s:o}", "count", number(c->count), "ns", number(c->ns)));
	}
	return object;
}

static json_t *faults_json(const struct shadow_stats *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "guest", number(s->guest_faults), "fill",
			 number(s->fills), "dirty", number(s->dirty_sets), "table-write",
			 number(s->table_writes), "spurious", number(s->spurious), "starved",
			 number(s->starved));
}

static json_t *levels_json(const u32 tables[5])
{
	return json_pack("{s:o, s:o, s:o, s:o}", "1", number(tables[1]), "2", number(tables[2]),
			 "3", number(tables[3]), "4", number(tables[4]));
}

static json_t *tables_json(const struct mmu_stats *stats)
{
	const struct shadow_stats *s = &stats->tables;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kernel",
			 levels_json(s->tables[SHADOW_KERNEL]), "user",
			 levels_json(s->tables[SHADOW_USER]), "made", number(s->tables_made),
			 "reclaimed", number(s->tables_reclaimed), "dropped",
			 number(s->tables_dropped), "entries", number(s->entries), "arena-pages",
			 number(stats->arena_pages), "free-pages", number(s->pages_free));
}

json_t *mmu_json(const struct mmu_stats *stats)
{
	const struct shadow_stats *s = &stats->tables;
	const struct pv_stats *pv = &stats->pv;

	if (!stats->shadow)
		return json_pack("{s:s}", "mode", "ept");
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o}",
			 "mode", "shadow", "traps", traps_json(pv), "shadow-faults", faults_json(s),
			 "prefills", number(s->prefills), "unsyncs", number(s->unsyncs), "syncs",
			 number(s->syncs), "tables", tables_json(stats), "hypercalls",
			 calls_json(pv), "syscalls", number(pv->syscalls), "emulated",
			 number(pv->emulated), "events", number(pv->events), "interrupts",
			 number(pv->interrupts), "entries-written", number(pv->entries_written),
			 "monitor-instructions", number(pv->monitor_instructions), "fault-ns",
			 number(pv->fault_ns), "hypercall-ns", number(pv->call_ns));
}

json_t *mmu_check_json(const struct mmu_check *check)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s?}", "tables", number(check->seen.tables),
			 "entries", number(check->seen.entries), "unsynced",
			 number(check->seen.unsynced), "disagreements", number(check->wrong),
			 "first", check->why[0] ? check->why : NULL);
}
