// SPDX-License-Identifier: Apache-2.0
/*
 * The sockets under mm/wire/wire.h: what addresses mean, how to listen and connect there (socket.c,
 * lookup.c), and waiting (wait.c). Private to mm/wire/. Sockets do not block and are closed on
 * exec; whoever waits does so in socket_wait(). Deadlines are by now_ns(), NEVER is none.
 */
#ifndef QUIRE_MM_WIRE_SOCKET_H
#define QUIRE_MM_WIRE_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

#define NEVER UINT64_MAX

/* An address in words. A longer host is refused, and a path has to fit into its structure. */
#define SOCKET_HOST_SIZE 256
#define SOCKET_NAME_SIZE (SOCKET_HOST_SIZE + 16)

struct socket_place {
	bool local; /* a path in the file system, @un; else @host and @port */
	struct sockaddr_un un;
	char host[SOCKET_HOST_SIZE];
	char port[8];
};

/* -EINVAL with a sentence. */
int socket_parse(struct socket_place *place, const char *address, struct err *err);

/* The moment @ms from now; -1 is NEVER. */
u64 socket_deadline(int ms);

/* The same for poll(): milliseconds, rounded up, or the end of the wait would be a busy one. */
int socket_ms_left(u64 deadline);

/* Wait until @fd has one of @events, or an end; -ETIMEDOUT. Once the deadline is over: a look. */
int socket_wait(int fd, short events, u64 deadline);

/* How long somebody waits who may be called off before. */
struct socket_patience {
	u64 deadline;
	bool (*is_cancelled)(void *opaque); /* asked now and then; or NULL */
	void *opaque;
};

bool socket_is_cancelled(const struct socket_patience *p);

/* The same for him; -ECANCELED, soon after he was called off. */
int socket_wait_patiently(int fd, short events, const struct socket_patience *p);

/*
 * The addresses of @place, which is not local: -errno with a sentence. A name is looked up for no
 * longer than @p has it; @flags are getaddrinfo()'s. To be freed with freeaddrinfo().
 */
struct addrinfo;
int socket_lookup(struct addrinfo **out, const struct socket_place *place, int flags,
		  const char *address, const struct socket_patience *p, struct err *err);

/* A descriptor, or -errno with a sentence. */
int socket_listen(const struct socket_place *place, const char *address,
		  const struct socket_patience *p, struct err *err);
int socket_connect(const struct socket_place *place, const char *address,
		   const struct socket_patience *p, struct err *err);

/* What is set on each connection. @timeout_ms: after so long a silence TCP may give it up. */
void socket_prepare(int fd, bool local, u32 timeout_ms);

/* "tcp:HOST:PORT", in digits, of an address of the internet. */
void socket_name(const struct sockaddr_storage *addr, socklen_t len, char name[SOCKET_NAME_SIZE]);

#endif
