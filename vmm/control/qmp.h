// SPDX-License-Identifier: Apache-2.0
/*
 * One QMP conversation: bytes of a client go in, lines for it come out. There are no sockets and no
 * event loop here (those are in vmm/control/control.h), so that the whole protocol runs in a unit
 * test and under a fuzzer.
 *
 * The protocol is that of QEMU's docs/interop/qmp-spec.txt: a greeting, then requests
 *	{"execute": NAME, "arguments": OBJECT, "id": ANYTHING}
 * each of which is answered, in order, by one of
 *	{"return": VALUE, "id": ...}
 *	{"error": {"class": CLASS, "desc": SENTENCE}, "id": ...}
 * with events in between. Every line sent ends in CR LF: clients split there and only there.
 *
 * Requests are framed by counting brackets outside strings, so a request may span lines and a line
 * may hold several. What comes out depends on the bytes alone, never on how reads cut them.
 *
 *                         '{'                     last '}'
 *   BETWEEN (white space) ----> REQUEST (buffered) -------> parsed and answered, BETWEEN
 *      |  ^                        |
 *      |  | newline                | control byte in a string, wrong bracket, too deep, too long
 *      v  |                        v
 *   SKIPPING (to the newline) <----+------------------------ each with one error line
 *
 * A '{' that begins a line where no value can stand opens a new request: the one before it was cut
 * off. A byte 0xff, which no JSON has, silently drops what is unfinished (as in QEMU), so that a
 * client that lost its place can start over.
 */
#ifndef QUIRE_VMM_CONTROL_QMP_H
#define QUIRE_VMM_CONTROL_QMP_H

#include "mm/base/base.h"
#include "vmm/machine/machine.h"

/* The limits that a client meets. A longer or deeper request gets an error, and is then skipped. */
#define QMP_MAX_REQUEST (64 * KiB)
#define QMP_MAX_DEPTH	64

struct qmp;

/*
 * Send @len bytes, whole lines, to the client. A negative result means that the client is gone. It
 * must not destroy the session.
 */
typedef int (*qmp_send_fn)(void *opaque, const char *data, size_t len);

/* Begin a session on behalf of @m, which must outlive it; the greeting is sent at once. -ENOMEM. */
int qmp_create(struct qmp **out, struct machine *m, qmp_send_fn send, void *opaque);
void qmp_destroy(struct qmp *q);

/*
 * Take @len bytes from the client, any bytes, and answer every request that they complete. -errno
 * when the session is over, because the client is gone or there is no memory: destroy it then.
 */
int qmp_receive(struct qmp *q, const char *data, size_t len);

/*
 * Pass an event's line on (vmm/control/qmp_event.h), if the client has finished capability
 * negotiation; before, it hears nothing. -errno as from qmp_receive().
 */
int qmp_notify(struct qmp *q, const char *line);

#endif
