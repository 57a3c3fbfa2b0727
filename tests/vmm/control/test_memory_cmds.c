// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine as clients see it: the commands of vmm/control/qmp_cmds.h on a fake machine,
 * the JSON, what a person is shown of it, and the way of an event.
 */
#include "mm/engine/stats.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/machine/memory_events.h"
#include "vmm/control/memory_json.h"
#include "vmm/cli/memory_view.h"
#include "vmm/control/qmp.h"

/* Every number in it differs from every other, so that none can stand in another's place. */
static struct mem_stats numbered_stats(void)
{
	struct mem_stats s = {
		.in_charge = true,
		.policy = "clock+idle",
		.limit = 1001,
		.limit_min = 1002,
		.resident_bytes = 1003,
		.store_bytes = 1004,
		.peak_bytes = 1005,
		.descriptor_bytes = 1006,
		.pages = {1010, 1011, 1012, 1013, 1014, 1015},
		.kept = 1007,
		.store = {.pages = 3000,
			  .patterns = 1021,
			  .shared = 1022,
			  .blocks = 1023,
			  .raw = 1024,
			  .tier_entries = 1025,
			  .payload_bytes = 1026,
			  .pool_bytes = 500 * 4096,
			  .metadata_bytes = 100 * 4096,
			  .tier_bytes = 400 * 4096},
		.around = 1031,
		.evicted = 1032,
		.evicted_clean = 1033,
		.rescued = 1034,
		.refused = 1035,
		.waited = 1036,
		.waited_ns = 1037,
		.scanned = 1038,
		.wss = {.share = 0.25, .low = 0.125, .high = 0.5, .samples = 1041},
		.wss_window_ns = 1042000000,
		.promotion_rate = 0.75,
		.stall = 0.0625,
		.thrashing = true,
		.faults_per_second = 1043,
	};

	for (u32 i = 0; i < MEM_NR_FAULT_KINDS; i++)
		s.fault[i] = (struct hist_summary){2000 + i, 2100 + i, 2200 + i, 2300 + i,
						   2400 + i};
	for (u32 i = 0; i < MEM_NR_AGES; i++)
		s.ages[i] = 2500 + i;
	for (u32 i = 0; i < WSS_CURVE_POINTS; i++)
		s.curve[i] = (struct wss_point){i / 20.0, 1000.0 - i};
	return s;
}

struct expected {
	const char *key;
	json_int_t value;
};

static void check_numbers(const json_t *object, const struct expected *expected)
{
	for (const struct expected *e = expected; e->key; e++)
		assert_int_equal(integer_at(object, e->key), e->value);
}

static double real_at(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);

	assert_true(json_is_real(n));
	return json_real_value(n);
}

static void shows_all_of_memory(void **state)
{
	static const struct expected top[] = {
		{"limit", 1001},
		{"limit-min", 1002},
		{"resident", 1003},
		{"store", 1004},
		{"peak", 1005},
		{"descriptors", 1006},
		{"kept", 1007},
		{"around", 1031},
		{"evicted", 1032},
		{"rescued", 1034},
		{"evicted-clean", 1033},
		{"refused", 1035},
		{"waited", 1036},
		{"waited-ns", 1037},
		{"scanned", 1038},
		{"faults-per-second", 1043},
		{0},
	};
	static const struct expected pages[] = {
		{"absent", 1010},
		{"filling", 1011},
		{"resident", 1012},
		{"idle", 1013},
		{"evicting", 1014},
		{"stored", 1015},
		{0},
	};
	static const struct expected contents[] = {
		{"pages", 3000},
		{"patterns", 1021},
		{"shared", 1022},
		{"blocks", 1023},
		{"raw", 1024},
		{"below", 1025},
		{"payload-bytes", 1026},
		{"pool-bytes", 2048000},
		{"metadata-bytes", 409600},
		{"below-bytes", 400 * 4096},
		{0},
	};
	json_t *memory;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mem = numbered_stats();
	memory = query(&p, "{\"execute\": \"x-quire-memory\"}");
	assert_int_equal(json_object_size(memory), 28);
	check_numbers(memory, top);
	check_numbers(json_object_get(memory, "pages"), pages);
	check_numbers(json_object_get(memory, "contents"), contents);
	assert_true(real_at(json_object_get(memory, "contents"), "ratio") == 3.0);
	assert_true(json_is_true(json_object_get(memory, "armed")));
	assert_true(json_is_true(json_object_get(memory, "thrashing")));
	assert_string_equal(string_at(memory, "policy"), "clock+idle");
	assert_true(real_at(memory, "promotion-rate") == 0.75);
	assert_true(real_at(memory, "stall") == 0.0625);
	assert_true(json_is_null(json_object_get(memory, "swap")));
	json_decref(memory);
	peer_fini(&p);
}

