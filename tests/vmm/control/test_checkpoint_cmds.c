// SPDX-License-Identifier: Apache-2.0
/* Checkpoints as clients see them: the commands on a fake machine, the JSON, the event. */
#include "tests/lib/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/checkpoint_json.h"
#include "vmm/cli/opts.h"

#define CHECKPOINT(args) CALL("x-quire-checkpoint", args)

static void orders_arrive(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect(&p, CHECKPOINT("{\"dir\": \"/d\"}"), OK);
	assert_true(p.machine.ordered && !p.machine.order.incremental);
	assert_int_equal(p.machine.order.every_ns, 0);
	expect(&p, CHECKPOINT("{\"dir\": \"/d\"}"), ERROR("guest fake: a checkpoint is under way"));
	expect(&p, DO("x-quire-cancel-checkpoint"), OK);
	expect(&p, DO("x-quire-cancel-checkpoint"),
	       ERROR("guest fake: no checkpoint is under way"));
	expect(&p,
	       CHECKPOINT("{\"dir\": \"/d\", \"incremental\": true, \"every-us\": 5000, "
			  "\"bandwidth\": 77}"),
	       OK);
	assert_true(p.machine.order.incremental);
	assert_int_equal(p.machine.order.every_ns, 5000000);
	assert_int_equal(p.machine.order.bandwidth, 77);
	expect(&p, DO("x-quire-roll-back"),
	       "{\"return\": {\"pages\": 50, \"pause-us\": 1234}}\r\n");
	assert_int_equal(p.machine.nr_roll_backs, 1);
	peer_fini(&p);
}

static void bad_orders_are_refused(void **state)
{
	static const struct exchange bad[] = {
		{CHECKPOINT("{}"), ERROR("Parameter 'dir' is missing")},
		{CHECKPOINT("{\"dir\": 7}"),
		 ERROR("Invalid parameter type for 'dir', expected: string")},
		{CHECKPOINT("{\"dir\": \"/d\", \"incremental\": 1}"),
		 ERROR("Invalid parameter type for 'incremental', expected: boolean")},
		{CHECKPOINT("{\"dir\": \"/d\", \"every-us\": -1}"),
		 ERROR("Parameter 'every-us' expects a number from 0 on")},
		{CHECKPOINT("{\"dir\": \"/d\", \"bandwidth\": true}"),
		 ERROR("Invalid parameter type for 'bandwidth', expected: integer")},
		{CHECKPOINT("{\"dir\": \"/d\", \"fast\": true}"),
		 ERROR("Parameter 'fast' is unexpected")},
	};
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect_all(&p, bad, ARRAY_SIZE(bad));
	assert_false(p.machine.ordered);
	peer_fini(&p);
}

static void progress_is_told(void **state)
{
	struct peer p;
	json_t *progress;

	(void)state;
	peer_init_negotiated(&p);
	p.machine.under_way = true;
	progress = query(&p, DO("x-quire-query-checkpoint"));
	assert_string_equal(string_at(progress, "status"), "saving");
	assert_int_equal(integer_at(progress, "link"), 2001);
	assert_int_equal(integer_at(progress, "count"), 2002);
	assert_int_equal(integer_at(progress, "done-pages"), 2003);
	assert_int_equal(integer_at(progress, "all-pages"), 2004);
	assert_int_equal(integer_at(progress, "pages"), 2005);
	assert_int_equal(integer_at(progress, "bytes"), 2006);
	assert_int_equal(integer_at(progress, "pause-us"), 2007);
	assert_int_equal(integer_at(progress, "worst-pause-us"), 2008);
	assert_int_equal(integer_at(progress, "total-us"), 2009);
	assert_int_equal(integer_at(progress, "saved-at"), 2010);
	assert_null(json_object_get(progress, "error"));
	json_decref(progress);
	peer_fini(&p);
}

static void an_end_is_an_event(void **state)
{
	const struct checkpoint_progress failed = {.phase = CHECKPOINT_FAILED,
						   .why = {"disk full"}};
	const struct timeval now = {.tv_sec = 7, .tv_usec = 9};
	char *line = checkpoint_event_line(&failed, &now);
	json_t *event, *data;

	(void)state;
	assert_non_null(line);
	assert_memory_equal(line + strlen(line) - 2, "\r\n", 2);
	event = json_loads(line, 0, NULL);
	data = json_object_get(event, "data");
	assert_string_equal(string_at(event, "event"), "X_QUIRE_CHECKPOINT");
	assert_string_equal(string_at(data, "status"), "failed");
	assert_string_equal(string_at(data, "error"), "disk full");
	json_decref(event);
	free(line);
}

static void times_are_parsed(void **state)
{
	u64 ns = 0;

	(void)state;
	assert_int_equal(opts_parse_time("100ms", &ns), 0);
	assert_int_equal(ns, 100000000);
	assert_int_equal(opts_parse_time("7us", &ns), 0);
	assert_int_equal(ns, 7000);
	assert_int_equal(opts_parse_time("2h", &ns), 0);
	assert_int_equal(ns, 7200000000000);
	assert_int_not_equal(opts_parse_time("100", &ns), 0);
	assert_int_not_equal(opts_parse_time("ms", &ns), 0);
	assert_int_not_equal(opts_parse_time("1msx", &ns), 0);
	assert_int_not_equal(opts_parse_time("99999999999999h", &ns), 0);
	assert_int_equal(ns, 7200000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_arrive),    cmocka_unit_test(bad_orders_are_refused),
		cmocka_unit_test(progress_is_told), cmocka_unit_test(an_end_is_an_event),
		cmocka_unit_test(times_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
