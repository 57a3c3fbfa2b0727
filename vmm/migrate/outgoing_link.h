// SPDX-License-Identifier: Apache-2.0
/*
 * The connections of a migration's source: made, flushed, cut and closed. All of it on the
 * migration's thread unless another is named.
 */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_LINK_H
#define QUIRE_VMM_MIGRATE_OUTGOING_LINK_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/migrate/format.h"

struct outgoing;

/* Whether the owner wants an end of it; of all of it, the process's too. Any thread. */
bool outgoing_is_cancelled(struct outgoing *o);
bool outgoing_is_ending(struct outgoing *o);

/* The main connection, in @role. */
int outgoing_connect(struct outgoing *o, enum migrate_role role, struct err *err);

/* The further ones, once the other side is ready for them. */
int outgoing_connect_rest(struct outgoing *o, struct err *err);

/* Streams over the present connections. */
int outgoing_make_sender(struct outgoing *o, struct err *err);

/* Close all of them, and end the streams. */
void outgoing_disconnect(struct outgoing *o);

/*
 * Wait until the other side has all that was sent: nothing is on its way any more. What waits in
 * the sockets would otherwise be sent while the guest stands still, and count as sent before.
 */
int outgoing_flush(struct outgoing *o, struct err *err);

/*
 * The last message: it is known over here that the guest runs there, so the other side need not
 * wait to be asked. It may be lost.
 */
void outgoing_send_done(struct outgoing *o);

/* Whoever waits in a connection, or on o->wake, waits no longer. Any thread, under lock. */
void outgoing_cut(struct outgoing *o);

#endif
