// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of a migration's source: what its files share. For vmm/migrate/outgoing*.c alone.
 *
 *	outgoing.c           the thread: connect, set up, hand over, end
 *	outgoing_progress.c  what is told of it, and counted for that
 *	outgoing_plan.c      which way, when nobody said
 *	outgoing_rounds.c    memory while the guest runs here
 *	outgoing_slices.c     the end of that, when the guest writes much
 *	outgoing_post.c      memory while it runs there
 */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_IMPL_H
#define QUIRE_VMM_MIGRATE_OUTGOING_IMPL_H

#include <pthread.h>

#include "mm/wire/wire.h"
#include "vmm/migrate/format.h"
#include "vmm/migrate/outgoing.h"
#include "vmm/migrate/sender.h"
#include "vmm/state/state.h"

struct outgoing {
	struct outgoing_config cfg;
	char *address, *name; /* that cfg points to */
	pthread_t thread;
	u8 session[16];
	u32 nr_pages, words; /* of the guest, and of a bitmap of them */

	/* of the thread */
	struct wire *wires[MIGRATE_MAX_STREAMS]; /* the first is the main one */
	struct wire *urgent;
	u32 features;	 /* that both sides have */
	bool told_state; /* the other side may be waiting for the last word */
	bool pushed;	 /* everything has been sent: only the answer is missing */
	bool can_post;	 /* the other side is prepared for post-copy */
	bool post;	 /* and that is how it goes */
	struct sender *sender;
	struct throttle *throttle; /* from the rounds to the end of the pause; or NULL */
	struct state_buf state;
	u64 *todo;  /* pages being sent */
	u64 *dirty; /* pages that are to be sent (again) */
	u64 *last;  /* pages that were found dirty the time before */
	u64 *first; /* post-copy: what the guest will need at once, as far as known */
	struct image_writer *spill; /* begun, and not written yet; or NULL */
	u64 began_ns, frozen_ns;
	bool near;	       /* outgoing_find_near() */
	double rate;	       /* bytes a second, as measured */
	double bytes_per_page; /* as they are after encoding */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	bool cancelled;	  /* end it; not once gone */
	bool gone;	  /* GO has been, or is being, sent */
	bool go_postcopy; /* asked for, or decided */
	char *recover;	  /* the address to go on by, or NULL */
	bool over;	  /* the thread has done its work */
	bool quit;	  /* the process is about to end */
	struct migrate_progress progress;

	/* for the progress, likewise */
	enum migrate_phase phase;
	bool is_set_up;				/* memory goes, or has gone */
	u64 bytes_before, further_before;	/* on connections that are no more */
	struct batch_stats batch_before;	/* of the streams that were on them */
	struct batch_stats urgent_batch;	/* of the pages that were asked for */
	u64 rated_ns, rated_bytes, rated_pages; /* when the rates were last looked at */
};

/* ---- outgoing_progress.c ---- */

void outgoing_set_status(struct outgoing *o, enum migrate_status status);

/* What is sent from now on counts as this phase's. */
void outgoing_enter(struct outgoing *o, enum migrate_phase phase);

/* Setting up ends here, unless it has ended before. */
void outgoing_note_set_up(struct outgoing *o);

/* Take a connection, or NULL, out of where others find it; what it has carried stays counted. */
struct wire *outgoing_take_wire(struct outgoing *o, struct wire **at);

/* Pages that were sent by streams that end stay counted. @sender: NULL is allowed. Under lock. */
void outgoing_keep_pages(struct outgoing *o, struct sender *sender);

/* It is over: times and rates are those of all of it. Under lock. */
void outgoing_sum_up(struct outgoing *o);

/* ---- outgoing.c ---- */

bool outgoing_is_cancelled(struct outgoing *o);

/* The main connection, in @role. */
int outgoing_connect(struct outgoing *o, enum migrate_role role, struct err *err);
/* The further ones, once the other side is ready for them. */
int outgoing_connect_rest(struct outgoing *o, struct err *err);
void outgoing_disconnect(struct outgoing *o);

/* Wait until the other side has all that was sent. */
int outgoing_flush(struct outgoing *o, struct err *err);

/* The last thing that is said. */
void outgoing_thank(struct outgoing *o);

/* Streams over the present connections. */
int outgoing_make_sender(struct outgoing *o, struct err *err);

/* ---- outgoing_plan.c ---- */

/* In place of MIGRATE_AUTO the best strategy; the progress has the plan that says so. */
int outgoing_choose(struct outgoing *o, struct err *err);

/* ---- outgoing_rounds.c ---- */

/*
 * All of what is to go while the guest runs. Afterwards o->dirty says what is left. vCPUs that were
 * slowed down still are: let go before the pause, they would write much more than is left.
 */
int outgoing_rounds(struct outgoing *o, struct err *err);
void outgoing_end_throttle(struct outgoing *o);

/* Add what was written since the last time to @pages. */
int outgoing_harvest(struct outgoing *o, u64 *pages, struct err *err);

/* Send what is in o->todo, and learn from it what the connection takes. */
int outgoing_send_round(struct outgoing *o, struct err *err);

/* How long so many pages would take, by what was learned. 0: nothing was yet. */
u64 outgoing_pages_ns(const struct outgoing *o, u64 pages);

/* Whether it is to go over to post-copy, as was asked for or decided. */
bool outgoing_wants_postcopy(struct outgoing *o);

/* ---- outgoing_slices.c ---- */

/* Whether the other side is so near that short spells are worth it: o->near. */
int outgoing_find_near(struct outgoing *o, struct err *err);

/*
 * Watch the guest for a moment: whether it writes more than a third of what goes in that time, so
 * that rounds would do little good. *@left: pages in o->dirty afterwards.
 */
int outgoing_watch(struct outgoing *o, u64 *left, bool *fast, struct err *err);

/*
 * Make what is left (o->dirty, *@left pages) so little that the pause is short. Where that does not
 * do, o->near says so from then on.
 */
int outgoing_glide(struct outgoing *o, u64 *left, struct err *err);

/* ---- outgoing_post.c ---- */

/* Before the pause: the other side gets ready to do without part of the memory. */
int outgoing_prepare(struct outgoing *o, struct err *err);

/* vCPUs stand still: say what is missing, and leave in o->todo what is to go all the same. */
int outgoing_tell_missing(struct outgoing *o, struct err *err);

/* The guest runs there: send what it misses (o->dirty), until it has all, over lost connections. */
int outgoing_serve(struct outgoing *o, struct err *err);

#endif
