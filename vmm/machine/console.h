// SPDX-License-Identifier: Apache-2.0
/*
 * The host's end of the guest's serial port: the terminal, a file, or a UNIX socket.
 *
 *   vCPU threads                              main loop
 *   console_put() --> [ queue, 128 KiB ] --> write when the descriptor takes it
 *   serial device <-- console_host.input() <-- read when the device has room
 *
 * Nothing is dropped: when the queue is half full console_congested() says so, and vCPUs then wait
 * before they enter the guest again. The other half is room for what they have under way (a string
 * instruction hands over at most 4 KiB in one exit, and there are at most 16 vCPUs). Only where
 * there is nobody to read (kind none, or a socket without a client) is output thrown away.
 *
 * A terminal goes into raw mode as soon as the guest listens to its serial port; until then Ctrl-C
 * ends quire as it ends any program. In raw mode every key is the guest's, except Ctrl-A: x ends
 * the guest, Ctrl-A sends itself, h explains.
 *
 * Threads: console_put(), console_congested() and console_input_ready() may be called from any
 * thread, the rest from the main loop's.
 */
#ifndef QUIRE_VMM_MACHINE_CONSOLE_H
#define QUIRE_VMM_MACHINE_CONSOLE_H

#include <uv.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

struct console;

/* What a console asks of its owner, on the main thread. */
struct console_host {
	void *opaque;
	/* Bytes for the guest; returns how many it took. */
	size_t (*input)(void *opaque, const u8 *data, size_t len);
	/* Whether the guest listens to its serial port. */
	bool (*listening)(void *opaque);
	/* There is room again: let vCPUs that wait go on. */
	void (*drained)(void *opaque);
	/* The user pressed the escape key's x. */
	void (*quit)(void *opaque);
	/* Output cannot be written any more; not called by those that return it. */
	void (*failed)(void *opaque, const struct err *why);
};

/*
 * Open the console that @spec names: "stdio", "none", "file:PATH" (created, truncated) or
 * "unix:PATH" (a listening socket, one client at a time; a stale one is replaced).
 */
int console_create(struct console **out, uv_loop_t *loop, const char *spec,
		   const struct console_host *host, struct err *err);

/*
 * What the guest has printed so far is to be written before anybody says how it ended. Write what
 * the descriptor takes at once; what it does not take stays queued. -errno and a sentence when it
 * cannot be written.
 */
int console_flush(struct console *c, struct err *err);

/*
 * Once nothing more comes: write the rest, for at most a second without progress. -errno and a
 * sentence when some of it is lost; where there is nobody to read it, none is.
 */
int console_finish(struct console *c, struct err *err);

/* Restore the terminal, close. What is still queued is lost. */
void console_destroy(struct console *c);

void console_put(struct console *c, u8 byte);
bool console_congested(struct console *c);

/* The guest has room for input again, or has just begun to listen. */
void console_input_ready(struct console *c);

#endif
