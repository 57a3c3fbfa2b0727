// SPDX-License-Identifier: Apache-2.0
/*
 * What is told of a migration: query-migrate's reply in each phase and of either side, field by
 * field, as QEMU 7.2 has them; the events.
 */
#include "tests/lib/test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/migrate_json.h"

#define QUERY "{\"execute\": \"query-migrate\"}"

static const struct migrate_progress under_way = {
	.status = MIGRATE_ACTIVE,
	.strategy = MIGRATE_HYBRID,
	.handover = true,
	.round = 3,
	.pages_all = 1000,
	.pages_left = 20,
	.pages_dirty = 30,
	.slices = 31,
	.dirty_rate = 40,
	.bytes = 50,
	.bytes_in = {27, 13, 10},
	.bytes_further = 45,
	.rate = 12500000,
	.pages_rate = 4321,
	.expected_ns = 60400000,
	.downtime_ns = 7890600,
	.setup_ns = 12499999,
	.total_ns = 80123499999,
	.throttle = 35,
	.asked = 90,
	.batch = {.pages = 101,
		  .patterns = 102,
		  .same = 103,
		  .deltas = 104,
		  .packed = 105,
		  .raw = 106,
		  .stored = 107},
};

/* What is told in @status, a new reference. */
static json_t *told(const struct migrate_progress *progress, enum migrate_status status)
{
	struct peer p;
	json_t *reply;

	peer_init_negotiated(&p);
	p.machine.migration = *progress;
	p.machine.migration.status = status;
	reply = query(&p, QUERY);
	peer_fini(&p);
	return reply;
}

static bool has(const json_t *object, const char *key)
{
	return json_object_get(object, key) != NULL;
}

static void nothing_is_told_before(void **state)
{
	json_t *reply = told(&under_way, MIGRATE_NONE);

	(void)state;
	assert_int_equal(json_object_size(reply), 0);
	json_decref(reply);
}

static void statuses_are_qemus(void **state)
{
	static const char *const names[] = {
		[MIGRATE_SETTING_UP] = "setup",
		[MIGRATE_ACTIVE] = "active",
		[MIGRATE_DEVICE] = "device",
		[MIGRATE_POSTCOPY_ACTIVE] = "postcopy-active",
		[MIGRATE_POSTCOPY_PAUSED] = "postcopy-paused",
		[MIGRATE_POSTCOPY_RECOVER] = "postcopy-recover",
		[MIGRATE_CANCELLED] = "cancelled",
		[MIGRATE_FAILED] = "failed",
		[MIGRATE_COMPLETED] = "completed",
		[MIGRATE_UNSURE] = "x-quire-unsure",
	};

	(void)state;
	for (unsigned int i = MIGRATE_SETTING_UP; i < ARRAY_SIZE(names); i++) {
		json_t *reply = told(&under_way, i);

		assert_string_equal(string_at(reply, "status"), names[i]);
		json_decref(reply);
	}
}

/* QEMU 7.2's MigrationStats, all of it and nothing else. */
static void expect_ram(const json_t *ram, bool completed)
{
	assert_int_equal(integer_at(ram, "transferred"), 50);
	assert_int_equal(integer_at(ram, "remaining"), completed ? 0 : 20 * 4096);
	assert_int_equal(integer_at(ram, "total"), 1000 * 4096);
	assert_int_equal(integer_at(ram, "duplicate"), 102);
	assert_int_equal(integer_at(ram, "skipped"), 0);
	assert_int_equal(integer_at(ram, "normal"), 105 + 106);
	assert_int_equal(integer_at(ram, "normal-bytes"), (105 + 106) * 4096);
	assert_int_equal(integer_at(ram, "dirty-pages-rate"), completed ? 0 : 40);
	assert_true(json_is_real(json_object_get(ram, "mbps")));
	assert_true(json_real_value(json_object_get(ram, "mbps")) == 100.0);
	assert_int_equal(integer_at(ram, "dirty-sync-count"), 3);
	assert_int_equal(integer_at(ram, "postcopy-requests"), 90);
	assert_int_equal(integer_at(ram, "page-size"), 4096);
	assert_int_equal(integer_at(ram, "multifd-bytes"), 45);
	assert_int_equal(integer_at(ram, "pages-per-second"), 4321);
	assert_int_equal(integer_at(ram, "precopy-bytes"), 27);
	assert_int_equal(integer_at(ram, "downtime-bytes"), 13);
	assert_int_equal(integer_at(ram, "postcopy-bytes"), 10);
	assert_int_equal(integer_at(ram, "dirty-sync-missed-zero-copy"), 0);
	assert_int_equal(json_object_size(ram), 18);
}

