// SPDX-License-Identifier: Apache-2.0
/*
 * One round: what was written since the last, out to the other side, and what that teaches of the
 * connection. Contract in outgoing_round.h.
 *
 * On the migration's thread alone, and so without a lock; the guest runs or stands still, as the
 * caller has it. Always: a page that the dirty log gave up is in the caller's set, and noted for
 * the owner's next checkpoint as well (cfg.also_dirty), even where the migration then fails.
 */
#include "vmm/migrate/outgoing_round.h"

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/vm/dirty.h"
#include "vmm/vm/vm.h"

int outgoing_harvest(struct outgoing *o, u64 *pages, struct err *err)
{
	u64 *also = o->cfg.also_dirty;
	int ret = dirty_harvest(o->cfg.vm, pages, err);

	/* more than what is new may be noted: a checkpoint then saves a page too many */
	if (also)
		pageset_add(also, pages, o->words);
	return ret;
}

int outgoing_send_round(struct outgoing *o, struct err *err)
{
	struct sender_stats before, after;
	u64 since = now_ns(), pages = pageset_count(o->todo, o->words), ns;
	double rate;
	int ret;

	outgoing_note_set_up(o);
	sender_get_stats(o->sender, &before);
	ret = sender_send(o->sender, o->todo, err);
	if (!ret)
		ret = outgoing_flush(o, err);
	sender_get_stats(o->sender, &after);
	ns = MAX(now_ns() - since, 1);
	if (ret || pages < 64)
		return ret; /* too few to learn from */
	rate = (double)(after.bytes - before.bytes) * 1e9 / (double)ns;
	o->speed.rate = o->speed.rate ? (o->speed.rate + rate) / 2 : rate;
	o->speed.bytes_per_page = (double)(after.bytes - before.bytes) / (double)pages;
	return 0;
}

u64 outgoing_pages_ns(const struct outgoing *o, u64 pages)
{
	return (u64)((double)pages * o->speed.bytes_per_page * 1e9 / MAX(o->speed.rate, 1.0));
}

double outgoing_rate(const struct outgoing *o)
{
	return o->speed.rate;
}

bool outgoing_wants_postcopy(struct outgoing *o)
{
	bool wants;

	pthread_mutex_lock(&o->lock);
	wants = o->go_postcopy;
	pthread_mutex_unlock(&o->lock);
	return wants;
}
