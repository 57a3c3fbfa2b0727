// SPDX-License-Identifier: Apache-2.0
/*
 * The console's queue and its descriptors; the contract and the drawing are in console.h.
 *
 * Descriptors that come from our parent (stdin, stdout) are shared with other processes, so they
 * are never made non-blocking. Instead poll() is asked first, and at most PIPE_BUF bytes are
 * written at once: a pipe that polls as writable takes that much without blocking.
 */
#include "vmm/machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define QUEUE_SIZE    (128 * KiB)
#define QUEUE_HIGH    (QUEUE_SIZE / 2)
#define FLUSH_WAIT_MS 1000
/*
 * A guest prints byte by byte. What follows within this time of the last write waits for company,
 * so that the main loop is not woken for each byte. After a pause the first byte leaves at once.
 */
#define BATCH_MS 4
#define ESCAPE	 0x01 /* Ctrl-A */

static const char escape_help[] =
	"\r\nquire: Ctrl-A x ends the guest, Ctrl-A Ctrl-A sends Ctrl-A\r\n";

struct console {
	const struct console_host *host;
	uv_loop_t *loop;
	int in, out, listener; /* descriptors, -1 where there is none */
	bool own_fds;	       /* in and out are ours to close */
	char *unlink_path;     /* of the listening socket */
	unsigned int
		nr_handles; /* libuv handles that are open: the last to close frees the console */
	uv_async_t wake;
	uv_timer_t batch;
	u64 written_at; /* uv_now() of the last write */
	uv_poll_t listen_poll;
	uv_poll_t in_poll, out_poll; /* a socket client has in_poll alone, for both directions */
	bool in_polled, out_polled, listen_polled; /* the handle is open */
	bool want_in, want_out;			   /* what to poll for */

	bool raw; /* the terminal is in raw mode; cooked holds what it was */
	struct termios cooked;
	bool escaped; /* the last key was ESCAPE */
	bool input_ended;
	u8 pending[64]; /* input that the guest has not taken yet */
	size_t nr_pending;

	atomic_bool congested;
	pthread_mutex_t lock; /* of the queue */
	u8 *queue;	      /* bytes [head, tail); both return to 0 when it is empty */
	size_t head, tail;
};

/* The queue, filled by vCPU threads. */

void console_put(struct console *c, u8 byte)
{
	bool first;

	pthread_mutex_lock(&c->lock);
	first = c->head == c->tail;
	if (c->tail == QUEUE_SIZE && c->head > 0) {
		memmove(c->queue, c->queue + c->head, c->tail - c->head);
		c->tail -= c->head;
		c->head = 0;
	}
	ASSERT(c->tail < QUEUE_SIZE); /* see QUEUE_HIGH */
	c->queue[c->tail++] = byte;
	if (c->tail - c->head >= QUEUE_HIGH)
		atomic_store(&c->congested, true);
	pthread_mutex_unlock(&c->lock);
	if (first)
		uv_async_send(&c->wake);
}

bool console_congested(struct console *c)
{
	return atomic_load_explicit(&c->congested, memory_order_relaxed);
}

static void consume(struct console *c, size_t n)
{
	bool drained = false;

	pthread_mutex_lock(&c->lock);
	c->head += n;
	if (c->head == c->tail)
		c->head = c->tail = 0;
	if (c->tail - c->head < QUEUE_HIGH / 2)
		drained = atomic_exchange(&c->congested, false);
	pthread_mutex_unlock(&c->lock);
	if (drained)
		c->host->drained(c->host->opaque);
}

/* A copy of the first bytes of the queue. */
static size_t peek(struct console *c, u8 *buf, size_t size)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = MIN(size, c->tail - c->head);
	memcpy(buf, c->queue + c->head, n);
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* Output, on the main thread. */

static void hang_up(struct console *c);

static bool writable(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, wait_ms) == 1;
}

/* A client of ours may go away; with anything else, the rest of the output is lost. */
static int output_error(struct console *c, int errnum, struct err *err)
{
	if (c->listener >= 0) {
		hang_up(c);
		return 0;
	}
	c->out = -1;
	return err_set(err, -errnum, "serial output: %s", strerror(errnum));
}

/*
 * Write what is queued, waiting up to @wait_ms at a time for the descriptor. -EAGAIN when it takes
 * no more for now; another -errno, once, with a sentence, when it never will.
 */
