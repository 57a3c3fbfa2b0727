// SPDX-License-Identifier: Apache-2.0
/*
 * TLS with a pre-shared key over a socket that does not block. Private to mm/wire/.
 *
 * The library is loaded when a key is first read: who does without pays nothing, in memory or in
 * time to start. Only TLS 1.3 is spoken, with keys that are forgotten at the end (ECDHE-PSK): who
 * learns the pre-shared key later cannot read what was recorded.
 */
#ifndef QUIRE_MM_WIRE_TLS_H
#define QUIRE_MM_WIRE_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

#define TLS_KEY_LEAST 16
#define TLS_KEY_MOST  64

struct tls_key {
	char identity[128];
	u32 size;
	u8 key[TLS_KEY_MOST];
};

struct tls;

/* Read a file of one line, IDENTITY:HEX, and load the library. -errno with a sentence. */
int tls_read_key(struct tls_key *key, const char *path, struct err *err);
void tls_wipe_key(struct tls_key *key);

/* @fd must outlive it, @key the handshake. */
int tls_create(struct tls **out, int fd, bool server, const struct tls_key *key, struct err *err);
void tls_destroy(struct tls *t); /* NULL is allowed; says nothing to the other side */

/*
 * Shake hands. -EACCES, or what the socket said; -EAGAIN: wait for @events, then again. @why:
 * the library's words for -EACCES.
 */
int tls_handshake(struct tls *t, short *events, const char **why);

/*
 * As send() and recv(): bytes, -EAGAIN when nothing can be done, 0 or -EPIPE for the end, -errno.
 * What was taken to be sent has gone when tls_flush() says so (0). One thread may send and flush
 * while another receives.
 */
ssize_t tls_send(struct tls *t, const struct iovec *iov, int nr);
int tls_flush(struct tls *t);
ssize_t tls_receive(struct tls *t, void *data, size_t size);

#endif
