// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting for a socket: with a deadline, and by one who may be called off. Contract in socket.h.
 *
 * Whoever waits sleeps in poll(). Nothing wakes him when he is called off, so one who may be asks
 * again after each nap. No state; any thread.
 */
#include "mm/wire/socket.h"

#include <errno.h>
#include <poll.h>

#include "mm/base/clock.h"

/* Nobody who is called off waits for longer. */
#define NAP_NS ((u64)20000000)

u64 socket_deadline(int ms)
{
	return ms < 0 ? NEVER : now_ns() + (u64)ms * 1000000;
}

int socket_ms_left(u64 deadline)
{
	u64 now, ms;

	if (deadline == NEVER)
		return -1;
	now = now_ns();
	if (now >= deadline)
		return 0;
	ms = (deadline - now + 999999) / 1000000;
	return ms > 60000 ? 60000 : (int)ms;
}

int socket_wait(int fd, short events, u64 deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int ms, n;

	for (;;) {
		ms = socket_ms_left(deadline);
		n = poll(&p, 1, ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return 0;
		if (!n && !ms)
			return -ETIMEDOUT;
	}
}

bool socket_is_cancelled(const struct socket_patience *p)
{
	return p->is_cancelled && p->is_cancelled(p->opaque);
}

int socket_wait_patiently(int fd, short events, const struct socket_patience *p)
{
	u64 until;
	int ret;

	do {
		if (socket_is_cancelled(p))
			return -ECANCELED;
		until = p->is_cancelled ? MIN(p->deadline, now_ns() + NAP_NS) : p->deadline;
		ret = socket_wait(fd, events, until);
	} while (ret == -ETIMEDOUT && until < p->deadline);
	return ret;
}
