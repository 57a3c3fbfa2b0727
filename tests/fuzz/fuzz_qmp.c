// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes to a QMP session. The first byte of the input is the size of the
 * pieces in which the rest arrives.
 *
 * Beyond not crashing, three things must hold: what comes out is the same as when all arrives at
 * once; it consists of lines that each are one JSON object of a kind that QMP knows; and after a
 * resync the session answers an ordinary request.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_machine.h"
#include "vmm/control/qmp.h"
#include "vmm/control/qmp_event.h"

#define PROBE  "\xff{\"execute\": \"query-kvm\", \"id\": \"probe\"}"
#define ANSWER "{\"return\": {\"enabled\": true, \"present\": true}, \"id\": \"probe\"}\r\n"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct peer {
	struct machine machine;
	struct qmp *q;
	char *out;
	size_t len, cap;
};

static int collect(void *opaque, const char *data, size_t len)
{
	struct peer *p = opaque;

	while (p->cap - p->len < len) {
		p->cap = 2 * p->cap + 4096;
		p->out = realloc(p->out, p->cap);
		ASSERT(p->out);
	}
	memcpy(p->out + p->len, data, len);
	p->len += len;
	return 0;
}

static void on_event(void *opaque, enum machine_event event, enum shutdown_cause cause)
{
	const struct timeval now = {.tv_sec = 1};
	struct peer *p = opaque;
	char *line = qmp_event_line(event, cause, &now);

	ASSERT(!qmp_notify(p->q, line));
	free(line);
}

static void say(struct peer *p, const char *text)
{
	ASSERT(!qmp_receive(p->q, text, strlen(text)));
}

/* A whole conversation with @data as its middle part; the caller frees p->out. */
static void converse(struct peer *p, const u8 *data, size_t size, size_t piece)
{
	*p = (struct peer){.machine = FAKE_MACHINE};
	machine_listen(&p->machine, on_event, p);
	ASSERT(!qmp_create(&p->q, &p->machine, collect, p));
	say(p, "{\"execute\": \"qmp_capabilities\"}");
	for (size_t at = 0; at < size; at += MIN(piece, size - at))
		ASSERT(!qmp_receive(p->q, (const char *)data + at, MIN(piece, size - at)));
	say(p, PROBE);
	qmp_destroy(p->q);
}

static void check_line(const char *line, size_t len)
{
	static const char *const kinds[] = {"QMP", "return", "error", "event"};
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	unsigned int nr_kinds = 0;

	ASSERT(json_is_object(object));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		nr_kinds += json_object_get(object, kinds[i]) != NULL;
	ASSERT(nr_kinds == 1);
	json_decref(object);
}

static void check_output(const struct peer *p)
{
	const size_t answer = strlen(ANSWER);

	for (size_t at = 0; at < p->len;) {
		const char *line = p->out + at;
		const char *end = memchr(line, '\n', p->len - at);

		ASSERT(end && end > line && end[-1] == '\r');
		check_line(line, (size_t)(end - line));
		at = (size_t)(end + 1 - p->out);
	}
	ASSERT(p->len > answer && !memcmp(p->out + p->len - answer, ANSWER, answer));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct peer whole, pieces;

	if (!size)
		return 0;
	converse(&whole, data + 1, size - 1, size);
	converse(&pieces, data + 1, size - 1, MAX(data[0], 1));
	ASSERT(whole.len == pieces.len && !memcmp(whole.out, pieces.out, whole.len));
	check_output(&whole);
	free(whole.out);
	free(pieces.out);
	return 0;
}
