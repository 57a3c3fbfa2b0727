// SPDX-License-Identifier: Apache-2.0
/*
 * The guest runs over there, and part of its memory is still here: all of that is pushed, in order,
 * and what the guest asks for goes first, on a connection of its own. Each page is sent once:
 * whoever takes its bit out of o->todo sends it.
 *
 * When a connection breaks nothing is lost: what is here stays, what is there as well, and the
 * guest stands still where it needs a page. A new connection (outgoing_recover()) begins with the
 * other side's word on what it is missing.
 *
 * Threads: "migrate" pushes, "urgent" answers, each with an encoder of its own; they share o->todo,
 * bit by bit, and the sender. "urgent" lives within serve_once(), while the connections stay what
 * they are. What the owner orders (o->postcopy.recover) is under o->lock.
 *
 * Always: what is in o->dirty when the guest goes is all that the other side lacks, and stays as it
 * is until all of it has been spilled, where that was wished for.
 */
#include "vmm/migrate/outgoing_postcopy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "mm/image/image.h"
#include "mm/base/thread.h"
#include "vmm/migrate/encode.h"
#include "vmm/migrate/first_pages.h"
#include "vmm/migrate/talk.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/outgoing_round.h"
#include "vmm/migrate/spill.h"
#include "vmm/vm/vm.h"

/* Pages written in the moments before the pause that go within it. */
#define MAX_FRESH 64

/* So often the other side is told what it may let go of, until no more than that is new. */
#define STALE_TIMES 4

/* ---- Before it goes ---- */

int outgoing_postcopy_begin(struct outgoing *o, struct err *err)
{
	struct outgoing_postcopy *p = &o->postcopy;
	const char *dir = o->cfg.params.spill;

	p->first = calloc(o->words, sizeof(u64));
	if (!p->first)
		return err_set(err, -ENOMEM, "out of memory");
	return dir[0] ? spill_begin(&p->spill, dir, o->nr_pages, err) : 0;
}

void outgoing_note_first(struct outgoing *o)
{
	first_pages(o->cfg.vm, o->postcopy.first);
}

void outgoing_postcopy_fini(struct outgoing *o)
{
	if (o->postcopy.spill)
		image_abort(o->postcopy.spill);
	free(o->postcopy.recover);
	free(o->postcopy.first);
}

/* o->todo has what is in both o->dirty and @pages, which is no more to be sent otherwise. */
static void take(struct outgoing *o, const u64 *pages)
{
	memcpy(o->todo, o->dirty, o->words * sizeof(u64));
	pageset_keep(o->todo, pages, o->words);
	pageset_remove(o->dirty, o->todo, o->words);
}

/*
 * What was sent and has been written since: to let go of it takes the other side some microseconds
 * a page, which would be most of the pause. Meanwhile the guest writes more, but much less.
 */
static int tell_stale(struct outgoing *o, struct err *err)
{
	u64 fresh = UINT64_MAX;
	int ret = 0;

	sender_set_alone(o->sender); /* a difference to what was let go of could not be read */
	memcpy(o->todo, o->dirty, o->words * sizeof(u64));
	for (u32 i = 0; i < STALE_TIMES && fresh > MAX_FRESH && !ret; i++) {
		ret = migrate_send_bitmap(o->wires[0], MIGRATE_STALE, o->todo, o->words, err);
		if (!ret)
			ret = outgoing_flush(o, err);
		memset(o->todo, 0, o->words * sizeof(u64));
		if (!ret)
			ret = outgoing_harvest(o, o->todo, err);
		pageset_remove(o->todo, o->dirty, o->words);
		pageset_add(o->dirty, o->todo, o->words);
		fresh = pageset_count(o->todo, o->words);
	}
	return ret;
}

/*
 * What the guest will need at once goes ahead while it runs here: most of that is code and tables,
 * which it does not change.
 */
int outgoing_prepare(struct outgoing *o, struct err *err)
{
	bool stale = o->features & MIGRATE_F_STALE && o->cfg.params.strategy != MIGRATE_POSTCOPY;
	struct wire_message msg;
	int ret = wire_send(o->wires[0], MIGRATE_PREPARE, NULL, 0, err);

	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_PREPARED, MIGRATE_ANSWER_MS, &msg, err);
	if (!ret)
		ret = outgoing_harvest(o, o->dirty, err);
	if (ret)
		return ret;
	take(o, o->postcopy.first);
	ret = outgoing_send_round(o, err);
	return ret || !stale ? ret : tell_stale(o, err);
}

