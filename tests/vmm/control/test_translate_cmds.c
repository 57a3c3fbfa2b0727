// SPDX-License-Identifier: Apache-2.0
/*
 * Translations as clients see them: x-quire-translate on a fake machine, every argument; the JSON
 * of every outcome; and addresses as people write them.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/translate_json.h"

#define TRANSLATE(args) CALL("x-quire-translate", args)

/* ---- Arguments ---- */

static struct translate_order order_of(const char *request)
{
	struct translate_order order;
	struct peer p;

	peer_init_negotiated(&p);
	json_decref(query(&p, request));
	order = p.machine.translate_order;
	peer_fini(&p);
	return order;
}

static void hands_on_what_it_is_asked(void **state)
{
	struct translate_order o = order_of(TRANSLATE("{\"address\": 4096}"));

	(void)state;
	assert_int_equal(o.address, 4096);
	assert_int_equal(o.cpu, 0);
	assert_int_equal(o.access.kind, PTWALK_READ);
	assert_int_equal(o.access.by, PTWALK_BY_SUPERVISOR);
	o = order_of(TRANSLATE("{\"address\": \"0xffff800000001000\", \"cpu\": 1, \"access\": "
			       "\"fetch\", \"user\": true}"));
	assert_int_equal(o.address, 0xffff800000001000);
	assert_int_equal(o.cpu, 1);
	assert_int_equal(o.access.kind, PTWALK_FETCH);
	assert_int_equal(o.access.by, PTWALK_BY_USER);
	o = order_of(TRANSLATE("{\"address\": \"12\", \"access\": \"write\", \"user\": false}"));
	assert_int_equal(o.address, 12);
	assert_int_equal(o.access.kind, PTWALK_WRITE);
	assert_int_equal(o.access.by, PTWALK_BY_SUPERVISOR);
	assert_false(o.segmented);
	o = order_of(TRANSLATE("{\"address\": \"gs:0x28\"}"));
	assert_true(o.segmented);
	assert_int_equal(o.segment, SEGMENT_GS);
	assert_int_equal(o.address, 0x28);
}

static void refuses_bad_arguments(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, "{\"execute\": \"x-quire-translate\"}", ERROR("Parameter 'address' is missing"));
	expect(&p, TRANSLATE("{\"address\": -1}"),
	       ERROR("Parameter 'address' expects a number from 0 on"));
	expect(&p, TRANSLATE("{\"address\": \"here\"}"),
	       ERROR("Parameter 'address' expects a number or a string like \\\"0x1000\\\" "
		     "or \\\"gs:0x10\\\""));
	expect(&p, TRANSLATE("{\"address\": true}"),
	       ERROR("Invalid parameter type for 'address', expected: integer"));
	expect(&p, TRANSLATE("{\"address\": 0, \"access\": \"look\"}"),
	       ERROR("Parameter 'access' does not accept value 'look' (give read, write or "
		     "fetch)"));
	expect(&p, TRANSLATE("{\"address\": 0, \"user\": 3}"),
	       ERROR("Invalid parameter type for 'user', expected: boolean"));
	expect(&p, TRANSLATE("{\"address\": 0, \"cpu\": 2}"), ERROR("vCPU 2: there is none"));
	expect(&p, TRANSLATE("{\"address\": 0, \"level\": 2}"),
	       ERROR("Parameter 'level' is unexpected"));
	peer_fini(&p);
}

