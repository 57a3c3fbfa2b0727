// SPDX-License-Identifier: Apache-2.0
/*
 * Pages out of a guest, over one connection or several at once: a thread for each, which takes its
 * share of the pages from the memory engine as they are and sends them in batches
 * (mm/wire/batch.h). A page always goes by the same stream, so that what is sent later replaces
 * what was sent before.
 *
 * Whether pages are compressed is found out while it works: by what the connection takes a second,
 * or may take, and what compressing costs and gains with these pages.
 */
#ifndef QUIRE_VMM_MIGRATE_SENDER_H
#define QUIRE_VMM_MIGRATE_SENDER_H

#include "mm/wire/batch.h"
#include "mm/wire/wire.h"

struct mem;
struct sender;

struct sender_config {
	struct mem *mem;
	u32 nr_pages;
	u64 bandwidth; /* bytes a second, of all streams together; 0: no limit */
};

int sender_create(struct sender **out, const struct sender_config *cfg, struct err *err);

/* One more stream. Before the first sender_send(). The connection stays the caller's. */
int sender_add(struct sender *s, struct wire *w, struct err *err);

/*
 * Send the pages of @pages, a bit for each, and return when all have gone. Each bit is taken away,
 * atomically, by whoever sends the page: somebody else may take pages for himself that way
 * (sender_claim()). One call at a time.
 */
int sender_send(struct sender *s, u64 *pages, struct err *err);

/* As sender_config.bandwidth, from now on. While nothing is being sent. */
void sender_set_bandwidth(struct sender *s, u64 bandwidth);

/*
 * From now on each page is sent so that it can be taken alone: the guest runs over there, or what
 * was sent before need not be there any more.
 */
void sender_set_alone(struct sender *s);

/* Whether the page was still to be sent; from now on it is the caller's to send. */
bool sender_claim(u64 *pages, page_no no);

/* Pages near this one are wanted first. Any thread. */
void sender_prefer(struct sender *s, page_no no);

/* Say FLUSH on each stream: everything before it has been said. While nothing is being sent. */
int sender_flush(struct sender *s, struct err *err);

/* End it: everything under way fails. Any thread. */
void sender_cut(struct sender *s);

struct sender_stats {
	u64 bytes;	/* on all connections */
	u64 pages_left; /* of what was started */
	struct batch_stats batch;
};

void sender_get_stats(struct sender *s, struct sender_stats *stats);

/* NULL is allowed. Nothing is being sent any more. */
void sender_destroy(struct sender *s);

#endif
