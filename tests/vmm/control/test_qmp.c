// SPDX-License-Identifier: Apache-2.0
/*
 * The framing and the negotiation of vmm/control/qmp.h, driven by bytes. The main oracle is a
 * transcript: a script of good and bad requests has one right output, whatever the pieces in which
 * it arrives.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qmp_peer.h"
#include "vmm/control/qmp.h"

#define STAMP	   "{\"timestamp\": {\"seconds\": 7, \"microseconds\": 9}, \"event\": "
#define NOT_OBJECT ERROR("QMP input must be a JSON object")

/* ---- Negotiation ---- */

static void greets_at_once(void **state)
{
	struct peer p;

	(void)state;
	peer_init(&p);
	assert_string_equal(p.out, GREETING);
	assert_int_equal(p.nr_sends, 1);
	peer_fini(&p);
}

static void only_negotiates_first(void **state)
{
	struct peer p;

	(void)state;
	peer_init(&p);
	expect(&p, QUERY_STATUS "\n",
	       NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'"));
	expect(&p, "{\"execute\": \"nonsense\"}",
	       NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'"));
	expect(&p, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
	       ERROR("Capability is not available: none is offered"));
	expect(&p, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": 1}}",
	       ERROR("Parameter 'enable' must be an array"));
	expect(&p, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"x\": 1}}",
	       ERROR("Parameter 'x' is unexpected"));
	expect(&p, QUERY_STATUS,
	       NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'"));
	expect(&p, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}", OK);
	expect(&p, QUERY_STATUS, RUNNING);
	expect(&p, NEGOTIATE,
	       NOT_FOUND("Capabilities negotiation is already complete, command ignored"));
	peer_fini(&p);
}

static void hears_events_once_negotiated(void **state)
{
	static const struct {
		enum machine_event event;
		enum shutdown_cause cause;
		const char *line;
	} cases[] = {
		{MACHINE_EV_STOP, SHUTDOWN_BY_NONE, STAMP "\"STOP\"}\r\n"},
		{MACHINE_EV_RESUME, SHUTDOWN_BY_NONE, STAMP "\"RESUME\"}\r\n"},
		{MACHINE_EV_POWERDOWN, SHUTDOWN_BY_NONE, STAMP "\"POWERDOWN\"}\r\n"},
		{MACHINE_EV_RESET, SHUTDOWN_BY_GUEST_RESET,
		 STAMP "\"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n"},
		{MACHINE_EV_SHUTDOWN, SHUTDOWN_BY_SIGNAL,
		 STAMP
		 "\"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-signal\"}}\r\n"},
	};
	struct peer p;

	(void)state;
	peer_init(&p);
	peer_clear(&p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		on_event(&p, cases[i].event, cases[i].cause);
	assert_string_equal(p.out, "");
	expect(&p, NEGOTIATE, OK);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		peer_clear(&p);
		on_event(&p, cases[i].event, cases[i].cause);
		assert_string_equal(p.out, cases[i].line);
	}
	peer_fini(&p);
}

/* ---- Framing ---- */

/*
 * One of everything. The output was written down by hand from the rules in qmp.h, and agrees with
 * what QEMU 7.2 answers wherever both accept or both refuse.
 */
static const struct {
	const char *request, *reply;
} script[] = {
	{NEGOTIATE, OK},
	{QUERY_STATUS "\r\n", RUNNING},
	{QUERY_STATUS QUERY_STATUS "  \t" QUERY_STATUS "\n", RUNNING RUNNING RUNNING},
	{"{\n\"execute\"\n:\n\"query-status\"\n}\n\n\n", RUNNING},
	{"{\"execute\": \"query-status\", \"id\": \"}{][\\\"\"}\n",
	 "{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}, "
	 "\"id\": \"}{][\\\"\"}\r\n"},
	{"{\"execute\": \"query-status\", \"id\":\n{\"a\": [\n{}, [], {\"\\\\\": 1}]}}\n",
	 "{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}, "
	 "\"id\": {\"a\": [{}, [], {\"\\\\\": 1}]}}\r\n"},
	{"nonsense\n", NOT_OBJECT},
	{"[" QUERY_STATUS "]\n", NOT_OBJECT},
	{"\"{\" 5 null " QUERY_STATUS "\n", NOT_OBJECT},
	{"}\n", NOT_OBJECT},
	{"{\"execute\": \"query-\n", ERROR("JSON parse error, control character in a string")},
	{"{\"execute\": \"query-\tstatus\"} and so on\n",
	 ERROR("JSON parse error, control character in a string")},
	{"{\"execute\": [}\n", ERROR("JSON parse error, bracket does not match")},
	{"{\"execute\": \"query-status\"\n" QUERY_STATUS "\n",
	 ERROR("JSON parse error, request was cut off") RUNNING},
	{"{\"execute\": \"query-status\",\n\t " QUERY_STATUS "\n",
	 ERROR("JSON parse error, request was cut off") RUNNING},
	{"{\"execute\": \"query-status\", \"id\": \xff" QUERY_STATUS "\n", RUNNING},
	{"nonsense \xff" QUERY_STATUS "\n", NOT_OBJECT RUNNING},
	{"{\"execute\": \"stop\"}{\"execute\": \"stop\", \"id\": 1}\n",
	 STAMP "\"STOP\"}\r\n" OK "{\"return\": {}, \"id\": 1}\r\n"},
	{"{\"execute\": \"cont\"}\n", STAMP "\"RESUME\"}\r\n" OK},
	{"{\"execute\": \"system_powerdown\"}\n", STAMP "\"POWERDOWN\"}\r\n" OK},
	{"{\"execute\": \"system_reset\"}\n",
	 STAMP "\"RESET\", \"data\": {\"guest\": false, \"reason\": "
	       "\"host-qmp-system-reset\"}}\r\n" OK},
	{"{\"execute\": \"no-such\", \"id\": null}\n",
	 "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command no-such has not "
	 "been found\"}, \"id\": null}\r\n"},
	{"{\"execute\": \"quit\"}\n",
	 STAMP "\"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-quit\"}}\r\n" OK},
	{"{\"execute\": \"cont\"}\n", ERROR("guest fake: has ended")},
	{"{\"execute\": \"cut off by the end of the connection", ""},
};

/* All requests of the script, or all replies, as one string. */
static char *join_script(bool replies)
{
	char *all = calloc(1, 64 * 1024);

	assert_non_null(all);
	strcpy(all, replies ? GREETING : "");
	for (size_t i = 0; i < ARRAY_SIZE(script); i++)
		strcat(all, replies ? script[i].reply : script[i].request);
	return all;
}

static void follows_the_script(void **state)
{
	struct peer p;

	(void)state;
	peer_init(&p);
	for (size_t i = 0; i < ARRAY_SIZE(script); i++)
		expect(&p, script[i].request, script[i].reply);
	peer_fini(&p);
}

/* Feed @in in pieces, the first of @first bytes and the others of @rest. */
static void check_pieces(const char *in, const char *out, size_t first, size_t rest)
{
	size_t len = strlen(in), at = 0, piece = first;
	struct peer p;

	peer_init(&p);
	while (at < len) {
		/* a copy of its own, so that a sanitizer sees a read past the piece */
		char *copy = malloc(piece);

		assert_non_null(copy);
		memcpy(copy, in + at, piece);
		assert_int_equal(qmp_receive(p.q, copy, piece), 0);
		free(copy);
		at += piece;
		piece = MIN(rest, len - at);
	}
	assert_string_equal(p.out, out);
	peer_fini(&p);
}

static void pieces_do_not_matter(void **state)
{
	char *in = join_script(false), *out = join_script(true);
	size_t len = strlen(in);

	(void)state;
	for (size_t first = 1; first <= len; first++)
		check_pieces(in, out, first, len);
	for (size_t piece = 1; piece <= len; piece++)
		check_pieces(in, out, piece, piece);
	free(in);
	free(out);
}

/* Every prefix of the script, then a resync, leaves a session that answers. */
static void survives_being_cut_anywhere(void **state)
{
	static const char probe[] = "\xff{\"execute\": \"query-version\", \"id\": \"probe\"}";
	char *in = join_script(false);
	size_t len = strlen(in);

	(void)state;
	for (size_t cut = strlen(NEGOTIATE); cut <= len; cut++) {
		struct peer p;

		peer_init(&p);
		assert_int_equal(qmp_receive(p.q, in, cut), 0);
		peer_clear(&p);
		assert_int_equal(qmp_receive(p.q, probe, strlen(probe)), 0);
		assert_non_null(strstr(p.out, PACKAGE "}, \"id\": \"probe\"}\r\n"));
		peer_fini(&p);
	}
	free(in);
}

/* ---- What is no JSON ---- */

/* Balanced, but not JSON: one error each, and the next request on the same line is served. */
static void refuses_what_is_no_json(void **state)
{
	static const char *const cases[] = {
		"{\"execute\"}",
		"{\"execute\": }",
		"{execute: \"query-status\"}",
		"{'execute': 'query-status'}",
		"{\"execute\": \"query-status\",}",
		"{\"execute\": \"query-status\", \"id\": 01}",
		"{\"execute\": \"query-status\", \"id\": 1e999}",
		"{\"execute\": \"query-status\", \"id\": truth}",
		"{\"execute\": \"query-status\", \"id\": {\"a\": 1 {}}}",
		"{\"execute\": \"query-status\", \"id\": 1, \"id\": 2}",
		"{\"execute\": \"query\\u0000status\"}",
		"{\"execute\": \"query\\xstatus\"}",
		"{\"execute\": \"query\\ud800status\"}",
		"{\"execute\": \"\xc0\x80\"}",
		"{\"execute\": \"\xe2\x82\"}",
		"{\"execute\": \"\xed\xa0\x80\"}",
		"{\"execute\": \"\xf5\x80\x80\x80\"}",
		"{\x80}",
	};
	static const char prefix[] =
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, ";
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *end;

		peer_clear(&p);
		assert_int_equal(qmp_receive(p.q, cases[i], strlen(cases[i])), 0);
		assert_memory_equal(p.out, prefix, strlen(prefix));
		end = strstr(p.out, "\r\n");
		assert_non_null(end);
		assert_string_equal(end, "\r\n");
		expect(&p, QUERY_STATUS, RUNNING);
	}
	peer_fini(&p);
}

static void embedded_nul_is_an_error(void **state)
{
	static const char in_string[] = "{\"execute\": \"query\0status\"}\n";
	static const char outside[] = "{\"execute\": \0\"query-status\"}";
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	expect_bytes(&p, in_string, sizeof(in_string) - 1,
		     ERROR("JSON parse error, control character in a string"));
	peer_clear(&p);
	assert_int_equal(qmp_receive(p.q, outside, sizeof(outside) - 1), 0);
	assert_non_null(strstr(p.out, "JSON parse error"));
	expect_bytes(&p, "\0\n", 2, NOT_OBJECT);
	expect(&p, QUERY_STATUS, RUNNING);
	peer_fini(&p);
}

/* ---- Limits ---- */

/* A request with an id of @depth brackets in all. */
static void nested_request(char *buf, unsigned int depth)
{
	strcpy(buf, "{\"execute\": \"cont\", \"id\": ");
	for (unsigned int i = 1; i < depth; i++)
		strcat(buf, "[");
	for (unsigned int i = 1; i < depth; i++)
		strcat(buf, "]");
	strcat(buf, "}");
}

static void bounds_the_nesting(void **state)
{
	char request[64 + 4 * QMP_MAX_DEPTH];
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	nested_request(request, QMP_MAX_DEPTH);
	json_decref(query(&p, request));
	nested_request(request, QMP_MAX_DEPTH + 1);
	expect(&p, request, ERROR("JSON nesting depth limit exceeded"));
	expect(&p, QUERY_STATUS " still the same line\n" QUERY_STATUS, RUNNING);
	peer_fini(&p);
}

/* A request of exactly @size bytes, by the white space inside. */
static char *sized_request(size_t size)
{
	static const char head[] = "{\"execute\": ", tail[] = "\"query-status\"}";
	char *request = malloc(size);

	assert_non_null(request);
	memset(request, ' ', size);
	memcpy(request, head, strlen(head));
	memcpy(request + size - strlen(tail), tail, strlen(tail));
	return request;
}

static void bounds_the_size(void **state)
{
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	for (int round = 0; round < 3; round++) {
		char *request = sized_request(QMP_MAX_REQUEST);

		expect_bytes(&p, request, QMP_MAX_REQUEST, RUNNING);
		free(request);
		request = sized_request(QMP_MAX_REQUEST + 1);
		expect_bytes(&p, request, QMP_MAX_REQUEST + 1,
			     ERROR("JSON message size limit exceeded"));
		free(request);
		expect(&p, "the rest of that line\n" QUERY_STATUS, RUNNING);
	}
	peer_fini(&p);
}

static void skips_an_endless_line(void **state)
{
	static char junk[1 * MiB];
	struct peer p;

	(void)state;
	memset(junk, '"', sizeof(junk));
	peer_init_negotiated(&p);
	peer_clear(&p);
	for (int i = 0; i < 16; i++)
		assert_int_equal(qmp_receive(p.q, junk, sizeof(junk)), 0);
	assert_string_equal(p.out, NOT_OBJECT);
	expect(&p, "\n" QUERY_STATUS, RUNNING);
	peer_fini(&p);
}

static void ends_when_the_client_is_gone(void **state)
{
	static const char many[] = QUERY_STATUS QUERY_STATUS QUERY_STATUS;
	unsigned int sends;
	struct peer p;

	(void)state;
	peer_init_negotiated(&p);
	p.limit = p.len + strlen(RUNNING);
	sends = p.nr_sends;
	assert_int_equal(qmp_receive(p.q, many, strlen(many)), -EPIPE);
	assert_int_equal(p.nr_sends, sends + 2);
	assert_int_equal(qmp_receive(p.q, many, strlen(many)), -EPIPE);
	assert_int_equal(qmp_notify(p.q, "x\r\n"), -EPIPE);
	assert_int_equal(p.nr_sends, sends + 2);
	peer_fini(&p);

	p = (struct peer){.machine = FAKE_MACHINE, .limit = 10};
	assert_int_equal(qmp_create(&p.q, &p.machine, collect, &p), -EPIPE);
}

/*
 * Bytes drawn from an alphabet that is rich in structure. Every line that comes out must be one
 * JSON object that is a reply or an event, and after a resync the session must answer.
 */
static void random_bytes_do_no_harm(void **state)
{
	static const char alphabet[] = "{}[]\"\\:, \n\r\t1-e\xff\xc3\xa9tnull\"execute\"\"stop\"";
	struct peer p;
	u32 random = 1;

	(void)state;
	peer_init_negotiated(&p);
	for (int i = 0; i < 300000; i++) {
		char c;

		random = random * 1664525 + 1013904223;
		c = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
		assert_int_equal(qmp_receive(p.q, &c, 1), 0);
	}
	for (char *line = p.out, *end; *line; line = end + 2) {
		json_t *value;

		end = strstr(line, "\r\n");
		assert_non_null(end);
		value = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
		assert_true(json_object_get(value, "error") || json_object_get(value, "return") ||
			    json_object_get(value, "event"));
		json_decref(value);
	}
	json_decref(query(&p, "\xff" QUERY_STATUS));
	peer_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greets_at_once),
		cmocka_unit_test(only_negotiates_first),
		cmocka_unit_test(hears_events_once_negotiated),
		cmocka_unit_test(follows_the_script),
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(survives_being_cut_anywhere),
		cmocka_unit_test(refuses_what_is_no_json),
		cmocka_unit_test(embedded_nul_is_an_error),
		cmocka_unit_test(bounds_the_nesting),
		cmocka_unit_test(bounds_the_size),
		cmocka_unit_test(skips_an_endless_line),
		cmocka_unit_test(ends_when_the_client_is_gone),
		cmocka_unit_test(random_bytes_do_no_harm),
	};

	return cmocka_run_group_tests_name("qmp", tests, NULL, NULL);
}
