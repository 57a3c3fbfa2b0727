// SPDX-License-Identifier: Apache-2.0
/*
 * Migration as clients see it: the commands on a fake machine, their arguments and refusals. What
 * is told of one is in test_migrate_json.c.
 */
#include "tests/lib/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/migrate/format.h"

#define SET(args) CALL("migrate-set-parameters", args)
#define QUERY	  DO("query-migrate")

static void start(struct peer *p)
{
	peer_init_negotiated(p);
	p->machine.params = MIGRATE_DEFAULTS;
}

/* ---- Orders ---- */

static void a_guest_is_sent_away(void **state)
{
	struct peer p;

	(void)state;
	start(&p);
	expect(&p, CALL("migrate", "{\"uri\": \"tcp:h:1\"}"), OK);
	assert_string_equal(p.machine.address, "tcp:h:1");
	assert_false(p.machine.resumed);
	/* what QEMU's clients send along for nothing */
	expect(&p,
	       CALL("migrate", "{\"uri\": \"unix:/x\", \"detach\": true, \"blk\": false, "
			       "\"inc\": false, \"resume\": false}"),
	       OK);
	assert_string_equal(p.machine.address, "unix:/x");
	machine_quit(&p.machine, SHUTDOWN_BY_QMP_QUIT);
	expect(&p, CALL("migrate", "{\"uri\": \"tcp:h:1\"}"), ERROR("guest fake: has ended"));
	peer_fini(&p);
}

/* As in QEMU: what is not under way is cancelled already. */
static void it_is_cancelled(void **state)
{
	static const enum migrate_status over[] = {MIGRATE_NONE, MIGRATE_CANCELLED, MIGRATE_FAILED,
						   MIGRATE_COMPLETED};
	struct peer p;

	(void)state;
	start(&p);
	for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
		p.machine.migration.status = over[i];
		expect(&p, DO("migrate_cancel"), OK);
		assert_int_equal(p.machine.migration.status, over[i]);
	}
	p.machine.migration.status = MIGRATE_ACTIVE;
	expect(&p, DO("migrate_cancel"), OK);
	assert_int_equal(p.machine.migration.status, MIGRATE_CANCELLED);
	p.machine.migration.status = MIGRATE_POSTCOPY_ACTIVE;
	expect(&p, DO("migrate_cancel"), ERROR("guest fake: has moved"));
	assert_int_equal(p.machine.migration.status, MIGRATE_POSTCOPY_ACTIVE);
	peer_fini(&p);
}

static void one_that_broke_is_resumed(void **state)
{
	const char *again = CALL("migrate", "{\"uri\": \"tcp:h:2\", \"resume\": true}");
	struct peer p;

	(void)state;
	start(&p);
	expect(&p, again, ERROR("there is no broken migration to recover"));
	p.machine.migration.status = MIGRATE_POSTCOPY_PAUSED;
	expect(&p, again, OK);
	assert_true(p.machine.resumed);
	assert_string_equal(p.machine.address, "tcp:h:2");
	peer_fini(&p);
}

static void postcopy_is_asked_for(void **state)
{
	struct peer p;

	(void)state;
	start(&p);
	expect(&p, DO("migrate-start-postcopy"),
	       ERROR("this migration was not set up for post-copy"));
	assert_false(p.machine.go_postcopy);
	p.machine.params.postcopy = true;
	expect(&p, DO("migrate-start-postcopy"), OK);
	assert_true(p.machine.go_postcopy);
	peer_fini(&p);
}

static void a_guest_is_waited_for(void **state)
{
	const char *wait = CALL("migrate-incoming", "{\"uri\": \"unix:/in\"}");
	struct peer p;
	json_t *reply;

	(void)state;
	start(&p);
	expect(&p, wait, ERROR("guest fake: waits for no guest"));
	expect(&p, QUERY, OK);
	p.machine.state = MACHINE_INMIGRATE;
	expect(&p, wait, OK);
	expect(&p, QUERY, "{\"return\": {\"x-quire-listens-at\": \"unix:/in\"}}\r\n");
	p.machine.migration.status = MIGRATE_ACTIVE;
	reply = query(&p, QUERY);
	assert_string_equal(string_at(reply, "x-quire-listens-at"), "unix:/in");
	assert_string_equal(string_at(reply, "status"), "active");
	json_decref(reply);
	peer_fini(&p);
}

