// SPDX-License-Identifier: Apache-2.0
/*
 * A UNIX socket that carries JSON objects, one a line, and never blocks: what cannot be sent or
 * received now waits in a buffer. Both buffers are bounded, whatever the other side does.
 */
#ifndef QUIRE_TOOLS_TOP_WIRE_H
#define QUIRE_TOOLS_TOP_WIRE_H

#include <jansson.h>
#include <sys/types.h>

#include "mm/base/base.h"

#define WIRE_MAX_LINE (8 * MiB) /* a reply with a map of 65536 cells has about two */
#define WIRE_MAX_SEND 4096

struct wire {
	int fd; /* -1: closed */
	pid_t peer;
	char *in; /* received and not consumed; no newline before .searched */
	size_t in_len, in_cap, searched;
	size_t out_len;
	char out[WIRE_MAX_SEND];
};

void wire_init(struct wire *w);

/* -ENOENT or -ECONNREFUSED when nobody serves there, -EAGAIN when its backlog is full. */
int wire_connect(struct wire *w, const char *path);
void wire_close(struct wire *w);

/* Queue @text, whole or (-ENOBUFS) not at all, and send what can be sent. */
int wire_send(struct wire *w, const char *text);
int wire_flush(struct wire *w);

/* Take in some of what has arrived. -ECONNRESET when the other side has gone. */
int wire_receive(struct wire *w);

/*
 * The next object: 1 with a new reference in *@out, 0 when none is complete, -EPROTO when the line
 * is no JSON object, -EMSGSIZE when it has no end.
 */
int wire_next(struct wire *w, json_t **out);

#endif
