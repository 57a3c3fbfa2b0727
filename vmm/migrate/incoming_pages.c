// SPDX-License-Identifier: Apache-2.0
/*
 * Pages that arrive, on whichever connection. Until the guest runs here they replace what is there;
 * afterwards each is taken once (mm/engine/remote.h).
 *
 * The first thing that goes wrong on any connection ends all of them: whoever reads another one
 * must not wait for what will never come.
 *
 * Threads: "incoming" reads the main connection, one called "stream" each further one, and all of
 * them put pages; in->lock guards what they tell each other (in->arrivals), and in->wake is its
 * event. The memory engine has locks of its own, under which it may call incoming_all_here() and
 * incoming_ask(): nobody calls the engine under in->lock or in->ask_lock.
 *
 * Always: once in->live is set, a page goes through the remote pager and through nothing else; it
 * is set before the guest runs and before any stream is told to send what was missing.
 */
#include "vmm/migrate/incoming_pages.h"

#include <errno.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/engine/access.h"
#include "mm/engine/copy.h"
#include "mm/base/thread.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

/* After PUSHED the rest is in the sockets: it takes no longer than this, unless something hangs. */
#define LAST_NS ((u64)60000000000)

/* ---- Into memory ---- */

static bool is_live(struct incoming *in)
{
	return atomic_load_explicit(&in->live, memory_order_acquire);
}

static int put_pages(void *opaque, page_no no, u32 n, const void *pages, size_t stride)
{
	struct incoming *in = opaque;
	int ret = 0;

	if (!is_live(in))
		return mem_put_pages(in->vm->mem, no, n, pages, stride);
	for (u32 i = 0; i < n && !ret; i++)
		ret = remote_page(in->remote, no + i, (const u8 *)pages + i * stride);
	return ret;
}

static int put_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct incoming *in = opaque;

	if (is_live(in))
		return remote_block(in->remote, no, block);
	return mem_put_block(in->vm->mem, no, block,
			     block->kind != CODEC_PATTERN ? MEM_PUT_STORED : MEM_PUT_AS_FITS);
}

static int look(void *opaque, page_no no, void *page)
{
	struct incoming *in = opaque;

	return mem_look(in->vm->mem, no, page);
}

int incoming_apply(struct incoming *in, const struct wire_message *msg, struct err *err)
{
	const struct batch_sink sink = {in, put_pages, put_block, look};
	int ret;

	err->text[0] = '\0';
	ret = batch_apply(msg->data, msg->size, in->nr_pages, &sink, err);
	if (ret && !err->text[0])
		err_set(err, ret, "guest memory: %s", strerror(-ret));
	return ret;
}

int incoming_forget(struct incoming *in, const struct wire_message *msg, struct err *err)
{
	bool last;
	int ret = migrate_unpack_bitmap(msg, in->missing, in->words, &last, err);

	if (ret || !last)
		return ret;
	remote_forget(in->remote, in->vm->mem, in->missing);
	memset(in->missing, 0, in->words * sizeof(u64)); /* what is missing at last is told later */
	return 0;
}

/* ---- Connections ---- */

/* Under lock: somebody else may be closing the main one. */
static void cut_all(struct incoming *in)
{
	if (in->main)
		wire_cut(in->main);
	for (u32 i = 0; i < in->nr_streams; i++)
		wire_cut(in->streams[i].wire);
}

static void note_broken(struct incoming *in, int ret, const struct err *why)
{
	struct incoming_arrivals *a = &in->arrivals;

	ASSERT(ret);
	pthread_mutex_lock(&in->lock);
	if (!a->broken && ret != -ECANCELED) { /* else it was us who cut it */
		a->broken = ret;
		a->why = *why;
	}
	pthread_cond_broadcast(&in->wake);
	/* when all is here the connections end, one after the other */
	if (!is_live(in) || remote_nr_missing(in->remote))
		cut_all(in);
	pthread_mutex_unlock(&in->lock);
}

void incoming_set_broken(struct incoming *in, int ret, const struct err *why)
{
	pthread_mutex_lock(&in->lock);
	in->arrivals.broken = ret;
	in->arrivals.why = *why;
	pthread_mutex_unlock(&in->lock);
}

int incoming_get_broken(struct incoming *in, struct err *why)
{
	int ret;

	pthread_mutex_lock(&in->lock);
	ret = in->arrivals.broken;
	if (ret)
		*why = in->arrivals.why;
	pthread_mutex_unlock(&in->lock);
	return ret;
}

