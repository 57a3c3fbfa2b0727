// SPDX-License-Identifier: Apache-2.0
/*
 * A source's connections. Contract in outgoing_link.h.
 *
 * The migration's thread makes and ends them; o->lock is held while one is put where others find it
 * (o->wires, o->urgent, o->sender) or taken from there, and whoever wants to end a wait cuts them
 * under that lock (outgoing_cut()). So the thread itself may read them without it.
 *
 * Always: a connection that was closed is in none of these places; a sender goes before the
 * connections that it sends on; what either has carried stays counted (outgoing_progress.h).
 */
#include "vmm/migrate/outgoing_link.h"

#include <errno.h>

#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_progress.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

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
	ASSERT(!*out); /* else it would be lost */
	*out = w;      /* where cancelling finds it */
	pthread_mutex_unlock(&o->lock);
	if (is_over(o))
		return err_set(err, -ECANCELED, "cancelled");
	return migrate_say_hello(w, o->session, role, index, err);
}

bool outgoing_is_ending(struct outgoing *o)
{
	bool quit;

	pthread_mutex_lock(&o->lock);
	quit = o->quit;
	pthread_mutex_unlock(&o->lock);
	return quit;
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
	struct sender *s = NULL;
	int ret = sender_create(&s, &cfg, err);

	for (u32 i = 0; i < o->cfg.params.streams && !ret; i++)
		ret = sender_add(s, o->wires[i], err);
	pthread_mutex_lock(&o->lock);
	ASSERT(!o->sender);
	o->sender = s;
	pthread_mutex_unlock(&o->lock);
	return ret;
}

int outgoing_flush(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = sender_flush(o->sender, err), ms = o->is_near ? MIGRATE_ANSWER_MS : FLUSH_MS;

	return ret ? ret : migrate_expect(o->wires[0], MIGRATE_FLUSHED, ms, &msg, err);
}

void outgoing_send_done(struct outgoing *o)
{
	struct err ignored;

	wire_send(o->wires[0], MIGRATE_DONE, NULL, 0, &ignored);
}

void outgoing_cut(struct outgoing *o)
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
