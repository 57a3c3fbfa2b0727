// SPDX-License-Identifier: Apache-2.0
/*
 * Listeners, and who comes there. Contracts in wire.h.
 *
 * Whoever connects is a visitor until his first message has come, and anybody can connect who
 * reaches the address. So visitors are heard all at once, none of them is waited for, and there are
 * no more than so many: one that says nothing costs a descriptor for a while. The newest always
 * gets in, since among silent strangers it is the one that is awaited, if any is.
 *
 *	connected --- greeting, handshake (open.c) ---> open --- first message ---> handed out
 */
#include "mm/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/wire/impl.h"

struct visitor {
	struct wire_opening opening; /* .w NULL: nobody */
	u64 until;		     /* his first message is to be here */
	short events;		     /* that are waited for; there is nothing to do before */
};

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
	struct visitor visitors[WIRE_MOST_WAITING];
};

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
	const struct socket_patience p = {.deadline = socket_deadline((int)wire_timeout(cfg))};
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
	l->timeout_ms = wire_timeout(cfg);
	if (l->has_key && (ret = tls_read_key(&l->key, cfg->psk_file, err)))
		goto out_free;
	ret = l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ret < 0) {
		ret = err_set(err, -errno, "%s: no event descriptor: %s", address, strerror(errno));
		goto out_wipe;
	}
	ret = l->fd = socket_listen(&place, address, &p, err);
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

void wire_go_on_listening(struct wire_listener *l)
{
	eventfd_t n;

	eventfd_read(l->stop_fd, &n);
}

static void send_away(struct visitor *v)
{
	wire_close(v->opening.w);
	v->opening.w = NULL;
}

void wire_unlisten(struct wire_listener *l)
{
	const char *path;
	struct stat st;

	if (!l)
		return;
	for (u32 i = 0; i < WIRE_MOST_WAITING; i++)
		send_away(&l->visitors[i]);
	path = l->name + strlen("unix:");
	if (l->local && !lstat(path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(path);
	close(l->fd);
	close(l->stop_fd);
	tls_wipe_key(&l->key);
	free(l);
}

/* ---- Who comes ---- */

/* A place for one more: where nobody is, or else where somebody has been for longest. */
static struct visitor *make_room(struct wire_listener *l)
{
	struct visitor *oldest = l->visitors;

	for (u32 i = 0; i < WIRE_MOST_WAITING; i++) {
		struct visitor *v = &l->visitors[i];

		if (!v->opening.w)
			return v;
		if (v->until < oldest->until)
			oldest = v;
	}
	send_away(oldest);
	return oldest;
}

static int let_in(struct wire_listener *l, int fd, const char *peer, struct err *err)
{
	struct visitor *v = make_room(l);
	struct wire *w;
	int ret = wire_wrap(&w, fd, l->local && !l->has_key, peer, l->timeout_ms, err);

	if (ret)
		return ret;
	socket_prepare(fd, l->local, l->timeout_ms);
	*v = (struct visitor){
		.opening = {.w = w, .server = true, .key = l->has_key ? &l->key : NULL},
		.until = socket_deadline((int)l->timeout_ms),
		.events = POLLIN,
	};
	ret = wire_open_begin(&v->opening, err);
	if (ret)
		send_away(v);
	return ret;
}

static int accept_one(struct wire_listener *l, struct err *err)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(addr);
	char peer[SOCKET_NAME_SIZE];
	int fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), ret;

	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return 0;
	if (fd < 0) {
		ret = err_set(err, -errno, "%s: cannot accept: %s", l->name, strerror(errno));
		poll(NULL, 0, 10); /* it may be one that lasts, such as too many descriptors */
		return ret;
	}
	if (l->local)
		memcpy(peer, l->name, sizeof(peer));
	else
		socket_name(&addr, len, peer);
	ret = let_in(l, fd, peer, err);
	return ret == -EPIPE ? 0 : ret;
}

/* Hear what there is to be heard of a visitor: 0, he is done. */
static int hear(struct visitor *v, struct wire_message *first, struct err *err)
{
	struct wire *w = v->opening.w;
	int ret = wire_open_on(&v->opening, &v->events, err);

	if (ret || !first)
		return ret;
	ret = wire_receive_on(w, WIRE_FIRST_SIZE, first);
	return ret && ret != -EAGAIN ? wire_failed(w, ret, err) : ret;
}

/* Hear those who have something to say, as @polled has it. -EAGAIN: none of them is done. */
static int hear_all(struct wire_listener *l, const struct pollfd *polled, struct wire **out,
		    struct wire_message *first, struct err *err)
{
	for (u32 i = 0; i < WIRE_MOST_WAITING; i++) {
		struct visitor *v = &l->visitors[i];
		int ret = -EAGAIN;

		if (!v->opening.w)
			continue;
		if (polled[i].revents)
			ret = hear(v, first, err);
		if (ret == -EAGAIN && !socket_ms_left(v->until))
			ret = wire_failed(v->opening.w, -ETIMEDOUT, err);
		if (ret == -EAGAIN)
			continue;
		if (!ret) {
			*out = v->opening.w;
			v->opening.w = NULL;
			return 0;
		}
		send_away(v);
		/* it hung up at once, as who only looks whether somebody listens */
		if (ret != -EPIPE)
			return ret;
	}
	return -EAGAIN;
}

/* ---- Waiting ---- */

enum { STOP = WIRE_MOST_WAITING, LISTENER, NR_POLLED };

/* Until there is something to do, or one of the deadlines is over; or a little less. */
static void wait_for_any(const struct wire_listener *l, struct pollfd polled[NR_POLLED],
			 u64 deadline)
{
	for (u32 i = 0; i < WIRE_MOST_WAITING; i++) {
		const struct visitor *v = &l->visitors[i];

		polled[i] = (struct pollfd){.fd = -1};
		if (!v->opening.w)
			continue;
		polled[i] = (struct pollfd){.fd = v->opening.w->fd, .events = v->events};
		deadline = MIN(deadline, v->until);
	}
	polled[STOP] = (struct pollfd){.fd = l->stop_fd, .events = POLLIN};
	polled[LISTENER] = (struct pollfd){.fd = l->fd, .events = POLLIN};
	/* an error, such as a signal, leaves the results as they are: empty */
	poll(polled, NR_POLLED, socket_ms_left(deadline));
}

int wire_accept(struct wire_listener *l, int timeout_ms, struct wire **out,
		struct wire_message *first, struct err *err)
{
	struct pollfd polled[NR_POLLED];
	u64 deadline = socket_deadline(timeout_ms);
	bool over;
	int ret;

	do {
		over = !socket_ms_left(deadline); /* then this is the last look */
		wait_for_any(l, polled, deadline);
		if (polled[STOP].revents)
			return err_set(err, -ECANCELED, "%s: listening was ended here", l->name);
		ret = hear_all(l, polled, out, first, err);
		if (ret != -EAGAIN)
			return ret;
		if (polled[LISTENER].revents && (ret = accept_one(l, err)))
			return ret;
	} while (!over);
	return err_set(err, -ETIMEDOUT, "%s: nobody has connected", l->name);
}
