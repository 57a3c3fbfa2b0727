// SPDX-License-Identifier: Apache-2.0
/* The conversation with one guest; the contract and the states are in guest.h. */
#include "tools/top/guest.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/top/text.h"

/* What requests are told apart by. */
enum request_id { ID_GREETING, ID_NEGOTIATE, ID_STATS, ID_MEMORY, ID_ORDER };

#define DUE(id) (1u << (id))

/* Objects taken from one guest before the others have their turn. */
#define MAX_AT_ONCE 64

int guest_create(struct guest **out, const char *name, const char *path)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	snprintf(g->name, sizeof(g->name), "%s", name);
	snprintf(g->path, sizeof(g->path), "%s", path);
	wire_init(&g->wire);
	*out = g;
	return 0;
}

void guest_destroy(struct guest *g)
{
	wire_close(&g->wire);
	sample_fini(&g->sample);
	free(g);
}

static void say(struct guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct guest *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->said, sizeof(g->said), fmt, ap);
	va_end(ap);
	g->said_new = true;
}

/* The conversation is over; what is known stays, with the reason. */
static void hang_up(struct guest *g, const char *why, u64 now_ms)
{
	wire_close(&g->wire);
	g->link = LINK_NONE;
	g->due = 0;
	g->retry_ms = now_ms + GUEST_RETRY_MS;
	snprintf(g->problem, sizeof(g->problem), "%s", why);
}

/* Whoever refuses a connection or closes one is no more, or will be found again. */
static void leave(struct guest *g, u64 now_ms)
{
	hang_up(g, "ended", now_ms);
	g->gone = true;
}

static void await(struct guest *g, enum request_id id, u64 now_ms)
{
	if (!g->due)
		g->asked_ms = now_ms;
	g->due |= DUE(id);
}

/* ---- Requests ---- */

