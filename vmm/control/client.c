// SPDX-License-Identifier: Apache-2.0
/*
 * The blocking QMP client. Contract in client.h.
 *
 * The socket itself never blocks: each call has one deadline for all its waits, and poll() is what
 * waits. The server is not trusted: a line has a greatest length, what is no object ends the
 * conversation, and its sentences are made harmless by err_set(). One thread uses a client.
 */
#include "vmm/control/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "vmm/control/rundir.h"

/* No reply of ours comes near this; it bounds what a server gone mad can make us hold. */
#define MAX_LINE (4 * MiB)
#define READ_MIN 4096u

struct client {
	int fd;
	bool negotiated;
	int timeout_ms;
	u64 deadline; /* of the call under way, in now_ms() */
	pid_t peer;
	char *buf; /* received and not yet consumed */
	size_t len, cap;
	char guest[]; /* as the user called it */
};

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* ---- Waiting, sending, receiving ---- */

static int set_timed_out(const struct client *c, struct err *err)
{
	return err_set(err, -ETIMEDOUT,
		       "guest %s: process %d does not answer (kill it if it hangs)", c->guest,
		       (int)c->peer);
}

static int set_gone(const struct client *c, struct err *err)
{
	return err_set(err, -ECONNRESET, "guest %s: closed the connection (it may just have ended)",
		       c->guest);
}

static int set_no_qmp(const struct client *c, struct err *err)
{
	return err_set(err, -EPROTO, "guest %s: what answers does not speak QMP", c->guest);
}

/* Until the socket is ready for @events. A signal does not prolong the wait. */
static int wait_for(const struct client *c, short events, struct err *err)
{
	struct pollfd fd = {.fd = c->fd, .events = events};
	u64 now;
	int ret;

	do {
		now = now_ms();
		ret = now < c->deadline ? poll(&fd, 1, (int)(c->deadline - now)) : 0;
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return err_set(err, -errno, "guest %s: %s", c->guest, strerror(errno));
	return ret ? 0 : set_timed_out(c, err);
}

/* Any failure to send means that nobody is there to read it. */
static int send_all(struct client *c, const char *data, size_t len, struct err *err)
{
	int ret;

	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return set_gone(c, err);
		ret = wait_for(c, POLLOUT, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Receive some more into c->buf. */
static int receive(struct client *c, struct err *err)
{
	size_t cap = MAX(2 * c->cap, READ_MIN);
	ssize_t n;
	char *buf;
	int ret;

	if (c->len == c->cap) {
		if (cap > MAX_LINE)
			return set_no_qmp(c, err);
		buf = realloc(c->buf, cap);
		if (!buf)
			return err_set(err, -ENOMEM, "guest %s: no memory for its reply", c->guest);
		c->buf = buf;
		c->cap = cap;
	}
	ret = wait_for(c, POLLIN, err);
	if (ret)
		return ret;
	n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		return set_gone(c, err);
	if (n > 0)
		c->len += (size_t)n;
	return 0;
}

/*
 * The next line as an object, which the caller owns. Servers send one object a line, so this side
 * needs no framing of its own; what follows in the buffer is moved up for the next call.
 */
static int receive_object(struct client *c, json_t **out, struct err *err)
{
	size_t searched = 0, line;
	char *end = NULL;
	json_t *object;
	int ret;

	for (;;) {
		if (c->len > searched)
			end = memchr(c->buf + searched, '\n', c->len - searched);
		if (end)
			break;
		searched = c->len;
		ret = receive(c, err);
		if (ret)
			return ret;
	}
	line = (size_t)(end + 1 - c->buf);
	object = json_loadb(c->buf, line, JSON_REJECT_DUPLICATES, NULL);
	memmove(c->buf, c->buf + line, c->len - line);
	c->len -= line;
	if (!json_is_object(object)) {
		json_decref(object);
		return set_no_qmp(c, err);
	}
	*out = object;
	return 0;
}

/* ---- Requests ---- */

static int send_request(struct client *c, const char *command, json_t *args, struct err *err)
{
	json_t *request = json_pack("{s:s, s:O*}", "execute", command, "arguments", args);
	char *text = json_dumps(request, JSON_COMPACT);
	int ret;

	json_decref(request);
	if (!text)
		return err_set(err, -EINVAL, "%s: no name for a command", command);
	ret = send_all(c, text, strlen(text), err);
	if (!ret)
		ret = send_all(c, "\n", 1, err);
	free(text);
	return ret;
}

/* What a server says when it refuses a command, or the whole connection. */
static int take_error(const struct client *c, const json_t *reply, struct err *err)
{
	const char *desc =
		json_string_value(json_object_get(json_object_get(reply, "error"), "desc"));

	return desc ? err_set(err, -EREMOTEIO, "%s", desc) : set_no_qmp(c, err);
}

/* Wait for an object with a member @key, or "error", skipping events; *out is that member. */
static int receive_reply(struct client *c, const char *key, json_t **out, struct err *err)
{
	json_t *reply = NULL;
	int ret;

	for (;;) {
		ret = receive_object(c, &reply, err);
		if (ret)
			return ret;
		if (!json_object_get(reply, "event"))
			break;
		json_decref(reply);
	}
	*out = json_incref(json_object_get(reply, key));
	if (!*out)
		ret = take_error(c, reply, err);
	json_decref(reply);
	return ret;
}

static int request(struct client *c, const char *command, json_t *args, json_t **ret,
		   struct err *err)
{
	int code = send_request(c, command, args, err);

	return code ? code : receive_reply(c, "return", ret, err);
}

/* The greeting is unasked for; a server that has too many clients sends an error in its place. */
static int negotiate(struct client *c, struct err *err)
{
	json_t *value;
	int ret = receive_reply(c, "QMP", &value, err);

	if (ret)
		return ret;
	json_decref(value);
	ret = request(c, "qmp_capabilities", NULL, &value, err);
	if (ret)
		return ret;
	json_decref(value);
	c->negotiated = true;
	return 0;
}

int client_execute(struct client *c, const char *command, json_t *args, json_t **ret,
		   struct err *err)
{
	json_t *value;
	int code = 0;

	c->deadline = now_ms() + (u64)c->timeout_ms;
	if (!c->negotiated)
		code = negotiate(c, err);
	if (!code)
		code = request(c, command, args, &value, err);
	if (code)
		return code;
	if (ret)
		*ret = value;
	else
		json_decref(value);
	return 0;
}

/* ---- The connection ---- */

/* A stale socket refuses connections: to the user that is the same as no socket. */
static int set_not_connected(const char *guest, int code, struct err *err)
{
	bool is_path = strchr(guest, '/');

	switch (code) {
	case -ENOENT:
	case -ECONNREFUSED:
		return is_path ? err_set(err, -ENOENT, "%s: no guest listens there", guest)
			       : err_set(err, -ENOENT, "no guest is named %s (quire ps lists them)",
					 guest);
	case -EAGAIN:
		return err_set(err, -ETIMEDOUT, "guest %s: accepts no connection (it may hang)",
			       guest);
	default:
		return err_set(err, code, "guest %s: %s", guest, strerror(-code));
	}
}

/* A UNIX socket whose backlog is full says EAGAIN at once: try again until the deadline. */
static int connect_at(const struct client *c, const char *path)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, path);
	while (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno != EINTR && (errno != EAGAIN || now_ms() >= c->deadline))
			return -errno;
		nanosleep(&moment, NULL);
	}
	return 0;
}

