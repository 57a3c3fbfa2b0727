// SPDX-License-Identifier: Apache-2.0
/*
 * The source of a migration: its birth, its thread, its owner's orders, its end. Contract in
 * outgoing.h.
 *
 * Threads: the owner's (start, orders, destroy) and "migrate", which does the work from
 * outgoing_thread() down, in the files that outgoing_impl.h lists. The streams' threads are the
 * sender's, "urgent" is outgoing_postcopy.c's; both are started and joined by "migrate".
 *
 * o->lock guards what the owner and the threads share, as the fields say; nobody sends, receives
 * or waits for a vCPU under it. An order never waits: it sets its field and wakes, or cuts,
 * whoever waits (outgoing_cut()).
 *
 * Always: until o->gone the guest is ours, and every failure leaves it running here; from then on
 * it is the other side's, and no vCPU of it is let go here but by outgoing_take_back(). Once
 * o->over the thread touches nothing but the status, which it tells last.
 */
#include "vmm/migrate/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mm/base/clock.h"
#include "mm/base/thread.h"
#include "mm/engine/copy.h"
#include "mm/space/space.h"
#include "vmm/migrate/outgoing_auto.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_postcopy.h"
#include "vmm/migrate/outgoing_precopy.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/outgoing_setup.h"
#include "vmm/migrate/outgoing_switchover.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/dirty.h"
#include "vmm/vm/vm.h"

/* ---- The thread ---- */

static int move(struct outgoing *o, struct err *err)
{
	int ret = o->cfg.params.strategy == MIGRATE_AUTO ? outgoing_choose_strategy(o, err) : 0;

	if (!ret)
		ret = outgoing_set_up(o, err);
	if (ret)
		return ret;
	outgoing_set_status(o, MIGRATE_ACTIVE);
	if (!o->progress.handover)
		ret = outgoing_precopy(o, err);
	if (!ret)
		ret = outgoing_switch_over(o, err);
	outgoing_end_precopy(o);
	if (!ret && o->post)
		ret = outgoing_serve(o, err);
	return ret;
}

/* A refusal says more than the error of whoever wrote to a closed connection. */
static void hear_why(struct outgoing *o, int ret, struct err *err)
{
	struct wire_message msg;
	struct err why;

	if (ret != -EREMOTEIO && ret != -ECANCELED && o->wires[0] &&
	    migrate_receive(o->wires[0], 100, &msg, &why) == -EREMOTEIO)
		*err = why;
}

static void *outgoing_thread(void *arg)
{
	struct outgoing *o = arg;
	struct err err = {.text = ""};
	enum migrate_status status = MIGRATE_COMPLETED;
	int ret = move(o, &err);

	if (ret && !o->gone)
		hear_why(o, ret, &err);
	if (ret && !o->gone && o->told_state && !outgoing_is_ending(o))
		outgoing_withdraw(o, &err);
	if (ret && !o->gone)
		dirty_stop(o->cfg.vm, o->cfg.also_dirty != NULL);
	pthread_mutex_lock(&o->lock);
	if (ret)
		status = o->gone	? MIGRATE_UNSURE
			 : o->cancelled ? MIGRATE_CANCELLED
					: MIGRATE_FAILED;
	o->progress.why = ret ? err : (struct err){.text = ""};
	outgoing_sum_up(o);
	ASSERT(!o->over); /* from here on it is the owner's alone */
	o->over = true;
	pthread_mutex_unlock(&o->lock);
	outgoing_set_status(o, status);
	return NULL;
}

/* ---- Birth ---- */

static int allocate(struct outgoing *o, struct err *err)
{
	o->nr_pages = (u32)(space_size(o->cfg.vm->space) >> PAGE_SHIFT);
	o->words = o->nr_pages / 64;
	o->cfg.address = o->address = strdup(o->cfg.address);
	o->cfg.name = o->name = strdup(o->cfg.name);
	o->todo = calloc(o->words, sizeof(u64));
	o->dirty = calloc(o->words, sizeof(u64));
	o->progress.pages_all = o->nr_pages;
	o->progress.strategy = o->cfg.params.strategy;
	o->progress.status = MIGRATE_SETTING_UP;
	o->progress.expected_ns = o->cfg.params.downtime_ns; /* until more is known */
	if (!o->address || !o->name || !o->todo || !o->dirty)
		return err_set(err, -ENOMEM, "out of memory");
	if (getrandom(o->session, sizeof(o->session), 0) != sizeof(o->session))
		return err_set(err, -EIO, "no random numbers");
	return 0;
}

static void outgoing_free(struct outgoing *o)
{
	outgoing_disconnect(o);
	outgoing_postcopy_fini(o);
	pthread_cond_destroy(&o->wake);
	pthread_mutex_destroy(&o->lock);
	free(o->state.data);
	free(o->address);
	free(o->name);
	free(o->todo);
	free(o->dirty);
	free(o);
}

int outgoing_start(struct outgoing **out, const struct outgoing_config *cfg, struct err *err)
{
	struct outgoing *o;
	int ret = wire_check_address(cfg->address, err);

	if (ret)
		return ret;
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->cfg = *cfg;
	o->began_ns = now_ns();
	o->can_post = cfg->params.strategy == MIGRATE_POSTCOPY ||
		      cfg->params.strategy == MIGRATE_HYBRID || cfg->params.postcopy ||
		      cfg->params.late == MIGRATE_LATE_POSTCOPY;
	pthread_mutex_init(&o->lock, NULL);
	thread_cond_init(&o->wake);
	ret = allocate(o, err);
	if (!ret) {
		ret = thread_start(&o->thread, "migrate", outgoing_thread, o);
		if (ret)
			err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	}
	if (ret) {
		outgoing_free(o);
		return ret;
	}
	*out = o;
	return 0;
}

/* ---- Orders ---- */

int outgoing_cancel(struct outgoing *o, struct err *err)
{
	bool over;
	int ret = 0;

	pthread_mutex_lock(&o->lock);
	over = migrate_is_over(o->progress.status);
	if (!over && o->gone)
		ret = err_set(err, -EINVAL, "the guest has moved already: it cannot be cancelled");
	else if (!over) {
		o->cancelled = true;
		outgoing_cut(o);
	}
	pthread_mutex_unlock(&o->lock);
	return ret;
}

int outgoing_go_postcopy(struct outgoing *o, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&o->lock);
	if (!o->can_post)
		ret = err_set(err, -EINVAL, "this migration was not set up for post-copy");
	o->go_postcopy = !ret;
	pthread_mutex_unlock(&o->lock);
	return ret;
}

int outgoing_take_back(struct outgoing *o, struct err *err)
{
	bool unsure;

	pthread_mutex_lock(&o->lock);
	unsure = o->progress.status == MIGRATE_UNSURE && o->over;
	if (unsure) {
		o->gone = false;
		o->progress.status = MIGRATE_FAILED;
	}
	pthread_mutex_unlock(&o->lock);
	if (!unsure)
		return err_set(err, -EINVAL, "it is not unknown where the guest runs");
	if (o->progress.handover)
		mem_resume(o->cfg.vm->mem);
	vm_thaw(o->cfg.vm);
	o->cfg.changed(o->cfg.opaque);
	return 0;
}

/* ---- Death ---- */

void outgoing_destroy(struct outgoing *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	o->quit = true;
	o->cancelled |= !o->gone;
	outgoing_cut(o);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	outgoing_free(o);
}