static void shows_what_is_made_of_parts(void **state)
{
	static const char *const kinds[] = {"zero", "soft", "store", "tier", "write"};
	static const struct expected set[] = {{"window-ms", 1042}, {"samples", 1041}, {0}};
	json_t *memory, *part;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mem = numbered_stats();
	memory = query(&p, "{\"execute\": \"x-quire-memory\"}");
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct expected latency[] = {
			{"count", 2000 + i},  {"mean-ns", 2100 + i}, {"p50-ns", 2200 + i},
			{"p99-ns", 2300 + i}, {"max-ns", 2400 + i},  {0},
		};

		check_numbers(json_object_get(json_object_get(memory, "faults"), kinds[i]),
			      latency);
	}
	part = json_object_get(memory, "ages");
	assert_int_equal(json_array_size(part), 16);
	for (u32 i = 0; i < 16; i++) {
		const struct expected age[] = {{"below-ms", 125 << i}, {"pages", 2500 + i}, {0}};

		check_numbers(json_array_get(part, i), age);
	}
	part = json_object_get(memory, "curve");
	assert_int_equal(json_array_size(part), 21);
	assert_true(real_at(json_array_get(part, 10), "memory") == 0.5);
	assert_true(real_at(json_array_get(part, 10), "faults") == 990.0);
	part = json_object_get(memory, "working-set");
	check_numbers(part, set);
	assert_true(real_at(part, "share") == 0.25 && real_at(part, "low") == 0.125 &&
		    real_at(part, "high") == 0.5);
	json_decref(memory);
	peer_fini(&p);
}

static void shows_swap_and_nothing_impossible(void **state)
{
	static const struct expected swap[] = {
		{"objects", 1},
		{"object-bytes", 2},
		{"used-bytes", 3},
		{"capacity-bytes", 4},
		{"writes", 5},
		{"reads", 6},
		{"written-bytes", 7},
		{"read-bytes", 8},
		{"moved", 9},
		{"errors", 10},
		{0},
	};
	json_t *memory;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mem.has_tier = true;
	p.machine.mem.tier = (struct tier_stats){.objects = 1,
						 .object_bytes = 2,
						 .used_bytes = 3,
						 .capacity_bytes = 4,
						 .writes = 5,
						 .reads = 6,
						 .written_bytes = 7,
						 .read_bytes = 8,
						 .moved_objects = 9,
						 .errors = 10};
	/* what an estimate may come to and JSON cannot say; a policy's name that fills its place */
	p.machine.mem.stall = 1.0 / 0.0;
	p.machine.mem.promotion_rate = 0.0 / 0.0;
	memset(p.machine.mem.policy, 'x', sizeof(p.machine.mem.policy));
	p.machine.mem.waited_ns = UINT64_MAX;
	memory = query(&p, "{\"execute\": \"x-quire-memory\"}");
	check_numbers(json_object_get(memory, "swap"), swap);
	assert_true(real_at(memory, "stall") == 0);
	assert_true(real_at(memory, "promotion-rate") == 0);
	assert_true(real_at(json_object_get(memory, "contents"), "ratio") == 0);
	assert_string_equal(string_at(memory, "policy"), "xxxxxxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(integer_at(memory, "waited-ns"), INT64_MAX);
	assert_true(json_is_false(json_object_get(memory, "armed")));
	json_decref(memory);
	peer_fini(&p);
}

static void maps_memory(void **state)
{
	static const u32 sizes[] = {1, 2, 1000, 65536};
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		char request[100];
		json_t *memory, *map;

		snprintf(request, sizeof(request), CALL("x-quire-memory", "{\"map\": %u}"),
			 sizes[k]);
		memory = query(&p, request);
		map = json_object_get(memory, "map");
		assert_int_equal(json_array_size(map), sizes[k]);
		for (u32 i = 0; i < sizes[k]; i += 1 + sizes[k] / 7) {
			assert_int_equal(json_array_size(json_array_get(map, i)), PAGE_NR_STATES);
			for (u32 s = 0; s < PAGE_NR_STATES; s++)
				assert_int_equal(json_integer_value(
							 json_array_get(json_array_get(map, i), s)),
						 i + s);
		}
		json_decref(memory);
	}
	peer_fini(&p);
}

