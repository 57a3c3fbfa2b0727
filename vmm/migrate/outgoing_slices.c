// SPDX-License-Identifier: Apache-2.0
/*
 * The end of a pre-copy of a guest that writes about as fast as the connection takes: rounds leave
 * as much as they send, and all of that would go in one pause. Instead the guest stands still for
 * short slices of time, in each of which part of it goes, and runs between them. It loses hardly
 * more time than it would in one piece, and never much at once.
 *
 * This pays only where the other side is near: a slice ends when it has everything.
 *
 * On the migration's thread. Always: vCPUs are thawed at the end of each slice, whatever failed in
 * it, and what did not go is in o->dirty.
 */
#include "vmm/migrate/outgoing_slices.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_round.h"
#include "vmm/vm/vm.h"

/* A slice takes a quarter of the downtime that is allowed, and no more than this. */
#define SLICE_NS   ((u64)2000000)
#define MAX_SLICES 128

/* An answer that takes a larger part of a slice than one in so many is not worth waiting for. */
#define NEAR 4

/* For so long it is watched, to see how fast it writes. */
#define WATCH_NS ((u64)2000000)

/* It runs for as long as it stood still; less where it writes more meanwhile than went. */
#define MIN_RUN_NS ((u64)200000)

static u64 slice_ns(const struct outgoing *o)
{
	return MIN(o->cfg.params.downtime_ns / 4, SLICE_NS);
}

/* An answer may be late because this host is busy; one that is very late comes from afar. */
int outgoing_find_near(struct outgoing *o, struct err *err)
{
	u64 limit = slice_ns(o) / NEAR, ns = 0;
	int ret = 0;

	for (u32 i = 0; i < 4 && !ret && !o->is_near && ns <= 8 * limit; i++) {
		u64 since = now_ns();

		ret = outgoing_flush(o, err);
		ns = now_ns() - since;
		o->is_near = !ret && ns <= limit;
	}
	return ret;
}

/* One slice, in which @most pages go; *@left: how many there are afterwards. */
static int slice(struct outgoing *o, u64 most, u64 *left, struct err *err)
{
	int ret;

	vm_freeze(o->cfg.vm);
	ret = outgoing_harvest(o, o->dirty, err);
	if (!ret) {
		memcpy(o->todo, o->dirty, o->words * sizeof(u64));
		pageset_cut(o->todo, o->words, most);
		pageset_remove(o->dirty, o->todo, o->words);
		ret = outgoing_send_round(o, err);
	}
	vm_thaw(o->cfg.vm);
	pthread_mutex_lock(&o->lock);
	o->progress.slices++;
	pthread_mutex_unlock(&o->lock);
	*left = pageset_count(o->dirty, o->words);
	return ret;
}

int outgoing_watch(struct outgoing *o, u64 *left, bool *fast, struct err *err)
{
	int ret;

	memset(o->todo, 0, o->words * sizeof(u64));
	usleep(WATCH_NS / 1000);
	ret = outgoing_harvest(o, o->todo, err);
	*fast = outgoing_pages_ns(o, pageset_count(o->todo, o->words)) > WATCH_NS / 3;
	pageset_add(o->dirty, o->todo, o->words);
	*left = pageset_count(o->dirty, o->words);
	return ret;
}

int outgoing_slices(struct outgoing *o, u64 *left, struct err *err)
{
	u64 budget = slice_ns(o), run = budget, before;
	int ret = 0;

	for (u32 i = 0; i < MAX_SLICES && !ret && outgoing_pages_ns(o, *left) > budget / 2; i++) {
		before = *left;
		ret = slice(o, budget / MAX(outgoing_pages_ns(o, 1), 1), left, err);
		if (!ret && outgoing_is_cancelled(o))
			ret = err_set(err, -ECANCELED, "cancelled");
		if (*left >= before && run == MIN_RUN_NS)
			break;
		if (*left >= before)
			run = MAX(run / 2, MIN_RUN_NS);
		usleep((useconds_t)(run / 1000));
	}
	/* whatever is done, it writes more than goes: not again */
	o->is_near = outgoing_pages_ns(o, *left) <= budget / 2;
	return ret;
}
