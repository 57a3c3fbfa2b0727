// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP session, from the inside out: how lines are sent, how one request is answered, how
 * requests are found in the stream (drawn in qmp.h). What commands there are is for qmp_cmds.h.
 *
 * The framing knows only as much JSON as it takes to find where a request ends; whether what lies
 * between is JSON at all is jansson's to say. It never holds more than QMP_MAX_REQUEST bytes, and
 * jansson never recurses deeper than QMP_MAX_DEPTH.
 */
#include "vmm/control/qmp.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/err.h"
#include "vmm/control/qmp_cmds.h"
#include "vmm/control/qmp_event.h"

#define RESYNC	   '\xff'
#define BUFFER_MIN 256u

enum frame_state { BETWEEN, REQUEST, SKIPPING };

struct qmp {
	struct machine *machine;
	qmp_send_fn send;
	void *opaque;
	bool negotiated;
	int gone; /* 0, or the -errno that ended the session */

	enum frame_state state;
	bool line_start; /* only white space since the last newline */

	/* The rest is of the request under way, and counts in state REQUEST only. */
	char *buf;
	size_t len, cap;
	unsigned int depth; /* open brackets */
	u64 arrays;	    /* bit n - 1: the bracket at depth n is '[', not '{' */
	bool in_string, escaped;
	char last; /* last byte outside strings that is not white space */
};

_Static_assert(QMP_MAX_DEPTH <= 64, "one bit of struct qmp's arrays for each depth");

/* ---- Sending ---- */

static void send_line(struct qmp *q, const char *line)
{
	int ret = line ? q->send(q->opaque, line, strlen(line)) : -ENOMEM;

	if (ret < 0 && !q->gone)
		q->gone = ret;
}

static void send_json(struct qmp *q, json_t *value)
{
	char *line = qmp_line(value);

	send_line(q, line);
	free(line);
}

/* A sentence may quote the client, or a file name: what is not UTF-8 must not get into JSON. */
static json_t *json_sentence(const struct err *err)
{
	struct err ascii = *err;
	json_t *s = json_string(err->text);

	if (s)
		return s;
	for (char *c = ascii.text; *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(ascii.text);
}

/* Both replies echo @id, which is NULL when the request had none. */
static void send_return(struct qmp *q, json_t *value, json_t *id)
{
	send_json(q, json_pack("{s:o, s:O*}", "return", value ? value : json_object(), "id", id));
}

static void send_error(struct qmp *q, int code, const struct err *err, json_t *id)
{
	const char *class = code == -ENOSYS ? "CommandNotFound" : "GenericError";

	send_json(q, json_pack("{s:{s:s, s:o}, s:O*}", "error", "class", class, "desc",
			       json_sentence(err), "id", id));
}

/* ---- One request ---- */

/* Only the members that QMP has, each of its type. */
static int check_request(const json_t *request, struct err *err)
{
	static const char *const members[] = {"execute", "arguments", "id"};
	const json_t *name = json_object_get(request, "execute");
	const json_t *args = json_object_get(request, "arguments");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)request, key, value)
	{
		size_t i = 0;

		while (i < ARRAY_SIZE(members) && strcmp(key, members[i]))
			i++;
		if (i == ARRAY_SIZE(members))
			return err_set(err, -EINVAL, "QMP input member '%s' is unexpected", key);
	}
	if (!name)
		return err_set(err, -EINVAL, "QMP input lacks member 'execute'");
	if (!json_is_string(name))
		return err_set(err, -EINVAL, "QMP input member 'execute' must be a string");
	if (args && !json_is_object(args))
		return err_set(err, -EINVAL, "QMP input member 'arguments' must be an object");
	return 0;
}

/* The sentences are QEMU's, word for word: clients are known to compare them. */
static int execute(struct qmp *q, const json_t *request, json_t **ret, struct err *err)
{
	const char *name = json_string_value(json_object_get(request, "execute"));
	struct qmp_call call = {
		.machine = q->machine,
		.args = json_object_get(request, "arguments"),
		.err = err,
	};
	const struct qmp_command *command = qmp_command_find(name);
	bool negotiates = !strcmp(name, "qmp_capabilities");
	int code;

	if (!q->negotiated && !negotiates)
		return err_set(err, -ENOSYS,
			       "Expecting capabilities negotiation with 'qmp_capabilities'");
	if (q->negotiated && negotiates)
		return err_set(err, -ENOSYS,
			       "Capabilities negotiation is already complete, command ignored");
	if (!command)
		return err_set(err, -ENOSYS, "The command %s has not been found", name);
	code = qmp_command_check(command, call.args, err);
	if (!code)
		code = command->run(&call);
	if (code)
		return code;
	q->negotiated = true;
	*ret = call.ret;
	return 0;
}

/*
 * A whole request is in the buffer: exactly one reply, whatever it holds. The id is echoed as soon
 * as there is an object to take it from, so that the client knows which of its requests was wrong.
 */
static void answer(struct qmp *q)
{
	json_error_t parse_error;
	json_t *request = json_loadb(q->buf, q->len, JSON_REJECT_DUPLICATES, &parse_error);
	json_t *ret = NULL;
	struct err err;
	int code;

	if (!request) {
		code = err_set(&err, -EINVAL, "JSON parse error, %s", parse_error.text);
		send_error(q, code, &err, NULL);
		return;
	}
	code = check_request(request, &err);
	if (!code)
		code = execute(q, request, &ret, &err);
	if (code)
		send_error(q, code, &err, json_object_get(request, "id"));
	else
		send_return(q, ret, json_object_get(request, "id"));
	json_decref(request);
}