/* No name contains a '/', so a path can stand wherever a name can. */
static int find_socket(const char *guest, char path[RUNDIR_PATH_MAX], struct err *err)
{
	if (!strchr(guest, '/'))
		return rundir_socket_path(guest, path, err);
	if (strlen(guest) >= RUNDIR_PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%s: too long for a socket", guest);
	strcpy(path, guest);
	return 0;
}

int client_connect(struct client **out, const char *guest, int timeout_ms, struct err *err)
{
	struct client *c;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char path[RUNDIR_PATH_MAX];
	int ret = find_socket(guest, path, err);

	if (ret)
		return ret;
	c = calloc(1, sizeof(*c) + strlen(guest) + 1);
	if (!c)
		return err_set(err, -ENOMEM, "guest %s: no memory", guest);
	strcpy(c->guest, guest);
	c->timeout_ms = timeout_ms;
	c->deadline = now_ms() + (u64)timeout_ms;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ret = c->fd < 0 ? -errno : connect_at(c, path);
	if (ret) {
		client_close(c);
		return set_not_connected(guest, ret, err);
	}
	if (!getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		c->peer = peer.pid;
	*out = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

pid_t client_peer(const struct client *c)
{
	return c->peer;
}

int client_path(const char *path, char *out, struct err *err)
{
	char here[PATH_MAX] = "";
	int n;

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	n = snprintf(out, PATH_MAX, "%s%s%s", here, here[0] ? "/" : "", path);
	return n < PATH_MAX ? 0 : err_set(err, -ENAMETOOLONG, "%s: name too long", path);
}