static void bad_orders_are_refused(void **state)
{
	static const struct exchange bad[] = {
		{DO("migrate"), ERROR("Parameter 'uri' is missing")},
		{CALL("migrate", "{\"uri\": 7}"),
		 ERROR("Invalid parameter type for 'uri', expected: string")},
		{CALL("migrate", "{\"uri\": null}"),
		 ERROR("Invalid parameter type for 'uri', expected: string")},
		{CALL("migrate", "{\"uri\": \"x\", \"resume\": 1}"),
		 ERROR("Invalid parameter type for 'resume', expected: boolean")},
		{CALL("migrate", "{\"uri\": \"x\", \"blk\": \"no\"}"),
		 ERROR("Invalid parameter type for 'blk', expected: boolean")},
		{CALL("migrate", "{\"uri\": \"x\", \"inc\": []}"),
		 ERROR("Invalid parameter type for 'inc', expected: boolean")},
		{CALL("migrate", "{\"uri\": \"x\", \"blk\": true}"),
		 ERROR("no disks are migrated")},
		{CALL("migrate", "{\"uri\": \"x\", \"inc\": true}"),
		 ERROR("no disks are migrated")},
		{CALL("migrate", "{\"uri\": \"x\", \"fast\": true}"),
		 ERROR("Parameter 'fast' is unexpected")},
		{CALL("migrate_cancel", "{\"uri\": \"x\"}"),
		 ERROR("Parameter 'uri' is unexpected")},
		{CALL("migrate-start-postcopy", "{\"now\": true}"),
		 ERROR("Parameter 'now' is unexpected")},
		{DO("migrate-incoming"), ERROR("Parameter 'uri' is missing")},
		{CALL("migrate-incoming", "{\"uri\": false}"),
		 ERROR("Invalid parameter type for 'uri', expected: string")},
		{CALL("query-migrate", "{\"x\": 1}"), ERROR("Parameter 'x' is unexpected")},
	};
	struct peer p;

	(void)state;
	start(&p);
	p.machine.state = MACHINE_INMIGRATE;
	expect_all(&p, bad, ARRAY_SIZE(bad));
	assert_string_equal(p.machine.address, "");
	assert_int_equal(p.machine.migration.status, MIGRATE_NONE);
	assert_false(p.machine.receives || p.machine.go_postcopy || p.machine.resumed);
	peer_fini(&p);
}

/* ---- Parameters ---- */

static void parameters_are_set_and_told(void **state)
{
	struct migrate_params *m;
	struct peer p;
	json_t *reply;

	(void)state;
	start(&p);
	m = &p.machine.params;
	expect(&p,
	       SET("{\"max-bandwidth\": 123456789, \"max-postcopy-bandwidth\": 987654321, "
		   "\"downtime-limit\": 300, "
		   "\"multifd-channels\": 16, \"x-quire-strategy\": \"hybrid\", "
		   "\"x-quire-copy\": true, \"x-quire-time-limit\": 5000, "
		   "\"x-quire-late\": \"cancel\", \"x-quire-psk-file\": \"/k\", "
		   "\"x-quire-spill\": \"/spill\"}"),
	       OK);
	assert_int_equal(m->bandwidth, 123456789);
	assert_int_equal(m->post_bandwidth, 987654321);
	assert_int_equal(m->downtime_ns, 300000000);
	assert_int_equal(m->streams, 16);
	assert_int_equal(m->strategy, MIGRATE_HYBRID);
	assert_true(m->copy);
	assert_int_equal(m->time_ns, 5000000000);
	assert_int_equal(m->late, MIGRATE_LATE_CANCEL);
	assert_string_equal(m->psk_file, "/k");
	assert_string_equal(m->spill, "/spill");
	reply = query(&p, DO("query-migrate-parameters"));
	assert_int_equal(integer_at(reply, "max-bandwidth"), 123456789);
	assert_int_equal(integer_at(reply, "max-postcopy-bandwidth"), 987654321);
	assert_int_equal(integer_at(reply, "downtime-limit"), 300);
	assert_int_equal(integer_at(reply, "multifd-channels"), 16);
	assert_string_equal(string_at(reply, "x-quire-strategy"), "hybrid");
	assert_true(json_is_true(json_object_get(reply, "x-quire-copy")));
	assert_int_equal(integer_at(reply, "x-quire-time-limit"), 5000);
	assert_string_equal(string_at(reply, "x-quire-late"), "cancel");
	assert_string_equal(string_at(reply, "x-quire-psk-file"), "/k");
	assert_string_equal(string_at(reply, "x-quire-spill"), "/spill");
	assert_int_equal(json_object_size(reply), 10);
	json_decref(reply);
	peer_fini(&p);
}