static void changes_limit_policy_and_mode(void **state)
{
	struct peer p;
	struct machine *m = &p.machine;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, CALL("x-quire-set-limit", "{\"limit\": 9000, \"limit-min\": 7000}"), OK);
	assert_true(m->mem.limit == 9000 && m->mem.limit_min == 7000);
	expect(&p, CALL("x-quire-set-limit", "{\"limit\": 8000}"), OK);
	assert_true(m->mem.limit == 8000 && m->mem.limit_min == 0);
	expect(&p, CALL("x-quire-set-limit", "{\"limit\": 1, \"limit-min\": 2}"),
	       ERROR("limit: the minimum is above it"));
	assert_int_equal(m->mem.limit, 8000);
	expect(&p, CALL("x-quire-set-policy", "{\"policy\": \"nth:3\"}"), OK);
	assert_string_equal(m->policy, "nth:3");
	expect(&p, CALL("x-quire-set-proactive", "{\"mode\": \"stall\"}"), OK);
	assert_int_equal(m->proactive, MEM_PROACTIVE_STALL);
	expect(&p, CALL("x-quire-set-proactive", "{\"mode\": \"promotions\"}"), OK);
	assert_int_equal(m->proactive, MEM_PROACTIVE_PROMOTIONS);
	expect(&p, CALL("x-quire-set-proactive", "{\"mode\": \"off\"}"), OK);
	assert_int_equal(m->proactive, MEM_PROACTIVE_OFF);
	m->mem.peak_bytes = 5;
	expect(&p, "{\"execute\": \"x-quire-reset-peak\"}", OK);
	assert_int_equal(m->mem.peak_bytes, 0);
	peer_fini(&p);
}

static void reclaims_in_slices(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, CALL("x-quire-reclaim", "{\"size\": 4096}"),
	       "{\"return\": {\"reclaimed\": 4096}}\r\n");
	expect(&p, CALL("x-quire-reclaim", "{\"size\": 99999999}"),
	       "{\"return\": {\"reclaimed\": 1048576}}\r\n");
	expect(&p, CALL("x-quire-reclaim", "{\"size\": 99999999}"),
	       "{\"return\": {\"reclaimed\": 1044480}}\r\n");
	expect(&p, CALL("x-quire-reclaim", "{\"size\": 99999999}"),
	       "{\"return\": {\"reclaimed\": 0}}\r\n");
	peer_fini(&p);
}

static void audits_a_paused_guest(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, "{\"execute\": \"x-quire-audit\"}",
	       ERROR("guest fake: is running (pause it first)"));
	p.machine.state = MACHINE_PAUSED;
	p.machine.wrong = 3;
	expect(&p, "{\"execute\": \"x-quire-audit\"}", "{\"return\": {\"wrong\": 3}}\r\n");
	peer_fini(&p);
}