static void takes_addresses_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		u64 value;
	} good[] = {
		{"0", 0},
		{"010", 10},
		{"4096", 4096},
		{"0x0", 0},
		{"0X1f", 31},
		{"0xFFFFffffFFFFffff", UINT64_MAX},
		{"18446744073709551615", UINT64_MAX},
		{"0x0000000000000000000001", 1},
	};
	static const char *const bad[] = {
		"",
		"0x",
		"x1",
		"-1",
		"+1",
		" 1",
		"1 ",
		"0x 1",
		"0x-1",
		"0x0x1",
		"1f",
		"0x1g",
		"0x1.0",
		"1e3",
		"0x10000000000000000",
		"18446744073709551616",
		"beef",
		":1",
		"s:1",
		"hs:1",
		"gs1",
		"gs:",
		"gs:-1",
		"gs:gs:1",
		"gs :1",
		"fgs:1",
		"1:1",
	};
	static const char *const segments[] = {"es:7", "CS:7", "ss:7", "Ds:7", "fs:7", "gs:0x7"};
	struct translate_order order;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(translate_parse_address(good[i].text, &order), 0);
		assert_int_equal(order.address, good[i].value);
		assert_false(order.segmented);
	}
	for (u32 i = 0; i < ARRAY_SIZE(segments); i++) {
		assert_int_equal(translate_parse_address(segments[i], &order), 0);
		assert_true(order.segmented && order.segment == i && order.address == 7);
	}
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		if (translate_parse_address(bad[i], &order) != -EINVAL)
			fail_msg("%s is taken for an address", bad[i]);
}

/* ---- Outcomes ---- */

/* What is answered for @t, all of it, must be @expected, with ' in place of ". */
static void check_json(const struct translation *t, const char *expected)
{
	char text[4096];
	struct peer p;
	json_t *got, *want;
	json_error_t error;

	assert_in_range(snprintf(text, sizeof(text), "%s", expected), 0, sizeof(text) - 1);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	want = json_loads(text, 0, &error);
	if (!want)
		fail_msg("%s, line %d", error.text, error.line);
	peer_init_negotiated(&p);
	p.machine.translation = *t;
	got = query(&p, TRANSLATE("{\"address\": 0}"));
	if (!json_equal(got, want))
		fail_msg("%s", json_dumps(got, JSON_INDENT(1)));
	json_decref(got);
	json_decref(want);
	peer_fini(&p);
}

static struct nested_walk page_walk(enum page_state state, u64 at, u64 entry)
{
	return (struct nested_walk){
		.kind = NESTED_PAGE,
		.page = {.state = state, .in_origin = state == PAGE_ABSENT},
		.machine = gpa(at),
		.shift = 12,
		.nr_steps = 2,
		.steps = {{2, 5, 0x107}, {1, 6, entry}},
	};
}

#define NO_COUNT "{'present': 0, 'writable': 0, 'accessed': 0, 'dirty': 0}"
#define NO_MAP	 "{'4K': " NO_COUNT ", '2M': " NO_COUNT ", 'kvm': null}"

static void a_page_that_is_mapped(void **state)
{
	const struct translation t = {
		.order = {.cpu = 3, .address = 0xffff800000000123, .access = {PTWALK_WRITE}},
		.linear = 0xffff800000000123,
		.paging = PTWALK_5_LEVEL,
		.outcome = PTWALK_DONE,
		.walk = {.at = gpa(0x5123), .shift = 21, .writable = true, .nr_steps = 1},
		.steps = {{.guest = {2, gpa(0x1008), 0x80000000000041e7},
			   .index = 1,
			   .second = page_walk(PAGE_IDLE, 0x1008, 0x1237)}},
		.page = page_walk(PAGE_ABSENT, 0x5123, 0),
		.host_paging = "ept",
		.guest_levels = 31,
		.host_levels = 32,
		.shadow_levels = 33,
		.references = 34,
		.map = {{1, 2, 3, 4}, {5, 6, 7, 8}},
		.has_kvm = true,
		.kvm = {9, 10, 11},
	};

	(void)state;
	check_json(&t,
		   "{'address': '0xffff800000000123', 'cpu': 3, 'access': 'write', 'user': true,"
		   " 'paging': '5-level', 'outcome': 'mapped', 'second-step': 'ept', 'fault': null,"
		   " 'steps': [{'level': 'PDE', 'index': 1, 'at': '0x1008',"
		   "   'entry': '0x80000000000041e7', 'flags': 'P W U A D PS G NX',"
		   "   'second': {'state': 'idle', 'in-origin': false, 'size': 4096,"
		   "     'machine': '0x1008', 'entry': '0x1237', 'flags': 'R W X D', 'entries': ["
		   "       {'level': 'PDE', 'index': 5, 'entry': '0x107', 'flags': 'R W X A'},"
		   "       {'level': 'PTE', 'index': 6, 'entry': '0x1237',"
		   "         'flags': 'R W X D'}]}}],"
		   " 'page': {'at': '0x5123', 'size': 2097152, 'writable': true, 'user': false,"
		   "   'executable': false, 'second': {'state': 'absent', 'in-origin': true,"
		   "     'size': 4096, 'machine': '0x5123', 'entry': '0x0', 'flags': '-',"
		   "     'entries': ["
		   "       {'level': 'PDE', 'index': 5, 'entry': '0x107', 'flags': 'R W X A'},"
		   "       {'level': 'PTE', 'index': 6, 'entry': '0x0', 'flags': '-'}]}},"
		   " 'cost': {'references': 34, 'guest-levels': 31, 'host-levels': 32,"
		   "   'shadow-levels': 33},"
		   " 'map': {'4K': {'present': 1, 'writable': 2, 'accessed': 3, 'dirty': 4},"
		   "   '2M': {'present': 5, 'writable': 6, 'accessed': 7, 'dirty': 8},"
		   "   'kvm': {'4K': 9, '2M': 10, '1G': 11}}}");
}

