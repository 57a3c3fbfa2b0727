// SPDX-License-Identifier: Apache-2.0
/*
 * How fast the line is, found out and answered. Contract in line_probe.h.
 *
 * The asking side runs on whichever thread plans; the answering one has a thread for each
 * connection (incoming_probe.c), which the owner ends by cutting it. Neither shares anything.
 */
#include "vmm/migrate/line_probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "mm/base/clock.h"
#include "vmm/migrate/talk.h"

/* Enough to learn from; and then it stops. */
#define ENOUGH_NS  ((u64)40000000)
#define MESSAGE	   ((u32)(64 * KiB))
#define MAX_BYTES  ((u64)256 * MiB)
#define TIMEOUT_MS 3000
#define ANSWER_MS  10000
#define STEP_MS	   50

/* So many answers say how long one takes. */
#define ANSWERS 4

/* A guest may come at any time: nobody keeps the door shut for longer. */
#define SERVE_NS ((u64)5000000000)

/* ---- The source ---- */

struct probing {
	const struct migrate_probe_order *order;
	struct wire *w;
	void *data; /* MESSAGE bytes */
	struct err *err;
};

/* Waits in short steps: whoever cancels does not wait for a slow line. */
static int hear(struct probing *p, u32 type, struct wire_message *msg)
{
	int ret = -ETIMEDOUT;

	for (u32 ms = 0; ret == -ETIMEDOUT && ms < ANSWER_MS; ms += STEP_MS) {
		if (p->order->is_cancelled && p->order->is_cancelled(p->order->opaque))
			return err_set(p->err, -ECANCELED, "cancelled");
		ret = migrate_expect(p->w, type, STEP_MS, msg, p->err);
	}
	return ret;
}

static int exchange(struct probing *p, u64 bytes, u64 *ns)
{
	u64 since = now_ns();
	struct wire_message msg;
	int ret = 0;

	for (u64 at = 0; at < bytes && !ret; at += MESSAGE)
		ret = wire_send(p->w, MIGRATE_PAGES, p->data, MESSAGE, p->err);
	if (!ret)
		ret = wire_send(p->w, MIGRATE_FLUSH, NULL, 0, p->err);
	if (!ret)
		ret = hear(p, MIGRATE_READY, &msg);
	*ns = MAX(now_ns() - since, 1);
	return ret;
}

/* The first exchanges are for TCP to find its window. */
static int measure(struct probing *p, struct migrate_probe *probe)
{
	u64 ns = 0, sum = 0;
	int ret = 0;

	for (u32 i = 0; i < ANSWERS && !ret; i++) {
		ret = exchange(p, 0, &ns);
		sum += ns;
	}
	probe->answer_ns = sum / ANSWERS;
	ns = 0;
	for (u64 bytes = MESSAGE; !ret && ns < ENOUGH_NS && bytes <= MAX_BYTES; bytes *= 2) {
		ret = exchange(p, bytes, &ns);
		/* the word back is no part of what the line takes */
		probe->rate = (double)bytes * 1e9 /
			      (double)MAX(ns - MIN(probe->answer_ns, ns), ns / 4);
	}
	return ret;
}

static int greet(struct probing *p)
{
	struct migrate_hello hello;
	struct wire_message msg;
	u8 session[16];
	int ret;

	if (getrandom(session, sizeof(session), 0) != sizeof(session))
		return err_set(p->err, -EIO, "no random numbers");
	ret = migrate_say_hello(p->w, session, MIGRATE_PROBE, 0, p->err);
	if (!ret)
		ret = hear(p, MIGRATE_HELLO, &msg);
	return ret ? ret : migrate_check_hello(&msg, &hello, p->err);
}

int migrate_probe(const struct migrate_probe_order *order, struct migrate_probe *probe,
		  struct err *err)
{
	const struct wire_config cfg = {
		.psk_file = order->psk_file,
		.timeout_ms = TIMEOUT_MS,
		.is_cancelled = order->is_cancelled,
		.opaque = order->opaque,
	};
	struct probing p = {.order = order, .err = err};
	u64 since = now_ns();
	int ret = wire_connect(&p.w, order->address, &cfg, err);

	if (ret)
		return ret;
	p.data = calloc(1, MESSAGE);
	ret = p.data ? greet(&p) : err_set(err, -ENOMEM, "out of memory");
	probe->connect_ns = now_ns() - since;
	if (!ret)
		ret = measure(&p, probe);
	free(p.data);
	wire_close(p.w);
	return ret;
}

/* ---- The destination ---- */

void migrate_probe_serve(struct wire *w)
{
	u64 until = now_ns() + SERVE_NS;
	struct wire_message msg;
	struct err err;

	while (now_ns() < until && !migrate_receive(w, TIMEOUT_MS, &msg, &err)) {
		if (msg.type == MIGRATE_PAGES)
			continue;
		if (msg.type != MIGRATE_FLUSH || wire_send(w, MIGRATE_READY, NULL, 0, &err))
			return;
	}
}
