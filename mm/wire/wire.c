// SPDX-License-Identifier: Apache-2.0
/*
 * Messages over a connection. Contracts in wire.h and impl.h.
 *
 * Every operation on the socket is tried first, and waited for only when it cannot be done at once.
 * The deadline of a wait starts anew with each byte that moves: a slow line may take its time, a
 * silent one not.
 *
 * What only the sender uses and what only the receiver uses is kept apart; they share the socket,
 * and the flag that wire_cut() sets. Of the sender's error the receiver learns nothing, so that it
 * can still read what the peer said last.
 */
#include "mm/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "mm/codec/sum.h"
#include "mm/wire/impl.h"

/* Buffers grow in powers of two, from here on. */
#define LEAST_CAPACITY ((u32)(64 * KiB))

int wire_wrap(struct wire **out, int fd, bool local, const char *peer, u32 timeout_ms,
	      struct err *err)
{
	struct wire *w = calloc(1, sizeof(*w));

	if (!w) {
		close(fd);
		return err_set(err, -ENOMEM, "%s: no memory for a connection", peer);
	}
	w->fd = fd;
	w->got_fd = -1;
	w->local = local;
	w->timeout_ms = timeout_ms;
	strncpy(w->peer, peer, sizeof(w->peer) - 1);
	*out = w;
	return 0;
}

/* One that came with a message that was not taken. */
static void drop_descriptor(struct wire *w)
{
	if (w->got_fd >= 0)
		close(w->got_fd);
	w->got_fd = -1;
}

void wire_close(struct wire *w)
{
	if (!w)
		return;
	drop_descriptor(w);
	tls_destroy(w->tls);
	close(w->fd);
	free(w->buffer);
	free(w);
}

void wire_cut(struct wire *w)
{
	atomic_store(&w->cut, true);
	shutdown(w->fd, SHUT_RDWR);
}

bool wire_is_local(const struct wire *w)
{
	return w->local;
}

u64 wire_sent(const struct wire *w)
{
	return atomic_load_explicit(&w->sent, memory_order_relaxed);
}

u64 wire_received(const struct wire *w)
{
	return atomic_load_explicit(&w->received, memory_order_relaxed);
}

int wire_failed(const struct wire *w, int code, struct err *err)
{
	switch (code) {
	case -ETIMEDOUT:
		return err_set(err, code, "%s: the other side is silent", w->peer);
	case -EPIPE:
		return err_set(err, code, "%s: the other side has closed the connection", w->peer);
	case -ECANCELED:
		return err_set(err, code, "%s: the connection was ended here", w->peer);
	case -EBADMSG:
		return err_set(err, code, "%s: damaged data have come", w->peer);
	default:
		return err_set(err, code, "%s: %s", w->peer, strerror(-code));
	}
}

/*
 * What @code means to whoever waits in this connection. A peer that closes it with something still
 * to be read has the kernel say "reset".
 */
static int cause(struct wire *w, int code)
{
	if (atomic_load(&w->cut))
		return -ECANCELED;
	return code == -ECONNRESET ? -EPIPE : code;
}

/* ---- Checksums ---- */

static u64 seed_of(u32 type, u32 size)
{
	return type | (u64)size << 32;
}

u64 wire_sum(u32 type, const void *data, u32 size)
{
	return sum_bytes(data, size, seed_of(type, size));
}

/* The same of a payload in two parts. */
static u64 sum_parts(u32 type, const void *head, u32 head_size, const void *data, u32 size)
{
	XXH3_state_t state;

	state.seed = 0; /* both are looked at before they are set */
	state.extSecret = NULL;
	if (!size)
		return wire_sum(type, head, head_size);
	if (!head_size)
		return wire_sum(type, data, size);
	XXH3_64bits_reset_withSeed(&state, seed_of(type, head_size + size));
	XXH3_64bits_update(&state, head, head_size);
	XXH3_64bits_update(&state, data, size);
	return XXH3_64bits_digest(&state);
}

/* ---- Sending ---- */

/* What is still to go. The first of the parts is never empty. */
struct outgoing {
	struct iovec part[3];
	int first, end;
	int fd; /* goes with the first byte; then -1 */
};

static void advance(struct outgoing *out, size_t n)
{
	struct iovec *part = out->part;

	while (out->first < out->end && n >= part[out->first].iov_len) {
		n -= part[out->first].iov_len;
		out->first++;
	}
	if (n) {
		part[out->first].iov_base = (u8 *)part[out->first].iov_base + n;
		part[out->first].iov_len -= n;
	}
}

static ssize_t send_some(const struct wire *w, struct outgoing *out)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct msghdr msg = {
		.msg_iov = out->part + out->first,
		.msg_iovlen = (size_t)(out->end - out->first),
	};
	ssize_t n;

	if (out->first == out->end) /* what is left is TLS's */
		return tls_flush(w->tls);
	if (w->tls)
		return tls_send(w->tls, out->part + out->first, out->end - out->first);
	if (out->fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &out->fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	n = sendmsg(w->fd, &msg, MSG_NOSIGNAL);
	if (n > 0)
		out->fd = -1;
	return n < 0 ? -errno : n;
}

static int send_all(struct wire *w, struct outgoing *out)
{
	u64 deadline = 0;
	ssize_t n;
	int ret;

	for (;;) {
		if (atomic_load(&w->cut))
			return -ECANCELED;
		if (out->first == out->end && !w->tls)
			return 0;
		n = send_some(w, out);
		if (!n) /* flushed */
			return 0;
		if (n > 0) {
			advance(out, (size_t)n);
			atomic_fetch_add_explicit(&w->sent, (u64)n, memory_order_relaxed);
			deadline = 0;
			continue;
		}
		if (n != -EAGAIN && n != -EINTR)
			return cause(w, (int)n);
		if (!deadline)
			deadline = socket_deadline((int)w->timeout_ms);
		ret = socket_wait(w->fd, POLLOUT, deadline);
		if (ret)
			return cause(w, ret);
	}
	return 0;
}