static void an_address_that_is_not(void **state)
{
	const struct translation t = {
		.order = {.address = 1ull << 47, .access = {.by = PTWALK_BY_SUPERVISOR}},
		.linear = 1ull << 47,
		.paging = PTWALK_4_LEVEL,
		.outcome = PTWALK_NOT_CANONICAL,
		.host_paging = "unknown",
	};

	(void)state;
	check_json(&t,
		   "{'address': '0x800000000000', 'cpu': 0, 'access': 'read', 'user': false,"
		   " 'paging': '4-level', 'outcome': 'not-canonical', 'second-step': 'unknown',"
		   " 'steps': [], 'page': null, 'fault': null, 'cost': null, 'map': " NO_MAP "}");
}

static void an_offset_in_a_segment(void **state)
{
	struct translation t = {
		.order = {.segmented = true, .segment = SEGMENT_SS, .address = 0x10},
		.segment = {.base = 0x4000, .limit = 0xf},
		.linear = 0x4010,
		.paging = PTWALK_PAE,
		.outcome = PTWALK_NOT_CANONICAL,
		.segment_outcome = SEGMENT_STACK_FAULT,
		.host_paging = "unknown",
	};

	(void)state;
	check_json(&t,
		   "{'address': '0x4010', 'cpu': 0, 'access': 'read', 'user': true,"
		   " 'segment': {'name': 'ss', 'base': '0x4000', 'limit': '0xf', 'offset': '0x10'},"
		   " 'paging': 'PAE', 'outcome': 'stack-fault', 'second-step': 'unknown',"
		   " 'steps': [], 'page': null, 'fault': null, 'cost': null, 'map': " NO_MAP "}");
	t.order.segment = SEGMENT_DS;
	t.segment_outcome = SEGMENT_GP_FAULT;
	check_json(&t,
		   "{'address': '0x4010', 'cpu': 0, 'access': 'read', 'user': true,"
		   " 'segment': {'name': 'ds', 'base': '0x4000', 'limit': '0xf', 'offset': '0x10'},"
		   " 'paging': 'PAE', 'outcome': 'general-protection', 'second-step': 'unknown',"
		   " 'steps': [], 'page': null, 'fault': null, 'cost': null, 'map': " NO_MAP "}");
}

/* An entry that could not be read is not 0. */
static void a_table_that_is_nowhere(void **state)
{
	const struct translation t = {
		.order = {.access = {.by = PTWALK_BY_SUPERVISOR}},
		.paging = PTWALK_32_BIT,
		.outcome = PTWALK_NO_MEMORY,
		.walk = {.nr_steps = 1},
		.steps = {{.guest = {2, gpa(0xc0000004), 0},
			   .index = 1,
			   .second = {.shift = 12, .nr_steps = 1, .steps = {{4, 0, 0}}}}},
		.host_paging = "shadow",
	};

	(void)state;
	check_json(&t,
		   "{'address': '0x0', 'cpu': 0, 'access': 'read', 'user': false,"
		   " 'paging': '32-bit', 'outcome': 'no-memory', 'second-step': 'shadow',"
		   " 'steps': [{'level': 'PDE', 'index': 1, 'at': '0xc0000004', 'entry': null,"
		   "   'flags': '-', 'second': {'state': 'no memory', 'in-origin': false,"
		   "     'size': 4096, 'machine': null, 'entry': null, 'flags': '-', 'entries': ["
		   "       {'level': 'PML4E', 'index': 0, 'entry': '0x0', 'flags': '-'}]}}],"
		   " 'page': null, 'fault': null, 'cost': null, 'map': " NO_MAP "}");
}

