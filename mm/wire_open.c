// SPDX-License-Identifier: Apache-2.0
/*
 * How connections come to be: listening, connecting, and what both sides do before the first
 * message. Contracts in wire.h.
 *
 * Each side greets at once, and then reads the other's greeting. So both learn at the same time
 * whether they understand each other, and whether one has a key and the other has not: nobody has
 * to guess from silence. The greeting is not protected, and need not be: a side that has a key
 * speaks TLS or not at all.
 *
 * All of it has one deadline: a stranger who says a byte now and then must not hold a listener up.
 */
#include "mm/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/clock.h"
#include "mm/wire_impl.h"

#define USUAL_TIMEOUT_MS 10000

struct wire_listener {
	int fd;
	int stop_fd; /* an eventfd: nobody is accepted any more */
	bool local;
	bool has_key;
	u32 timeout_ms;
	struct tls_key key;
	char name[SOCKET_NAME_SIZE];
	/* the socket file, to remove only our own */
	dev_t dev;
	ino_t ino;
};

int wire_check_address(const char *address, struct err *err)
{
	struct socket_place place;

	return socket_parse(&place, address, err);
}

static u32 timeout_of(const struct wire_config *cfg)
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

static int receive_greeting(const struct wire *w, struct wire_greeting *g, u64 deadline)
{
	u32 done = 0;
	ssize_t n;
	int ret;

	memset(g, 0, sizeof(*g));
	while (done < sizeof(*g)) {
		n = recv(w->fd, (u8 *)g + done, sizeof(*g) - done, 0);
		if (n > 0) {
			done += (u32)n;
			/* who is no quire at all may wait for us to answer what it said */
			if (memcmp(g->magic, WIRE_MAGIC, MIN(done, (u32)sizeof(g->magic))) != 0)
				return -EBADMSG;
			continue;
		}
		if (!n || errno == ECONNRESET)
			return -EPIPE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ret = socket_wait(w->fd, POLLIN, w->stop_fd, deadline);
		if (ret)
			return ret;
	}
	return 0;
}

static int greet(const struct wire *w, bool has_key, u64 deadline, struct err *err)
{
	struct wire_greeting g;
	int ret = send_greeting(w, has_key ? WIRE_HAS_TLS : 0);

	if (!ret)
		ret = receive_greeting(w, &g, deadline);
	if (ret == -EBADMSG)
		return err_set(err, ret, "%s: the other side is not quire", w->peer);
	if (ret)
		return wire_failed(w, ret, err);
	if (g.version != WIRE_VERSION)
		return err_set(err, -EBADMSG,
			       "%s: the other side speaks version %u, this one %u (use one quire)",
			       w->peer, g.version, WIRE_VERSION);
	if (g.flags & ~WIRE_HAS_TLS)
		return err_set(err, -EBADMSG, "%s: the other side wants what is not known here",
			       w->peer);
	if (has_key && !(g.flags & WIRE_HAS_TLS))
		return err_set(err, -EACCES,
			       "%s: the other side has no key (give both the same, or none)",
			       w->peer);
	if (!has_key && g.flags & WIRE_HAS_TLS)
		return err_set(err, -EACCES,
			       "%s: the other side wants a key (give both the same, or none)",
			       w->peer);
	return 0;
}

static int start_tls(struct wire *w, bool server, const struct tls_key *key, u64 deadline,
		     struct err *err)
{
	const char *why = NULL;
	short events;
	int ret = tls_create(&w->tls, w->fd, server, key, err);

	if (ret)
		return ret;
	do {
		ret = tls_handshake(w->tls, &events, &why);
		if (ret == -EAGAIN)
			ret = socket_wait(w->fd, events, w->stop_fd, deadline) ?: -EAGAIN;
	} while (ret == -EAGAIN);
	if (ret == -EACCES)
		return err_set(err, ret, "%s: TLS: %s (have both sides the same key?)", w->peer,
			       why);
	return ret ? wire_failed(w, ret, err) : 0;
}

/* A connection from @fd, which is taken over; what both sides do first is done. */
static int open_wire(struct wire **out, const struct wire *like, bool server,
		     const struct tls_key *key, u64 deadline, struct err *err)
{
	struct wire *w;
	int ret = wire_wrap(&w, like->fd, like->local && !key, like->peer, like->timeout_ms, err);

	if (ret)
		return ret;
	socket_prepare(w->fd, like->local, w->timeout_ms);
	w->stop_fd = like->stop_fd;
	ret = greet(w, key, deadline, err);
	if (!ret && key)
		ret = start_tls(w, server, key, deadline, err);
	if (ret) {
		wire_close(w);
		return ret;
	}
	w->stop_fd = -1;
	*out = w;
	return 0;
}

