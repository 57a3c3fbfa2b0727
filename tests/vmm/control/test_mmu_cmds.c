// SPDX-License-Identifier: Apache-2.0
/*
 * How a guest's addresses are translated, as clients see it: x-quire-mmu on a fake machine, its
 * JSON, and what a person is shown of it.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/mmu_json.h"
#include "vmm/cli/mmu_view.h"
#include "vmm/pv/names.h"

#define QUERY "{\"execute\": \"x-quire-mmu\"}"
#define CHECK "{\"execute\": \"x-quire-mmu\", \"arguments\": {\"check\": true}}"

/* Numbers of vectors and hypercalls, as the SDM and Xen's headers have them. */
enum { UD = 6, PF = 14, NO_VECTOR = 15, INTERRUPT = 0xf0, MMU_UPDATE = 1, IRET = 23, NO_CALL = 55 };

/* Every number in it differs from every other, so that none can stand in another's place. */
static struct mmu_stats numbered_stats(void)
{
	struct mmu_stats s = {
		.shadow = true,
		.pv = {.syscalls = 101,
		       .entries_written = 107,
		       .monitor_instructions = 108,
		       .emulated = 102,
		       .events = 103,
		       .interrupts = 104,
		       .fault_ns = 105000,
		       .call_ns = 106000000},
		.tables = {.faults = 201,
			   .guest_faults = 202,
			   .fills = 203,
			   .dirty_sets = 204,
			   .table_writes = 205,
			   .spurious = 206,
			   .starved = 207,
			   .prefills = 208,
			   .unsyncs = 209,
			   .syncs = 210,
			   .tables_made = 211,
			   .tables_reclaimed = 212,
			   .tables_dropped = 213,
			   .tables = {{0, 301, 302, 303, 304}, {0, 311, 312, 313, 314}},
			   .pages_free = 214,
			   .entries = 215},
		.arena_pages = 2048,
	};

	s.pv.traps[UD] = 401;
	s.pv.traps[PF] = 402;
	s.pv.traps[NO_VECTOR] = 403;
	s.pv.traps[INTERRUPT] = 404;
	s.pv.calls[MMU_UPDATE] = (struct pv_call_stats){501, 502};
	s.pv.calls[IRET] = (struct pv_call_stats){503, 504};
	s.pv.calls[NO_CALL] = (struct pv_call_stats){505, 0};
	return s;
}

struct expected {
	const char *key;
	json_int_t value;
};

