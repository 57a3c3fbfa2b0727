// SPDX-License-Identifier: Apache-2.0
/* How fast is the line? Asked before any guest comes. On the thread "incoming". */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_PROBE_H
#define QUIRE_VMM_MIGRATE_INCOMING_PROBE_H

#include <pthread.h>

#include "mm/base/base.h"

struct incoming;
struct migrate_hello;
struct wire;

/* Somebody who measures the line, and the thread that serves him. */
struct incoming_probe {
	struct wire *wire; /* NULL: nobody */
	pthread_t thread;
};

/* More at once would measure each other rather than the line. */
#define INCOMING_PROBES 4

struct incoming_probes {
	struct incoming_probe all[INCOMING_PROBES];
	u32 nr; /* that there ever were */
};

/*
 * Have a connection served that was greeted on, until it has measured enough or others have come
 * after it. It is taken over.
 */
void incoming_serve_probe(struct incoming *in, struct wire *w, const struct migrate_hello *hello);

/* End all of them. */
void incoming_end_probes(struct incoming *in);

#endif