/* Of what it needs at once: as it is now, and what it has just written. */
int outgoing_tell_missing(struct outgoing *o, struct err *err)
{
	int ret;

	memset(o->postcopy.first, 0, o->words * sizeof(u64));
	ret = outgoing_harvest(o, o->postcopy.first, err);
	if (ret)
		return ret;
	pageset_add(o->dirty, o->postcopy.first, o->words);
	pageset_cut(o->postcopy.first, o->words, MAX_FRESH);
	first_pages(o->cfg.vm, o->postcopy.first);
	take(o, o->postcopy.first);
	return migrate_send_bitmap(o->wires[0], MIGRATE_MISSING, o->dirty, o->words, err);
}

/* ---- What is asked for ---- */

struct urgent {
	struct outgoing *o;
	struct batch_encoder *encoder;
	int ret;
	struct err err;
};

static int answer(struct urgent *u, const struct migrate_ask *ask)
{
	const struct encode_to to = {.encoder = u->encoder};
	struct outgoing *o = u->o;
	page_no nos[64];
	const void *batch;
	u32 n = 0, size;
	int ret;

	if (ask->n > ARRAY_SIZE(nos) || !range_fits(ask->first, ask->n, o->nr_pages))
		return err_set(&u->err, -EPROTO, "pages %u to %u were asked for", ask->first,
			       ask->first + ask->n);
	for (u32 i = 0; i < ask->n; i++)
		if (sender_claim(o->todo, ask->first + i))
			nos[n++] = ask->first + i;
	sender_prefer(o->sender, ask->first + ask->n);
	if (!n)
		return 0; /* they are on their way */
	ret = encode_pages(o->cfg.vm->mem, nos, n, &to, &u->err);
	if (ret)
		return ret;
	batch = batch_finish(u->encoder, &size);
	return wire_send(o->urgent, MIGRATE_PAGES, batch, size, &u->err);
}

static void *urgent_thread(void *arg)
{
	struct urgent *u = arg;
	struct wire_message msg;
	struct migrate_ask ask;

	while (!u->ret) {
		u->ret = migrate_expect(u->o->urgent, MIGRATE_ASK, -1, &msg, &u->err);
		if (!u->ret && msg.size != sizeof(ask))
			u->ret = err_set(&u->err, -EPROTO, "a request of %u bytes", msg.size);
		if (u->ret)
			break;
		memcpy(&ask, msg.data, sizeof(ask));
		u->ret = answer(u, &ask);
		outgoing_note_asked(u->o, ask.n, u->encoder);
	}
	/* one connection broken is all broken: nobody waits for the others, unless for the end */
	if (!atomic_load(&u->o->postcopy.pushed))
		sender_cut(u->o->sender);
	return NULL;
}

/* ---- Until all is there ---- */

/*
 * Before the rest goes; what the guest asks for meanwhile is answered. All of what the other side
 * lacked when it took over is in it: what was sent since may be on its way still.
 */
static int spill(struct outgoing *o, struct err *err)
{
	struct image_writer *w = o->postcopy.spill;

	o->postcopy.spill = NULL;
	return w ? spill_write(w, o->cfg.vm->mem, o->dirty, o->nr_pages, o->session, err) : 0;
}

static int push(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = spill(o, err);

	if (ret) { /* the guest has moved: it must get its memory all the same */
		pthread_mutex_lock(&o->lock);
		o->progress.why = *err;
		pthread_mutex_unlock(&o->lock);
	}
	sender_set_alone(o->sender);
	sender_set_bandwidth(o->sender, o->cfg.params.post_bandwidth);
	ret = sender_send(o->sender, o->todo, err);
	atomic_store(&o->postcopy.pushed, !ret);
	if (!ret)
		ret = wire_send(o->wires[0], MIGRATE_PUSHED, NULL, 0, err);
	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_DONE, -1, &msg, err);
	if (!ret)
		outgoing_send_done(o);
	return ret;
}