/* These and no others. */
static void check_numbers(const json_t *object, const struct expected *expected, size_t n)
{
	assert_int_equal(json_object_size(object), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(integer_at(object, expected[i].key), expected[i].value);
}

#define CHECK_NUMBERS(object, ...)                                    \
	check_numbers(object, (const struct expected[]){__VA_ARGS__}, \
		      sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static void shows_all_of_it(void **state)
{
	static const struct expected top[] = {
		{"prefills", 208},
		{"unsyncs", 209},
		{"syncs", 210},
		{"syscalls", 101},
		{"entries-written", 107},
		{"monitor-instructions", 108},
		{"emulated", 102},
		{"events", 103},
		{"interrupts", 104},
		{"fault-ns", 105000},
		{"hypercall-ns", 106000000},
	};
	const json_t *part;
	json_t *mmu;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mmu = numbered_stats();
	mmu = query(&p, QUERY);
	assert_int_equal(json_object_size(mmu), 16);
	assert_string_equal(string_at(mmu, "mode"), "shadow");
	for (size_t i = 0; i < ARRAY_SIZE(top); i++)
		assert_int_equal(integer_at(mmu, top[i].key), top[i].value);
	CHECK_NUMBERS(json_object_get(mmu, "traps"), {"UD", 401}, {"PF", 402}, {"15", 403},
		      {"interrupt", 404});
	CHECK_NUMBERS(json_object_get(mmu, "shadow-faults"), {"guest", 202}, {"fill", 203},
		      {"dirty", 204}, {"table-write", 205}, {"spurious", 206}, {"starved", 207});
	part = json_object_get(mmu, "hypercalls");
	assert_int_equal(json_object_size(part), 3);
	CHECK_NUMBERS(json_object_get(part, "mmu_update"), {"count", 501}, {"ns", 502});
	CHECK_NUMBERS(json_object_get(part, "iret"), {"count", 503}, {"ns", 504});
	CHECK_NUMBERS(json_object_get(part, "55"), {"count", 505}, {"ns", 0});
	part = json_object_get(mmu, "tables");
	assert_int_equal(json_object_size(part), 8);
	CHECK_NUMBERS(json_object_get(part, "kernel"), {"1", 301}, {"2", 302}, {"3", 303},
		      {"4", 304});
	CHECK_NUMBERS(json_object_get(part, "user"), {"1", 311}, {"2", 312}, {"3", 313},
		      {"4", 314});
	assert_int_equal(integer_at(part, "made"), 211);
	assert_int_equal(integer_at(part, "reclaimed"), 212);
	assert_int_equal(integer_at(part, "dropped"), 213);
	assert_int_equal(integer_at(part, "entries"), 215);
	assert_int_equal(integer_at(part, "arena-pages"), 2048);
	assert_int_equal(integer_at(part, "free-pages"), 214);
	json_decref(mmu);
	peer_fini(&p);
}

static void nothing_of_ours(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, QUERY, "{\"return\": {\"mode\": \"ept\"}}\r\n");
	expect(&p, CHECK, ERROR("guest fake: has no shadow tables"));
	expect(&p, "{\"execute\": \"x-quire-mmu\", \"arguments\": {\"check\": false}}",
	       "{\"return\": {\"mode\": \"ept\"}}\r\n");
	expect(&p, "{\"execute\": \"x-quire-mmu\", \"arguments\": {\"check\": 1}}",
	       ERROR("Invalid parameter type for 'check', expected: boolean"));
	machine_quit(&p.machine, SHUTDOWN_BY_NONE);
	peer_clear(&p);
	expect(&p, QUERY, ERROR("guest fake: has ended"));
	peer_fini(&p);
}

static void checks_when_asked(void **state)
{
	const json_t *check;
	json_t *mmu;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.mmu = numbered_stats();
	p.machine.mmu_check = (struct mmu_check){.seen = {11, 12, 13}};
	mmu = query(&p, CHECK);
	assert_int_equal(json_object_size(mmu), 17);
	check = json_object_get(mmu, "check");
	assert_int_equal(json_object_size(check), 5);
	assert_int_equal(integer_at(check, "tables"), 11);
	assert_int_equal(integer_at(check, "entries"), 12);
	assert_int_equal(integer_at(check, "unsynced"), 13);
	assert_int_equal(integer_at(check, "disagreements"), 0);
	assert_true(json_is_null(json_object_get(check, "first")));
	json_decref(mmu);
	p.machine.mmu_check = (struct mmu_check){.wrong = 2, .why = "entry 5 of frame 0x77"};
	mmu = query(&p, CHECK);
	check = json_object_get(mmu, "check");
	assert_int_equal(integer_at(check, "disagreements"), 2);
	assert_string_equal(string_at(check, "first"), "entry 5 of frame 0x77");
	json_decref(mmu);
	peer_fini(&p);
}

/* Numbers beyond JSON's are its greatest; no two vectors, and no two hypercalls, are one. */
static void every_number_there_is(void **state)
{
	struct mmu_stats s = {.shadow = true};
	json_t *mmu;

	(void)state;
	for (u32 i = 0; i < PV_NR_VECTORS; i++)
		s.pv.traps[i] = UINT64_MAX;
	for (u32 i = 0; i < PV_NR_HYPERCALLS; i++)
		s.pv.calls[i] = (struct pv_call_stats){1 + i, UINT64_MAX};
	mmu = mmu_json(&s);
	assert_non_null(mmu);
	assert_int_equal(json_object_size(json_object_get(mmu, "traps")), PV_NR_VECTORS);
	assert_int_equal(integer_at(json_object_get(mmu, "traps"), "GP"), INT64_MAX);
	assert_int_equal(json_object_size(json_object_get(mmu, "hypercalls")), PV_NR_HYPERCALLS);
	json_decref(mmu);
	assert_null(pv_vector_name(PV_NR_VECTORS));
	assert_null(pv_hypercall_name(PV_NR_HYPERCALLS));
	assert_null(pv_hypercall_name(UINT32_MAX));
}

static char *view_of(const json_t *mmu)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	mmu_view_print(mmu, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void is_shown_to_a_person(void **state)
{
	struct mmu_stats s = numbered_stats();
	json_t *mmu = mmu_json(&s);
	char *text = view_of(mmu);

	(void)state;
	assert_string_equal(text,
			    "mmu       shadow: 1210 tables of the kernel, 1250 of processes, 215 "
			    "entries\n"
			    "          made 211, dropped 213, reclaimed 212; of 2048 pages 214 are "
			    "free\n"
			    "  traps          1610: UD 401, PF 402, 15 403, interrupt 404\n"
			    "  faults         1227 in 105.0 us: guest 202, fill 203, dirty 204, "
			    "table-write 205, spurious 206, starved 207\n"
			    "  hypercalls     1509 in 106.0 ms\n");
	free(text);
	json_decref(mmu);
}

/* Where there is nothing to show, and where somebody tries to move the cursor about. */
static void shows_nothing_strange(void **state)
{
	static const char *const none[] = {"{}", "[]", "{\"mode\": \"ept\"}", "{\"mode\": 7}"};
	json_t *mmu;
	char *text;

	(void)state;
	text = view_of(NULL);
	assert_string_equal(text, "");
	free(text);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		mmu = json_loads(none[i], 0, NULL);
		text = view_of(mmu);
		assert_string_equal(text, "");
		free(text);
		json_decref(mmu);
	}
	mmu = json_loads("{\"mode\": \"shadow\", \"traps\": {\"\\u001b[2J\": 3, \"x\": \"y\"}, "
			 "\"tables\": 5, \"shadow-faults\": [1], \"hypercalls\": null}",
			 0, NULL);
	assert_non_null(mmu);
	text = view_of(mmu);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "  traps          3: ? 3\n"));
	assert_non_null(strstr(text, "  faults         0 in 0 ns: \n"));
	free(text);
	json_decref(mmu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_all_of_it),	cmocka_unit_test(nothing_of_ours),
		cmocka_unit_test(checks_when_asked),	cmocka_unit_test(every_number_there_is),
		cmocka_unit_test(is_shown_to_a_person), cmocka_unit_test(shows_nothing_strange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
