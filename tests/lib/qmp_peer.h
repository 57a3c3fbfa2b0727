// SPDX-License-Identifier: Apache-2.0
/*
 * A QMP client for unit tests: one session on a fake machine, what it was sent, and what is
 * expected. Like fake_machine.h, which it includes, to be included by one file of a program.
 */
#ifndef QUIRE_TESTS_LIB_QMP_PEER_H
#define QUIRE_TESTS_LIB_QMP_PEER_H

#include "tests/lib/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_machine.h"
#include "vmm/control/qmp.h"
#include "vmm/control/qmp_event.h"
#include "vmm/version.h"

#define PACKAGE "\"package\": \"quire-" QUIRE_VERSION "\""
#define GREETING                                                                                  \
	"{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, " PACKAGE \
	"}, \"capabilities\": []}}\r\n"
#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"
#define OK	  "{\"return\": {}}\r\n"
#define RUNNING \
	"{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}}\r\n"
#define ERROR(desc)	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"
#define NOT_FOUND(desc) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" desc "\"}}\r\n"
#define QUERY_STATUS	DO("query-status")
/* A request without arguments, and one with them: a JSON object. */
#define DO(command)	    "{\"execute\": \"" command "\"}"
#define CALL(command, args) "{\"execute\": \"" command "\", \"arguments\": " args "}"

/* A client: what it was sent, up to a limit after which it counts as gone. */
struct peer {
	struct machine machine;
	struct qmp *q;
	char *out;
	size_t len, cap, limit;
	unsigned int nr_sends;
};

static inline int collect(void *opaque, const char *data, size_t len)
{
	struct peer *p = opaque;

	p->nr_sends++;
	if (len > p->limit - p->len)
		return -EPIPE;
	if (p->cap < p->len + len + 1) {
		p->cap = 2 * (p->len + len + 1);
		p->out = realloc(p->out, p->cap);
		assert_non_null(p->out);
	}
	memcpy(p->out + p->len, data, len);
	p->len += len;
	p->out[p->len] = '\0';
	return 0;
}

static inline void on_event(void *opaque, enum machine_event event, enum shutdown_cause cause)
{
	const struct timeval now = {.tv_sec = 7, .tv_usec = 9};
	struct peer *p = opaque;
	char *line = qmp_event_line(event, cause, &now);

	assert_non_null(line);
	qmp_notify(p->q, line);
	free(line);
}

static inline void peer_init(struct peer *p)
{
	*p = (struct peer){.machine = FAKE_MACHINE, .limit = 64 * MiB};
	machine_listen(&p->machine, on_event, p);
	assert_int_equal(qmp_create(&p->q, &p->machine, collect, p), 0);
}

static inline void peer_fini(struct peer *p)
{
	qmp_destroy(p->q);
	free(p->out);
}

/* Forget what was sent so far. */
static inline void peer_clear(struct peer *p)
{
	p->len = 0;
	p->out[0] = '\0';
}

static inline void peer_init_negotiated(struct peer *p)
{
	peer_init(p);
	assert_int_equal(qmp_receive(p->q, NEGOTIATE, strlen(NEGOTIATE)), 0);
	peer_clear(p);
}

/* Send @request and expect exactly @reply. */
static inline void expect_bytes(struct peer *p, const void *request, size_t len, const char *reply)
{
	peer_clear(p);
	assert_int_equal(qmp_receive(p->q, request, len), 0);
	assert_string_equal(p->out, reply);
}

static inline void expect(struct peer *p, const char *request, const char *reply)
{
	expect_bytes(p, request, strlen(request), reply);
}

/* Requests and what each is to be answered, in one session. */
struct exchange {
	const char *request, *reply;
};

static inline void expect_all(struct peer *p, const struct exchange *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(p, e[i].request, e[i].reply);
}

/* Send @request and return what its one reply has under "return". */
static inline json_t *query(struct peer *p, const char *request)
{
	json_t *reply, *value;

	peer_clear(p);
	assert_int_equal(qmp_receive(p->q, request, strlen(request)), 0);
	reply = json_loads(p->out, 0, NULL);
	assert_non_null(reply);
	value = json_incref(json_object_get(reply, "return"));
	assert_non_null(value);
	json_decref(reply);
	return value;
}

static inline const char *string_at(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	assert_non_null(s);
	return s;
}

static inline json_int_t integer_at(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

#endif