static void note_flushed(struct incoming *in)
{
	pthread_mutex_lock(&in->lock);
	in->arrivals.flushed++;
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
}

static void *stream_thread(void *arg)
{
	struct incoming_stream *st = arg;
	struct incoming *in = st->in;
	struct wire_message msg;
	struct err err;
	int ret = 0;

	while (!ret) {
		ret = migrate_receive(st->wire, -1, &msg, &err);
		if (!ret && msg.type == MIGRATE_PAGES)
			ret = incoming_apply(in, &msg, &err);
		else if (!ret && msg.type == MIGRATE_FLUSH)
			note_flushed(in);
		else if (!ret)
			ret = err_set(&err, -EPROTO, "message %u on a stream", msg.type);
	}
	note_broken(in, ret, &err);
	return NULL;
}

int incoming_start_streams(struct incoming *in, struct err *err)
{
	pthread_mutex_lock(&in->lock);
	in->arrivals.flushed = 0;
	in->arrivals.broken = 0;
	pthread_mutex_unlock(&in->lock);
	for (u32 i = 0; i < in->nr_streams; i++) {
		struct incoming_stream *st = &in->streams[i];
		int ret;

		ASSERT(st->wire && !st->started);
		ret = thread_start(&st->thread, "stream", stream_thread, st);
		if (ret)
			return err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
		st->started = true;
	}
	return 0;
}

void incoming_end_streams(struct incoming *in)
{
	for (u32 i = 0; i < in->nr_streams; i++)
		wire_cut(in->streams[i].wire);
	for (u32 i = 0; i < in->nr_streams; i++)
		if (in->streams[i].started)
			pthread_join(in->streams[i].thread, NULL);
	pthread_mutex_lock(&in->ask_lock);
	in->urgent = NULL; /* nobody asks from here on */
	pthread_mutex_unlock(&in->ask_lock);
	pthread_mutex_lock(&in->lock); /* progress counts their bytes */
	for (u32 i = 0; i < in->nr_streams; i++) {
		wire_close(in->streams[i].wire);
		in->streams[i] = (struct incoming_stream){.in = in};
	}
	in->nr_streams = 0;
	pthread_mutex_unlock(&in->lock);
}

int incoming_wait_flushed(struct incoming *in, struct err *err)
{
	/* the main one is read by who calls this, and is so far */
	u32 want = in->setup.streams - 1;
	struct incoming_arrivals *a = &in->arrivals;
	int ret;

	pthread_mutex_lock(&in->lock);
	while (a->flushed < want && !a->broken && !in->quit)
		pthread_cond_wait(&in->wake, &in->lock);
	ret = in->quit ? -ECANCELED : a->broken;
	if (!ret)
		a->flushed -= want; /* they may say so again */
	if (ret)
		*err = a->why;
	pthread_mutex_unlock(&in->lock);
	return ret;
}

int incoming_wait_last(struct incoming *in, struct err *err)
{
	u64 until = now_ns() + LAST_NS, now;
	bool quit;
	u32 left;

	pthread_mutex_lock(&in->lock);
	while ((left = remote_nr_missing(in->remote)) && !in->arrivals.broken && !in->quit &&
	       (now = now_ns()) < until)
		thread_wait(&in->wake, &in->lock, until - now);
	quit = in->quit;
	pthread_mutex_unlock(&in->lock);
	if (!left)
		return 0;
	if (quit)
		return err_set(err, -ECANCELED, "ended");
	return err_set(err, -EPROTO, "all pages were said to be sent, and %u are missing", left);
}

/* ---- For the remote pager ---- */

void incoming_all_here(void *opaque)
{
	struct incoming *in = opaque;

	pthread_mutex_lock(&in->lock);
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
}

/* A lost request is asked again when there is a new connection. */
void incoming_ask(void *opaque, page_no no, u32 n)
{
	const struct migrate_ask ask = {.first = no, .n = n};
	struct incoming *in = opaque;
	struct err ignored;

	pthread_mutex_lock(&in->ask_lock);
	if (in->urgent)
		wire_send(in->urgent->wire, MIGRATE_ASK, &ask, sizeof(ask), &ignored);
	pthread_mutex_unlock(&in->ask_lock);
}
