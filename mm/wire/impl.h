// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a connection (mm/wire/wire.h), and what its bytes mean; docs/FORMATS.md has them in
 * words. Private to mm/wire/.
 *
 *	wait.c	   waiting for sockets
 *	lookup.c   names of hosts
 *	socket.c   addresses and sockets
 *	tls.c	   TLS
 *	wire.c	   messages
 *	open.c	   how a connection comes to be: the greeting, the key; connecting
 *	listen.c   listeners, and who comes there
 *
 * Structures are the format, as the only machines that quire runs on are little-endian.
 */
#ifndef QUIRE_MM_WIRE_IMPL_H
#define QUIRE_MM_WIRE_IMPL_H

#include <stdatomic.h>

#include "mm/wire/wire.h"
#include "mm/wire/socket.h"
#include "mm/wire/tls.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are sent as they are");

#define WIRE_MAGIC   "quirewir"
#define WIRE_VERSION 1
#define WIRE_HAS_TLS 1u /* flag: TLS comes next */

/* What each side says first, in the clear, before it has heard anything. */
struct wire_greeting {
	u8 magic[8];
	u32 version;
	u32 flags;
};

struct wire_header {
	u32 type;
	u32 size; /* of the payload, at most WIRE_MAX_SIZE */
	u64 sum;
};

_Static_assert(sizeof(struct wire_greeting) == 16 && sizeof(struct wire_header) == 16, "format");

struct wire {
	int fd;
	bool local; /* a UNIX socket in the clear */
	struct tls *tls;
	u32 timeout_ms;
	atomic_bool cut;
	_Atomic u64 sent, received;
	char peer[SOCKET_NAME_SIZE]; /* for sentences */

	int send_error; /* the sender's: what went wrong before, for good */

	/* the receiver's */
	int receive_error;
	struct wire_header header; /* of the message that is coming */
	u32 got;		   /* bytes of it, those of the header included */
	int got_fd;		   /* came with it, or -1 */
	u8 *buffer;		   /* the last message */
	u32 capacity;
};

/* A connection over @fd, which is its own from now on, also after an error. */
int wire_wrap(struct wire **out, int fd, bool local, const char *peer, u32 timeout_ms,
	      struct err *err);

/*
 * Go on receiving the next message, of at most @most bytes, without waiting: -EAGAIN, not all of it
 * has come. Other errors are for good.
 */
int wire_receive_on(struct wire *w, u32 most, struct wire_message *msg);

/* What a header with this type and size, and this payload, has as its checksum. */
u64 wire_sum(u32 type, const void *data, u32 size);

/* The sentence for @code, which is returned. */
int wire_failed(const struct wire *w, int code, struct err *err);

/* ---- open.c ---- */

/* A connection with which not everything is done yet that comes before the first message. */
struct wire_opening {
	struct wire *w;
	bool server;
	const struct tls_key *key; /* or NULL */
	struct wire_greeting heard;
	u32 nr_heard; /* bytes of it */
	bool done;
};

/* Set @o->w up, with o->server and o->key as they are to be, and greet. */
int wire_open_begin(struct wire_opening *o, struct err *err);

/* Go on without waiting: 0, it is done; -EAGAIN: once there is one of @events there is more. */
int wire_open_on(struct wire_opening *o, short *events, struct err *err);

/* What a configuration has for its timeout. */
u32 wire_timeout(const struct wire_config *cfg);

#endif
