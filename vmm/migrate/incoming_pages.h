// SPDX-License-Identifier: Apache-2.0
/* Pages that arrive, from all connections, into guest memory. */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_PAGES_H
#define QUIRE_VMM_MIGRATE_INCOMING_PAGES_H

#include "mm/base/addr.h"
#include "mm/base/base.h"
#include "mm/base/err.h"

struct incoming;
struct wire_message;

/* What the streams' threads have met with. Under lock; in->wake says that it has changed. */
struct incoming_arrivals {
	u32 flushed;	/* streams that have said so */
	int broken;	/* what the first broken connection said, or 0 */
	struct err why; /* of that */
};

/* A batch that came on any connection. */
int incoming_apply(struct incoming *in, const struct wire_message *msg, struct err *err);

/* A piece of the list of pages that came and are to come once more; the last has all of it go. */
int incoming_forget(struct incoming *in, const struct wire_message *msg, struct err *err);

/* Start a thread for each of the further connections; end them all, cutting them first. */
int incoming_start_streams(struct incoming *in, struct err *err);
void incoming_end_streams(struct incoming *in);

/* What broke first, or 0 (then @why stays as it is); say that this was it. */
int incoming_get_broken(struct incoming *in, struct err *why);
void incoming_set_broken(struct incoming *in, int ret, const struct err *why);

/* Wait until each stream has said FLUSH. */
int incoming_wait_flushed(struct incoming *in, struct err *err);

/*
 * Wait until no page is missing: all have been sent, and those on other connections are about to
 * arrive. -ECANCELED: it is ending. -EPROTO: they do not arrive, or a connection broke.
 */
int incoming_wait_last(struct incoming *in, struct err *err);

/* remote_host.ask() and remote_host.all_here() of ours. Any thread, the engine's lock held. */
void incoming_ask(void *opaque, page_no no, u32 n);
void incoming_all_here(void *opaque);

#endif
