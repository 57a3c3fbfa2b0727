// SPDX-License-Identifier: Apache-2.0
/* The connections of a migration's destination. On the thread "incoming" unless said otherwise. */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_LINK_H
#define QUIRE_VMM_MIGRATE_INCOMING_LINK_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/migrate/format.h"

struct incoming;
struct wire;

/* Whether the owner wants an end of it. Any thread, not under lock. */
bool incoming_is_ending(struct incoming *in);

/*
 * The next connection of that kind; MIGRATE_STREAM: any further one that is lacking. Others are
 * told that they are not welcome: they are no reason to stop waiting for the right one.
 */
int incoming_accept(struct incoming *in, enum migrate_role role, int timeout_ms, struct wire **out,
		    struct migrate_hello *hello, struct err *err);

/* Wait for a main connection of that role, however long, and greet it: in->main. */
int incoming_accept_main(struct incoming *in, enum migrate_role role, struct err *err);

/* There is none. */
void incoming_set_main(struct incoming *in, struct wire *w);
void incoming_close_main(struct incoming *in);

/* All the further connections that were announced; each is read from then on. */
int incoming_accept_rest(struct incoming *in, struct err *err);

/* Nobody is to come any more: others may wait at the address. */
void incoming_stop_listening(struct incoming *in);

#endif