/* ---- Framing ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool in_array(const struct qmp *q)
{
	return q->arrays >> (q->depth - 1) & 1;
}

/* Forget the request. A big buffer is not kept for clients that send a big request once. */
static void drop_request(struct qmp *q, enum frame_state next)
{
	q->state = next;
	q->len = 0;
	q->depth = 0;
	q->in_string = false;
	q->escaped = false;
	if (q->cap > BUFFER_MIN) {
		free(q->buf);
		q->buf = NULL;
		q->cap = 0;
	}
}

/* Answer with an error, and go on after the line that the offending byte @c is in. */
static void refuse(struct qmp *q, char c, const char *why)
{
	struct err err;
	int code = err_set(&err, -EINVAL, "%s", why);

	drop_request(q, c == '\n' ? BETWEEN : SKIPPING);
	send_error(q, code, &err, NULL);
}

/*
 * Keep one byte of the request. The buffer starts small and doubles: clients send some hundred
 * bytes at a time, and one that sends a byte a minute must not cost QMP_MAX_REQUEST meanwhile.
 */
static void store(struct qmp *q, char c)
{
	char *buf;

	if (q->len == q->cap) {
		if (q->cap == QMP_MAX_REQUEST) {
			refuse(q, c, "JSON message size limit exceeded");
			return;
		}
		buf = realloc(q->buf, MAX(2 * q->cap, BUFFER_MIN));
		if (!buf) {
			q->gone = -ENOMEM;
			return;
		}
		q->buf = buf;
		q->cap = MAX(2 * q->cap, BUFFER_MIN);
	}
	q->buf[q->len++] = c;
}

_Static_assert(QMP_MAX_REQUEST % BUFFER_MIN == 0 && (QMP_MAX_REQUEST & (QMP_MAX_REQUEST - 1)) == 0,
	       "store() doubles until it is exactly there");

/* The limit keeps jansson's recursion, and so our stack, in the bounds that we choose. */
static void open_bracket(struct qmp *q, char c)
{
	if (q->depth == QMP_MAX_DEPTH) {
		refuse(q, c, "JSON nesting depth limit exceeded");
		return;
	}
	q->depth++;
	q->arrays &= ~((u64)1 << (q->depth - 1));
	q->arrays |= (u64)(c == '[') << (q->depth - 1);
	q->last = c;
	store(q, c);
}

/* The bracket may be the last of the request, unless store() found that there is no room for it. */
static void close_bracket(struct qmp *q, char c)
{
	if (in_array(q) != (c == ']')) {
		refuse(q, c, "JSON parse error, bracket does not match");
		return;
	}
	q->depth--;
	q->last = c;
	store(q, c);
	if (q->depth || q->state != REQUEST || q->gone)
		return;
	answer(q);
	drop_request(q, BETWEEN);
}

/*
 * JSON allows no raw control character in a string. It is refused here, not when parsing, so that a
 * string without end is noticed at the end of its line and does not swallow the requests after it.
 */
static void string_byte(struct qmp *q, char c)
{
	if ((unsigned char)c < 0x20) {
		refuse(q, c, "JSON parse error, control character in a string");
		return;
	}
	if (q->escaped)
		q->escaped = false;
	else if (c == '\\')
		q->escaped = true;
	else if (c == '"')
		q->in_string = false;
	store(q, c);
}

/* Whether the grammar has a place for an object after what was read so far. */
static bool object_may_start(const struct qmp *q)
{
	return q->last == ':' || (in_array(q) && (q->last == ',' || q->last == '['));
}

/* In state REQUEST. White space is kept as well: storing it is simpler than leaving it out. */
static void request_byte(struct qmp *q, char c, bool line_start)
{
	if (q->in_string) {
		string_byte(q, c);
	} else if (c == '{' && line_start && !object_may_start(q)) {
		refuse(q, '\n', "JSON parse error, request was cut off");
		q->state = REQUEST;
		open_bracket(q, c);
	} else if (c == '{' || c == '[') {
		open_bracket(q, c);
	} else if (c == '}' || c == ']') {
		close_bracket(q, c);
	} else {
		q->in_string = c == '"';
		if (!is_space(c))
			q->last = c;
		store(q, c);
	}
}

/* One step of the drawing in qmp.h; @c alone decides, so how reads cut the stream cannot matter. */
static void receive_byte(struct qmp *q, char c)
{
	bool line_start = q->line_start;

	q->line_start = c == '\n' || (line_start && is_space(c));
	if (c == RESYNC) {
		drop_request(q, BETWEEN);
	} else if (q->state == REQUEST) {
		request_byte(q, c, line_start);
	} else if (q->state == SKIPPING) {
		if (c == '\n')
			q->state = BETWEEN;
	} else if (c == '{') {
		q->state = REQUEST;
		open_bracket(q, c);
	} else if (!is_space(c)) {
		refuse(q, c, "QMP input must be a JSON object");
	}
}

int qmp_receive(struct qmp *q, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !q->gone; i++)
		receive_byte(q, data[i]);
	return q->gone;
}

/* ---- The session's life ---- */

int qmp_notify(struct qmp *q, const char *line)
{
	if (q->negotiated && !q->gone)
		send_line(q, line);
	return q->gone;
}

int qmp_create(struct qmp **out, struct machine *m, qmp_send_fn send, void *opaque)
{
	struct qmp *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	*q = (struct qmp){.machine = m, .send = send, .opaque = opaque, .line_start = true};
	send_json(q, json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version(), "capabilities"));
	if (q->gone) {
		int ret = q->gone;

		qmp_destroy(q);
		return ret;
	}
	*out = q;
	return 0;
}

void qmp_destroy(struct qmp *q)
{
	if (!q)
		return;
	free(q->buf);
	free(q);
}
