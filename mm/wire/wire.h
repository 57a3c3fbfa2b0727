// SPDX-License-Identifier: Apache-2.0
/*
 * A connection between two quires: messages over a byte stream, TCP or UNIX, in the clear or under
 * TLS with a pre-shared key. The format is in docs/FORMATS.md: both sides greet; then a message is
 * a header of 16 bytes (type, length, checksum of both and of the payload) and its payload.
 *
 * What comes from the other side is untrusted: a message is handed over only when its length is
 * allowed and its checksum is right. What is in it is the reader's to check.
 *
 * Threads: one may send and another receive at the same time; wire_cut() may be called by any.
 * Errors are -errno with a sentence: -ETIMEDOUT (the peer is silent), -EPIPE (it closed the
 * connection, or wire_cut() did on this side: then -ECANCELED), -EBADMSG (what came is no message),
 * -EACCES (wrong key, or one side has TLS and the other has not), or what the socket said. After an
 * error in one direction that direction is of no use any more, and says the same again. The other
 * may still be: who cannot send can read what the peer said last.
 *
 * The face of mm/wire/, which owns bytes on their way to another host: here connections and
 * messages, in batch.h what a message of pages holds. The two do not know each other, and neither
 * knows what a migration is. It uses mm/base and mm/codec. Begin here; impl.h has a connection's
 * inside and the order of its files. Of a batch, from below to above:
 *
 *	batch_sent.c, batch_delta.c	what the receiver has by now; pages as they went before
 *	batch_encode.c			pages become a message
 *	batch_apply.c			and a message pages, at the receiver
 */
#ifndef QUIRE_MM_WIRE_WIRE_H
#define QUIRE_MM_WIRE_WIRE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

/* A payload is no longer. */
#define WIRE_MAX_SIZE ((u32)(4 * MiB))

struct wire;

struct wire_config {
	/*
	 * TLS with the key in this file: a line of IDENTITY:HEX, 16 to 64 bytes, for nobody else to
	 * read. It is read once, by wire_listen() and wire_connect(). NULL: in the clear.
	 */
	const char *psk_file;
	/*
	 * To connect, from looking up a name to having shaken hands; for who has come, until his
	 * first message is here; then for how long the peer may be silent while a message is under
	 * way, in either direction. 0: 10 s.
	 */
	u32 timeout_ms;
	/* To connect: asked now and then; once it is true, that ends with -ECANCELED. Or NULL. */
	bool (*is_cancelled)(void *opaque);
	void *opaque;
};

struct wire_message {
	u32 type;
	u32 size;
	const void *data; /* aligned to 16 bytes; valid until the next receive on this connection */
	int fd;		  /* a descriptor that came along, the receiver's to close; or -1 */
};

/* What an address means: "tcp:HOST:PORT" (HOST may be [IPv6]) or "unix:PATH". -EINVAL. */
int wire_check_address(const char *address, struct err *err);

/* Whether that file has a key that could be used. -errno. */
int wire_check_key(const char *psk_file, struct err *err);

/*
 * Listen there. A socket file that nobody listens on any more is replaced; one that somebody does
 * is -EADDRINUSE. Port 0: any; wire_address() says which. Close with wire_unlisten().
 */
struct wire_listener;
int wire_listen(struct wire_listener **out, const char *address, const struct wire_config *cfg,
		struct err *err);
const char *wire_address(const struct wire_listener *l); /* as others are to write it */
/* Every wire_accept() under way or yet to come is -ECANCELED. Any thread. */
void wire_stop_listening(struct wire_listener *l);
/* From now on it is as if that had not been said. */
void wire_go_on_listening(struct wire_listener *l);
void wire_unlisten(struct wire_listener *l); /* NULL is allowed */

/*
 * Wait for a connection, for at most @timeout_ms (-1: for ever): one with which hands are shaken,
 * and whose first message has come, as by wire_receive(). @first NULL: the message is not waited
 * for.
 *
 * All who have come are heard at once, so that who says nothing, or hardly anything, keeps nobody
 * waiting: each has the usual time, and when there are more than WIRE_MOST_WAITING, the one that
 * came first has to go. They stay between two calls. Who hangs up is passed over. Whoever else was
 * not what is wanted is an error, and hung up on; the listener is none the worse for it, and may
 * accept again. One thread at a time.
 */
#define WIRE_MOST_WAITING 16
#define WIRE_FIRST_SIZE	  4096 /* a first message has no more bytes */
int wire_accept(struct wire_listener *l, int timeout_ms, struct wire **out,
		struct wire_message *first, struct err *err);

int wire_connect(struct wire **out, const char *address, const struct wire_config *cfg,
		 struct err *err);

/* A UNIX socket in the clear: both ends are on one host, and descriptors can be passed. */
bool wire_is_local(const struct wire *w);

/*
 * Send a message: all of it, or an error. @fd -1: none; else it is passed along (wire_is_local()).
 * The payload comes in two parts so that nobody has to copy it; the second may be empty.
 */
int wire_send(struct wire *w, u32 type, const void *data, u32 size, struct err *err);
int wire_send2(struct wire *w, u32 type, const void *head, u32 head_size, const void *data,
	       u32 size, int fd, struct err *err);

/*
 * The next message: its beginning within @timeout_ms (-1: for ever), its rest within the usual. If
 * nothing of it came, -ETIMEDOUT is no end: it may be tried again.
 */
int wire_receive(struct wire *w, int timeout_ms, struct wire_message *msg, struct err *err);

/* Bytes of messages so far, headers included, TLS's own not. Any thread. */
u64 wire_sent(const struct wire *w);
u64 wire_received(const struct wire *w);

/* End the connection for both directions, waking whoever waits in it. Any thread, twice too. */
void wire_cut(struct wire *w);

/* Nobody may be in it any more. NULL is allowed. */
void wire_close(struct wire *w);

#endif
