// SPDX-License-Identifier: Apache-2.0
/* QMP requests and the commands of vmm/control/qmp_cmds.h: what is refused, echoed, answered. */
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/qmp.h"

/* ---- Requests ---- */

static void refuses_what_is_no_request(void **state)
{
	static const struct {
		const char *request, *desc;
	} cases[] = {
		{"{}", "QMP input lacks member 'execute'"},
		{"{\"id\": 3}", "QMP input lacks member 'execute'"},
		{"{\"execute\": 1}", "QMP input member 'execute' must be a string"},
		{"{\"execute\": null}", "QMP input member 'execute' must be a string"},
		{"{\"exec-oob\": \"query-status\"}", "QMP input member 'exec-oob' is unexpected"},
		{"{\"execute\": \"query-status\", \"foo\": 1}",
		 "QMP input member 'foo' is unexpected"},
		{"{\"execute\": \"query-status\", \"arguments\": []}",
		 "QMP input member 'arguments' must be an object"},
		{"{\"execute\": \"query-status\", \"arguments\": {\"a\": 1}}",
		 "Parameter 'a' is unexpected"},
	};
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *reply, *error;

		peer_clear(&p);
		assert_int_equal(qmp_receive(p.q, cases[i].request, strlen(cases[i].request)), 0);
		reply = json_loads(p.out, 0, NULL);
		error = json_object_get(reply, "error");
		assert_string_equal(string_at(error, "class"), "GenericError");
		assert_string_equal(string_at(error, "desc"), cases[i].desc);
		json_decref(reply);
	}
	peer_fini(&p);
}

static void echoes_any_id(void **state)
{
	static const char *const ids[] = {
		"1",
		"-9223372036854775808",
		"0.5",
		"true",
		"false",
		"null",
		"\"\"",
		"\"\xc3\xa9\"",
		"[]",
		"{}",
		"[1, {\"a\": [null]}]",
		"{\"execute\": \"quit\"}",
	};
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		char request[200], reply[200];

		snprintf(request, sizeof(request), "{\"id\": %s, \"execute\": \"cont\"}", ids[i]);
		snprintf(reply, sizeof(reply), "{\"return\": {}, \"id\": %s}\r\n", ids[i]);
		expect(&p, request, reply);
		snprintf(request, sizeof(request), "{\"execute\": \"x\", \"id\": %s}", ids[i]);
		snprintf(reply, sizeof(reply),
			 "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x "
			 "has not been found\"}, \"id\": %s}\r\n",
			 ids[i]);
		expect(&p, request, reply);
	}
	peer_fini(&p);
}

/* The sentence is cut to a fixed size: never inside a character of a reply. */
static void quotes_long_names_safely(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (unsigned int shift = 0; shift < 3; shift++) {
		char request[2048];
		json_t *reply;

		snprintf(request, sizeof(request), "{\"execute\": \"%.*s", (int)shift, "ab");
		for (size_t i = 0; i < 500; i++)
			strcat(request, "\xe2\x82\xac");
		strcat(request, "\"}");
		peer_clear(&p);
		assert_int_equal(qmp_receive(p.q, request, strlen(request)), 0);
		reply = json_loads(p.out, 0, NULL);
		assert_string_equal(string_at(json_object_get(reply, "error"), "class"),
				    "CommandNotFound");
		json_decref(reply);
	}
	peer_fini(&p);
}

/* ---- Commands ---- */

static void every_command_refuses_unknown_arguments(void **state)
{
	json_t *commands, *command;
	struct peer p;
	size_t i;

	(void)state;
	peer_init_negotiated(&p);
	commands = query(&p, "{\"execute\": \"query-commands\"}");
	assert_true(json_array_size(commands) >= 21);
	json_array_foreach(commands, i, command)
	{
		char request[200];
		const char *name = string_at(command, "name");

		if (!strcmp(name, "qmp_capabilities"))
			continue; /* only_negotiates_first() does this one */
		snprintf(request, sizeof(request),
			 "{\"execute\": \"%s\", \"arguments\": {\"bogus\": 1}}", name);
		expect(&p, request, ERROR("Parameter 'bogus' is unexpected"));
	}
	json_decref(commands);
	assert_int_equal(p.machine.state, MACHINE_RUNNING);
	peer_fini(&p);
}

