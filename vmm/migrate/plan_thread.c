// SPDX-License-Identifier: Apache-2.0
/*
 * The thread "plan". Contract in plan_thread.h.
 *
 * It measures and lets the dirty log go again; the owner looks at p->progress, under p->lock, and
 * ends it by p->cancelled, which the thread reads every hundredth of a second. The order is the
 * thread's from planning_start() on, and copied, so that the owner may free his.
 *
 * Always: the status leaves PLANNING_MEASURING once, with everything that it promises there.
 */
#include "vmm/migrate/plan_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/thread.h"
#include "mm/wire/wire.h"
#include "vmm/vm/dirty.h"

struct planning {
	struct plan_order order;
	struct migrate_params params;
	char *address;
	pthread_t thread;
	atomic_bool cancelled; /* the owner stores it, the thread looks; sequentially consistent */
	pthread_mutex_t lock;
	struct planning_progress progress; /* under lock */
};

static bool is_cancelled(void *opaque)
{
	struct planning *p = opaque;

	return atomic_load(&p->cancelled);
}

static void *planning_thread(void *arg)
{
	struct planning *p = arg;
	struct planning_progress now = {.status = PLANNING_MEASURING};
	int ret = plan_measure(&p->order, &now.plan, &now.no_line, &now.why);

	dirty_stop(p->order.vm, p->order.also_dirty != NULL);
	now.status = ret ? PLANNING_FAILED : PLANNING_READY;
	pthread_mutex_lock(&p->lock);
	ASSERT(p->progress.status == PLANNING_MEASURING);
	p->progress = now;
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void planning_free(struct planning *p)
{
	pthread_mutex_destroy(&p->lock);
	free(p->address);
	free(p);
}

int planning_start(struct planning **out, const struct plan_order *order, struct err *err)
{
	struct planning *p;
	int ret = wire_check_address(order->address, err);

	if (ret)
		return ret;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->order = *order;
	p->params = *order->params;
	p->order.params = &p->params;
	p->order.address = p->address = strdup(order->address);
	p->order.is_cancelled = is_cancelled;
	p->order.opaque = p;
	p->progress.status = PLANNING_MEASURING;
	ret = p->address ? thread_start(&p->thread, "plan", planning_thread, p) : -ENOMEM;
	if (ret) {
		planning_free(p);
		return err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	}
	*out = p;
	return 0;
}

void planning_progress(struct planning *p, struct planning_progress *progress)
{
	pthread_mutex_lock(&p->lock);
	*progress = p->progress;
	pthread_mutex_unlock(&p->lock);
}

void planning_destroy(struct planning *p)
{
	if (!p)
		return;
	atomic_store(&p->cancelled, true);
	pthread_join(p->thread, NULL);
	ASSERT(p->progress.status != PLANNING_MEASURING);
	planning_free(p);
}
