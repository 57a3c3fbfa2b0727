// SPDX-License-Identifier: Apache-2.0
/*
 * How fast the line to another quire is: messages of nonsense there, a word back. The other side is
 * one that waits for a guest (vmm/migrate/incoming.h), and goes on waiting afterwards.
 *
 *	source                           destination
 *	HELLO (PROBE)    -------------->
 *	                 <--------------  HELLO
 *	PAGES ... FLUSH  -------------->
 *	                 <--------------  READY    all of it has come
 *	PAGES ... FLUSH  -------------->           twice as much, until it took long enough
 *	                 ...
 *	(hangs up)
 */
#ifndef QUIRE_VMM_MIGRATE_LINE_PROBE_H
#define QUIRE_VMM_MIGRATE_LINE_PROBE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct wire;

struct migrate_probe_order {
	const char *address, *psk_file;	    /* psk_file may be NULL */
	bool (*is_cancelled)(void *opaque); /* asked often; or NULL */
	void *opaque;
};

struct migrate_probe {
	double rate;	/* bytes a second */
	u64 connect_ns; /* until the other side had greeted */
	u64 answer_ns;	/* there and back */
};

/*
 * Takes a tenth of a second, and on a slow line what 64 KiB take. -ECANCELED, -ETIMEDOUT, and what
 * wire_connect() and migrate_receive() say.
 */
int migrate_probe(const struct migrate_probe_order *order, struct migrate_probe *probe,
		  struct err *err);

/* The other side's part, after its HELLO; the connection stays the caller's. */
void migrate_probe_serve(struct wire *w);

#endif