static void answers_queries_as_qemu_does(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, "{\"execute\": \"query-name\"}", "{\"return\": {\"name\": \"fake\"}}\r\n");
	expect(&p, "{\"execute\": \"query-kvm\"}",
	       "{\"return\": {\"enabled\": true, \"present\": true}}\r\n");
	expect(&p, "{\"execute\": \"query-memory-size-summary\"}",
	       "{\"return\": {\"base-memory\": 67108864}}\r\n");
	expect(&p, "{\"execute\": \"query-version\"}",
	       "{\"return\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, " PACKAGE
	       "}}\r\n");
	p.machine.state = MACHINE_PRELAUNCH;
	expect(&p, QUERY_STATUS,
	       "{\"return\": {\"status\": \"prelaunch\", \"singlestep\": false, "
	       "\"running\": false}}\r\n");
	peer_fini(&p);
}

static void describes_each_cpu(void **state)
{
	json_t *cpus, *cpu;
	struct peer p;
	size_t i;

	(void)state;
	peer_init_negotiated(&p);
	cpus = query(&p, "{\"execute\": \"query-cpus-fast\"}");
	assert_int_equal(json_array_size(cpus), 2);
	json_array_foreach(cpus, i, cpu)
	{
		assert_int_equal(integer_at(cpu, "cpu-index"), i);
		assert_int_equal(integer_at(cpu, "thread-id"), 1000 + i);
		assert_string_equal(string_at(cpu, "target"), "x86_64");
		assert_string_equal(string_at(cpu, "qom-path"),
				    i ? "/machine/cpu1" : "/machine/cpu0");
		assert_int_equal(integer_at(json_object_get(cpu, "props"), "core-id"), i);
	}
	json_decref(cpus);
	peer_fini(&p);
}

static void counts_for_stats(void **state)
{
	json_t *stats;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	stats = query(&p, "{\"execute\": \"x-quire-stats\"}");
	assert_string_equal(string_at(stats, "name"), "fake");
	assert_string_equal(string_at(stats, "state"), "running");
	assert_int_equal(integer_at(stats, "memory"), 64 * MiB);
	assert_int_equal(integer_at(stats, "resident"), 3 * MiB);
	assert_int_equal(integer_at(stats, "stored"), 0);
	assert_int_equal(integer_at(stats, "limit"), 0);
	assert_int_equal(integer_at(json_object_get(stats, "mapped"), "4K"), 7);
	assert_int_equal(integer_at(json_object_get(stats, "mapped"), "2M"), 2);
	assert_int_equal(integer_at(json_object_get(stats, "exits"), "io"), 12);
	assert_int_equal(integer_at(json_object_get(stats, "exits"), "mmio"), 3);
	json_decref(stats);
	p.machine.mem.store_bytes = 77;
	p.machine.mem.limit = 5 * MiB;
	stats = query(&p, "{\"execute\": \"x-quire-stats\"}");
	assert_int_equal(integer_at(stats, "stored"), 77);
	assert_int_equal(integer_at(stats, "limit"), 5 * MiB);
	json_decref(stats);
	p.machine.resident_error = -ENODEV;
	expect(&p, "{\"execute\": \"x-quire-stats\"}",
	       ERROR("resident memory cannot be told: No such device"));
	peer_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_request),
		cmocka_unit_test(echoes_any_id),
		cmocka_unit_test(quotes_long_names_safely),
		cmocka_unit_test(every_command_refuses_unknown_arguments),
		cmocka_unit_test(answers_queries_as_qemu_does),
		cmocka_unit_test(describes_each_cpu),
		cmocka_unit_test(counts_for_stats),
	};

	return cmocka_run_group_tests_name("qmp_cmds", tests, NULL, NULL);
}
