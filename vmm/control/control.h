// SPDX-License-Identifier: Apache-2.0
/*
 * vmm/control: how a running guest is spoken to. The folder owns the runtime directory where guests
 * are found by name (rundir.h), the socket there and its clients (this header), the conversation
 * (qmp.h), the commands (qmp_cmds.h has the table, qmp_SUBJECT.c the handlers), and what is told,
 * as JSON (SUBJECT_json.h) and as events (qmp_event.h). The other end is here, too: client.h is
 * what the sub-commands use. It may use vmm/machine and all below that; cli uses it. Where to
 * begin: this header, qmp.h (the drawing of the framing), then the table in qmp_cmds.c.
 *
 * The control socket: a listening UNIX socket, its QMP clients, and what they are told of.
 *
 * Everything runs on the loop's thread, which is asserted, and nothing here blocks, except
 * control_destroy(), which gives the last lines a bounded time to leave. Clients are not trusted to
 * behave:
 *
 *   - at most CONTROL_MAX_CLIENTS are served; one more is told so and closed.
 *   - requests are not read while CONTROL_OUT_PAUSE bytes of replies wait for their reader, so that
 *     one who asks without listening only stops himself.
 *   - events do not wait for anybody: at CONTROL_OUT_MAX bytes the client is dropped.
 */
#ifndef QUIRE_VMM_CONTROL_CONTROL_H
#define QUIRE_VMM_CONTROL_CONTROL_H

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "vmm/machine/machine.h"

#define CONTROL_MAX_CLIENTS 16
#define CONTROL_OUT_PAUSE   (64 * KiB)
#define CONTROL_OUT_MAX	    (4 * MiB) /* the longest reply, a whole map of memory, is 2 MiB */

struct control;
struct uv_loop_s; /* libuv's uv_loop_t */

/*
 * Listen at @path (see rundir_socket_path()) and serve @m there. Call it in the process that stays:
 * the claim on @path carries this process's id, and clients wait for this process's end. A stale
 * socket is replaced; -EADDRINUSE with a sentence when another process serves there.
 */
int control_create(struct control **out, struct uv_loop_s *loop, struct machine *m,
		   const char *path, struct err *err);

/*
 * Stop listening, write what is still queued (replies, the SHUTDOWN event) for at most a second in
 * all, close every connection and remove the socket. Memory goes with the last of its handles, so
 * the loop must run once more before uv_loop_close(). Not to be called from within control_event()
 * or a QMP command.
 */
void control_destroy(struct control *c);

/* Tell every client; from the machine's listeners. */
void control_event(struct control *c, enum machine_event event, enum shutdown_cause cause);
void control_memory_event(struct control *c, const struct mem_event *event);

/* A checkpoint has ended. */
void control_checkpoint_event(struct control *c, const struct checkpoint_progress *progress);

/* There is news of a migration. */
void control_migrate_event(struct control *c, const struct migrate_progress *progress,
			   enum machine_migrate_news news);

#endif
