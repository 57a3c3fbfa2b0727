// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a migration's destination: the structure that its files share. Each file's
 * contract, and the part of the structure that it alone uses, is in its own header.
 *
 *	incoming.c           its life: birth, thread, death; the guest until it runs here
 *	incoming_setup.c     what the source announces, and a VM for it
 *	incoming_postcopy.c  memory that comes after the guest
 *	incoming_pages.c     pages, from all connections, into guest memory
 *	incoming_link.c      the connections
 *	incoming_probe.c     those that only measure the line
 *	incoming_progress.c  what is told of it
 */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_IMPL_H
#define QUIRE_VMM_MIGRATE_INCOMING_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/engine/remote.h"
#include "mm/wire/wire.h"
#include "vmm/migrate/format.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/incoming_pages.h"
#include "vmm/migrate/incoming_postcopy.h"
#include "vmm/migrate/incoming_probe.h"
#include "vmm/migrate/incoming_setup.h"

/* One more connection with pages on it, and the thread that reads it. */
struct incoming_stream {
	struct incoming *in;
	struct wire *wire;
	pthread_t thread;
	bool started;
};

struct incoming {
	struct incoming_config cfg;
	char *psk_file, *address;
	pthread_t thread;

	/* changed by the thread alone, under lock, so that it may read them without */
	struct wire_listener *listener; /* NULL once no connection is to come any more */
	struct wire *main;
	struct incoming_stream streams[MIGRATE_MAX_STREAMS + 1]; /* with the urgent one */
	u32 nr_streams;
	u64 began_ns;

	/* of the thread; constant before the owner is asked for a VM, or a stream is read */
	u8 session[16];
	struct migrate_setup setup;
	struct incoming_guest guest;
	void *state;	       /* that guest points to */
	struct remote *remote; /* or NULL: no page can be missing */
	u64 *missing;	       /* as the source says; NULL: none can be */
	u32 nr_pages, words;
	struct incoming_probes probes;

	/*
	 * The guest may run: pages go through the remote pager. Set once, by the thread, with
	 * release after remote_begin(); read with acquire.
	 */
	atomic_bool live;

	pthread_mutex_t ask_lock;	/* before the other: one sends on the urgent connection */
	struct incoming_stream *urgent; /* among the streams, or NULL; as those, under ask_lock */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	bool quit;
	struct vm *vm; /* NULL until the owner gives it; then constant: the thread waits for it */
	struct incoming_request request;
	struct incoming_arrivals arrivals;
	struct incoming_postcopy postcopy;
	struct migrate_progress progress;
};

#endif
