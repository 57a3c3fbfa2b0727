// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses and sockets. Contract in socket.h.
 *
 * A socket file outlives the process that listened on it. It is taken for stale when a connection
 * to it is refused, and then removed; a file that is no socket never is. Two that come for the same
 * stale file at the same moment may remove each other's: who starts two listeners at one address is
 * not helped, only a restart after a crash is.
 */
#include "mm/wire/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/base/clock.h"

/* Strangers fill it while nobody is accepted; who comes after them is to find room. */
#define BACKLOG	    128
#define SOCKET_TYPE (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

/*
 * A UNIX socket holds so much on its way (the kernel doubles it). With less the two ends take turns
 * instead of overlap; with megabytes what is read has left the cache, for a quarter more time.
 */
#define LOCAL_BUFFER (int)(256 * KiB)
#define UNSENT	     (128 * 1024)

/* ---- Addresses ---- */

static int parse_path(struct socket_place *place, const char *path, const char *address,
		      struct err *err)
{
	if (!*path)
		return err_set(err, -EINVAL, "%s: the path is missing (write unix:PATH)", address);
	if (strlen(path) >= sizeof(place->un.sun_path))
		return err_set(err, -EINVAL, "%s: the path of a socket has at most %zu bytes",
			       address, sizeof(place->un.sun_path) - 1);
	place->local = true;
	place->un.sun_family = AF_UNIX;
	strcpy(place->un.sun_path, path);
	return 0;
}

static bool is_port(const char *text)
{
	size_t len = strlen(text);

	return len && len <= 5 && strspn(text, "0123456789") == len && atoi(text) <= 65535;
}

static int parse_host(struct socket_place *place, const char *text, const char *address,
		      struct err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (!len || !is_port(colon + 1))
		return err_set(err, -EINVAL,
			       "%s: not a host and a port (write tcp:HOST:PORT, 0 to 65535)",
			       address);
	if (!brackets && (memchr(text, ':', len) || memchr(text, '[', len)))
		return err_set(err, -EINVAL, "%s: an IPv6 address needs brackets (tcp:[::1]:4444)",
			       address);
	if (brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(place->host))
		return err_set(err, -EINVAL, "the name of the host is too long (at most %zu bytes)",
			       sizeof(place->host) - 1);
	memcpy(place->host, text, len);
	strcpy(place->port, colon + 1);
	return 0;
}

int socket_parse(struct socket_place *place, const char *address, struct err *err)
{
	*place = (struct socket_place){.local = false};
	if (!strncmp(address, "unix:", 5))
		return parse_path(place, address + 5, address, err);
	if (!strncmp(address, "tcp:", 4))
		return parse_host(place, address + 4, address, err);
	return err_set(err, -EINVAL, "%s: not an address (write tcp:HOST:PORT or unix:PATH)",
		       address);
}

void socket_name(const struct sockaddr_storage *addr, socklen_t len, char name[SOCKET_NAME_SIZE])
{
	char host[SOCKET_HOST_SIZE] = "?", port[8] = "?";
	bool six = addr->ss_family == AF_INET6;

	getnameinfo((const struct sockaddr *)addr, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(name, SOCKET_NAME_SIZE, six ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
}

/* ---- Listening ---- */

static int bind_and_listen(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (bind(fd, addr, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

/* Whether there is a socket that nobody listens on. */
static bool is_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd;
	bool stale;

	if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCKET_TYPE, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int listen_local(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCKET_TYPE, 0), ret;

	if (fd < 0)
		return -errno;
	/* the file gets the mode of the socket: there is no moment with another one */
	if (fchmod(fd, 0600) < 0) {
		ret = -errno;
		goto out_close;
	}
	ret = bind_and_listen(fd, (const struct sockaddr *)un, sizeof(*un));
	if (ret == -EADDRINUSE && is_stale(un)) {
		unlink(un->sun_path);
		ret = bind_and_listen(fd, (const struct sockaddr *)un, sizeof(*un));
	}
	if (!ret)
		return fd;

out_close:
	close(fd);
	return ret;
}

static int listen_at(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCKET_TYPE, 0), one = 1, ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = bind_and_listen(fd, ai->ai_addr, ai->ai_addrlen);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int socket_listen(const struct socket_place *place, const char *address,
		  const struct socket_patience *p, struct err *err)
{
	struct addrinfo *found;
	int ret;

	if (place->local) {
		ret = listen_local(&place->un);
	} else {
		ret = socket_lookup(&found, place, AI_PASSIVE, address, p, err);
		if (ret)
			return ret;
		ret = -EADDRNOTAVAIL;
		for (struct addrinfo *ai = found; ai && ret < 0; ai = ai->ai_next)
			ret = listen_at(ai);
		freeaddrinfo(found);
	}
	if (ret < 0)
		err_set(err, ret, "%s: cannot listen there: %s", address, strerror(-ret));
	return ret;
}

/* ---- Connecting ---- */

static int connect_within(int fd, const struct sockaddr *addr, socklen_t len,
			  const struct socket_patience *p)
{
	socklen_t size = sizeof(int);
	int ret;

	while (connect(fd, addr, len) < 0) {
		if (errno == EINPROGRESS) {
			ret = socket_wait_patiently(fd, POLLOUT, p);
			if (!ret && getsockopt(fd, SOL_SOCKET, SO_ERROR, &ret, &size) < 0)
				return -errno;
			return ret > 0 ? -ret : ret;
		}
		/* the queue of a UNIX listener is full: nothing tells when it no longer is */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (now_ns() >= p->deadline)
			return -ETIMEDOUT;
		if (socket_is_cancelled(p))
			return -ECANCELED;
		poll(NULL, 0, 5);
	}
	return 0;
}

static int connect_to(int family, const struct sockaddr *addr, socklen_t len,
		      const struct socket_patience *p)
{
	int fd = socket(family, SOCKET_TYPE, 0), ret;

	if (fd < 0)
		return -errno;
	ret = connect_within(fd, addr, len, p);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int socket_connect(const struct socket_place *place, const char *address,
		   const struct socket_patience *p, struct err *err)
{
	struct addrinfo *found;
	int ret;

	if (place->local) {
		ret = connect_to(AF_UNIX, (const struct sockaddr *)&place->un, sizeof(place->un),
				 p);
	} else {
		ret = socket_lookup(&found, place, 0, address, p, err);
		if (ret)
			return ret;
		ret = -EADDRNOTAVAIL;
		for (struct addrinfo *ai = found; ai && ret < 0 && ret != -ECANCELED;
		     ai = ai->ai_next)
			ret = connect_to(ai->ai_family, ai->ai_addr, ai->ai_addrlen, p);
		freeaddrinfo(found);
	}
	if (ret == -ECANCELED)
		return err_set(err, ret, "%s: connecting was ended here", address);
	if (ret < 0)
		err_set(err, ret, "%s: cannot connect: %s (is the other side listening there?)",
			address, strerror(-ret));
	return ret;
}

/*
 * None of this is needed for it to work, so nothing is checked. TCP's buffers are left alone: they
 * grow by themselves, further than we may set them.
 */
void socket_prepare(int fd, bool local, u32 timeout_ms)
{
	int size = LOCAL_BUFFER, one = 1, unsent = UNSENT,
	    ms = (int)MIN(timeout_ms, (u32)INT32_MAX);
	int seconds = MAX(1, ms / 2000);

	if (local) {
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* what waits here to be sent makes what is more urgent wait for the wire */
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	/* a host that has vanished answers nothing: neither what was sent nor a question */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}
