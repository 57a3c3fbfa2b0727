// SPDX-License-Identifier: Apache-2.0
/*
 * Nobody said how the guest is to move: it is watched for a second, and the best way is taken
 * (vmm/migrate/plan.h). What was predicted of it stays beside what came of it.
 *
 * On the migration's thread, before anything else: the strategy is decided, under o->lock, before
 * anybody but the owner has looked at it.
 */
#include "vmm/migrate/outgoing_auto.h"

#include <errno.h>

#include "mm/base/clock.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/plan_measure.h"

static bool is_cancelled(void *opaque)
{
	return outgoing_is_cancelled(opaque);
}

static enum migrate_strategy strategy_of(enum plan_way way)
{
	switch (way) {
	case PLAN_POSTCOPY:
		return MIGRATE_POSTCOPY;
	case PLAN_HYBRID:
		return MIGRATE_HYBRID;
	default: /* what can be handed over is, by itself */
		return MIGRATE_PRECOPY;
	}
}

int outgoing_choose_strategy(struct outgoing *o, struct err *err)
{
	const struct plan_order order = {
		.vm = o->cfg.vm,
		.address = o->address,
		.runs = o->cfg.runs,
		.also_dirty = o->cfg.also_dirty,
		.params = &o->cfg.params,
		.is_cancelled = is_cancelled,
		.opaque = o,
	};
	struct plan plan;
	int ret = plan_can_hand_over(&order) ? plan_measure_hand_over(&order, &plan, err)
					     : plan_measure(&order, &plan, NULL, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&o->lock);
	o->cfg.params.strategy = o->progress.strategy = strategy_of(plan.choice);
	o->can_post |= o->cfg.params.strategy != MIGRATE_PRECOPY;
	o->progress.plan = plan;
	o->progress.planned = true;
	o->began_ns = now_ns(); /* what was predicted begins now */
	pthread_mutex_unlock(&o->lock);
	return 0;
}