/* What is not named stays, each by itself; every name of a choice is one. */
static void parameters_are_set_one_by_one(void **state)
{
	static const char *const lates[] = {"go-on", "cancel", "post-copy"};
	struct migrate_params *m, defaults = MIGRATE_DEFAULTS;
	char request[200];
	struct peer p;

	(void)state;
	start(&p);
	m = &p.machine.params;
	expect(&p, SET("{}"), OK);
	expect(&p, DO("migrate-set-parameters"), OK);
	assert_memory_equal(m, &defaults, sizeof(*m));
	expect(&p, SET("{\"x-quire-psk-file\": \"/key\"}"), OK);
	for (unsigned int i = 0; i < MIGRATE_NR_STRATEGIES; i++) {
		snprintf(request, sizeof(request), SET("{\"x-quire-strategy\": \"%s\"}"),
			 migrate_strategy_names[i]);
		expect(&p, request, OK);
		assert_int_equal(m->strategy, i);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(lates); i++) {
		snprintf(request, sizeof(request), SET("{\"x-quire-late\": \"%s\"}"), lates[i]);
		expect(&p, request, OK);
		assert_int_equal(m->late, i);
	}
	expect(&p, SET("{\"downtime-limit\": 0}"), OK);
	assert_int_equal(m->downtime_ns, 0);
	expect(&p, SET("{\"downtime-limit\": 2000000}"), OK);
	assert_int_equal(m->downtime_ns, 2000000000000);
	expect(&p, SET("{\"x-quire-copy\": true}"), OK);
	expect(&p, SET("{\"x-quire-copy\": false}"), OK);
	assert_false(m->copy);
	assert_int_equal(m->streams, 1);
	assert_string_equal(m->psk_file, "/key");
	expect(&p, SET("{\"x-quire-psk-file\": \"\"}"), OK);
	assert_string_equal(m->psk_file, "");
	peer_fini(&p);
}

#define NO_INTEGER(name) ERROR("Invalid parameter type for '" name "', expected: integer")
#define NO_STRING(name)	 ERROR("Invalid parameter type for '" name "', expected: string")
#define NEGATIVE(name)	 ERROR("Parameter '" name "' expects a number from 0 on")
#define STREAMS		 ERROR("Parameter 'multifd-channels' expects a number from 1 to 16")

static void bad_parameters_are_refused(void **state)
{
	static const struct exchange bad[] = {
		{SET("{\"max-bandwidth\": \"1G\"}"), NO_INTEGER("max-bandwidth")},
		{SET("{\"max-bandwidth\": 1.5}"), NO_INTEGER("max-bandwidth")},
		{SET("{\"max-bandwidth\": -1}"), NEGATIVE("max-bandwidth")},
		{SET("{\"max-postcopy-bandwidth\": true}"), NO_INTEGER("max-postcopy-bandwidth")},
		{SET("{\"downtime-limit\": true}"), NO_INTEGER("downtime-limit")},
		{SET("{\"downtime-limit\": -5}"), NEGATIVE("downtime-limit")},
		{SET("{\"downtime-limit\": 2000001}"), ERROR("a time is out of range")},
		{SET("{\"x-quire-time-limit\": {}}"), NO_INTEGER("x-quire-time-limit")},
		{SET("{\"x-quire-time-limit\": 18446744073710}"), ERROR("a time is out of range")},
		{SET("{\"x-quire-time-limit\": 9223372036854775807}"),
		 ERROR("a time is out of range")},
		{SET("{\"multifd-channels\": 0}"), STREAMS},
		{SET("{\"multifd-channels\": 17}"), STREAMS},
		{SET("{\"multifd-channels\": 4294967297}"), STREAMS},
		{SET("{\"multifd-channels\": \"2\"}"), NO_INTEGER("multifd-channels")},
		{SET("{\"x-quire-strategy\": \"precopy\"}"),
		 ERROR("Parameter 'x-quire-strategy' does not accept value 'precopy' "
		       "(give pre-copy, post-copy, hybrid or auto)")},
		{SET("{\"x-quire-strategy\": 0}"), NO_STRING("x-quire-strategy")},
		{SET("{\"x-quire-late\": \"\"}"),
		 ERROR("Parameter 'x-quire-late' does not accept value '' "
		       "(give go-on, cancel or post-copy)")},
		{SET("{\"x-quire-late\": 1}"), NO_STRING("x-quire-late")},
		{SET("{\"x-quire-psk-file\": 1}"), NO_STRING("x-quire-psk-file")},
		{SET("{\"x-quire-spill\": []}"), NO_STRING("x-quire-spill")},
		{SET("{\"x-quire-copy\": 1}"),
		 ERROR("Invalid parameter type for 'x-quire-copy', expected: boolean")},
		{SET("{\"speed\": 1}"), ERROR("Parameter 'speed' is unexpected")},
	};
	struct migrate_params before;
	struct peer p;

	(void)state;
	start(&p);
	before = p.machine.params;
	expect_all(&p, bad, ARRAY_SIZE(bad));
	/* one that is wrong: none is set, whether it comes before or after */
	expect(&p, SET("{\"downtime-limit\": 7, \"max-bandwidth\": 9, \"x-quire-copy\": 1}"),
	       bad[ARRAY_SIZE(bad) - 2].reply);
	assert_memory_equal(&p.machine.params, &before, sizeof(before));
	peer_fini(&p);
}

