// SPDX-License-Identifier: Apache-2.0
/* Contract in migrate_json.h. */
#include "vmm/migrate_json.h"

#include "vmm/qmp.h"

static json_t *number(u64 n)
{
	return json_integer((json_int_t)n);
}

static u64 ms(u64 ns)
{
	return (ns + 500000) / 1000000;
}

static json_t *ram(const struct migrate_progress *p)
{
	const struct batch_stats *b = &p->batch;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o}", "transferred",
			 number(p->bytes), "remaining", number(p->pages_left * PAGE_SIZE), "total",
			 number(p->pages_all * PAGE_SIZE), "duplicate", number(b->patterns),
			 "normal", number(b->packed + b->raw), "normal-bytes",
			 number((b->packed + b->raw) * PAGE_SIZE), "dirty-pages-rate",
			 number(p->dirty_rate), "mbps", (double)p->rate * 8 / 1e6,
			 "dirty-sync-count", number(p->round), "page-size", number(PAGE_SIZE),
			 "postcopy-requests", number(p->asked));
}

static json_t *ours(const struct migrate_progress *p)
{
	const struct batch_stats *b = &p->batch;

	return json_pack("{s:s, s:b, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o}}", "strategy",
			 migrate_strategy_names[p->strategy], "hand-over", (int)p->handover,
			 "dirty-pages", number(p->pages_dirty), "pages", "sent", number(b->pages),
			 "pattern", number(b->patterns), "same", number(b->same), "delta",
			 number(b->deltas), "lz4", number(b->packed), "raw", number(b->raw),
			 "stored", number(b->stored));
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

json_t *migrate_json(const struct migrate_progress *p)
{
	json_t *object = json_pack("{s:s}", "status", migrate_status_names[p->status]);

	if (!object || p->status == MIGRATE_NONE)
		return object;
	json_object_set_new(object, "total-time", number(ms(p->total_ns)));
	json_object_set_new(object, "x-total-us", number(p->total_ns / 1000));
	json_object_set_new(object, "expected-downtime", number(ms(p->expected_ns)));
	if (p->downtime_ns) {
		json_object_set_new(object, "downtime", number(ms(p->downtime_ns)));
		json_object_set_new(object, "x-downtime-us", number(p->downtime_ns / 1000));
	}
	json_object_set_new(object, "cpu-throttle-percentage", number(p->throttle));
	json_object_set_new(object, "ram", ram(p));
	json_object_set_new(object, "x-quire", ours(p));
	if (p->planned)
		json_object_set_new(object, "x-quire-plan", plan_json(&p->plan));
	if (p->why.text[0])
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
