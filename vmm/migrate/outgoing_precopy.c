// SPDX-License-Identifier: Apache-2.0
/*
 * Memory goes while the guest runs on: all of it, then what was written meanwhile, and so on, until
 * what is left can go within the downtime that is allowed.
 *
 * A page that was written in two rounds one after the other will be written in the next as well:
 * sending it again is for nothing. Such pages wait until nothing else is left, as long as there is
 * enough else to send.
 *
 * Where rounds do not become smaller, the vCPUs that write are made to wait, the more the longer it
 * lasts (vmm/migrate/throttle.h); readers are not. Where that is not wanted, rounds go on for as
 * long as the owner lets them.
 *
 * On the migration's thread, which alone has o->todo and o->dirty; only the progress and the orders
 * (o->cancelled, o->go_postcopy) are shared, under o->lock.
 *
 * Always: a page that is not over there as it is now is in o->dirty, in o->todo, or still in KVM's
 * dirty log.
 */
#include "vmm/migrate/outgoing_precopy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "vmm/vm/dirty.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/outgoing_round.h"
#include "vmm/migrate/outgoing_slices.h"
#include "vmm/migrate/throttle.h"
#include "vmm/vm/vm.h"

/* What the pause costs beside pages: stopping, state, and the other side's answers. */
#define FIXED_NS ((u64)1500000)

/* Rounds go on below the limit as long as each leaves so much less than the one before. */
#define WORTHWHILE  0.7
#define GOOD_ENOUGH ((u64)1000000)

/* After so many rounds it is looked whether the other side is near. */
#define NEAR_ROUNDS 3

/* In slices may go as much as would otherwise take so many times the limit. */
#define SLICES_FROM 6

/* A round that leaves more than this share of the one before is a stall. */
#define STALLED	  0.8
#define STALLS	  2
#define MAX_ROUND 1000

static u64 expected_ns(const struct outgoing *o, u64 pages)
{
	return FIXED_NS + outgoing_pages_ns(o, pages);
}

static void note_round(struct outgoing *o, u32 round, u64 dirty, u64 ns)
{
	pthread_mutex_lock(&o->lock);
	o->progress.round = round;
	o->progress.pages_dirty = dirty;
	o->progress.dirty_rate = (u64)((double)dirty * 1e9 / (double)MAX(ns, 1));
	o->progress.expected_ns = expected_ns(o, dirty);
	pthread_mutex_unlock(&o->lock);
	o->cfg.changed(o->cfg.opaque);
}

/* From o->dirty into o->todo what is worth sending now. */
static void choose(struct outgoing *o)
{
	u64 all = pageset_count(o->dirty, o->words), hot = 0;
	u64 *last = o->precopy.last;
	bool defer;

	for (u32 i = 0; i < o->words; i++)
		hot += (u64)__builtin_popcountll(o->dirty[i] & last[i]);
	defer = hot * 4 < all * 3;
	for (u32 i = 0; i < o->words; i++) {
		u64 wait = defer ? o->dirty[i] & last[i] : 0;

		last[i] = o->dirty[i];
		o->todo[i] = o->dirty[i] & ~wait;
		o->dirty[i] = wait;
	}
}

/* It takes too long: what the user wants then. -ETIME: to give up. */
static int late(struct outgoing *o, struct err *err)
{
	const struct migrate_params *p = &o->cfg.params;

	if (!p->time_ns || now_ns() - o->began_ns < p->time_ns)
		return 0;
	if (p->late == MIGRATE_LATE_CANCEL)
		return err_set(err, -ETIME,
			       "not done in time: the guest writes %llu pages a second and the "
			       "connection takes %llu MiB (try --hybrid, or a longer --downtime)",
			       (unsigned long long)o->progress.dirty_rate,
			       (unsigned long long)(outgoing_rate(o) / (double)MiB));
	if (p->late == MIGRATE_LATE_POSTCOPY) {
		pthread_mutex_lock(&o->lock);
		o->go_postcopy = true;
		pthread_mutex_unlock(&o->lock);
	}
	return 0;
}