static void refuses_bad_arguments(void **state)
{
	static const struct exchange bad[] = {
		{CALL("x-quire-memory", "{\"map\": 0}"),
		 ERROR("Parameter 'map' expects a number from 1 to 65536")},
		{CALL("x-quire-memory", "{\"map\": 65537}"),
		 ERROR("Parameter 'map' expects a number from 1 to 65536")},
		{CALL("x-quire-memory", "{\"map\": 4294967297}"),
		 ERROR("Parameter 'map' expects a number from 1 to 65536")},
		{CALL("x-quire-memory", "{\"map\": -1}"),
		 ERROR("Parameter 'map' expects a number from 0 on")},
		{CALL("x-quire-memory", "{\"map\": \"8\"}"),
		 ERROR("Invalid parameter type for 'map', expected: integer")},
		{CALL("x-quire-memory", "{\"map\": null}"),
		 ERROR("Invalid parameter type for 'map', expected: integer")},
		{CALL("x-quire-set-limit", "{}"), ERROR("Parameter 'limit' is missing")},
		{"{\"execute\": \"x-quire-set-limit\"}", ERROR("Parameter 'limit' is missing")},
		{CALL("x-quire-set-limit", "{\"limit\": 1.5}"),
		 ERROR("Invalid parameter type for 'limit', expected: integer")},
		{CALL("x-quire-set-limit", "{\"limit\": 5, \"limit-min\": []}"),
		 ERROR("Invalid parameter type for 'limit-min', expected: integer")},
		{CALL("x-quire-set-limit", "{\"limit\": 5, \"limit-min\": -5}"),
		 ERROR("Parameter 'limit-min' expects a number from 0 on")},
		{CALL("x-quire-reclaim", "{}"), ERROR("Parameter 'size' is missing")},
		{CALL("x-quire-reclaim", "{\"size\": -1}"),
		 ERROR("Parameter 'size' expects a number from 0 on")},
		{CALL("x-quire-set-policy", "{}"), ERROR("Parameter 'policy' is missing")},
		{CALL("x-quire-set-policy", "{\"policy\": 3}"),
		 ERROR("Invalid parameter type for 'policy', expected: string")},
		{CALL("x-quire-set-proactive", "{\"mode\": true}"),
		 ERROR("Invalid parameter type for 'mode', expected: string")},
		{CALL("x-quire-set-proactive", "{\"mode\": \"much\"}"),
		 ERROR("Parameter 'mode' does not accept value 'much' (give off, promotions or "
		       "stall)")},
	};
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mem.limit = 1234;
	expect_all(&p, bad, ARRAY_SIZE(bad));
	assert_int_equal(p.machine.mem.limit, 1234);
	assert_int_equal(p.machine.reclaimable, 2 * MiB);
	peer_fini(&p);
}

/* Without an engine there is one sentence for all of it, and stats work as ever. */
static void says_that_memory_is_not_managed(void **state)
{
	static const char *const requests[] = {
		CALL("x-quire-memory", "{\"map\": 5}"),
		CALL("x-quire-memory", "{}"),
		CALL("x-quire-set-limit", "{\"limit\": 5}"),
		CALL("x-quire-reclaim", "{\"size\": 5}"),
		CALL("x-quire-set-policy", "{\"policy\": \"lru\"}"),
		CALL("x-quire-set-proactive", "{\"mode\": \"off\"}"),
		CALL("x-quire-audit", "{}"),
		CALL("x-quire-reset-peak", "{}"),
	};
	json_t *stats;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.unmanaged = true;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect(&p, requests[i], ERROR("guest fake: its memory is not managed"));
	stats = query(&p, "{\"execute\": \"x-quire-stats\"}");
	assert_int_equal(integer_at(stats, "stored"), 0);
	json_decref(stats);
	peer_fini(&p);
}

/* ---- For a person ---- */

/* What a person sees of @text, JSON of no matter whom. The caller frees it. */
static char *view_of(const char *text)
{
	json_t *memory = json_loads(text, 0, NULL);
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_non_null(memory);
	memory_view_print(memory, f);
	fclose(f);
	json_decref(memory);
	return out;
}

static void shows_a_person_what_matters(void **state)
{
	static const char *const expected[] = {
		"limit     4.0 MiB now, moving down to 3.0 MiB",
		"policy    clock+idle\n",
		"pages     absent 1010 filling 1011 resident 1012 idle 1013 evicting 1014 stored "
		"1015; kept 1007\n",
		"store     3000 pages at 3.00 to 1: patterns 1021, shared 1022, blocks 1023, raw "
		"1024, below 1025\n",
		"  store           2002     2.1 us     2.2 us     2.3 us     2.4 us\n",
		"in use    25.0% of memory within 1.042 s (95%: 12.5% to 50.0%, from 1041 "
		"samples)\n",
		"          990 faults a second at half this memory\n",
		"stalled   6.25% of processor time, 1043 faults a second: thrashing\n",
	};
	struct mem_stats stats = numbered_stats();
	json_t *memory;
	char *text, *view;

	(void)state;
	stats.limit = 4 * MiB;
	stats.limit_min = 3 * MiB;
	memory = memory_json(&stats);
	text = json_dumps(memory, 0);
	view = view_of(text);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (!strstr(view, expected[i]))
			fail_msg("%s is not in\n%s", expected[i], view);
	assert_null(strstr(view, "swap"));
	json_decref(memory);
	free(text);
	free(view);
}

