// SPDX-License-Identifier: Apache-2.0
/*
 * The control socket on libuv: accept, read, write, drop. What the bytes mean is for
 * vmm/control/qmp.h.
 *
 * The loop only watches descriptors (uv_poll_t); the socket calls are made here, because the last
 * lines must still be written after the loop has stopped.
 *
 * A client may have to be dropped (its descriptor closed, its slot freed) while one of its own
 * requests is being served: the event that "stop" raises may find it gone. Its memory therefore
 * goes only in the close callback of its handle, which the loop runs when no request is under way.
 */
#include "vmm/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "vmm/control/checkpoint_json.h"
#include "vmm/control/memory_json.h"
#include "vmm/control/migrate_json.h"
#include "vmm/control/qmp.h"
#include "vmm/control/qmp_event.h"
#include "vmm/control/rundir.h"

#define READ_SIZE 4096u
#define FLUSH_MS  1000u
#define NS_PER_MS 1000000u
#define TOO_MANY_CLIENTS \
	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"too many clients\"}}\r\n"

/* The server's side of one client. */
struct conn {
	uv_poll_t poll;
	struct control *control;
	unsigned int slot;
	int fd;	    /* -1 once dropped */
	bool ended; /* will send no more, but may still be reading */
	struct qmp *qmp;
	/* What the socket did not take yet: out[out_start .. out_end). */
	char *out;
	size_t out_start, out_end, out_cap;
};

struct control {
	uv_poll_t poll; /* of listen_fd */
	uv_loop_t *loop;
	pthread_t main; /* the loop's */
	struct machine *machine;
	struct rundir_claim claim;
	int listen_fd;
	int spare_fd;		 /* see hang_up() */
	unsigned int nr_handles; /* not yet closed: poll and every client's */
	struct conn *conns[CONTROL_MAX_CLIENTS];
};

/* The last handle to close frees what they share. */
static void put_control(struct control *c)
{
	if (!--c->nr_handles)
		free(c);
}

/* ---- A client's output ---- */

static size_t out_queued(const struct conn *conn)
{
	return conn->out_end - conn->out_start;
}