static void slow_down(struct outgoing *o, u32 *stalls, u64 before, u64 now)
{
	unsigned int percent = o->progress.throttle;

	*stalls = (double)now > STALLED * (double)before ? *stalls + 1 : 0;
	if (*stalls < STALLS)
		return;
	percent = percent ? MIN(percent + (100 - percent) / 3 + 1, 99u) : 20;
	pthread_mutex_lock(&o->lock);
	o->progress.throttle = percent;
	pthread_mutex_unlock(&o->lock);
	if (o->precopy.throttle)
		throttle_set(o->precopy.throttle, percent); /* it is an attempt */
	*stalls = 1;
}

/* Whether what is left may go while the guest stands still, and waiting gains little. */
static bool is_enough(const struct outgoing *o, u64 before, u64 now)
{
	u64 expected = expected_ns(o, now);

	return expected <= o->cfg.params.downtime_ns &&
	       (expected <= FIXED_NS + GOOD_ENOUGH || (double)now > WORTHWHILE * (double)before);
}

/* In slices, where more rounds would only take longer and send more. *@now: pages left. */
static int maybe_slices(struct outgoing *o, u64 before, u64 *now, struct err *err)
{
	bool slices = (double)*now > WORTHWHILE * (double)before;
	int ret = 0;

	if (!o->is_near || expected_ns(o, *now) > SLICES_FROM * o->cfg.params.downtime_ns)
		return 0;
	if (!slices)
		ret = outgoing_watch(o, now, &slices, err);
	return ret || !slices ? ret : outgoing_slices(o, now, err);
}

/* Rounds until what is left is little enough, or must go another way. */
static int converge(struct outgoing *o, struct err *err)
{
	u64 before = o->nr_pages, dirty, since = now_ns();
	bool one = o->cfg.params.strategy == MIGRATE_HYBRID, slows = o->cfg.params.auto_converge;
	u32 stalls = 0;
	int ret = 0;

	for (u32 round = 1; !ret && (round < MAX_ROUND || !slows); round++) {
		ret = outgoing_send_round(o, err);
		if (!ret && round <= NEAR_ROUNDS)
			ret = outgoing_find_near(o, err);
		if (!ret)
			ret = outgoing_harvest(o, o->dirty, err);
		if (!ret && outgoing_is_cancelled(o))
			ret = err_set(err, -ECANCELED, "cancelled");
		if (ret)
			break;
		dirty = pageset_count(o->dirty, o->words);
		note_round(o, round, dirty, now_ns() - since);
		since = now_ns();
		ret = late(o, err);
		if (ret || one || outgoing_wants_postcopy(o))
			break;
		ret = maybe_slices(o, before, &dirty, err);
		if (ret || is_enough(o, before, dirty))
			break;
		if (slows)
			slow_down(o, &stalls, before, dirty);
		before = dirty;
		choose(o);
	}
	return ret;
}

int outgoing_precopy(struct outgoing *o, struct err *err)
{
	int ret = dirty_start(o->cfg.vm, err);

	/* what is there from now on is either seen to be there, or to be written */
	if (!ret)
		ret = outgoing_harvest(o, o->dirty, err);
	if (!ret)
		ret = mem_present(o->cfg.vm->mem, o->dirty);
	if (ret || o->cfg.params.strategy == MIGRATE_POSTCOPY)
		return ret;
	o->precopy.last = calloc(o->words, sizeof(u64));
	if (!o->precopy.last)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(o->todo, o->dirty, o->words * sizeof(u64));
	memset(o->dirty, 0, o->words * sizeof(u64));
	o->precopy.throttle = o->cfg.params.auto_converge ? throttle_create(o->cfg.vm) : NULL;
	return converge(o, err);
}

void outgoing_end_precopy(struct outgoing *o)
{
	throttle_destroy(o->precopy.throttle);
	free(o->precopy.last);
	o->precopy = (struct outgoing_precopy){.throttle = NULL};
	pthread_mutex_lock(&o->lock);
	o->progress.throttle = 0;
	pthread_mutex_unlock(&o->lock);
}
