// SPDX-License-Identifier: Apache-2.0
/*
 * The figures of a migration and of a plan, by QEMU's names where QEMU has them. Contract in
 * migrate_json.h. No state: a function of struct migrate_progress, which is a copy made under its
 * owner's lock.
 */
#include "vmm/control/migrate_json.h"

#include "vmm/control/qmp_event.h"

static json_t *number(u64 n)
{
	return json_integer((json_int_t)n);
}

static u64 ms(u64 ns)
{
	return (ns + 500000) / 1000000;
}

static void set(json_t *object, const char *key, u64 n)
{
	json_object_set_new(object, key, number(n));
}

/* All of QMP's MigrationStats; what there is not here is 0. */
static json_t *ram(const struct migrate_progress *p)
{
	const struct batch_stats *b = &p->batch;
	bool completed = p->status == MIGRATE_COMPLETED;
	json_t *ram = json_pack("{s:f}", "mbps", (double)p->rate * 8 / 1e6);

	set(ram, "transferred", p->bytes);
	set(ram, "remaining", completed ? 0 : p->pages_left * PAGE_SIZE);
	set(ram, "total", p->pages_all * PAGE_SIZE);
	set(ram, "duplicate", b->patterns);
	set(ram, "skipped", 0);
	set(ram, "normal", b->packed + b->raw);
	set(ram, "normal-bytes", (b->packed + b->raw) * PAGE_SIZE);
	set(ram, "dirty-pages-rate", completed ? 0 : p->dirty_rate);
	set(ram, "dirty-sync-count", p->round);
	set(ram, "postcopy-requests", p->asked);
	set(ram, "page-size", PAGE_SIZE);
	set(ram, "multifd-bytes", p->bytes_further);
	set(ram, "pages-per-second", p->pages_rate);
	set(ram, "precopy-bytes", p->bytes_in[MIGRATE_PHASE_PRECOPY]);
	set(ram, "downtime-bytes", p->bytes_in[MIGRATE_PHASE_DOWNTIME]);
	set(ram, "postcopy-bytes", p->bytes_in[MIGRATE_PHASE_POSTCOPY]);
	set(ram, "dirty-sync-missed-zero-copy", 0);
	return ram;
}

/* What the destination knows. */
static json_t *ours_there(const struct migrate_progress *p)
{
	return json_pack("{s:b, s:o, s:o, s:o}", "hand-over", (int)p->handover, "total-us",
			 number(p->total_ns / 1000), "received", number(p->bytes), "missing-pages",
			 number(p->pages_left));
}

static json_t *ours(const struct migrate_progress *p)
{
	const struct batch_stats *b = &p->batch;
	json_t *object = json_pack(
		"{s:s, s:b, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o}}", "strategy",
		migrate_strategy_names[p->strategy], "hand-over", (int)p->handover, "total-us",
		number(p->total_ns / 1000), "dirty-pages", number(p->pages_dirty), "pages", "sent",
		number(b->pages), "pattern", number(b->patterns), "same", number(b->same), "delta",
		number(b->deltas), "lz4", number(b->packed), "raw", number(b->raw), "stored",
		number(b->stored));

	set(object, "spells", p->slices);
	if (p->downtime_ns)
		set(object, "downtime-us", p->downtime_ns / 1000);
	return object;
}

static json_t *prediction(const struct plan_prediction *p)
{
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:b, s:b}", "total-us",
			 number(p->total_ns / 1000), "downtime-us", number(p->downtime_ns / 1000),
			 "bytes", number(p->bytes), "rounds", (int)p->rounds, "throttle",
			 (int)p->throttle, "in-time", (int)p->in_time, "keeps-limit",
			 (int)p->keeps_limit);
}

static json_t *measured(const struct plan_input *in)
{
	json_t *curve = json_array();

	for (u32 i = 0; i < in->nr_points; i++)
		json_array_append_new(curve,
				      json_pack("{s:o, s:o}", "us", number(in->curve[i].ns / 1000),
						"pages", number(in->curve[i].pages)));
	return json_pack(
		"{s:o, s:f, s:f, s:f, s:o, s:b, s:f, s:o, s:o, s:o}", "pages", number(in->pages),
		"page-bytes", in->page_bytes, "page-ns", in->page_ns, "dirty-rate", in->dirty_rate,
		"curve", curve, "line-measured", (int)in->measured, "bytes-per-second", in->rate,
		"setup-us", number(in->setup_ns / 1000), "stop-and-load-us",
		number(in->fixed_ns / 1000), "downtime-limit-us", number(in->limit_ns / 1000));
}

json_t *plan_json(const struct plan *plan)
{
	json_t *ways = json_object();

	for (u32 i = 0; i < PLAN_NR_WAYS; i++)
		if (plan->ways[i].possible)
			json_object_set_new(ways, plan_way_names[i], prediction(&plan->ways[i]));
	return json_pack("{s:s, s:s, s:o, s:o}", "choice", plan_way_names[plan->choice], "reason",
			 plan->reason, "ways", ways, "measured", measured(&plan->in));
}

/* QEMU tells them while memory goes and once it has gone; not of what came to nothing. */
static bool has_figures(const struct migrate_progress *p)
{
	return !p->incoming && p->status != MIGRATE_SETTING_UP && p->status != MIGRATE_CANCELLED &&
	       p->status != MIGRATE_FAILED;
}

static void add_figures(json_t *object, const struct migrate_progress *p)
{
	set(object, "setup-time", ms(p->setup_ns));
	set(object, "total-time", ms(p->total_ns));
	if (p->status == MIGRATE_COMPLETED)
		set(object, "downtime", ms(p->downtime_ns));
	else
		set(object, "expected-downtime", ms(p->expected_ns));
	if (p->throttle)
		set(object, "cpu-throttle-percentage", p->throttle);
	json_object_set_new(object, "ram", ram(p));
}

json_t *migrate_json(const struct migrate_progress *p)
{
	json_t *object = json_object();

	if (!object || p->status == MIGRATE_NONE)
		return object;
	json_object_set_new(object, "status", json_string(migrate_status_names[p->status]));
	if (has_figures(p))
		add_figures(object, p);
	json_object_set_new(object, "x-quire", p->incoming ? ours_there(p) : ours(p));
	if (p->planned)
		json_object_set_new(object, "x-quire-plan", plan_json(&p->plan));
	if (p->why.text[0] && p->status != MIGRATE_CANCELLED)
		json_object_set_new(object, "error-desc", json_string(p->why.text));
	return object;
}

char *migrate_event_line(const struct migrate_progress *p, const struct timeval *now)
{
	json_t *data = json_pack("{s:s}", "status", migrate_status_names[p->status]);

	return data ? qmp_event("MIGRATION", data, now) : NULL;
}

char *migrate_pass_line(const struct migrate_progress *p, const struct timeval *now)
{
	json_t *data = json_pack("{s:i}", "pass", (int)p->round);

	return data ? qmp_event("MIGRATION_PASS", data, now) : NULL;
}