static void names_have_an_end(void **state)
{
	static const char *const keys[] = {"x-quire-psk-file", "x-quire-spill"};
	char request[500], answer[100], name[256];
	struct peer p;

	(void)state;
	start(&p);
	memset(name, 'k', sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *kept = i ? p.machine.params.spill : p.machine.params.psk_file;

		snprintf(request, sizeof(request), SET("{\"%s\": \"%.256s\"}"), keys[i], name);
		snprintf(answer, sizeof(answer), ERROR("Parameter '%s' is too long"), keys[i]);
		expect(&p, request, answer);
		assert_string_equal(kept, "");
		snprintf(request, sizeof(request), SET("{\"%s\": \"%.255s\"}"), keys[i], name);
		expect(&p, request, OK);
		assert_int_equal(strlen(kept), 255);
	}
	peer_fini(&p);
}

/* ---- Capabilities ---- */

#define CAPS(list)	 CALL("migrate-set-capabilities", "{\"capabilities\": " list "}")
#define CAP(name, state) "{\"capability\": \"" name "\", \"state\": " state "}"

/* Of the one with this name. */
static bool capability(struct peer *p, const char *name)
{
	json_t *list = query(p, DO("query-migrate-capabilities"));
	int state = -1;

	assert_int_equal(json_array_size(list), 5);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *one = json_array_get(list, i);

		assert_int_equal(json_object_size(one), 2);
		assert_true(json_is_boolean(json_object_get(one, "state")));
		if (!strcmp(string_at(one, "capability"), name))
			state = json_is_true(json_object_get(one, "state"));
	}
	json_decref(list);
	assert_int_not_equal(state, -1);
	return state;
}

static void capabilities_are_switches(void **state)
{
	struct peer p;

	(void)state;
	start(&p);
	assert_false(capability(&p, "postcopy-ram"));
	assert_false(capability(&p, "multifd"));
	assert_true(capability(&p, "auto-converge"));
	assert_true(capability(&p, "events"));
	assert_true(capability(&p, "return-path"));
	expect(&p,
	       CAPS("[" CAP("postcopy-ram", "true") ", " CAP("events", "false") ", " CAP(
		       "return-path", "false") ", " CAP("auto-converge", "false") "]"),
	       OK);
	assert_true(p.machine.params.postcopy && capability(&p, "postcopy-ram"));
	assert_false(p.machine.params.auto_converge || capability(&p, "auto-converge"));
	assert_true(capability(&p, "events")); /* they are always sent */
	assert_true(capability(&p, "return-path"));
	expect(&p, CAPS("[" CAP("auto-converge", "true") "]"), OK);
	assert_true(p.machine.params.auto_converge);
	expect(&p, CAPS("[" CAP("postcopy-ram", "false") ", " CAP("multifd", "true") "]"), OK);
	assert_false(p.machine.params.postcopy);
	expect(&p, SET("{\"multifd-channels\": 2}"), OK);
	assert_true(capability(&p, "multifd"));
	expect(&p, CAPS("[]"), OK);
	/* what is not there can be left off */
	expect(&p, CAPS("[" CAP("xbzrle", "false") ", " CAP("postcopy-preempt", "false") "]"), OK);
	peer_fini(&p);
}

