// SPDX-License-Identifier: Apache-2.0
/* The source of a migration: its thread. Contract in outgoing.h. */
#include "vmm/migrate/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mm/base/clock.h"
#include "mm/image/image.h"
#include "mm/space/space.h"
#include "mm/base/thread.h"
#include "mm/engine/copy.h"
#include "vmm/vm/dirty.h"
#include "vmm/migrate/first_pages.h"
#include "vmm/migrate/talk.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/spill.h"
#include "vmm/vm/vm.h"

/* How long a source that has sent GO and heard nothing tries to find out what became of it. */
#define CONFIRM_NS ((u64)10000000000)

/* What may wait in the sockets takes no longer than this, if the other side is not near. */
#define FLUSH_MS 60000

bool outgoing_is_cancelled(struct outgoing *o)
{
	bool cancelled;

	pthread_mutex_lock(&o->lock);
	cancelled = o->cancelled;
	pthread_mutex_unlock(&o->lock);
	return cancelled;
}

/* ---- Connections ---- */

/*
 * Whether a connection that is being made is wanted no more. A destination that has the state waits
 * for the last word, and is to hear it though the migration was cancelled.
 */
static bool is_over(void *opaque)
{
	struct outgoing *o = opaque;
	bool over;

	pthread_mutex_lock(&o->lock);
	over = o->told_state ? o->quit : o->cancelled;
	pthread_mutex_unlock(&o->lock);
	return over;
}

static int connect_one(struct outgoing *o, struct wire **out, enum migrate_role role, u32 index,
		       struct err *err)
{
	const struct wire_config cfg = {
		.psk_file = o->cfg.params.psk_file[0] ? o->cfg.params.psk_file : NULL,
		.is_cancelled = is_over,
		.opaque = o,
	};
	struct wire *w = NULL;
	int ret = wire_connect(&w, o->address, &cfg, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&o->lock);
	*out = w; /* where cancelling finds it */
	pthread_mutex_unlock(&o->lock);
	if (is_over(o))
		return err_set(err, -ECANCELED, "cancelled");
	return migrate_say_hello(w, o->session, role, index, err);
}

int outgoing_connect(struct outgoing *o, enum migrate_role role, struct err *err)
{
	struct migrate_hello hello;
	int ret = connect_one(o, &o->wires[0], role, 0, err);

	if (!ret)
		ret = migrate_hear_hello(o->wires[0], MIGRATE_ANSWER_MS, &hello, err);
	if (ret)
		return ret;
	o->features = hello.features & MIGRATE_FEATURES;
	if (o->can_post && !(o->features & MIGRATE_F_POSTCOPY))
		return err_set(err, -EOPNOTSUPP, "the other side cannot do post-copy");
	return 0;
}

int outgoing_connect_rest(struct outgoing *o, struct err *err)
{
	int ret = 0;

	for (u32 i = 1; i < o->cfg.params.streams && !ret; i++)
		ret = connect_one(o, &o->wires[i], MIGRATE_STREAM, i, err);
	if (!ret && o->can_post)
		ret = connect_one(o, &o->urgent, MIGRATE_URGENT, 0, err);
	return ret;
}

void outgoing_disconnect(struct outgoing *o)
{
	struct sender *sender = o->sender;

	pthread_mutex_lock(&o->lock);
	o->sender = NULL;
	outgoing_keep_pages(o, sender);
	pthread_mutex_unlock(&o->lock);
	sender_destroy(sender);
	for (u32 i = 0; i < MIGRATE_MAX_STREAMS; i++)
		wire_close(outgoing_take_wire(o, &o->wires[i]));
	wire_close(outgoing_take_wire(o, &o->urgent));
}

int outgoing_make_sender(struct outgoing *o, struct err *err)
{
	const struct sender_config cfg = {
		.mem = o->cfg.vm->mem,
		.nr_pages = o->nr_pages,
		.bandwidth = o->cfg.params.bandwidth,
	};
	struct sender *s;
	int ret = sender_create(&s, &cfg, err);

	for (u32 i = 0; i < o->cfg.params.streams && !ret; i++)
		ret = sender_add(s, o->wires[i], err);
	pthread_mutex_lock(&o->lock);
	o->sender = s;
	pthread_mutex_unlock(&o->lock);
	return ret;
}

/* ---- Setting up ---- */

