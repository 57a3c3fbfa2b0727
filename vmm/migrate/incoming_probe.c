// SPDX-License-Identifier: Apache-2.0
/*
 * Somebody who may come later asks a destination that waits for a guest how fast the line is. Each
 * is served by a thread of its own: whoever measures slowly, or has stopped, is in no guest's way.
 *
 * "incoming" starts and joins the threads called "probe"; in->probes is its alone. A probe's thread
 * has a connection and nothing else of the destination.
 */
#include "vmm/migrate/incoming_probe.h"

#include "vmm/migrate/incoming_impl.h"

#include "mm/base/thread.h"
#include "vmm/migrate/line_probe.h"
#include "vmm/migrate/talk.h"

static void *probe_thread(void *arg)
{
	struct wire *w = arg;

	migrate_probe_serve(w);
	wire_cut(w); /* the other side need not wait until it is closed */
	return NULL;
}

static void end(struct incoming_probe *p)
{
	if (!p->wire)
		return;
	wire_cut(p->wire);
	pthread_join(p->thread, NULL);
	wire_close(p->wire);
	p->wire = NULL;
}

void incoming_serve_probe(struct incoming *in, struct wire *w, const struct migrate_hello *hello)
{
	struct incoming_probe *p = &in->probes.all[in->probes.nr++ % INCOMING_PROBES];
	struct err ignored;

	end(p); /* it came before all others */
	ASSERT(!p->wire);
	if (migrate_say_hello(w, hello->session, MIGRATE_PROBE, 0, &ignored) ||
	    thread_start(&p->thread, "probe", probe_thread, w))
		wire_close(w);
	else
		p->wire = w;
}

void incoming_end_probes(struct incoming *in)
{
	for (u32 i = 0; i < INCOMING_PROBES; i++)
		end(&in->probes.all[i]);
}
