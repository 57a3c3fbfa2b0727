// SPDX-License-Identifier: Apache-2.0
/*
 * struct mem_stats and struct mem_event as JSON. Contract in memory_json.h. No state: a function of
 * a copy. Numbers end at 63 bits, as JSON's do for most clients, and what is not finite is 0.
 */
#include "vmm/control/memory_json.h"

#include <math.h>
#include <string.h>

#include "mm/engine/stats.h"
#include "vmm/control/qmp_event.h"

#define NS_PER_MS 1000000

/* bucket i of the ages ends at 2^i of these (mm/engine/stats.h) */
#define AGE_UNIT_MS 125

static json_t *number(u64 n)
{
	return json_integer((json_int_t)MIN(n, (u64)INT64_MAX));
}

/* JSON has no infinity and no NaN: an estimate that came out as one says nothing. */
static json_t *real(double x)
{
	return json_real(isfinite(x) ? x : 0);
}

/* How far the contents of stored pages have shrunk, everything counted that they cost. */
static double ratio(const struct store_stats *s)
{
	u64 bytes = s->pool_bytes + s->metadata_bytes + s->tier_bytes;

	return bytes ? (double)PAGE_SIZE * (double)s->pages / (double)bytes : 0;
}

static json_t *pages_json(const u64 pages[PAGE_NR_STATES])
{
	json_t *object = json_object();

	for (unsigned int i = 0; i < PAGE_NR_STATES; i++)
		json_object_set_new(object, page_state_names[i], number(pages[i]));
	return object;
}

static json_t *contents_json(const struct store_stats *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pages",
			 number(s->pages), "patterns", number(s->patterns), "shared",
			 number(s->shared), "blocks", number(s->blocks), "raw", number(s->raw),
			 "below", number(s->tier_entries), "payload-bytes",
			 number(s->payload_bytes), "pool-bytes", number(s->pool_bytes),
			 "metadata-bytes", number(s->metadata_bytes), "below-bytes",
			 number(s->tier_bytes), "ratio", real(ratio(s)));
}

static json_t *swap_json(const struct mem_stats *stats)
{
	const struct tier_stats *t = &stats->tier;

	if (!stats->has_tier)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "objects",
			 number(t->objects), "object-bytes", number(t->object_bytes), "used-bytes",
			 number(t->used_bytes), "capacity-bytes", number(t->capacity_bytes),
			 "reads", number(t->reads), "writes", number(t->writes), "read-bytes",
			 number(t->read_bytes), "written-bytes", number(t->written_bytes), "moved",
			 number(t->moved_objects), "errors", number(t->errors));
}

static json_t *faults_json(const struct hist_summary fault[MEM_NR_FAULT_KINDS])
{
	json_t *object = json_object();

	for (unsigned int i = 0; i < MEM_NR_FAULT_KINDS; i++)
		json_object_set_new(
			object, mem_fault_names[i],
			json_pack("{s:o, s:o, s:o, s:o, s:o}", "count", number(fault[i].count),
				  "mean-ns", number(fault[i].mean), "p50-ns", number(fault[i].p50),
				  "p99-ns", number(fault[i].p99), "max-ns", number(fault[i].max)));
	return object;
}

static json_t *ages_json(const u64 ages[MEM_NR_AGES])
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < MEM_NR_AGES; i++)
		json_array_append_new(array, json_pack("{s:o, s:o}", "below-ms",
						       number((u64)AGE_UNIT_MS << i), "pages",
						       number(ages[i])));
	return array;
}

static json_t *working_set_json(const struct mem_stats *stats)
{
	const struct wss_estimate *e = &stats->wss;

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "window-ms",
			 number(stats->wss_window_ns / NS_PER_MS), "share", real(e->share), "low",
			 real(e->low), "high", real(e->high), "samples", number(e->samples));
}

static json_t *curve_json(const struct wss_point curve[WSS_CURVE_POINTS])
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < WSS_CURVE_POINTS; i++)
		json_array_append_new(array,
				      json_pack("{s:o, s:o}", "memory", real(curve[i].memory),
						"faults", real(curve[i].faults)));
	return array;
}

/* What is going on: everything but the counters. */
static json_t *state_json(const struct mem_stats *s)
{
	return json_pack("{s:b, s:s#, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "armed", s->in_charge, "policy", s->policy,
			 (int)strnlen(s->policy, sizeof(s->policy)), "limit", number(s->limit),
			 "limit-min", number(s->limit_min), "resident", number(s->resident_bytes),
			 "store", number(s->store_bytes), "peak", number(s->peak_bytes),
			 "descriptors", number(s->descriptor_bytes), "pages", pages_json(s->pages),
			 "kept", number(s->kept), "contents", contents_json(&s->store), "swap",
			 swap_json(s), "faults", faults_json(s->fault));
}

static json_t *counters_json(const struct mem_stats *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "around", number(s->around),
			 "evicted", number(s->evicted), "evicted-clean", number(s->evicted_clean),
			 "rescued", number(s->rescued), "refused", number(s->refused), "waited",
			 number(s->waited), "waited-ns", number(s->waited_ns), "scanned",
			 number(s->scanned));
}

static json_t *estimates_json(const struct mem_stats *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "ages", ages_json(s->ages),
			 "working-set", working_set_json(s), "curve", curve_json(s->curve),
			 "promotion-rate", real(s->promotion_rate), "stall", real(s->stall),
			 "thrashing", s->thrashing, "faults-per-second",
			 number(s->faults_per_second));
}

json_t *memory_json(const struct mem_stats *stats)
{
	json_t *object = state_json(stats), *counters = counters_json(stats);
	json_t *estimates = estimates_json(stats);

	if (!object || json_object_update(object, counters) ||
	    json_object_update(object, estimates)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(counters);
	json_decref(estimates);
	return object;
}

json_t *memory_map_json(const struct mem_map_cell *cells, u32 n)
{
	json_t *array = json_array();

	for (u32 i = 0; i < n; i++) {
		json_t *cell = json_array();

		for (unsigned int state = 0; state < PAGE_NR_STATES; state++)
			json_array_append_new(cell, number(cells[i].pages[state]));
		if (json_array_append_new(array, cell)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

const char *memory_event_name(enum mem_event_kind kind)
{
	static const char *const names[] = {
		[MEM_EV_LIMIT] = "X_QUIRE_MEMORY_LIMIT",
		[MEM_EV_ROOM] = "X_QUIRE_MEMORY_ROOM",
		[MEM_EV_THRASH] = "X_QUIRE_THRASHING",
		[MEM_EV_THRASH_OVER] = "X_QUIRE_THRASHING_OVER",
		[MEM_EV_SWAP_FULL] = "X_QUIRE_SWAP_FULL",
		[MEM_EV_SWAP_ERROR] = "X_QUIRE_SWAP_ERROR",
		[MEM_EV_TRACE_ERROR] = "X_QUIRE_TRACE_ERROR",
	};

	ASSERT(kind < ARRAY_SIZE(names));
	return names[kind];
}

char *memory_event_line(const struct mem_event *event, const struct timeval *now)
{
	json_t *data = json_pack("{s:o, s:o, s:o, s:o, s:o}", "limit", number(event->limit),
				 "resident", number(event->resident), "store", number(event->store),
				 "stall", real(event->stall), "faults-per-second",
				 real(event->faults));

	return data ? qmp_event(memory_event_name(event->kind), data, now) : NULL;
}