/* Write what the socket takes now. -errno when the client is gone. */
static int out_write(struct conn *conn)
{
	while (out_queued(conn)) {
		ssize_t n = send(conn->fd, conn->out + conn->out_start, out_queued(conn),
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		conn->out_start += (size_t)n;
	}
	/* nothing waits: an idle client costs no buffer */
	free(conn->out);
	conn->out = NULL;
	conn->out_start = conn->out_end = conn->out_cap = 0;
	return 0;
}

/* Make room for @len bytes more, in a buffer that never exceeds CONTROL_OUT_MAX. */
static int out_reserve(struct conn *conn, size_t len)
{
	size_t queued = out_queued(conn), cap = MAX(conn->out_cap, READ_SIZE);
	char *out;

	if (!range_fits(queued, len, CONTROL_OUT_MAX))
		return -ENOBUFS;
	if (conn->out_start) {
		memmove(conn->out, conn->out + conn->out_start, queued);
		conn->out_start = 0;
		conn->out_end = queued;
	}
	while (cap < queued + len)
		cap *= 2;
	if (cap == conn->out_cap)
		return 0;
	out = realloc(conn->out, cap);
	if (!out)
		return -ENOMEM;
	conn->out = out;
	conn->out_cap = cap;
	return 0;
}

/* The session's qmp_send_fn: queue, and write at once what can be written. */
static int conn_send(void *opaque, const char *data, size_t len)
{
	struct conn *conn = opaque;
	int ret;

	if (conn->fd < 0)
		return -EPIPE;
	ret = out_reserve(conn, len);
	if (ret)
		return ret;
	memcpy(conn->out + conn->out_end, data, len);
	conn->out_end += len;
	return out_write(conn);
}

/* ---- A client's life ---- */

static void conn_closed(uv_handle_t *handle)
{
	struct conn *conn = handle->data;

	put_control(conn->control);
	qmp_destroy(conn->qmp);
	free(conn->out);
	free(conn);
}

static void conn_drop(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	uv_close((uv_handle_t *)&conn->poll, conn_closed);
	close(conn->fd);
	conn->fd = -1;
	conn->control->conns[conn->slot] = NULL;
}

static void conn_ready(uv_poll_t *handle, int status, int events);

/* Watch for what the client can be served with next; see CONTROL_OUT_PAUSE. */
static void conn_watch(struct conn *conn)
{
	int events = 0;

	if (out_queued(conn))
		events |= UV_WRITABLE;
	if (out_queued(conn) < CONTROL_OUT_PAUSE && !conn->ended)
		events |= UV_READABLE;
	if (events)
		uv_poll_start(&conn->poll, events, conn_ready);
	else
		conn_drop(conn);
}

/* One bounded read, so that a client that never stops talking does not keep out the others. */
static int conn_read(struct conn *conn)
{
	char data[READ_SIZE];
	ssize_t n = recv(conn->fd, data, sizeof(data), 0);

	if (n > 0)
		return qmp_receive(conn->qmp, data, (size_t)n);
	if (!n) {
		conn->ended = true;
		return 0;
	}
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/*
 * Output before input: a client whose queue has just drained below CONTROL_OUT_PAUSE is heard again
 * in the next turn of the loop.
 */
static void conn_ready(uv_poll_t *handle, int status, int events)
{
	struct conn *conn = handle->data;
	int ret = status;

	if (!ret && (events & UV_WRITABLE))
		ret = out_write(conn);
	if (!ret && (events & UV_READABLE))
		ret = conn_read(conn);
	if (ret)
		conn_drop(conn);
	else
		conn_watch(conn);
}

/* Serve the connection @fd in @slot, which is free. Takes @fd, also on failure. */
static void conn_create(struct control *c, unsigned int slot, int fd)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn || uv_poll_init(c->loop, &conn->poll, fd)) {
		free(conn);
		close(fd);
		return;
	}
	conn->poll.data = conn;
	conn->control = c;
	conn->slot = slot;
	conn->fd = fd;
	c->conns[slot] = conn;
	c->nr_handles++;
	if (qmp_create(&conn->qmp, c->machine, conn_send, conn))
		conn_drop(conn);
	else
		conn_watch(conn);
}

/* ---- The listening socket ---- */

/*
 * The bound is on what clients can make us hold: each may queue CONTROL_OUT_MAX and have a request
 * of QMP_MAX_REQUEST under way. One too many gets a line that says why, instead of a greeting.
 */
static void serve(struct control *c, int fd)
{
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (!c->conns[i]) {
			conn_create(c, i, fd);
			return;
		}
	}
	send(fd, TOO_MANY_CLIENTS, strlen(TOO_MANY_CLIENTS), MSG_NOSIGNAL);
	close(fd);
}