/* Whatever is wrong with one of them, none is set, whether it comes before or after. */
static void capabilities_are_set_together(void **state)
{
	static const struct exchange bad[] = {
		{CAPS("[" CAP("postcopy-ram", "true") ", " CAP("auto-converge", "false") ", " CAP(
			 "xbzrle", "true") "]"),
		 ERROR("Capability 'xbzrle' is not available")},
		{CAPS("[" CAP("postcopy-ram", "true") ", 7, " CAP("auto-converge", "false") "]"),
		 ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[" CAP("no such", "false") ", " CAP("postcopy-ram", "true") "]"),
		 ERROR("Parameter 'capability' does not accept value 'no such'")},
	};
	struct migrate_params before;
	struct peer p;

	(void)state;
	start(&p);
	before = p.machine.params;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect(&p, bad[i].request, bad[i].reply);
		assert_memory_equal(&p.machine.params, &before, sizeof(before));
	}
	peer_fini(&p);
}

/* Of a guest that leaves; one that comes has those of its source, and may be sent on later. */
static void capabilities_are_those_of_the_beginning(void **state)
{
	const char *on = CAPS("[" CAP("postcopy-ram", "true") "]");
	struct peer p;

	(void)state;
	start(&p);
	p.machine.migration.status = MIGRATE_ACTIVE;
	expect(&p, on,
	       ERROR("the guest is moving: capabilities cannot be changed (wait, or cancel it)"));
	assert_false(p.machine.params.postcopy);
	p.machine.migration.incoming = true;
	expect(&p, on, OK);
	assert_true(p.machine.params.postcopy);
	p.machine.migration = (struct migrate_progress){.status = MIGRATE_FAILED};
	expect(&p, CAPS("[" CAP("postcopy-ram", "false") "]"), OK);
	assert_false(p.machine.params.postcopy);
	peer_fini(&p);
}

static void bad_capabilities_are_refused(void **state)
{
	static const struct exchange bad[] = {
		{DO("migrate-set-capabilities"), ERROR("Parameter 'capabilities' is missing")},
		{CAPS("7"), ERROR("Invalid parameter type for 'capabilities', expected: array")},
		{CAPS("{}"), ERROR("Invalid parameter type for 'capabilities', expected: array")},
		{CAPS("[7]"), ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[[]]"), ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[{}]"), ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[{\"capability\": \"events\"}]"),
		 ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[{\"state\": true}]"), ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[{\"capability\": 1, \"state\": true}]"),
		 ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[" CAP("postcopy-ram", "1") "]"),
		 ERROR("Parameter 'capabilities' is malformed")},
		{CAPS("[" CAP("xbzrle", "true") "]"),
		 ERROR("Capability 'xbzrle' is not available")},
		{CAPS("[" CAP("no such", "true") "]"),
		 ERROR("Parameter 'capability' does not accept value 'no such'")},
		{CAPS("[" CAP("no such", "false") "]"),
		 ERROR("Parameter 'capability' does not accept value 'no such'")},
		{CALL("query-migrate-capabilities", "{\"all\": true}"),
		 ERROR("Parameter 'all' is unexpected")},
	};
	struct peer p;

	(void)state;
	start(&p);
	expect_all(&p, bad, ARRAY_SIZE(bad));
	assert_false(p.machine.params.postcopy);
	peer_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_sent_away),
		cmocka_unit_test(it_is_cancelled),
		cmocka_unit_test(one_that_broke_is_resumed),
		cmocka_unit_test(postcopy_is_asked_for),
		cmocka_unit_test(a_guest_is_waited_for),
		cmocka_unit_test(bad_orders_are_refused),
		cmocka_unit_test(parameters_are_set_and_told),
		cmocka_unit_test(parameters_are_set_one_by_one),
		cmocka_unit_test(bad_parameters_are_refused),
		cmocka_unit_test(names_have_an_end),
		cmocka_unit_test(capabilities_are_switches),
		cmocka_unit_test(capabilities_are_set_together),
		cmocka_unit_test(capabilities_are_those_of_the_beginning),
		cmocka_unit_test(bad_capabilities_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
