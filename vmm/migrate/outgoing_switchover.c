// SPDX-License-Identifier: Apache-2.0
/*
 * The switch-over: the guest stops here and, once the other side has all of it, runs there.
 *
 *	freeze; last pages (or word of those that will be missing), FLUSH, STATE
 *	FLUSHED, LOADED  it could run there
 *	pass_it()        the point of no return, taken under o->lock: either it is cancelled before,
 *			 and the guest is thawed here, or it cannot be any more
 *	GO, RUNNING      it runs there
 *
 * On the migration's thread. Always: o->gone is set before GO is sent, and once it is set the vCPUs
 * are not thawed by this file, whatever happens. GO without an answer is asked after on new
 * connections for a while (confirm()); then only the owner can know (outgoing_take_back()).
 */
#include "vmm/migrate/outgoing_switchover.h"

#include <errno.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/thread.h"
#include "mm/engine/copy.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_postcopy.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/outgoing_round.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

/* How long a source that has sent GO and heard nothing tries to find out what became of it. */
#define CONFIRM_NS ((u64)10000000000)

/* vCPUs stand still: the last pages, or word of them, and the state. */
static int send_last(struct outgoing *o, struct err *err)
{
	int ret = state_save(o->cfg.vm, &o->state, err);

	memcpy(o->todo, o->dirty, o->words * sizeof(u64));
	if (!ret && o->progress.handover)
		mem_elsewhere(o->cfg.vm->mem, o->todo); /* the rest was given with the file */
	else if (!ret && o->post)
		ret = outgoing_tell_missing(o, err);
	else if (!ret)
		ret = outgoing_harvest(o, o->todo, err);
	if (!ret)
		ret = sender_send(o->sender, o->todo, err);
	if (!ret)
		ret = sender_flush(o->sender, err);
	if (ret)
		return ret;
	o->told_state = true; /* it may arrive even where sending it fails */
	return wire_send(o->wires[0], MIGRATE_STATE, o->state.data, o->state.size, err);
}

/* The point of no return, unless somebody has cancelled. */
static int pass_it(struct outgoing *o, struct err *err)
{
	ASSERT(o->told_state && !o->gone);
	pthread_mutex_lock(&o->lock);
	o->gone = !o->cancelled;
	pthread_mutex_unlock(&o->lock);
	return o->gone ? 0 : err_set(err, -ECANCELED, "cancelled");
}

static int ask_again(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = outgoing_connect(o, MIGRATE_CONFIRM, err);

	if (!ret)
		ret = wire_send(o->wires[0], MIGRATE_GO, NULL, 0, err);
	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_RUNNING, MIGRATE_ANSWER_MS, &msg, err);
	return ret;
}

/*
 * GO was sent, and the connection is lost: did it arrive? Ask, for a while. That nobody answers
 * says nothing: the guest may be running there. Only its owner can know (outgoing_take_back()).
 */
static int confirm(struct outgoing *o, struct err *err)
{
	u64 until = now_ns() + CONFIRM_NS;
	int ret = -EIO;

	outgoing_set_status(o, MIGRATE_UNSURE);
	while (ret && now_ns() < until && !outgoing_is_ending(o)) {
		outgoing_disconnect(o);
		ret = ask_again(o, err);
		pthread_mutex_lock(&o->lock);
		if (ret && !o->quit)
			thread_wait(&o->wake, &o->lock, 200000000);
		pthread_mutex_unlock(&o->lock);
	}
	return ret;
}

void outgoing_withdraw(struct outgoing *o, const struct err *why)
{
	struct err ignored;

	outgoing_disconnect(o);
	if (!outgoing_connect(o, MIGRATE_CONFIRM, &ignored))
		migrate_refuse(o->wires[0], why);
}

static int go(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = migrate_expect(o->wires[0], MIGRATE_FLUSHED, MIGRATE_ANSWER_MS, &msg, err);

	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_LOADED, MIGRATE_ANSWER_MS, &msg, err);
	if (!ret)
		ret = pass_it(o, err);
	if (ret)
		return ret;
	ret = wire_send(o->wires[0], MIGRATE_GO, NULL, 0, err);
	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_RUNNING, MIGRATE_ANSWER_MS, &msg, err);
	if (ret)
		ret = confirm(o, err);
	if (!ret && !o->post)
		outgoing_send_done(o);
	return ret;
}

int outgoing_switch_over(struct outgoing *o, struct err *err)
{
	struct vm *vm = o->cfg.vm;
	u64 since;
	int ret;

	o->post = o->cfg.params.strategy != MIGRATE_PRECOPY || outgoing_wants_postcopy(o);
	sender_set_bandwidth(o->sender, 0); /* little is left, and somebody waits for it */
	ret = o->post ? outgoing_prepare(o, err) : 0;
	if (ret)
		return ret;
	outgoing_set_status(o, MIGRATE_DEVICE);
	outgoing_note_set_up(o);
	outgoing_enter(o, MIGRATE_PHASE_DOWNTIME);
	since = now_ns();
	vm_freeze(vm);
	if (o->progress.handover)
		mem_quiesce(vm->mem);
	ret = send_last(o, err);
	if (!ret)
		ret = go(o, err);
	pthread_mutex_lock(&o->lock);
	o->progress.downtime_ns = now_ns() - since;
	pthread_mutex_unlock(&o->lock);
	if (!ret)
		outgoing_enter(o, MIGRATE_PHASE_POSTCOPY);
	ASSERT(ret || o->gone);
	if (o->gone)
		return ret; /* never thawed again */
	if (o->progress.handover)
		mem_resume(vm->mem);
	vm_thaw(vm);
	return ret;
}
