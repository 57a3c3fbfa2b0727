// SPDX-License-Identifier: Apache-2.0
/*
 * One guest as quire-top knows it: a QMP conversation that never waits, and what it has told.
 *
 *   NONE --connect--> GREETING --greeting--> NEGOTIATING --reply--> READY
 *     ^                  |                        |                   |
 *     +------------------+------------------------+-------------------+  nonsense, refusal: again
 *                                                                        after GUEST_RETRY_MS
 *
 * A guest whose process has gone is .gone, for good; if its name comes back, that is another one.
 * One that does not answer is asked nothing more until it does, so that a guest that hangs costs
 * nothing and catches up by itself.
 */
#ifndef QUIRE_TOOLS_TOP_GUEST_H
#define QUIRE_TOOLS_TOP_GUEST_H

#include "tools/top/sample.h"
#include "tools/top/wire.h"

#define GUEST_NAME_MAX	 63
#define GUEST_PATH_MAX	 108
#define GUEST_SAY_MAX	 200
#define GUEST_RETRY_MS	 2000
#define GUEST_TIMEOUT_MS 2000 /* after which it counts as not answering */

enum guest_link { LINK_NONE, LINK_GREETING, LINK_NEGOTIATING, LINK_READY };

enum guest_order { ORDER_PAUSE, ORDER_RESUME, ORDER_LIMIT, ORDER_RECLAIM };

struct guest {
	char name[GUEST_NAME_MAX + 1];
	char path[GUEST_PATH_MAX];
	struct wire wire;
	enum guest_link link;
	bool gone;
	u64 retry_ms;	  /* when to connect again */
	u64 asked_ms;	  /* since when an answer is due */
	unsigned int due; /* answers that are: set of 1 << id (guest.c) */

	bool has_vitals, has_sample;
	struct vitals vitals;
	struct sample sample;
	char problem[GUEST_SAY_MAX]; /* why there is nothing to show, or "" */

	enum guest_order order; /* the last one */
	u64 order_bytes;	/* what it asked for; of a reclaim, what is left to do */
	u64 reclaimed;
	bool said_new;		  /* .said is to be shown */
	char said[GUEST_SAY_MAX]; /* how it went */
};

int guest_create(struct guest **out, const char *name, const char *path);
void guest_destroy(struct guest *g);

/* Connect if that is due. */
void guest_connect(struct guest *g, u64 now_ms);

/* Ask for news, unless answers are due; with a map of @map_cells cells, 0 for none. */
void guest_ask(struct guest *g, u64 now_ms, u32 map_cells);

/* What to poll() its socket for; only while .link is not LINK_NONE. */
short guest_events(const struct guest *g);
void guest_ready(struct guest *g, short revents, u64 now_ms);

/* @bytes: the limit, or how much to reclaim. How it went is said in .said, then or later. */
void guest_give_order(struct guest *g, enum guest_order order, u64 bytes, u64 now_ms);

/* For how long it has owed an answer, if that is too long; else 0. */
u64 guest_silent_ms(const struct guest *g, u64 now_ms);

/* Whether all that was asked has been answered, or will not be. */
bool guest_settled(const struct guest *g);

#endif