static int drain(struct console *c, int wait_ms, struct err *err)
{
	u8 buf[PIPE_BUF];
	int ret = 0;
	size_t n;

	while (!ret && (n = peek(c, buf, sizeof(buf)))) {
		ssize_t done = (ssize_t)n;

		if (c->out >= 0) {
			if (!writable(c->out, wait_ms))
				return -EAGAIN;
			done = write(c->out, buf, n);
		}
		if (done < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (done < 0)
			ret = output_error(c, errno, err);
		else
			consume(c, (size_t)done);
	}
	return ret;
}

int console_flush(struct console *c, struct err *err)
{
	int ret = drain(c, 0, err);

	return ret == -EAGAIN ? 0 : ret;
}

int console_finish(struct console *c, struct err *err)
{
	int ret = drain(c, FLUSH_WAIT_MS, err);

	if (ret != -EAGAIN || c->listener >= 0)
		return ret == -EAGAIN ? 0 : ret;
	return err_set(err, -ETIMEDOUT,
		       "serial output: its reader has stopped, and the rest is lost");
}

static void on_ready(uv_poll_t *handle, int status, int events);

/* Poll for what is wanted, and for nothing else: a level that nobody handles would spin. */
static void watch(struct console *c)
{
	int in = c->want_in ? UV_READABLE : 0, out = c->want_out ? UV_WRITABLE : 0;

	if (c->in_polled && c->in == c->out)
		in |= out;
	if (c->in_polled && in)
		uv_poll_start(&c->in_poll, in, on_ready);
	else if (c->in_polled)
		uv_poll_stop(&c->in_poll);
	if (c->out_polled && out)
		uv_poll_start(&c->out_poll, out, on_ready);
	else if (c->out_polled)
		uv_poll_stop(&c->out_poll);
}

static void push_output(struct console *c)
{
	struct err why;
	int ret = drain(c, 0, &why);

	c->want_out = ret == -EAGAIN;
	c->written_at = uv_now(c->loop);
	watch(c);
	if (ret && ret != -EAGAIN)
		c->host->failed(c->host->opaque, &why);
}

static void on_batch(uv_timer_t *timer)
{
	push_output(timer->data);
}

/* There is output: write it, or let it gather for a moment. */
static void take_output(struct console *c)
{
	if (uv_now(c->loop) - c->written_at >= BATCH_MS)
		push_output(c);
	else if (!uv_is_active((uv_handle_t *)&c->batch))
		uv_timer_start(&c->batch, on_batch, BATCH_MS, 0);
}

/* Input, on the main thread. */

static void offer_input(struct console *c)
{
	size_t taken = c->host->input(c->host->opaque, c->pending, c->nr_pending);

	c->nr_pending -= taken;
	memmove(c->pending, c->pending + taken, c->nr_pending);
}

/* Sort the escape key's sequences out of what was typed. */
static void take_key(struct console *c, u8 key)
{
	if (c->raw && !c->escaped && key == ESCAPE) {
		c->escaped = true;
		return;
	}
	if (c->escaped) {
		c->escaped = false;
		if (key == 'x' || key == 'X') {
			c->host->quit(c->host->opaque);
			return;
		}
		if (key != ESCAPE) {
			for (const char *h = escape_help; *h; h++)
				console_put(c, (u8)*h);
			return;
		}
	}
	c->pending[c->nr_pending++] = key;
}

static void end_input(struct console *c)
{
	c->input_ended = true;
	if (c->listener >= 0)
		hang_up(c);
}

static void read_input(struct console *c)
{
	u8 buf[sizeof(c->pending)];
	ssize_t n = read(c->in, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_input(c);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		take_key(c, buf[i]);
	offer_input(c);
}

/*
 * Take input as long as the guest takes it from us. What cannot be polled (a file, /dev/null) never
 * blocks and is read at once.
 */
static void pull_input(struct console *c)
{
	if (c->nr_pending)
		offer_input(c);
	while (c->in >= 0 && !c->in_polled && !c->input_ended && !c->nr_pending)
		read_input(c);
	c->want_in = c->in >= 0 && !c->input_ended && !c->nr_pending;
	watch(c);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct console *c = handle->data;

	if (status < 0 && c->listener < 0) {
		c->want_in = c->want_out = false; /* a terminal that went away */
		watch(c);
		return;
	}
	if (status < 0 || events & UV_READABLE)
		read_input(c);
	if (events & UV_WRITABLE)
		push_output(c);
	pull_input(c);
}

/* Raw mode, unless we run in the background: then the terminal is somebody else's. */
static void enter_raw_mode(struct console *c)
{
	struct termios t;

	if (c->raw || c->in != STDIN_FILENO || !isatty(c->in) || tcgetpgrp(c->in) != getpgrp())
		return;
	if (tcgetattr(c->in, &c->cooked))
		return;
	t = c->cooked;
	t.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON);
	t.c_lflag &= (tcflag_t) ~(ECHO | ICANON | IEXTEN | ISIG);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	c->raw = !tcsetattr(c->in, TCSADRAIN, &t);
}

static void on_wake(uv_async_t *handle)
{
	struct console *c = handle->data;

	take_output(c);
	if (!c->host->listening(c->host->opaque))
		return;
	enter_raw_mode(c);
	pull_input(c);
}

void console_input_ready(struct console *c)
{
	uv_async_send(&c->wake);
}

/* Descriptors and their handles; a socket has one client at a time. */

static void close_descriptors(struct console *c)
{
	if (c->listener >= 0 || c->own_fds) {
		if (c->in >= 0)
			close(c->in);
		if (c->out >= 0 && c->out != c->in)
			close(c->out);
	}
	if (c->listener >= 0)
		close(c->listener);
	if (c->unlink_path)
		unlink(c->unlink_path);
	free(c->unlink_path);
}

static void on_closed(uv_handle_t *handle)
{
	struct console *c = handle->data;

	if (--c->nr_handles)
		return;
	close_descriptors(c);
	pthread_mutex_destroy(&c->lock);
	free(c->queue);
	free(c);
}

static void open_poll(struct console *c, uv_poll_t *handle, int fd, bool *polled)
{
	/* files and /dev/null cannot be polled; they never block either */
	*polled = !uv_poll_init(c->loop, handle, fd);
	handle->data = c;
	c->nr_handles += *polled;
}

static void on_client_closed(uv_handle_t *handle)
{
	struct console *c = handle->data;

	/* only now has the loop forgotten the descriptor */
	close(c->in);
	c->in = -1;
	on_closed(handle);
}

static void hang_up(struct console *c)
{
	if (!c->in_polled)
		return;
	c->out = -1;
	c->in_polled = false;
	uv_close((uv_handle_t *)&c->in_poll, on_client_closed);
}

static void on_connect(uv_poll_t *handle, int status, int events)
{
	struct console *c = handle->data;
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)status;
	(void)events;
	if (fd < 0)
		return;
	if (c->in >= 0) { /* taken */
		close(fd);
		return;
	}
	c->in = fd;
	c->out = fd;
	c->input_ended = false;
	c->nr_pending = 0;
	open_poll(c, &c->in_poll, fd, &c->in_polled);
	on_wake(&c->wake);
}

