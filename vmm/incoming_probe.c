// SPDX-License-Identifier: Apache-2.0
/* Somebody who may come later asks a destination that waits for a guest how fast the line is. */
#include "vmm/incoming_impl.h"
#include "vmm/migrate_probe.h"
#include "vmm/migrate_talk.h"

/* Where ending it finds the connection: nobody who ends this side waits for the other. */
static bool begin(struct incoming *in, struct wire *w)
{
	bool quit;

	pthread_mutex_lock(&in->lock);
	quit = in->quit;
	in->main = w;
	pthread_mutex_unlock(&in->lock);
	return !quit;
}

void incoming_serve_probe(struct incoming *in, struct wire *w, const struct migrate_hello *hello)
{
	struct err ignored;

	if (begin(in, w) && !migrate_say_hello(w, hello->session, MIGRATE_PROBE, 0, &ignored))
		migrate_probe_serve(w);
	pthread_mutex_lock(&in->lock);
	in->main = NULL;
	pthread_mutex_unlock(&in->lock);
	wire_close(w);
}