/* The state as it is by now: so that everything slow about it is behind us at the end. */
static int early_state(struct outgoing *o, struct err *err)
{
	int ret;

	vm_freeze(o->cfg.vm);
	ret = state_save(o->cfg.vm, &o->state, err);
	if (o->can_post)
		first_pages(o->cfg.vm, o->first);
	vm_thaw(o->cfg.vm);
	return ret;
}

/*
 * Whether the other side can have the memory itself. Pages that are stored, or that an image has
 * still, would have to be sent while the guest stands still: where they are many, copying all of it
 * while the guest runs is better.
 */
static bool hands_over(const struct outgoing *o)
{
	return wire_is_local(o->wires[0]) && !o->cfg.params.copy && !o->can_post &&
	       (o->features & MIGRATE_F_HANDOVER) &&
	       mem_elsewhere(o->cfg.vm->mem, NULL) <= MIGRATE_FEW_PAGES;
}

static int send_setup(struct outgoing *o, struct err *err)
{
	struct migrate_setup setup = {
		.memory = space_size(o->cfg.vm->space),
		.nr_cpus = o->cfg.vm->nr_vcpus,
		.streams = o->cfg.params.streams,
		.postcopy = o->can_post,
		.handover = o->progress.handover,
		.runs = o->cfg.runs,
		.state_size = o->state.size,
	};

	strncpy(setup.name, o->name, sizeof(setup.name) - 1);
	return wire_send2(o->wires[0], MIGRATE_SETUP, &setup, sizeof(setup), o->state.data,
			  o->state.size, setup.handover ? space_fd(o->cfg.vm->space) : -1, err);
}

static int set_up(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = outgoing_connect(o, MIGRATE_MAIN, err);

	if (!ret && o->cfg.params.spill[0] && o->can_post)
		ret = spill_begin(&o->spill, o->cfg.params.spill, o->nr_pages, err);
	if (!ret)
		ret = early_state(o, err);
	if (ret)
		return ret;
	o->progress.handover = hands_over(o);
	ret = send_setup(o, err);
	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_READY, 3 * MIGRATE_ANSWER_MS, &msg, err);
	if (!ret)
		ret = outgoing_connect_rest(o, err);
	return ret ? ret : outgoing_make_sender(o, err);
}

/*
 * Nothing is on its way any more. What waits in the sockets would otherwise be sent while the guest
 * stands still, and count as sent before.
 */
int outgoing_flush(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = sender_flush(o->sender, err), ms = o->near ? MIGRATE_ANSWER_MS : FLUSH_MS;

	return ret ? ret : migrate_expect(o->wires[0], MIGRATE_FLUSHED, ms, &msg, err);
}

/* ---- The end here ---- */

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
	while (ret && now_ns() < until && !o->quit) {
		outgoing_disconnect(o);
		ret = ask_again(o, err);
		pthread_mutex_lock(&o->lock);
		if (ret && !o->quit)
			thread_wait(&o->wake, &o->lock, 200000000);
		pthread_mutex_unlock(&o->lock);
	}
	return ret;
}

/* It is known over here that the guest runs there: the other side need not wait to be asked. */
void outgoing_thank(struct outgoing *o)
{
	struct err ignored;

	wire_send(o->wires[0], MIGRATE_DONE, NULL, 0, &ignored);
}

/* The other side may be waiting for a word that will not come: the guest stays. */
static void take_back_word(struct outgoing *o, const struct err *why)
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
		outgoing_thank(o);
	return ret;
}

static int hand_over(struct outgoing *o, struct err *err)
{
	struct vm *vm = o->cfg.vm;
	int ret;

	o->post = o->cfg.params.strategy != MIGRATE_PRECOPY || outgoing_wants_postcopy(o);
	sender_set_bandwidth(o->sender, 0); /* little is left, and somebody waits for it */
	ret = o->post ? outgoing_prepare(o, err) : 0;
	if (ret)
		return ret;
	outgoing_set_status(o, MIGRATE_DEVICE);
	outgoing_note_set_up(o);
	outgoing_enter(o, MIGRATE_PHASE_DOWNTIME);
	o->frozen_ns = now_ns();
	vm_freeze(vm);
	if (o->progress.handover)
		mem_quiesce(vm->mem);
	ret = send_last(o, err);
	if (!ret)
		ret = go(o, err);
	pthread_mutex_lock(&o->lock);
	o->progress.downtime_ns = now_ns() - o->frozen_ns;
	pthread_mutex_unlock(&o->lock);
	if (!ret)
		outgoing_enter(o, MIGRATE_PHASE_POSTCOPY);
	if (o->gone)
		return ret; /* never thawed again */
	if (o->progress.handover)
		mem_resume(vm->mem);
	vm_thaw(vm);
	return ret;
}