static int listen_at(struct console *c, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG,
			       "--serial unix:%s: path too long (at most %zu bytes)", path,
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0)
		return err_set(err, -errno, "--serial: socket: %s", strerror(errno));
	if (!connect(c->listener, (struct sockaddr *)&addr, sizeof(addr)))
		return err_set(err, -EADDRINUSE, "--serial unix:%s: in use (choose another path)",
			       path);
	if (errno == ECONNREFUSED)
		unlink(path); /* its owner is gone */
	if (bind(c->listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(c->listener, 4)) {
		ret = -errno;
		return err_set(err, ret, "--serial unix:%s: %s", path, strerror(-ret));
	}
	c->unlink_path = strdup(path);
	open_poll(c, &c->listen_poll, c->listener, &c->listen_polled);
	uv_poll_start(&c->listen_poll, UV_READABLE, on_connect);
	return 0;
}

/* Opening and closing. */

static int open_stdio(struct console *c)
{
	c->in = STDIN_FILENO;
	c->out = STDOUT_FILENO;
	open_poll(c, &c->in_poll, c->in, &c->in_polled);
	open_poll(c, &c->out_poll, c->out, &c->out_polled);
	return 0;
}

static int open_file(struct console *c, const char *path, struct err *err)
{
	c->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	if (c->out < 0)
		return err_set(err, -errno, "--serial file:%s: %s", path, strerror(errno));
	c->own_fds = true;
	open_poll(c, &c->out_poll, c->out, &c->out_polled);
	return 0;
}

static int open_spec(struct console *c, const char *spec, struct err *err)
{
	if (!strcmp(spec, "stdio"))
		return open_stdio(c);
	if (!strcmp(spec, "none"))
		return 0;
	if (!strncmp(spec, "file:", 5) && spec[5])
		return open_file(c, spec + 5, err);
	if (!strncmp(spec, "unix:", 5) && spec[5])
		return listen_at(c, spec + 5, err);
	return err_set(err, -EINVAL,
		       "--serial %s: unknown kind (give stdio, none, file:PATH or unix:PATH)",
		       spec);
}

int console_create(struct console **out, uv_loop_t *loop, const char *spec,
		   const struct console_host *host, struct err *err)
{
	struct console *c = calloc(1, sizeof(*c));
	int ret;

	if (!c || !(c->queue = malloc(QUEUE_SIZE))) {
		free(c);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->host = host;
	c->loop = loop;
	c->in = c->out = c->listener = -1;
	c->wake.data = c->batch.data = c;
	c->nr_handles = 2; /* wake and batch */
	pthread_mutex_init(&c->lock, NULL);
	atomic_init(&c->congested, false);
	uv_async_init(loop, &c->wake, on_wake);
	uv_timer_init(loop, &c->batch);
	ret = open_spec(c, spec, err);
	if (ret) {
		console_destroy(c);
		return ret;
	}
	*out = c;
	return 0;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	if (c->raw)
		tcsetattr(c->in, TCSADRAIN, &c->cooked);
	if (c->in_polled)
		uv_close((uv_handle_t *)&c->in_poll, on_closed);
	if (c->out_polled)
		uv_close((uv_handle_t *)&c->out_poll, on_closed);
	if (c->listen_polled)
		uv_close((uv_handle_t *)&c->listen_poll, on_closed);
	uv_close((uv_handle_t *)&c->batch, on_closed);
	uv_close((uv_handle_t *)&c->wake, on_closed);
}