/* ---- Connecting ---- */

int wire_connect(struct wire **out, const char *address, const struct wire_config *cfg,
		 struct err *err)
{
	struct wire like = {.stop_fd = -1, .timeout_ms = timeout_of(cfg)};
	u64 deadline = socket_deadline((int)like.timeout_ms);
	struct socket_place place;
	struct tls_key key;
	int ret = socket_parse(&place, address, err);

	if (!ret && cfg->psk_file)
		ret = tls_read_key(&key, cfg->psk_file, err);
	if (ret)
		return ret;
	ret = like.fd = socket_connect(&place, address, deadline, err);
	if (ret >= 0) {
		like.local = place.local;
		snprintf(like.peer, sizeof(like.peer), "%s", address);
		ret = open_wire(out, &like, false, cfg->psk_file ? &key : NULL, deadline, err);
	}
	if (cfg->psk_file)
		tls_wipe_key(&key);
	return ret;
}

/* ---- Listening ---- */

static void name_listener(struct wire_listener *l, const char *address)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(addr);
	struct stat st;

	if (l->local) {
		snprintf(l->name, sizeof(l->name), "%s", address);
		if (!lstat(address + strlen("unix:"), &st)) {
			l->dev = st.st_dev;
			l->ino = st.st_ino;
		}
		return;
	}
	getsockname(l->fd, (struct sockaddr *)&addr, &len);
	socket_name(&addr, len, l->name);
}

int wire_listen(struct wire_listener **out, const char *address, const struct wire_config *cfg,
		struct err *err)
{
	struct wire_listener *l;
	struct socket_place place;
	int ret = socket_parse(&place, address, err);

	if (ret)
		return ret;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "%s: no memory to listen", address);
	l->local = place.local;
	l->has_key = cfg->psk_file;
	l->timeout_ms = timeout_of(cfg);
	if (l->has_key && (ret = tls_read_key(&l->key, cfg->psk_file, err)))
		goto out_free;
	ret = l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ret < 0) {
		ret = err_set(err, -errno, "%s: no event descriptor: %s", address, strerror(errno));
		goto out_wipe;
	}
	ret = l->fd = socket_listen(&place, address, err);
	if (ret < 0)
		goto out_close;
	name_listener(l, address);
	*out = l;
	return 0;

out_close:
	close(l->stop_fd);
out_wipe:
	tls_wipe_key(&l->key);
out_free:
	free(l);
	return ret;
}

const char *wire_address(const struct wire_listener *l)
{
	return l->name;
}

void wire_stop_listening(struct wire_listener *l)
{
	eventfd_write(l->stop_fd, 1);
}

void wire_unlisten(struct wire_listener *l)
{
	const char *path;
	struct stat st;

	if (!l)
		return;
	path = l->name + strlen("unix:");
	if (l->local && !lstat(path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(path);
	close(l->fd);
	close(l->stop_fd);
	tls_wipe_key(&l->key);
	free(l);
}

/* ---- Accepting ---- */

/* The next connection's descriptor, or -errno. Who has given up again is passed over. */
static int accept_one(const struct wire_listener *l, struct wire *like, u64 deadline)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	socklen_t len;
	int ret, fd;

	for (;;) {
		len = sizeof(addr);
		ret = socket_wait(l->fd, POLLIN, l->stop_fd, deadline);
		if (ret)
			return ret;
		fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
	}
	if (l->local)
		memcpy(like->peer, l->name, sizeof(l->name));
	else
		socket_name(&addr, len, like->peer);
	return fd;
}

int wire_accept(struct wire_listener *l, int timeout_ms, struct wire **out, struct err *err)
{
	struct wire like = {
		.stop_fd = l->stop_fd,
		.local = l->local,
		.timeout_ms = l->timeout_ms,
	};
	u64 deadline = socket_deadline(timeout_ms);
	int ret;

	for (;;) {
		ret = like.fd = accept_one(l, &like, deadline);
		if (ret == -ETIMEDOUT)
			return err_set(err, ret, "%s: nobody has connected", l->name);
		if (ret == -ECANCELED)
			return err_set(err, ret, "%s: listening was ended here", l->name);
		if (ret < 0)
			return err_set(err, ret, "%s: cannot accept: %s", l->name, strerror(-ret));
		ret = open_wire(out, &like, true, l->has_key ? &l->key : NULL,
				socket_deadline((int)l->timeout_ms), err);
		/* it hung up at once, as who only looks whether somebody listens */
		if (ret != -EPIPE)
			return ret;
	}
}