static int accept_connection(const struct control *c)
{
	return accept4(c->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/*
 * With no descriptor left the connection would stay pending and wake us for ever. The spare one is
 * there to accept it after all, and hang up.
 */
static void hang_up(struct control *c)
{
	int fd;

	close(c->spare_fd);
	fd = accept_connection(c);
	if (fd >= 0)
		close(fd);
	c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void connection_ready(uv_poll_t *handle, int status, int events)
{
	struct control *c = handle->data;
	int fd = accept_connection(c);

	(void)status;
	(void)events;
	if (fd >= 0)
		serve(c, fd);
	else if (errno == EMFILE || errno == ENFILE)
		hang_up(c);
}

/* A listening socket at @path that only our user can connect to: a descriptor or -errno. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, path);
	/* bind() gives the file the mode of the socket: there is no moment with another one */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, CONTROL_MAX_CLIENTS) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* ---- The whole ---- */

static void control_closed(uv_handle_t *handle)
{
	put_control(handle->data);
}

int control_create(struct control **out, struct uv_loop_s *loop, struct machine *m,
		   const char *path, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(err, -ENOMEM, "control socket %s: no memory", path);
	c->loop = loop;
	c->main = pthread_self();
	c->machine = m;
	ret = rundir_claim(&c->claim, path, err);
	if (ret)
		goto out_free;
	ret = c->listen_fd = listen_at(path);
	if (ret < 0)
		goto out_release;
	ret = c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (ret < 0) {
		ret = -errno;
		goto out_close;
	}
	ret = uv_poll_init(loop, &c->poll, c->listen_fd);
	if (ret)
		goto out_close_spare;
	c->nr_handles = 1;
	c->poll.data = c;
	uv_poll_start(&c->poll, UV_READABLE, connection_ready);
	*out = c;
	return 0;

out_close_spare:
	close(c->spare_fd);
out_close:
	close(c->listen_fd);
out_release:
	rundir_release(&c->claim);
	err_set(err, ret, "control socket %s: %s", path, strerror(-ret));
out_free:
	free(c);
	return ret;
}

/* One round of flushing: wait up to @ms for a client to take some output. False when done. */
static bool flush_some(struct control *c, int ms)
{
	struct pollfd fds[CONTROL_MAX_CLIENTS];
	nfds_t n = 0;

	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->conns[i] && out_queued(c->conns[i]))
			fds[n++] = (struct pollfd){.fd = c->conns[i]->fd, .events = POLLOUT};
	if (!n || poll(fds, n, ms) <= 0)
		return false;
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->conns[i] && out_write(c->conns[i]))
			conn_drop(c->conns[i]);
	return true;
}

/*
 * The name is given up first, so that nobody connects any more and a new guest may have it; then
 * the last lines, which are what clients wait for; then the connections.
 */
void control_destroy(struct control *c)
{
	u64 deadline = uv_hrtime() + FLUSH_MS * NS_PER_MS, now;

	ASSERT(pthread_equal(pthread_self(), c->main));
	uv_close((uv_handle_t *)&c->poll, control_closed);
	close(c->listen_fd);
	close(c->spare_fd);
	rundir_release(&c->claim);
	do {
		now = uv_hrtime();
	} while (now < deadline && flush_some(c, (int)((deadline - now) / NS_PER_MS) + 1));
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->conns[i])
			conn_drop(c->conns[i]);
}

/* @line is NULL when there is no memory: clients miss it, and lose the connection so as to know. */
static void tell_all(struct control *c, const char *line)
{
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct conn *conn = c->conns[i];

		if (conn && qmp_notify(conn->qmp, line))
			conn_drop(conn);
		else if (conn)
			conn_watch(conn);
	}
}

/* Takes the line over. */
static void tell_line(struct control *c, char *line)
{
	ASSERT(pthread_equal(pthread_self(), c->main));
	tell_all(c, line);
	free(line);
}

static struct timeval now(void)
{
	struct timeval t;

	gettimeofday(&t, NULL);
	return t;
}

void control_event(struct control *c, enum machine_event event, enum shutdown_cause cause)
{
	const struct timeval at = now();

	tell_line(c, qmp_event_line(event, cause, &at));
}

void control_memory_event(struct control *c, const struct mem_event *event)
{
	const struct timeval at = now();

	tell_line(c, memory_event_line(event, &at));
}

void control_checkpoint_event(struct control *c, const struct checkpoint_progress *progress)
{
	const struct timeval at = now();

	tell_line(c, checkpoint_event_line(progress, &at));
}

void control_migrate_event(struct control *c, const struct migrate_progress *progress,
			   enum machine_migrate_news news)
{
	const struct timeval at = now();

	tell_line(c, news == MACHINE_MIGRATE_ROUND ? migrate_pass_line(progress, &at)
						   : migrate_event_line(progress, &at));
}