/* ---- The thread ---- */

static int move(struct outgoing *o, struct err *err)
{
	int ret = o->cfg.params.strategy == MIGRATE_AUTO ? outgoing_choose(o, err) : 0;

	if (!ret)
		ret = set_up(o, err);
	if (ret)
		return ret;
	outgoing_set_status(o, MIGRATE_ACTIVE);
	if (!o->progress.handover)
		ret = outgoing_rounds(o, err);
	if (!ret)
		ret = hand_over(o, err);
	outgoing_end_throttle(o);
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
	if (ret && !o->gone && o->told_state && !o->quit)
		take_back_word(o, &err);
	if (ret && !o->gone)
		dirty_stop(o->cfg.vm, o->cfg.also_dirty != NULL);
	pthread_mutex_lock(&o->lock);
	if (ret)
		status = o->gone	? MIGRATE_UNSURE
			 : o->cancelled ? MIGRATE_CANCELLED
					: MIGRATE_FAILED;
	o->progress.why = ret ? err : (struct err){.text = ""};
	outgoing_sum_up(o);
	o->over = true;
	pthread_mutex_unlock(&o->lock);
	outgoing_set_status(o, status);
	return NULL;
}

/* ---- Birth and death ---- */

static int allocate(struct outgoing *o, struct err *err)
{
	o->nr_pages = (u32)(space_size(o->cfg.vm->space) >> PAGE_SHIFT);
	o->words = o->nr_pages / 64;
	o->cfg.address = o->address = strdup(o->cfg.address);
	o->cfg.name = o->name = strdup(o->cfg.name);
	o->todo = calloc(o->words, sizeof(u64));
	o->dirty = calloc(o->words, sizeof(u64));
	o->last = calloc(o->words, sizeof(u64));
	o->first = calloc(o->words, sizeof(u64));
	o->progress.pages_all = o->nr_pages;
	o->progress.strategy = o->cfg.params.strategy;
	o->progress.status = MIGRATE_SETTING_UP;
	o->progress.expected_ns = o->cfg.params.downtime_ns; /* until more is known */
	if (!o->address || !o->name || !o->todo || !o->dirty || !o->last || !o->first)
		return err_set(err, -ENOMEM, "out of memory");
	if (getrandom(o->session, sizeof(o->session), 0) != sizeof(o->session))
		return err_set(err, -EIO, "no random numbers");
	return 0;
}

static void outgoing_free(struct outgoing *o)
{
	outgoing_disconnect(o);
	if (o->spill)
		image_abort(o->spill);
	pthread_cond_destroy(&o->wake);
	pthread_mutex_destroy(&o->lock);
	free(o->state.data);
	free(o->address);
	free(o->name);
	free(o->recover);
	free(o->todo);
	free(o->dirty);
	free(o->last);
	free(o->first);
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

/* Whoever waits in a connection waits no longer. Under lock. */
static void cut_all(struct outgoing *o)
{
	if (o->sender)
		sender_cut(o->sender);
	for (u32 i = 0; i < MIGRATE_MAX_STREAMS; i++)
		if (o->wires[i])
			wire_cut(o->wires[i]);
	if (o->urgent)
		wire_cut(o->urgent);
	pthread_cond_broadcast(&o->wake);
}

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
		cut_all(o);
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

int outgoing_recover(struct outgoing *o, const char *address, struct err *err)
{
	char *copy = strdup(address);
	int ret = copy ? wire_check_address(address, err) : err_set(err, -ENOMEM, "out of memory");

	pthread_mutex_lock(&o->lock);
	if (!ret && o->progress.status != MIGRATE_POSTCOPY_PAUSED)
		ret = err_set(err, -EINVAL, "there is no broken migration to recover");
	if (!ret) {
		free(o->recover);
		o->recover = copy;
		o->progress.status = MIGRATE_POSTCOPY_RECOVER;
		copy = NULL;
		pthread_cond_broadcast(&o->wake);
	}
	pthread_mutex_unlock(&o->lock);
	free(copy);
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

void outgoing_destroy(struct outgoing *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	o->quit = true;
	o->cancelled |= !o->gone;
	cut_all(o);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	outgoing_free(o);
}