int wire_send2(struct wire *w, u32 type, const void *head, u32 head_size, const void *data,
	       u32 size, int fd, struct err *err)
{
	struct wire_header h = {.type = type, .size = head_size + size};
	struct outgoing out = {
		.part = {{&h, sizeof(h)}, {(void *)head, head_size}, {(void *)data, size}},
		.end = size	   ? 3
		       : head_size ? 2
				   : 1,
		.fd = fd,
	};

	ASSERT(head_size <= WIRE_MAX_SIZE && size <= WIRE_MAX_SIZE - head_size);
	ASSERT(fd < 0 || w->local);
	if (!w->send_error) {
		h.sum = sum_parts(type, head, head_size, data, size);
		w->send_error = send_all(w, &out);
	}
	return w->send_error ? wire_failed(w, w->send_error, err) : 0;
}

int wire_send(struct wire *w, u32 type, const void *data, u32 size, struct err *err)
{
	return wire_send2(w, type, data, size, NULL, 0, -1, err);
}

/* ---- Receiving ---- */

/*
 * Keep one descriptor, close the others. The kernel passes no more than there is room for, and room
 * comes in units of two.
 */
static void take_descriptors(struct msghdr *msg, int *fd)
{
	int got;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			memcpy(&got, (u8 *)c + at, sizeof(int));
			if (*fd < 0)
				*fd = got;
			else
				close(got);
		}
	}
}

/*
 * With @fd, which is for headers, a descriptor may come along. Where none is expected, the kernel
 * drops what comes.
 */
static ssize_t receive_some(const struct wire *w, void *data, size_t size, int *fd)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {data, size};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (w->tls)
		return tls_receive(w->tls, data, size);
	if (fd && w->local) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	n = recvmsg(w->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	if (fd && w->local) {
		take_descriptors(&msg, fd);
		if (msg.msg_flags & MSG_CTRUNC && *fd < 0)
			return -EMFILE;
	}
	return n;
}

/*
 * Bytes [@from, @from + @size) of the message that is coming to @data, as far as they have come:
 * -EAGAIN, there are more to come. @fd as above.
 */
static int receive_part(struct wire *w, void *data, u32 from, u32 size, int *fd)
{
	while (w->got < from + size) {
		u32 done = w->got - from;
		ssize_t n;

		if (atomic_load(&w->cut))
			return -ECANCELED;
		n = receive_some(w, (u8 *)data + done, size - done, fd);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EPIPE;
		w->got += (u32)n;
		atomic_fetch_add_explicit(&w->received, (u64)n, memory_order_relaxed);
	}
	return 0;
}

static int need_capacity(struct wire *w, u32 size)
{
	u32 capacity = MAX(w->capacity, LEAST_CAPACITY);
	u8 *buffer;

	if (size <= w->capacity)
		return 0;
	while (capacity < size)
		capacity *= 2;
	buffer = aligned_alloc(PAGE_SIZE, capacity);
	if (!buffer)
		return -ENOMEM;
	free(w->buffer);
	w->buffer = buffer;
	w->capacity = capacity;
	return 0;
}

int wire_receive_on(struct wire *w, u32 most, struct wire_message *msg)
{
	struct wire_header *h = &w->header;
	int ret = 0;

	if (w->got < sizeof(*h))
		ret = receive_part(w, h, 0, sizeof(*h), &w->got_fd);
	if (!ret && h->size > most)
		ret = -EBADMSG;
	if (!ret)
		ret = need_capacity(w, h->size);
	if (!ret)
		ret = receive_part(w, w->buffer, sizeof(*h), h->size, NULL);
	if (!ret && h->sum != wire_sum(h->type, w->buffer, h->size))
		ret = -EBADMSG;
	if (ret)
		return ret == -EAGAIN ? ret : cause(w, ret);
	*msg = (struct wire_message){h->type, h->size, w->buffer, w->got_fd};
	w->got = 0;
	w->got_fd = -1;
	return 0;
}

/* -EAGAIN: it has not even begun in that time, and the connection is as good as before. */
static int receive_message(struct wire *w, int timeout_ms, struct wire_message *msg)
{
	u64 deadline = 0;
	u32 before = 0;
	int ret;

	for (;;) {
		ret = wire_receive_on(w, WIRE_MAX_SIZE, msg);
		if (ret != -EAGAIN)
			return ret;
		if (!deadline || w->got != before)
			deadline = socket_deadline(w->got ? (int)w->timeout_ms : timeout_ms);
		before = w->got;
		ret = socket_wait(w->fd, POLLIN, deadline);
		if (ret)
			return ret == -ETIMEDOUT && !w->got ? -EAGAIN : cause(w, ret);
	}
}

int wire_receive(struct wire *w, int timeout_ms, struct wire_message *msg, struct err *err)
{
	int ret = w->receive_error;

	*msg = (struct wire_message){.fd = -1};
	if (ret)
		return wire_failed(w, ret, err);
	ret = receive_message(w, timeout_ms, msg);
	if (ret == -EAGAIN)
		return wire_failed(w, -ETIMEDOUT, err);
	if (ret) {
		drop_descriptor(w);
		w->receive_error = ret;
		return wire_failed(w, ret, err);
	}
	return 0;
}
