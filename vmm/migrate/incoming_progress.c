// SPDX-License-Identifier: Apache-2.0
/*
 * What is told of a migration by its destination. Any thread; under in->lock, and the owner is told
 * (cfg.changed()) without it.
 */
#include "vmm/migrate/incoming_progress.h"

#include "mm/base/clock.h"
#include "vmm/migrate/incoming_impl.h"

void incoming_progress(struct incoming *in, struct migrate_progress *progress)
{
	pthread_mutex_lock(&in->lock);
	if (in->main && !migrate_is_over(in->progress.status)) {
		in->progress.bytes = wire_received(in->main);
		for (u32 i = 0; i < in->nr_streams; i++)
			in->progress.bytes += wire_received(in->streams[i].wire);
		in->progress.total_ns = now_ns() - in->began_ns;
	}
	if (atomic_load_explicit(&in->live, memory_order_acquire))
		in->progress.pages_left = remote_nr_missing(in->remote);
	*progress = in->progress;
	pthread_mutex_unlock(&in->lock);
}

void incoming_set_status(struct incoming *in, enum migrate_status status)
{
	struct migrate_progress now;

	incoming_progress(in, &now); /* counts what there is to count, while it is there */
	pthread_mutex_lock(&in->lock);
	in->progress.status = status;
	pthread_mutex_unlock(&in->lock);
	in->cfg.changed(in->cfg.opaque);
}