/* ---- Words ---- */

static void each_fault_has_its_words(void **state)
{
	static const struct {
		struct ptwalk_access access;
		u32 error;
		const char *words;
	} faults[] = {
		{{PTWALK_READ, PTWALK_BY_SUPERVISOR}, 0, "read by supervisor: not present"},
		{{PTWALK_WRITE, PTWALK_BY_USER}, 6, "write by user: not present"},
		{{PTWALK_FETCH, PTWALK_BY_USER}, 0x15, "fetch by user: not allowed"},
		{{PTWALK_READ, PTWALK_BY_USER}, 0xd, "read by user: a reserved bit is set"},
		{{PTWALK_WRITE, PTWALK_BY_USER},
		 0x27,
		 "write by user: the protection key forbids it"},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(faults); i++) {
		const struct translation t = {
			.order = {.access = faults[i].access},
			.outcome = PTWALK_FAULT,
			.host_paging = "npt",
			.walk = {.error = faults[i].error},
		};
		json_t *json = translate_json(&t), *fault = json_object_get(json, "fault");

		assert_string_equal(string_at(json, "outcome"), "page-fault");
		assert_int_equal(integer_at(fault, "code"), faults[i].error);
		assert_string_equal(string_at(fault, "words"), faults[i].words);
		json_decref(json);
	}
}

static void letters_mean_what_the_level_makes_of_them(void **state)
{
	static const struct {
		enum ptwalk_paging paging;
		u32 level;
		u64 entry;
		const char *name, *flags;
	} steps[] = {
		{PTWALK_4_LEVEL, 1, 0x1ff, "PTE", "P W U A D G"}, /* bit 7 is PAT there */
		{PTWALK_4_LEVEL, 1, 0x1fe, "PTE", "-"},
		{PTWALK_4_LEVEL, 2, 0x163, "PDE", "P W A"}, /* ignored, above a table */
		{PTWALK_4_LEVEL, 2, 0x1e3, "PDE", "P W A D PS G"},
		{PTWALK_4_LEVEL, 3, 0x1e3, "PDPTE", "P W A D PS G"},
		{PTWALK_4_LEVEL, 4, 0x127, "PML4E", "P W U A"},
		{PTWALK_5_LEVEL, 5, PTWALK_NX | 1, "PML5E", "P NX"},
		{PTWALK_PAE, 3, 0x1ff, "PDPTE", "P"},
		{PTWALK_32_BIT, 2, 0xe7, "PDE", "P W U A D PS"},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct translation t = {
			.paging = steps[i].paging,
			.outcome = PTWALK_FAULT,
			.host_paging = "npt",
			.walk = {.nr_steps = 1},
			.steps = {{.guest = {steps[i].level, gpa(0), steps[i].entry}}},
		};
		json_t *json = translate_json(&t);
		json_t *step = json_array_get(json_object_get(json, "steps"), 0);

		assert_string_equal(string_at(step, "level"), steps[i].name);
		assert_string_equal(string_at(step, "flags"), steps[i].flags);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_on_what_it_is_asked),
		cmocka_unit_test(refuses_bad_arguments),
		cmocka_unit_test(takes_addresses_as_people_write_them),
		cmocka_unit_test(a_page_that_is_mapped),
		cmocka_unit_test(an_address_that_is_not),
		cmocka_unit_test(an_offset_in_a_segment),
		cmocka_unit_test(a_table_that_is_nowhere),
		cmocka_unit_test(each_fault_has_its_words),
		cmocka_unit_test(letters_mean_what_the_level_makes_of_them),
	};

	return cmocka_run_group_tests_name("translate_cmds", tests, NULL, NULL);
}
