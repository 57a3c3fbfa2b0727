// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a migration's source: the structure that its files share. Each file's contract, and
 * the part of the structure that it alone uses, is in its own header.
 *
 *	outgoing.c             its life: birth, thread, orders, death
 *	outgoing_auto.c        which strategy, when nobody said
 *	outgoing_setup.c       until a VM stands by over there
 *	outgoing_precopy.c     memory while the guest runs here
 *	outgoing_slices.c      the end of that, when the guest writes much
 *	outgoing_switchover.c  it stops here and goes on there
 *	outgoing_postcopy.c    memory while it runs there
 *	outgoing_round.c       one round of pages, for all of these
 *	outgoing_link.c        the connections
 *	outgoing_progress.c    what is told of it, and counted for that
 */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_IMPL_H
#define QUIRE_VMM_MIGRATE_OUTGOING_IMPL_H

#include <pthread.h>

#include "mm/wire/wire.h"
#include "vmm/migrate/format.h"
#include "vmm/migrate/outgoing.h"
#include "vmm/migrate/outgoing_postcopy.h"
#include "vmm/migrate/outgoing_precopy.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/outgoing_round.h"
#include "vmm/migrate/sender.h"
#include "vmm/state/state.h"

struct outgoing {
	struct outgoing_config cfg;
	char *address, *name; /* that cfg points to */
	pthread_t thread;
	u8 session[16];
	u32 nr_pages, words; /* of the guest, and of a bitmap of them */

	/* changed by the thread alone, under lock, so that it may read them without */
	struct wire *wires[MIGRATE_MAX_STREAMS]; /* the first is the main one */
	struct wire *urgent;
	struct sender *sender;

	/* of the thread alone */
	u32 features;	 /* that both sides have */
	bool told_state; /* the other side may be waiting for the last word */
	bool post;	 /* it goes on as post-copy */
	bool is_near;	 /* outgoing_find_near() */
	struct state_buf state;
	u64 *todo;  /* pages being sent; in post-copy taken out bit by bit (sender_claim()) */
	u64 *dirty; /* pages that are to be sent (again) */
	struct outgoing_speed speed;
	struct outgoing_precopy precopy;
	struct outgoing_postcopy postcopy;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock; the thread reads without it what it alone writes: began_ns, can_post, gone,
	   over, progress */
	u64 began_ns;
	bool can_post;	  /* the other side is prepared for post-copy */
	bool cancelled;	  /* end it; not once gone */
	bool gone;	  /* GO has been, or is being, sent */
	bool go_postcopy; /* asked for, or decided */
	bool over;	  /* the thread has done its work */
	bool quit;	  /* the process is about to end */
	struct migrate_progress progress;
	struct outgoing_counts counts;
};

#endif
