// SPDX-License-Identifier: Apache-2.0
/* The socket that never blocks; the contract is in wire.h. */
#include "tools/top/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_MIN ((size_t)4096)

void wire_init(struct wire *w)
{
	*w = (struct wire){.fd = -1};
}

int wire_connect(struct wire *w, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return -errno;
	if (connect(w->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		wire_close(w);
		return ret;
	}
	if (!getsockopt(w->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		w->peer = peer.pid;
	return 0;
}

void wire_close(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->in);
	wire_init(w);
}

int wire_flush(struct wire *w)
{
	ssize_t n;

	while (w->out_len) {
		n = send(w->fd, w->out, w->out_len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -ECONNRESET;
		w->out_len -= (size_t)n;
		memmove(w->out, w->out + n, w->out_len);
	}
	return 0;
}

int wire_send(struct wire *w, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(w->out) - w->out_len)
		return -ENOBUFS;
	memcpy(w->out + w->out_len, text, len);
	w->out_len += len;
	return wire_flush(w);
}

/* Make room for some more. */
static int grow(struct wire *w)
{
	size_t cap = MAX(2 * w->in_cap, READ_MIN);
	char *in;

	if (w->in_len < w->in_cap)
		return 0;
	if (cap > WIRE_MAX_LINE)
		return -EMSGSIZE;
	in = realloc(w->in, cap);
	if (!in)
		return -ENOMEM;
	w->in = in;
	w->in_cap = cap;
	return 0;
}

int wire_receive(struct wire *w)
{
	int ret = grow(w);
	ssize_t n;

	if (ret)
		return ret;
	n = recv(w->fd, w->in + w->in_len, w->in_cap - w->in_len, 0);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		return -ECONNRESET;
	if (n > 0)
		w->in_len += (size_t)n;
	return 0;
}

int wire_next(struct wire *w, json_t **out)
{
	json_t *object;
	size_t line;
	char *end = NULL;

	if (w->in_len > w->searched)
		end = memchr(w->in + w->searched, '\n', w->in_len - w->searched);
	if (!end) {
		w->searched = w->in_len;
		return 0;
	}
	line = (size_t)(end + 1 - w->in);
	object = json_loadb(w->in, line, JSON_REJECT_DUPLICATES, NULL);
	w->in_len -= line;
	w->searched = 0;
	memmove(w->in, w->in + line, w->in_len);
	if (!json_is_object(object)) {
		json_decref(object);
		return -EPROTO;
	}
	*out = object;
	return 1;
}