static void request(struct guest *g, enum request_id id, u64 now_ms, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* @fmt is the members "execute" and "arguments". */
static void request(struct guest *g, enum request_id id, u64 now_ms, const char *fmt, ...)
{
	char members[160], line[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(members, sizeof(members), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "{%s,\"id\":%d}\n", members, id);
	if (wire_send(&g->wire, line))
		leave(g, now_ms);
	else
		await(g, id, now_ms);
}

void guest_connect(struct guest *g, u64 now_ms)
{
	int ret;

	if (g->gone || g->link != LINK_NONE || now_ms < g->retry_ms)
		return;
	ret = wire_connect(&g->wire, g->path);
	if (ret == -ENOENT || ret == -ECONNREFUSED) {
		leave(g, now_ms);
	} else if (ret) {
		hang_up(g, ret == -EAGAIN ? "accepts no connection (it may hang)" : strerror(-ret),
			now_ms);
	} else {
		g->link = LINK_GREETING;
		await(g, ID_GREETING, now_ms);
	}
}

void guest_ask(struct guest *g, u64 now_ms, u32 map_cells)
{
	if (g->link != LINK_READY || (g->due & (DUE(ID_STATS) | DUE(ID_MEMORY))))
		return;
	request(g, ID_STATS, now_ms, "\"execute\":\"x-quire-stats\"");
	if (g->link != LINK_READY)
		return;
	if (map_cells)
		request(g, ID_MEMORY, now_ms,
			"\"execute\":\"x-quire-memory\",\"arguments\":{\"map\":%u}", map_cells);
	else
		request(g, ID_MEMORY, now_ms, "\"execute\":\"x-quire-memory\"");
}

static void send_order(struct guest *g, u64 now_ms)
{
	switch (g->order) {
	case ORDER_PAUSE:
		request(g, ID_ORDER, now_ms, "\"execute\":\"stop\"");
		break;
	case ORDER_RESUME:
		request(g, ID_ORDER, now_ms, "\"execute\":\"cont\"");
		break;
	case ORDER_LIMIT:
		request(g, ID_ORDER, now_ms,
			"\"execute\":\"x-quire-set-limit\",\"arguments\":{\"limit\":%" PRIu64 "}",
			g->order_bytes);
		break;
	case ORDER_RECLAIM:
		request(g, ID_ORDER, now_ms,
			"\"execute\":\"x-quire-reclaim\",\"arguments\":{\"size\":%" PRIu64 "}",
			g->order_bytes);
		break;
	}
}

void guest_give_order(struct guest *g, enum guest_order order, u64 bytes, u64 now_ms)
{
	if (g->link != LINK_READY) {
		say(g, "%s: not connected", g->name);
		return;
	}
	if (g->due & DUE(ID_ORDER)) {
		say(g, "%s: still busy with the last order", g->name);
		return;
	}
	g->order = order;
	g->order_bytes = bytes;
	g->reclaimed = 0;
	send_order(g, now_ms);
}

/* ---- Replies ---- */

/* Reclaim is answered in slices: ask on until it is done, or nothing more goes. */
static void take_reclaimed(struct guest *g, const json_t *value, u64 now_ms)
{
	json_int_t n = json_integer_value(json_object_get(value, "reclaimed"));
	u64 went = n > 0 ? (u64)n : 0;

	g->reclaimed += MIN(went, g->order_bytes);
	g->order_bytes -= MIN(went, g->order_bytes);
	if (went && g->order_bytes)
		send_order(g, now_ms);
	else
		say(g, "%s: %s reclaimed", g->name, text_size(g->reclaimed).s);
}

static void take_order_reply(struct guest *g, const json_t *value, const char *error, u64 now_ms)
{
	if (error)
		say(g, "%s: %s", g->name, error);
	else if (g->order == ORDER_RECLAIM)
		take_reclaimed(g, value, now_ms);
	else if (g->order == ORDER_LIMIT)
		say(g, "%s: limit is now %s", g->name, text_size(g->order_bytes).s);
	else
		say(g, "%s: %s", g->name, g->order == ORDER_PAUSE ? "paused" : "running");
}

static void take_memory(struct guest *g, const json_t *value, const char *error)
{
	g->has_sample = !error;
	snprintf(g->problem, sizeof(g->problem), "%s", error ? error : "");
	if (!error)
		sample_read(&g->sample, value);
}

static void take_stats(struct guest *g, const json_t *value, const char *error)
{
	if (error)
		return;
	vitals_read(&g->vitals, value);
	g->has_vitals = true;
}

/* The first question need not wait for the next round. */
static void become_ready(struct guest *g, u64 now_ms)
{
	g->link = LINK_READY;
	guest_ask(g, now_ms, 0);
}

static void take_reply(struct guest *g, const json_t *object, u64 now_ms)
{
	const json_t *id = json_object_get(object, "id");
	const json_t *value = json_object_get(object, "return");
	const char *error =
		json_string_value(json_object_get(json_object_get(object, "error"), "desc"));
	json_int_t n = json_integer_value(id);

	if (!json_is_integer(id) || n < ID_NEGOTIATE || n > ID_ORDER || !(g->due & DUE(n)))
		return;
	g->due &= ~DUE(n);
	g->asked_ms = now_ms; /* it is alive: what else is due gets its full time again */
	if (!value && !error)
		error = "an answer without sense";
	if (n == ID_NEGOTIATE && error)
		hang_up(g, error, now_ms);
	else if (n == ID_NEGOTIATE)
		become_ready(g, now_ms);
	else if (n == ID_STATS)
		take_stats(g, value, error);
	else if (n == ID_MEMORY)
		take_memory(g, value, error);
	else
		take_order_reply(g, value, error, now_ms);
}

/* The greeting comes unasked; a server with too many clients sends an error in its place. */
static void take_greeting(struct guest *g, const json_t *object, u64 now_ms)
{
	const char *error =
		json_string_value(json_object_get(json_object_get(object, "error"), "desc"));

	if (!json_object_get(object, "QMP")) {
		hang_up(g, error ? error : "what answers does not speak QMP", now_ms);
		return;
	}
	g->due &= ~DUE(ID_GREETING);
	g->link = LINK_NEGOTIATING;
	request(g, ID_NEGOTIATE, now_ms, "\"execute\":\"qmp_capabilities\"");
}

static void take(struct guest *g, const json_t *object, u64 now_ms)
{
	if (json_object_get(object, "event"))
		return;
	if (g->link == LINK_GREETING)
		take_greeting(g, object, now_ms);
	else
		take_reply(g, object, now_ms);
}

short guest_events(const struct guest *g)
{
	return (short)(POLLIN | (g->wire.out_len ? POLLOUT : 0));
}

void guest_ready(struct guest *g, short revents, u64 now_ms)
{
	json_t *object;
	int ret = 0;

	if (!revents || g->link == LINK_NONE)
		return;
	if (revents & POLLOUT)
		ret = wire_flush(&g->wire);
	if (!ret)
		ret = wire_receive(&g->wire);
	for (int i = 0; !ret && g->link != LINK_NONE && i < MAX_AT_ONCE; i++) {
		int n = wire_next(&g->wire, &object);

		if (n <= 0) {
			ret = n;
			break;
		}
		take(g, object, now_ms);
		json_decref(object);
	}
	if (ret == -ECONNRESET)
		leave(g, now_ms);
	else if (ret)
		hang_up(g, "what answers does not speak QMP", now_ms);
}

u64 guest_silent_ms(const struct guest *g, u64 now_ms)
{
	u64 silent = g->due && now_ms > g->asked_ms ? now_ms - g->asked_ms : 0;

	return silent >= GUEST_TIMEOUT_MS ? silent : 0;
}

bool guest_settled(const struct guest *g)
{
	if (g->gone || (g->link == LINK_NONE && g->problem[0]))
		return true;
	return g->link == LINK_READY && !g->due && g->has_vitals;
}
