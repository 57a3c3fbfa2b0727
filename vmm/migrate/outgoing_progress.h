// SPDX-License-Identifier: Apache-2.0
/* What is told of a migration by its source, and counted for that. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_PROGRESS_H
#define QUIRE_VMM_MIGRATE_OUTGOING_PROGRESS_H

#include "mm/wire/batch.h"
#include "vmm/migrate/migrate.h"

struct outgoing;
struct sender;
struct wire;

/* Under the migration's lock. */
struct outgoing_counts {
	enum migrate_phase phase;
	bool is_set_up;				/* memory goes, or has gone */
	u64 bytes_before, further_before;	/* on connections that are no more */
	struct batch_stats batch_before;	/* of the streams that were on them */
	struct batch_stats urgent_batch;	/* of the pages that were asked for */
	u64 rated_ns, rated_bytes, rated_pages; /* when the rates were last looked at */
};

void outgoing_set_status(struct outgoing *o, enum migrate_status status);

/* What is sent from now on counts as this phase's. They come in order. */
void outgoing_enter(struct outgoing *o, enum migrate_phase phase);

/* Setting up ends here, unless it has ended before. */
void outgoing_note_set_up(struct outgoing *o);

/* The guest has asked for @n pages, which @e has encoded. */
void outgoing_note_asked(struct outgoing *o, u32 n, const struct batch_encoder *e);

/* Take a connection, or NULL, out of where others find it; what it has carried stays counted. */
struct wire *outgoing_take_wire(struct outgoing *o, struct wire **at);

/* Pages that were sent by streams that end stay counted. @sender: NULL is allowed. Under lock. */
void outgoing_keep_pages(struct outgoing *o, struct sender *sender);

/* It is over: times and rates are those of all of it. Under lock. */
void outgoing_sum_up(struct outgoing *o);

#endif
