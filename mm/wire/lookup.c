// SPDX-License-Identifier: Apache-2.0
/*
 * Names of hosts (socket_lookup() of socket.h).
 *
 * getaddrinfo() has no deadline: where name servers do not answer it takes half a minute and more,
 * and nothing ends it. So it runs in a thread of its own, and who asked waits for no longer than he
 * likes. Then the thread is left to itself, and frees what nobody wants any more. An address in
 * digits needs no name server, and no thread.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mm/base/thread.h"
#include "mm/wire/socket.h"

struct lookup {
	struct socket_place place;
	int flags;
	int over_fd;	     /* an eventfd: there is an answer */
	atomic_uint holders; /* who asked, and the thread; the last one frees it */
	/* the answer */
	struct addrinfo *found;
	int ret; /* EAI_ */
};

static int look_up(const struct socket_place *place, int flags, struct addrinfo **found)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | flags,
	};

	return getaddrinfo(place->host, place->port, &hints, found);
}

static void let_go(struct lookup *l)
{
	if (atomic_fetch_sub(&l->holders, 1) > 1)
		return;
	if (l->found)
		freeaddrinfo(l->found);
	close(l->over_fd);
	free(l);
}

static void *lookup_thread(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo *found = NULL;

	l->ret = look_up(&l->place, l->flags, &found);
	l->found = l->ret ? NULL : found;
	eventfd_write(l->over_fd, 1);
	let_go(l);
	return NULL;
}

static int begin(struct lookup **out, const struct socket_place *place, int flags)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_t thread;
	int ret;

	if (!l)
		return -ENOMEM;
	l->place = *place;
	l->flags = flags;
	atomic_init(&l->holders, 2);
	l->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->over_fd < 0 ? -errno : thread_start(&thread, "lookup", lookup_thread, l);
	if (ret) {
		if (l->over_fd >= 0)
			close(l->over_fd);
		free(l);
		return ret;
	}
	pthread_detach(thread);
	*out = l;
	return 0;
}

int socket_lookup(struct addrinfo **out, const struct socket_place *place, int flags,
		  const char *address, const struct socket_patience *p, struct err *err)
{
	struct lookup *l;
	int ret, code = 0;

	if (!look_up(place, flags | AI_NUMERICHOST, out))
		return 0;
	ret = begin(&l, place, flags);
	if (ret)
		return err_set(err, ret, "%s: cannot look up the name: %s", address,
			       strerror(-ret));
	ret = socket_wait_patiently(l->over_fd, POLLIN, p);
	if (!ret) {
		code = l->ret;
		*out = l->found;
		l->found = NULL;
	}
	let_go(l);
	if (ret == -ETIMEDOUT)
		err_set(err, ret, "%s: no name server answers (write the address in digits)",
			address);
	else if (ret)
		err_set(err, ret, "%s: looking up the name was ended here", address);
	else if (code)
		ret = err_set(err, -EHOSTUNREACH, "%s: no address for this host: %s", address,
			      gai_strerror(code));
	return ret;
}