/* Nothing that a guest's process can answer reaches the terminal but printable text. */
static void shows_nonsense_safely(void **state)
{
	static const char *const nonsense[] = {
		"{}",
		"[]",
		"{\"policy\": \"\\u001b[2J\", \"limit\": -7, \"pages\": [], \"ages\": {\"a\": 1}}",
		"{\"policy\": 3, \"limit\": \"x\", \"faults\": 9, \"curve\": [1, [], "
		"{}], \"swap\": {}}",
		"{\"ages\": [{\"pages\": 9223372036854775807, \"below-ms\": -1}], \"working-set\": "
		"{\"samples\": 1, \"share\": 1e300}, \"contents\": {\"ratio\": -1e300}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		char *view = view_of(nonsense[i]);

		assert_non_null(strstr(view, "policy    "));
		for (const char *c = view; *c; c++)
			assert_true(*c == '\n' || (*c >= 0x20 && *c < 0x7f));
		free(view);
	}
}

static void says_what_an_event_means(void **state)
{
	struct mem_event event = {.limit = 64 * MiB, .stall = 0.5, .faults = 800};
	struct err room;

	(void)state;
	for (event.kind = MEM_EV_LIMIT; event.kind < MEM_NR_EVENT_KINDS; event.kind++) {
		bool good_news = event.kind == MEM_EV_ROOM || event.kind == MEM_EV_THRASH_OVER;
		const char *sentence = memory_event_sentence(&event, &room);

		assert_int_equal(!sentence, good_news);
		if (event.kind == MEM_EV_LIMIT || event.kind == MEM_EV_THRASH)
			assert_non_null(strstr(sentence, "64.0 MiB"));
	}
	event.kind = MEM_EV_THRASH;
	assert_memory_equal(memory_event_sentence(&event, &room), "thrashing: 50% of its time", 26);
}

/* ---- Events ---- */

static void each_event_is_a_line(void **state)
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
	const struct timeval now = {.tv_sec = 7, .tv_usec = 9};

	(void)state;
	for (unsigned int kind = 0; kind < ARRAY_SIZE(names); kind++) {
		const struct mem_event event = {kind, 4096, 8192, 12, 0.5, 0.25};
		char expected[300], *line = memory_event_line(&event, &now);

		snprintf(
			expected, sizeof(expected),
			"{\"timestamp\": {\"seconds\": 7, \"microseconds\": 9}, \"event\": \"%s\", "
			"\"data\": {\"limit\": 4096, \"resident\": 8192, \"store\": 12, "
			"\"stall\": 0.5, "
			"\"faults-per-second\": 0.25}}\r\n",
			names[kind]);
		assert_string_equal(line, expected);
		free(line);
	}
}

/* Against an array in which everything that was ever put stands one after the other. */
static void keeps_the_newest_memory_events(void **state)
{
	enum { NR_STEPS = 5000 };
	struct memory_events q;
	struct mem_event event = {.kind = MEM_EV_ROOM};
	unsigned int first = 0, end = 0, lost = 0;

	(void)state;
	srand(7);
	memory_events_init(&q);
	for (int i = 0; i < NR_STEPS; i++) {
		/* phases that fill it, phases that empty it */
		bool put = rand() % 10 < (i / 100 % 2 ? 8 : 2);

		if (put) {
			event.limit = end++;
			memory_events_put(&q, &event);
			if (end - first > MEMORY_EVENTS_MAX) {
				first++;
				lost++;
			}
		} else {
			assert_int_equal(memory_events_take(&q, &event), first < end);
			if (first < end)
				assert_int_equal(event.limit, first++);
		}
	}
	assert_in_range(lost, 100, NR_STEPS);
	event.limit = end++;
	memory_events_put(&q, &event);
	memory_events_clear(&q);
	assert_false(memory_events_take(&q, &event));
	memory_events_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_all_of_memory),
		cmocka_unit_test(shows_what_is_made_of_parts),
		cmocka_unit_test(shows_swap_and_nothing_impossible),
		cmocka_unit_test(maps_memory),
		cmocka_unit_test(changes_limit_policy_and_mode),
		cmocka_unit_test(reclaims_in_slices),
		cmocka_unit_test(audits_a_paused_guest),
		cmocka_unit_test(refuses_bad_arguments),
		cmocka_unit_test(says_that_memory_is_not_managed),
		cmocka_unit_test(shows_a_person_what_matters),
		cmocka_unit_test(shows_nonsense_safely),
		cmocka_unit_test(says_what_an_event_means),
		cmocka_unit_test(each_event_is_a_line),
		cmocka_unit_test(keeps_the_newest_memory_events),
	};

	return cmocka_run_group_tests_name("memory_cmds", tests, NULL, NULL);
}
