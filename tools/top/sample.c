// SPDX-License-Identifier: Apache-2.0
/* Replies into numbers, by tables of member names; the contract is in sample.h. */
#include "tools/top/sample.h"

#include <stdio.h>
#include <stdlib.h>

const char *const sample_fault_names[NR_FAULTS] = {"zero", "soft", "store", "tier", "write"};

/* In the order of enum page_state, which is also the order within a cell of the map. */
static const char *const state_names[PAGE_NR_STATES] = {"absent", "filling",  "resident",
							"idle",	  "evicting", "stored"};

struct member {
	const char *name;
	size_t offset; /* of a u64 */
};

static const struct member vitals_members[] = {
	{"pid", offsetof(struct vitals, pid)},
	{"memory", offsetof(struct vitals, memory)},
	{"resident", offsetof(struct vitals, resident)},
	{"stored", offsetof(struct vitals, stored)},
	{"limit", offsetof(struct vitals, limit)},
};

static const struct member sample_members[] = {
	{"limit", offsetof(struct sample, limit)},
	{"limit-min", offsetof(struct sample, limit_min)},
	{"resident", offsetof(struct sample, resident)},
	{"store", offsetof(struct sample, store)},
	{"peak", offsetof(struct sample, peak)},
	{"descriptors", offsetof(struct sample, descriptors)},
	{"kept", offsetof(struct sample, kept)},
	{"around", offsetof(struct sample, around)},
	{"evicted", offsetof(struct sample, evicted)},
	{"evicted-clean", offsetof(struct sample, evicted_clean)},
	{"rescued", offsetof(struct sample, rescued)},
	{"refused", offsetof(struct sample, refused)},
	{"waited", offsetof(struct sample, waited)},
	{"waited-ns", offsetof(struct sample, waited_ns)},
	{"scanned", offsetof(struct sample, scanned)},
	{"faults-per-second", offsetof(struct sample, faults_per_second)},
};

static const struct member contents_members[] = {
	{"pages", offsetof(struct contents_stats, pages)},
	{"patterns", offsetof(struct contents_stats, patterns)},
	{"shared", offsetof(struct contents_stats, shared)},
	{"blocks", offsetof(struct contents_stats, blocks)},
	{"raw", offsetof(struct contents_stats, raw)},
	{"below", offsetof(struct contents_stats, below)},
	{"payload-bytes", offsetof(struct contents_stats, payload_bytes)},
	{"pool-bytes", offsetof(struct contents_stats, pool_bytes)},
	{"metadata-bytes", offsetof(struct contents_stats, metadata_bytes)},
	{"below-bytes", offsetof(struct contents_stats, below_bytes)},
};

static const struct member swap_members[] = {
	{"objects", offsetof(struct swap_stats, objects)},
	{"object-bytes", offsetof(struct swap_stats, object_bytes)},
	{"used-bytes", offsetof(struct swap_stats, used_bytes)},
	{"capacity-bytes", offsetof(struct swap_stats, capacity_bytes)},
	{"reads", offsetof(struct swap_stats, reads)},
	{"writes", offsetof(struct swap_stats, writes)},
	{"read-bytes", offsetof(struct swap_stats, read_bytes)},
	{"written-bytes", offsetof(struct swap_stats, written_bytes)},
	{"moved", offsetof(struct swap_stats, moved)},
	{"errors", offsetof(struct swap_stats, errors)},
};

static const struct member fault_members[] = {
	{"count", offsetof(struct fault_stats, count)},
	{"mean-ns", offsetof(struct fault_stats, mean_ns)},
	{"p50-ns", offsetof(struct fault_stats, p50_ns)},
	{"p99-ns", offsetof(struct fault_stats, p99_ns)},
	{"max-ns", offsetof(struct fault_stats, max_ns)},
};

/* ---- Members ---- */

static u64 count_of(const json_t *n)
{
	json_int_t value = json_integer_value(n);

	return value > 0 ? (u64)value : 0;
}

static u64 count_at(const json_t *object, const char *name)
{
	return count_of(json_object_get(object, name));
}

