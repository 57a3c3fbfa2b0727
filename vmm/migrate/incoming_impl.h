// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a migration's destination: what its files share. For vmm/migrate/incoming*.c alone.
 *
 *	incoming.c        the thread: who comes, what is to come, whose it is
 *	incoming_setup.c  what is to come, and a VM for it
 *	incoming_pages.c  pages, from all connections, into guest memory
 *	incoming_probe.c  nobody comes yet: how fast is the line?
 */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_IMPL_H
#define QUIRE_VMM_MIGRATE_INCOMING_IMPL_H

#include <pthread.h>

#include "mm/engine/remote.h"
#include "mm/wire/wire.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/format.h"

/* One more connection with pages on it, and the thread that reads it. */
struct incoming_stream {
	struct incoming *in;
	struct wire *wire;
	pthread_t thread;
	bool started;
};

/* Somebody who measures the line, and the thread that serves him. */
struct incoming_probe {
	struct wire *wire; /* NULL: nobody */
	pthread_t thread;
};

/* More at once would measure each other rather than the line. */
#define INCOMING_PROBES 4

struct incoming {
	struct incoming_config cfg;
	char *psk_file;
	struct wire_listener *listener; /* NULL once nobody is to come any more; under lock */
	char *address;
	pthread_t thread;

	/* of the thread */
	u8 session[16];
	struct migrate_setup setup;
	struct incoming_guest guest;
	void *state; /* that guest points to */
	struct wire *main;
	struct incoming_stream
		streams[MIGRATE_MAX_STREAMS + 1]; /* the last may be the urgent one */
	u32 nr_streams;				  /* of these */
	struct incoming_probe probes[INCOMING_PROBES];
	u32 nr_probes;	       /* that there ever were */
	struct remote *remote; /* or NULL: no page can be missing */
	u64 *missing;	       /* as the source says; NULL: none can be */
	bool prepared;	       /* the engine is in charge, before the guest runs */
	u32 nr_pages, words;
	u64 began_ns;

	pthread_mutex_t ask_lock;	/* before the other: one sends on the urgent connection */
	struct incoming_stream *urgent; /* among the streams, or NULL; under ask_lock */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	bool wants_vm, quit;
	struct vm *vm; /* constant once it is there */
	bool refused;
	struct err refusal;
	u32 flushed; /* streams that have said so */
	int broken;  /* what the first broken connection said, or 0 */
	struct err broken_why;
	struct image *spill; /* to finish from; or NULL */
	bool live;	     /* the guest may run: pages go through the remote pager */
	struct migrate_progress progress;
};

/* ---- incoming.c ---- */

void incoming_set_status(struct incoming *in, enum migrate_status status);

/* ---- incoming_setup.c ---- */

/* What the source announces, into in->setup and in->guest. */
int incoming_hear_setup(struct incoming *in, struct err *err);

/* The owner makes a VM, on his own thread. */
int incoming_wait_for_vm(struct incoming *in, struct err *err);

/* ---- incoming_pages.c ---- */

/* A batch that came on any connection. */
int incoming_apply(struct incoming *in, const struct wire_message *msg, struct err *err);

/* A piece of the list of pages that came and are to come once more; the last has all of it go. */
int incoming_forget(struct incoming *in, const struct wire_message *msg, struct err *err);

/* Start a thread for each of the further connections; end them all, cutting them first. */
int incoming_start_streams(struct incoming *in, struct err *err);
void incoming_end_streams(struct incoming *in);

/* Wait until each stream has said FLUSH. */
int incoming_wait_flushed(struct incoming *in, struct err *err);

/* remote_host.ask() of ours. */
void incoming_ask(void *opaque, page_no no, u32 n);

/* ---- incoming_probe.c ---- */

/*
 * Have a connection served that was greeted on, until it has measured enough or others have come
 * after it. It is taken over.
 */
void incoming_serve_probe(struct incoming *in, struct wire *w, const struct migrate_hello *hello);

/* End all of them. */
void incoming_end_probes(struct incoming *in);

#endif
