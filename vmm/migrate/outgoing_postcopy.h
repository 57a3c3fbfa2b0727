// SPDX-License-Identifier: Apache-2.0
/*
 * Memory goes after the guest: what has to be ready for that before it goes, and what is done from
 * then on. On the migration's thread.
 */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_POSTCOPY_H
#define QUIRE_VMM_MIGRATE_OUTGOING_POSTCOPY_H

#include <stdatomic.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;
struct image_writer;

struct outgoing_postcopy {
	u64 *first;		    /* what the guest will need at once, as far as known */
	struct image_writer *spill; /* begun, and not written yet; or NULL */
	atomic_bool pushed;	    /* all was sent, only the answer is missing; sequentially
				       consistent: "migrate" says so before "urgent" is cut */
	char *recover;		    /* the address to go on by, or NULL; under lock */
};

/* While it is set up: what can be known to go wrong with post-copy goes wrong now. */
int outgoing_postcopy_begin(struct outgoing *o, struct err *err);

/* vCPUs stand still: note what the guest will need at once. */
void outgoing_note_first(struct outgoing *o);

/* Before the pause: the other side gets ready to do without part of the memory. */
int outgoing_prepare(struct outgoing *o, struct err *err);

/* vCPUs stand still: say what is missing, and leave in o->todo what is to go all the same. */
int outgoing_tell_missing(struct outgoing *o, struct err *err);

/* The guest runs there: send what it misses (o->dirty), until it has all, over lost connections. */
int outgoing_serve(struct outgoing *o, struct err *err);

/* When the thread has ended. */
void outgoing_postcopy_fini(struct outgoing *o);

#endif