static double real_at(const json_t *object, const char *name)
{
	double value = json_number_value(json_object_get(object, name));

	return value > 0 ? value : 0;
}

static void text_at(char out[SAMPLE_TEXT_MAX], const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	snprintf(out, SAMPLE_TEXT_MAX, "%s", text ? text : "");
}

static void read_members(void *out, const json_t *object, const struct member *members, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		*(u64 *)((char *)out + members[i].offset) = count_at(object, members[i].name);
}

#define READ(out, object, members) read_members(out, object, members, ARRAY_SIZE(members))

/* ---- Arrays ---- */

static void read_ages(struct sample *out, const json_t *ages)
{
	out->nr_ages = (u32)MIN(json_array_size(ages), (size_t)SAMPLE_MAX_AGES);
	for (u32 i = 0; i < out->nr_ages; i++) {
		const json_t *age = json_array_get(ages, i);

		out->ages[i].below_ms = count_at(age, "below-ms");
		out->ages[i].pages = count_at(age, "pages");
	}
}

static void read_curve(struct sample *out, const json_t *curve)
{
	out->nr_points = (u32)MIN(json_array_size(curve), (size_t)SAMPLE_MAX_POINTS);
	for (u32 i = 0; i < out->nr_points; i++) {
		const json_t *point = json_array_get(curve, i);

		out->curve[i].memory = real_at(point, "memory");
		out->curve[i].faults = real_at(point, "faults");
	}
}

static void read_map(struct sample *out, const json_t *map)
{
	u32 nr = (u32)MIN(json_array_size(map), (size_t)SAMPLE_MAX_CELLS);
	u32(*cells)[PAGE_NR_STATES] = nr ? calloc(nr, sizeof(*cells)) : NULL;

	if (!cells)
		return;
	for (u32 i = 0; i < nr; i++)
		for (u32 state = 0; state < PAGE_NR_STATES; state++)
			cells[i][state] =
				(u32)MIN(count_of(json_array_get(json_array_get(map, i), state)),
					 (u64)UINT32_MAX);
	free(out->cells);
	out->cells = cells;
	out->nr_cells = nr;
}

/* ---- Replies ---- */

void vitals_read(struct vitals *out, const json_t *reply)
{
	text_at(out->state, reply, "state");
	READ(out, reply, vitals_members);
}

static void read_estimates(struct sample *out, const json_t *reply)
{
	const json_t *wss = json_object_get(reply, "working-set");

	out->wss = real_at(wss, "share");
	out->wss_low = real_at(wss, "low");
	out->wss_high = real_at(wss, "high");
	out->wss_window_ms = count_at(wss, "window-ms");
	out->wss_samples = count_at(wss, "samples");
	out->promotion_rate = real_at(reply, "promotion-rate");
	out->stall = real_at(reply, "stall");
	read_ages(out, json_object_get(reply, "ages"));
	read_curve(out, json_object_get(reply, "curve"));
}

void sample_read(struct sample *out, const json_t *reply)
{
	const json_t *pages = json_object_get(reply, "pages");
	const json_t *contents = json_object_get(reply, "contents");
	const json_t *faults = json_object_get(reply, "faults");
	const json_t *swap = json_object_get(reply, "swap");

	out->armed = json_is_true(json_object_get(reply, "armed"));
	out->thrashing = json_is_true(json_object_get(reply, "thrashing"));
	text_at(out->policy, reply, "policy");
	READ(out, reply, sample_members);
	for (u32 i = 0; i < PAGE_NR_STATES; i++)
		out->pages[i] = count_at(pages, state_names[i]);
	READ(&out->contents, contents, contents_members);
	out->contents.ratio = real_at(contents, "ratio");
	out->has_swap = json_is_object(swap);
	READ(&out->swap, swap, swap_members);
	for (u32 i = 0; i < NR_FAULTS; i++)
		READ(&out->faults[i], json_object_get(faults, sample_fault_names[i]),
		     fault_members);
	read_estimates(out, reply);
	read_map(out, json_object_get(reply, "map"));
}

void sample_fini(struct sample *s)
{
	free(s->cells);
	s->cells = NULL;
	s->nr_cells = 0;
}