static int serve_once(struct outgoing *o, struct err *err)
{
	const struct batch_config cfg = {.nr_pages = o->nr_pages};
	struct urgent u = {.o = o};
	pthread_t thread;
	int ret = batch_encoder_create(&u.encoder, &cfg, err);

	if (ret)
		return ret;
	batch_set_alone(u.encoder, true);
	ret = thread_start(&thread, "urgent", urgent_thread, &u);
	if (ret) {
		err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	} else {
		ret = push(o, err);
		wire_cut(o->urgent);
		pthread_join(thread, NULL);
		if (ret == -ECANCELED && u.ret != -ECANCELED)
			*err = u.err; /* it was that one which ended the others */
	}
	batch_encoder_destroy(u.encoder);
	return ret;
}

/* The other side is back, and says what it lacks; *@done: nothing. */
static int hear_missing(struct outgoing *o, bool *done, struct err *err)
{
	struct wire_message msg;
	bool last = false;
	int ret = 0;

	memset(o->todo, 0, o->words * sizeof(u64));
	while (!ret && !last) {
		ret = migrate_receive(o->wires[0], MIGRATE_ANSWER_MS, &msg, err);
		if (!ret && msg.type == MIGRATE_DONE)
			*done = last = true;
		else if (!ret && msg.type == MIGRATE_MISSING)
			ret = migrate_unpack_bitmap(&msg, o->todo, o->words, &last, err);
		else if (!ret)
			ret = err_set(err, -EPROTO, "message %u came out of turn", msg.type);
	}
	return ret;
}

/* On new connections; *@done: there is nothing to do there. */
static int reconnect(struct outgoing *o, bool *done, struct err *err)
{
	int ret;

	outgoing_disconnect(o);
	ret = outgoing_connect(o, MIGRATE_RECOVER, err);
	if (!ret)
		ret = hear_missing(o, done, err);
	if (ret || *done) {
		if (*done)
			outgoing_send_done(o);
		return ret;
	}
	ret = outgoing_connect_rest(o, err);
	if (!ret)
		ret = outgoing_make_sender(o, err);
	if (!ret)
		outgoing_set_status(o, MIGRATE_POSTCOPY_ACTIVE);
	return ret;
}

/* Wait for somebody to say where to go on; false: the process ends. */
static bool wait_for_recovery(struct outgoing *o, const struct err *why)
{
	bool go_on;

	pthread_mutex_lock(&o->lock);
	o->progress.why = *why;
	pthread_mutex_unlock(&o->lock);
	outgoing_set_status(o, MIGRATE_POSTCOPY_PAUSED);
	pthread_mutex_lock(&o->lock);
	while (!o->quit && !o->postcopy.recover)
		pthread_cond_wait(&o->wake, &o->lock);
	go_on = !o->quit;
	if (go_on) {
		free(o->address);
		o->cfg.address = o->address = o->postcopy.recover;
		o->postcopy.recover = NULL;
	}
	pthread_mutex_unlock(&o->lock);
	return go_on;
}

int outgoing_recover(struct outgoing *o, const char *address, struct err *err)
{
	char *copy = strdup(address);
	int ret = copy ? wire_check_address(address, err) : err_set(err, -ENOMEM, "out of memory");

	pthread_mutex_lock(&o->lock);
	if (!ret && o->progress.status != MIGRATE_POSTCOPY_PAUSED)
		ret = err_set(err, -EINVAL, "there is no broken migration to recover");
	if (!ret) {
		free(o->postcopy.recover);
		o->postcopy.recover = copy;
		o->progress.status = MIGRATE_POSTCOPY_RECOVER;
		copy = NULL;
		pthread_cond_broadcast(&o->wake);
	}
	pthread_mutex_unlock(&o->lock);
	free(copy);
	return ret;
}

/*
 * A connection that was lost before there was anything on it, or when all had been said but the
 * answer, is made anew at once; any other, when somebody says so.
 */
int outgoing_serve(struct outgoing *o, struct err *err)
{
	bool done = false, at_once = !o->sender;
	int ret;

	ASSERT(o->gone && o->post);
	memcpy(o->todo, o->dirty, o->words * sizeof(u64));
	outgoing_set_status(o, MIGRATE_POSTCOPY_ACTIVE);
	ret = at_once ? -EPIPE : serve_once(o, err);
	while (ret && !done) {
		at_once |= atomic_exchange(&o->postcopy.pushed, false);
		if (!at_once && !wait_for_recovery(o, err))
			break;
		at_once = false;
		ret = reconnect(o, &done, err);
		if (!ret && !done)
			ret = serve_once(o, err);
	}
	return ret;
}
