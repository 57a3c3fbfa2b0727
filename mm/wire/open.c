// SPDX-License-Identifier: Apache-2.0
/*
 * How connections come to be: connecting, and what both sides do before the first message.
 * Contracts in wire.h and impl.h.
 *
 * Each side greets at once, and then reads the other's greeting. So both learn at the same time
 * whether they understand each other, and whether one has a key and the other has not: nobody has
 * to guess from silence. The greeting is not protected, and need not be: a side that has a key
 * speaks TLS or not at all.
 *
 * None of it waits: whoever listens hears many at once (listen.c).
 */
#include "mm/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "mm/wire/impl.h"

#define USUAL_TIMEOUT_MS 10000

int wire_check_address(const char *address, struct err *err)
{
	struct socket_place place;

	return socket_parse(&place, address, err);
}

int wire_check_key(const char *psk_file, struct err *err)
{
	struct tls_key key;
	int ret = tls_read_key(&key, psk_file, err);

	if (!ret)
		tls_wipe_key(&key);
	return ret;
}

u32 wire_timeout(const struct wire_config *cfg)
{
	return cfg->timeout_ms ? MIN(cfg->timeout_ms, (u32)INT32_MAX) : USUAL_TIMEOUT_MS;
}

/* ---- The greeting and the key ---- */

static int send_greeting(const struct wire *w, u32 flags)
{
	struct wire_greeting g = {.version = WIRE_VERSION, .flags = flags};
	ssize_t n;

	memcpy(g.magic, WIRE_MAGIC, sizeof(g.magic));
	/* nothing was sent before: there is room */
	n = send(w->fd, &g, sizeof(g), MSG_NOSIGNAL);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return n == sizeof(g) ? 0 : -EIO;
}

static int receive_greeting(struct wire_opening *o)
{
	struct wire_greeting *g = &o->heard;
	ssize_t n;

	while (o->nr_heard < sizeof(*g)) {
		n = recv(o->w->fd, (u8 *)g + o->nr_heard, sizeof(*g) - o->nr_heard, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (!n || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0)
			return -errno;
		o->nr_heard += (u32)n;
		/* who is no quire at all may wait for us to answer what it said */
		if (memcmp(g->magic, WIRE_MAGIC, MIN(o->nr_heard, (u32)sizeof(g->magic))) != 0)
			return -EBADMSG;
	}
	return 0;
}

/* Whether the two sides understand each other. */
static int check_greeting(const struct wire_opening *o, struct err *err)
{
	const struct wire_greeting *g = &o->heard;
	const char *peer = o->w->peer;

	if (g->version != WIRE_VERSION)
		return err_set(err, -EBADMSG,
			       "%s: the other side speaks version %u, this one %u (use one quire)",
			       peer, g->version, WIRE_VERSION);
	if (g->flags & ~WIRE_HAS_TLS)
		return err_set(err, -EBADMSG, "%s: the other side wants what is not known here",
			       peer);
	if (o->key && !(g->flags & WIRE_HAS_TLS))
		return err_set(err, -EACCES,
			       "%s: the other side has no key (give both the same, or none)", peer);
	if (!o->key && g->flags & WIRE_HAS_TLS)
		return err_set(err, -EACCES,
			       "%s: the other side wants a key (give both the same, or none)",
			       peer);
	return 0;
}

static int hear_greeting(struct wire_opening *o, struct err *err)
{
	int ret = receive_greeting(o);

	if (ret == -EAGAIN)
		return ret;
	if (ret == -EBADMSG)
		return err_set(err, ret, "%s: the other side is not quire", o->w->peer);
	if (ret)
		return wire_failed(o->w, ret, err);
	return check_greeting(o, err);
}

static int shake_hands(struct wire_opening *o, short *events, struct err *err)
{
	const char *why = NULL;
	struct wire *w = o->w;
	int ret = w->tls ? 0 : tls_create(&w->tls, w->fd, o->server, o->key, err);

	if (ret)
		return ret;
	ret = tls_handshake(w->tls, events, &why);
	if (ret == -EACCES)
		return err_set(err, ret, "%s: TLS: %s (have both sides the same key?)", w->peer,
			       why);
	return ret && ret != -EAGAIN ? wire_failed(w, ret, err) : ret;
}

int wire_open_begin(struct wire_opening *o, struct err *err)
{
	int ret = send_greeting(o->w, o->key ? WIRE_HAS_TLS : 0);

	return ret ? wire_failed(o->w, ret, err) : 0;
}

int wire_open_on(struct wire_opening *o, short *events, struct err *err)
{
	int ret = 0;

	*events = POLLIN;
	if (o->nr_heard < sizeof(o->heard))
		ret = hear_greeting(o, err);
	if (!ret && o->key && !o->done)
		ret = shake_hands(o, events, err);
	o->done = !ret;
	return ret;
}

/* ---- Connecting ---- */

/* What both sides do first, of which the connection is the caller's to close. */
static int open_wire(struct wire *w, const struct tls_key *key, const struct socket_patience *p,
		     struct err *err)
{
	struct wire_opening o = {.w = w, .key = key};
	int ret = wire_open_begin(&o, err), wait;
	short events;

	while (!ret && !o.done) {
		ret = wire_open_on(&o, &events, err);
		if (ret != -EAGAIN)
			continue;
		wait = socket_wait_patiently(w->fd, events, p);
		ret = wait ? wire_failed(w, wait, err) : 0;
	}
	return ret;
}

static int connect_wire(struct wire **out, const struct socket_place *place, const char *address,
			const struct wire_config *cfg, const struct tls_key *key, struct err *err)
{
	const struct socket_patience p = {
		.deadline = socket_deadline((int)wire_timeout(cfg)),
		.is_cancelled = cfg->is_cancelled,
		.opaque = cfg->opaque,
	};
	struct wire *w;
	int fd = socket_connect(place, address, &p, err), ret;

	if (fd < 0)
		return fd;
	ret = wire_wrap(&w, fd, place->local && !key, address, wire_timeout(cfg), err);
	if (ret)
		return ret;
	socket_prepare(fd, place->local, wire_timeout(cfg));
	ret = open_wire(w, key, &p, err);
	if (ret)
		wire_close(w);
	else
		*out = w;
	return ret;
}

int wire_connect(struct wire **out, const char *address, const struct wire_config *cfg,
		 struct err *err)
{
	struct socket_place place;
	struct tls_key key;
	int ret = socket_parse(&place, address, err);

	if (!ret && cfg->psk_file)
		ret = tls_read_key(&key, cfg->psk_file, err);
	if (ret)
		return ret;
	ret = connect_wire(out, &place, address, cfg, cfg->psk_file ? &key : NULL, err);
	if (cfg->psk_file)
		tls_wipe_key(&key);
	return ret;
}