static void expect_ours(const json_t *ours)
{
	const json_t *pages = json_object_get(ours, "pages");

	assert_string_equal(string_at(ours, "strategy"), "hybrid");
	assert_true(json_is_true(json_object_get(ours, "hand-over")));
	assert_int_equal(integer_at(ours, "total-us"), 80123499);
	assert_int_equal(integer_at(ours, "downtime-us"), 7890);
	assert_int_equal(integer_at(ours, "dirty-pages"), 30);
	assert_int_equal(integer_at(ours, "spells"), 31);
	assert_int_equal(integer_at(pages, "sent"), 101);
	assert_int_equal(integer_at(pages, "pattern"), 102);
	assert_int_equal(integer_at(pages, "same"), 103);
	assert_int_equal(integer_at(pages, "delta"), 104);
	assert_int_equal(integer_at(pages, "lz4"), 105);
	assert_int_equal(integer_at(pages, "raw"), 106);
	assert_int_equal(integer_at(pages, "stored"), 107);
}

static void figures_are_told_while_memory_goes(void **state)
{
	static const enum migrate_status under_way_in[] = {
		MIGRATE_ACTIVE,		 MIGRATE_DEVICE,	   MIGRATE_POSTCOPY_ACTIVE,
		MIGRATE_POSTCOPY_PAUSED, MIGRATE_POSTCOPY_RECOVER, MIGRATE_UNSURE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(under_way_in); i++) {
		json_t *reply = told(&under_way, under_way_in[i]);

		assert_int_equal(integer_at(reply, "setup-time"), 12);
		assert_int_equal(integer_at(reply, "total-time"), 80123);
		assert_int_equal(integer_at(reply, "expected-downtime"), 60);
		assert_int_equal(integer_at(reply, "cpu-throttle-percentage"), 35);
		expect_ram(json_object_get(reply, "ram"), false);
		expect_ours(json_object_get(reply, "x-quire"));
		/* no downtime, nothing that blocks it, no error */
		assert_int_equal(json_object_size(reply), 7);
		json_decref(reply);
	}
}

static void figures_are_told_at_the_end(void **state)
{
	struct migrate_progress progress = under_way;
	json_t *reply;

	(void)state;
	progress.throttle = 0; /* it ends with the rounds */
	reply = told(&progress, MIGRATE_COMPLETED);
	assert_int_equal(integer_at(reply, "setup-time"), 12);
	assert_int_equal(integer_at(reply, "total-time"), 80123);
	assert_int_equal(integer_at(reply, "downtime"), 8);
	expect_ram(json_object_get(reply, "ram"), true);
	expect_ours(json_object_get(reply, "x-quire"));
	assert_int_equal(json_object_size(reply), 6);
	json_decref(reply);
}

/* Nor of what came to nothing; ours are told all the same. */
static void no_figures_are_told_before_memory_goes(void **state)
{
	static const enum migrate_status without[] = {MIGRATE_SETTING_UP, MIGRATE_CANCELLED,
						      MIGRATE_FAILED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		json_t *reply = told(&under_way, without[i]);

		expect_ours(json_object_get(reply, "x-quire"));
		assert_int_equal(json_object_size(reply), 2);
		json_decref(reply);
	}
}

static void what_is_not_known_is_not_told(void **state)
{
	struct migrate_progress progress = under_way;
	json_t *reply;

	(void)state;
	progress.downtime_ns = 0;
	progress.throttle = 0;
	reply = told(&progress, MIGRATE_ACTIVE);
	assert_false(has(reply, "downtime") || has(reply, "cpu-throttle-percentage"));
	assert_false(has(json_object_get(reply, "x-quire"), "downtime-us"));
	json_decref(reply);
}

static void why_is_told(void **state)
{
	struct migrate_progress progress = under_way;
	json_t *reply;

	(void)state;
	progress.why = (struct err){"no \"room\""};
	reply = told(&progress, MIGRATE_FAILED);
	assert_string_equal(string_at(reply, "error-desc"), "no \"room\"");
	json_decref(reply);
	reply = told(&progress, MIGRATE_POSTCOPY_PAUSED);
	assert_string_equal(string_at(reply, "error-desc"), "no \"room\"");
	json_decref(reply);
	/* who cancels it knows why */
	reply = told(&progress, MIGRATE_CANCELLED);
	assert_false(has(reply, "error-desc"));
	json_decref(reply);
}

/* As in QEMU it tells its status; what it has received is ours. */
static void the_destination_tells_less(void **state)
{
	struct migrate_progress progress = under_way;
	json_t *reply, *ours;

	(void)state;
	progress.incoming = true;
	for (unsigned int i = MIGRATE_SETTING_UP; i <= MIGRATE_UNSURE; i++) {
		reply = told(&progress, i);
		ours = json_object_get(reply, "x-quire");
		assert_string_equal(string_at(reply, "status"), migrate_status_names[i]);
		assert_int_equal(json_object_size(reply), 2);
		assert_true(json_is_true(json_object_get(ours, "hand-over")));
		assert_int_equal(integer_at(ours, "total-us"), 80123499);
		assert_int_equal(integer_at(ours, "received"), 50);
		assert_int_equal(integer_at(ours, "missing-pages"), 20);
		assert_int_equal(json_object_size(ours), 4);
		json_decref(reply);
	}
	progress.why = (struct err){"it is lost"};
	reply = told(&progress, MIGRATE_POSTCOPY_PAUSED);
	assert_string_equal(string_at(reply, "error-desc"), "it is lost");
	json_decref(reply);
}

/* A line as an object, its time checked and taken out. */
static json_t *event(char *line)
{
	json_t *object, *time;

	assert_non_null(line);
	assert_memory_equal(line + strlen(line) - 2, "\r\n", 2);
	object = json_loads(line, 0, NULL);
	assert_non_null(object);
	time = json_object_get(object, "timestamp");
	assert_int_equal(integer_at(time, "seconds"), 7);
	assert_int_equal(integer_at(time, "microseconds"), 9);
	assert_int_equal(json_object_size(object), 3);
	free(line);
	return object;
}

static void events_are_lines(void **state)
{
	const struct timeval now = {.tv_sec = 7, .tv_usec = 9};
	struct migrate_progress progress = under_way;
	json_t *line, *data;

	(void)state;
	for (unsigned int i = MIGRATE_NONE; i <= MIGRATE_UNSURE; i++) {
		progress.status = i;
		line = event(migrate_event_line(&progress, &now));
		data = json_object_get(line, "data");
		assert_string_equal(string_at(line, "event"), "MIGRATION");
		assert_string_equal(string_at(data, "status"), migrate_status_names[i]);
		assert_int_equal(json_object_size(data), 1);
		json_decref(line);
	}
	line = event(migrate_pass_line(&progress, &now));
	data = json_object_get(line, "data");
	assert_string_equal(string_at(line, "event"), "MIGRATION_PASS");
	assert_int_equal(integer_at(data, "pass"), 3);
	assert_int_equal(json_object_size(data), 1);
	json_decref(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_told_before),
		cmocka_unit_test(statuses_are_qemus),
		cmocka_unit_test(figures_are_told_while_memory_goes),
		cmocka_unit_test(figures_are_told_at_the_end),
		cmocka_unit_test(no_figures_are_told_before_memory_goes),
		cmocka_unit_test(what_is_not_known_is_not_told),
		cmocka_unit_test(why_is_told),
		cmocka_unit_test(the_destination_tells_less),
		cmocka_unit_test(events_are_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
