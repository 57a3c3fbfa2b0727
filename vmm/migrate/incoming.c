// SPDX-License-Identifier: Apache-2.0
/* The destination of a migration: its thread. Contract in incoming.h. */
#include "vmm/migrate/incoming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/image/image.h"
#include "mm/engine/mem.h"
#include "mm/base/thread.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/talk.h"
#include "vmm/migrate/spill.h"
#include "vmm/vm/vm.h"

/* For so long a source that has heard nothing may ask again: longer than it tries. */
#define LINGER_NS ((u64)15000000000)

/* Hosts whose clocks differ by more give their guests no time of each other's. */
#define MAX_SKEW_NS ((u64)100000000)

/* ---- What is told ---- */

void incoming_progress(struct incoming *in, struct migrate_progress *progress)
{
	pthread_mutex_lock(&in->lock);
	if (in->main && !migrate_is_over(in->progress.status)) {
		in->progress.bytes = wire_received(in->main);
		for (u32 i = 0; i < in->nr_streams; i++)
			in->progress.bytes += wire_received(in->streams[i].wire);
		in->progress.total_ns = now_ns() - in->began_ns;
	}
	if (in->remote && in->live)
		in->progress.pages_left = remote_nr_missing(in->remote);
	*progress = in->progress;
	pthread_mutex_unlock(&in->lock);
}

void incoming_set_status(struct incoming *in, enum migrate_status status)
{
	struct migrate_progress now;

	incoming_progress(in, &now); /* counts what there is to count, while it is there */
	pthread_mutex_lock(&in->lock);
	in->progress.status = status;
	pthread_mutex_unlock(&in->lock);
	in->cfg.changed(in->cfg.opaque);
}

const char *incoming_address(const struct incoming *in)
{
	return in->address;
}

/* ---- Who comes ---- */

/* Whether one more connection of that kind was announced, and has not come yet. */
static bool lacks(const struct incoming *in, u32 role)
{
	u32 streams = in->nr_streams - (in->urgent != NULL);

	if (role == MIGRATE_URGENT)
		return in->setup.postcopy && !in->urgent;
	return role == MIGRATE_STREAM && streams + 1 < in->setup.streams;
}

static bool is_ours(const struct incoming *in, const struct migrate_hello *hello,
		    enum migrate_role role)
{
	/* the further ones come in any order: the network keeps none among connections */
	if (role == MIGRATE_STREAM) {
		if (!lacks(in, hello->role))
			return false;
		role = hello->role;
	}
	/* who asks whether it has arrived may know already that it has */
	if (role == MIGRATE_CONFIRM && hello->role == MIGRATE_RECOVER)
		role = MIGRATE_RECOVER;
	return hello->role == role &&
	       (role == MIGRATE_MAIN || !memcmp(hello->session, in->session, sizeof(in->session)));
}

/* For wire_accept(): -1 for ever, 0 none. */
static int time_left(int timeout_ms, u64 until)
{
	u64 now = now_ns();

	if (timeout_ms < 0)
		return -1;
	return now < until ? (int)((until - now) / 1000000) + 1 : 0;
}

/*
 * The next connection of that kind; MIGRATE_STREAM: any further one that is lacking. Others are
 * told that they are not welcome: they are no reason to stop waiting for the right one.
 */
static int accept_role(struct incoming *in, enum migrate_role role, int timeout_ms,
		       struct wire **out, struct migrate_hello *hello, struct err *err)
{
	const struct err busy = {.text = "this quire waits for another guest"};
	u64 until = now_ns() + (u64)timeout_ms * 1000000;

	for (;;) {
		int left = time_left(timeout_ms, until), ret;
		struct wire_message first;
		struct wire *w;

		if (!left)
			return err_set(err, -ETIMEDOUT, "nobody came who was awaited");
		ret = wire_accept(in->listener, left, &w, &first, err);
		if (ret == -ECANCELED)
			return ret;
		if (ret)
			continue;
		ret = migrate_take_hello(&first, hello, err);
		if (!ret && is_ours(in, hello, role)) {
			*out = w;
			return 0;
		}
		if (!ret && role == MIGRATE_MAIN && hello->role == MIGRATE_PROBE) {
			incoming_serve_probe(in, w, hello);
			continue;
		}
		migrate_refuse(w, ret ? err : &busy);
		wire_close(w);
	}
}

static void set_main(struct incoming *in, struct wire *w)
{
	pthread_mutex_lock(&in->lock);
	in->main = w;
	pthread_mutex_unlock(&in->lock);
}

static int accept_main(struct incoming *in, enum migrate_role role, struct err *err)
{
	struct migrate_hello hello;
	struct wire *w;
	u64 skew;
	int ret = accept_role(in, role, -1, &w, &hello, err);

	if (ret)
		return ret;
	incoming_end_probes(in); /* the line is the guest's from here on */
	set_main(in, w);
	memcpy(in->session, hello.session, sizeof(in->session));
	skew = hello.wall_ns > wall_ns() ? hello.wall_ns - wall_ns() : wall_ns() - hello.wall_ns;
	in->guest.clock = skew < MAX_SKEW_NS ? STATE_CLOCK_JUMP : STATE_CLOCK_CONTINUE;
	return migrate_say_hello(w, in->session, role, 0, err);
}

static int accept_further(struct incoming *in, struct err *err)
{
	struct incoming_stream *st = &in->streams[in->nr_streams];
	struct migrate_hello hello;
	int ret;

	st->in = in;
	ret = accept_role(in, MIGRATE_STREAM, MIGRATE_ANSWER_MS, &st->wire, &hello, err);
	if (ret)
		return ret;
	in->nr_streams++;
	if (hello.role == MIGRATE_URGENT) {
		pthread_mutex_lock(&in->ask_lock);
		in->urgent = st;
		pthread_mutex_unlock(&in->ask_lock);
	}
	return 0;
}

/* All the connections that were announced. */
static int accept_rest(struct incoming *in, struct err *err)
{
	int ret = 0;

	while (!ret && (lacks(in, MIGRATE_STREAM) || lacks(in, MIGRATE_URGENT)))
		ret = accept_further(in, err);
	return ret ? ret : incoming_start_streams(in, err);
}

/* ---- Until it is ours ---- */

static int load(struct incoming *in, const struct wire_message *msg, struct err *err)
{
	int ret = 0;

	/* memory that was handed over is ours to manage from here on: the source holds still */
	if (in->setup.handover)
		ret = mem_start(in->vm->mem, err);
	if (!ret)
		ret = state_load(in->vm, msg->data, msg->size, in->guest.clock, err);
	if (!ret && in->remote)
		ret = remote_begin(in->remote, in->vm->mem, in->missing, err);
	if (ret)
		return ret;
	in->live = in->remote != NULL;
	incoming_set_status(in, MIGRATE_DEVICE);
	return wire_send(in->main, MIGRATE_LOADED, NULL, 0, err);
}

/* One message before the guest is ours; *@over: it was GO. */
static int hear_before(struct incoming *in, bool *loaded, bool *over, struct err *err)
{
	struct wire_message msg;
	bool last;
	int ret = migrate_receive(in->main, -1, &msg, err);

	if (ret)
		return ret;
	switch (msg.type) {
	case MIGRATE_PAGES:
		return incoming_apply(in, &msg, err);
	case MIGRATE_FLUSH:
		ret = incoming_wait_flushed(in, err);
		return ret ? ret : wire_send(in->main, MIGRATE_FLUSHED, NULL, 0, err);
	case MIGRATE_PREPARE:
		if (!in->remote)
			break;
		ret = remote_prepare(in->remote, in->vm->mem, err);
		in->prepared = !ret;
		return ret ? ret : wire_send(in->main, MIGRATE_PREPARED, NULL, 0, err);
	case MIGRATE_STALE:
		if (in->prepared && !*loaded)
			return incoming_forget(in, &msg, err);
		break;
	case MIGRATE_MISSING:
		if (in->missing)
			return migrate_unpack_bitmap(&msg, in->missing, in->words, &last, err);
		break;
	case MIGRATE_STATE:
		if (*loaded)
			break;
		ret = load(in, &msg, err);
		*loaded = !ret;
		return ret;
	case MIGRATE_GO:
		*over = *loaded;
		if (*loaded)
			return 0;
		break;
	}
	return err_set(err, -EPROTO, "message %u came out of turn", msg.type);
}

static void close_main(struct incoming *in)
{
	struct wire *w = in->main;

	pthread_mutex_lock(&in->lock);
	in->main = NULL;
	pthread_mutex_unlock(&in->lock);
	wire_close(w);
}

/* The last word did not come: it may come again. Until then the guest is nobody's to run. */
static int wait_for_word(struct incoming *in, struct err *err)
{
	struct wire_message msg;
	int ret;

	incoming_end_streams(in);
	do {
		close_main(in);
		incoming_set_status(in, MIGRATE_UNSURE);
		ret = accept_main(in, MIGRATE_CONFIRM, err);
		if (!ret)
			ret = migrate_expect(in->main, MIGRATE_GO, MIGRATE_ANSWER_MS, &msg, err);
	} while (ret && ret != -EREMOTEIO && !in->quit);
	return ret;
}

static int receive(struct incoming *in, struct err *err)
{
	bool loaded = false, over = false;
	int ret = 0;

	incoming_set_status(in, MIGRATE_ACTIVE);
	while (!ret && !over)
		ret = hear_before(in, &loaded, &over, err);
	/* what was refused was not a lost connection */
	if (ret && loaded && ret != -EREMOTEIO && ret != -EPROTO)
		ret = wait_for_word(in, err);
	return ret;
}

/* It is ours. */
static void run(struct incoming *in)
{
	struct err ignored;

	if (in->guest.runs)
		vm_resume(in->vm);
	wire_send(in->main, MIGRATE_RUNNING, NULL, 0, &ignored);
	incoming_set_status(in, in->remote ? MIGRATE_POSTCOPY_ACTIVE : MIGRATE_COMPLETED);
}

/* ---- While pages are missing ---- */

static int wait_for_last(struct incoming *in, struct err *err)
{
	u32 left = remote_nr_missing(in->remote);

	/* all have been sent, so those on other connections are about to arrive */
	for (int i = 0; left && i < 10000; i++) {
		usleep(1000);
		left = remote_nr_missing(in->remote);
		if (in->broken)
			break;
	}
	if (left)
		return err_set(err, -EPROTO, "all pages were said to be sent, and %u are missing",
			       left);
	return wire_send(in->main, MIGRATE_DONE, NULL, 0, err);
}

static int hear_after(struct incoming *in, bool *over, struct err *err)
{
	struct wire_message msg;
	int ret = migrate_receive(in->main, -1, &msg, err);

	if (ret)
		return ret;
	if (msg.type == MIGRATE_PAGES)
		return incoming_apply(in, &msg, err);
	if (msg.type != MIGRATE_PUSHED)
		return err_set(err, -EPROTO, "message %u came out of turn", msg.type);
	/* what was on its way on a connection that broke is sent again after recovery */
	ret = wait_for_last(in, err);
	*over = !ret;
	return ret;
}

/* Files that turn out to be damaged are put away: the source may come back, or better files. */
static int fill_from_spill(struct incoming *in, struct err *err)
{
	int ret = spill_fill(in->spill, in->remote, in->nr_pages, err);

	if (!ret)
		return 0;
	pthread_mutex_lock(&in->lock);
	image_close(in->spill);
	in->spill = NULL;
	in->broken = ret;
	in->broken_why = *err;
	if (!in->quit)
		wire_go_on_listening(in->listener);
	pthread_mutex_unlock(&in->lock);
	return ret;
}

static int recover(struct incoming *in, const struct err *why, struct err *err)
{
	int ret;

	incoming_end_streams(in);
	close_main(in);
	pthread_mutex_lock(&in->lock);
	in->progress.why = *why;
	pthread_mutex_unlock(&in->lock);
	incoming_set_status(in, MIGRATE_POSTCOPY_PAUSED);
	ret = accept_main(in, MIGRATE_RECOVER, err);
	if (ret && in->spill)
		return fill_from_spill(in, err);
	if (ret)
		return ret;
	remote_missing(in->remote, in->missing);
	ret = migrate_send_bitmap(in->main, MIGRATE_MISSING, in->missing, in->words, err);
	if (!ret)
		ret = accept_rest(in, err);
	if (ret)
		return ret;
	incoming_set_status(in, MIGRATE_POSTCOPY_ACTIVE);
	remote_ask_again(in->remote);
	return 0;
}

static int complete(struct incoming *in, struct err *err)
{
	/* after a confirmation there are no streams: the source comes back with new ones */
	int ret = in->urgent ? 0 : -EPIPE;
	bool over = false;

	while (!over && ret != -ECANCELED) {
		struct err why = {.text = ""};

		if (!ret)
			ret = hear_after(in, &over, &why);
		if (ret && remote_nr_missing(in->remote) == 0)
			over = true; /* nothing is lost with the other side */
		else if (ret && !in->quit)
			ret = recover(in, in->broken ? &in->broken_why : &why, err);
		over |= !ret && in->spill; /* with it, there is nothing more to wait for */
		if (in->quit)
			ret = -ECANCELED;
	}
	if (over)
		incoming_set_status(in, MIGRATE_COMPLETED);
	return over ? 0 : ret;
}

/* ---- The thread ---- */

static int come(struct incoming *in, struct err *err)
{
	int ret = accept_main(in, MIGRATE_MAIN, err);

	if (ret)
		return ret;
	in->began_ns = now_ns();
	ret = incoming_hear_setup(in, err);
	if (!ret)
		ret = incoming_wait_for_vm(in, err);
	if (!ret)
		ret = wire_send(in->main, MIGRATE_READY, NULL, 0, err);
	if (!ret)
		ret = accept_rest(in, err);
	if (!ret)
		ret = receive(in, err);
	if (ret && in->main)
		migrate_refuse(in->main, err);
	return ret;
}

int incoming_finish_from(struct incoming *in, const char *dir, struct err *err)
{
	struct image *image = NULL;
	bool paused;
	int ret;

	pthread_mutex_lock(&in->lock);
	paused = in->progress.status == MIGRATE_POSTCOPY_PAUSED && !in->spill;
	pthread_mutex_unlock(&in->lock);
	if (!paused)
		return err_set(err, -EINVAL, "there is no broken migration to recover");
	ret = spill_open(&image, dir, in->nr_pages, in->session, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&in->lock);
	in->spill = image;
	in->progress.status = MIGRATE_POSTCOPY_RECOVER;
	pthread_mutex_unlock(&in->lock);
	wire_stop_listening(in->listener);
	return 0;
}

/* A source that is not sure asks again: by the role that it comes in. */
static int answer_again(struct incoming *in, int timeout_ms, struct err *err)
{
	struct migrate_hello hello;
	struct wire_message msg;
	struct wire *w;
	int ret = accept_role(in, MIGRATE_CONFIRM, timeout_ms, &w, &hello, err);

	if (ret)
		return ret;
	set_main(in, w);
	ret = migrate_say_hello(w, in->session, hello.role, 0, err);
	if (!ret && hello.role == MIGRATE_RECOVER)
		return wire_send(w, MIGRATE_DONE, NULL, 0, err);
	if (!ret)
		ret = migrate_expect(w, MIGRATE_GO, MIGRATE_ANSWER_MS, &msg, err);
	return ret ? ret : wire_send(w, MIGRATE_RUNNING, NULL, 0, err);
}

/* Stay until the source knows that it can go, or for as long as it may ask. */
static void see_it_off(struct incoming *in)
{
	u64 until = now_ns() + LINGER_NS, now;
	struct wire_message msg;
	struct err err;
	int ret = 0;

	while (!in->quit && (now = now_ns()) < until) {
		if (!in->main)
			ret = answer_again(in, (int)((until - now) / 1000000) + 1, &err);
		if (!ret && in->main)
			ret = migrate_expect(in->main, MIGRATE_DONE, MIGRATE_ANSWER_MS, &msg, &err);
		if (!ret)
			return;
		if (in->main)
			close_main(in);
	}
}

/* Others may wait at the address from now on. */
static void stop_listening(struct incoming *in)
{
	struct wire_listener *l;

	pthread_mutex_lock(&in->lock);
	l = in->listener;
	in->listener = NULL;
	pthread_mutex_unlock(&in->lock);
	wire_unlisten(l);
}

static void *incoming_thread(void *arg)
{
	struct incoming *in = arg;
	struct err err = {.text = ""};
	int ret = come(in, &err);

	if (!ret) {
		run(in);
		if (in->remote)
			ret = complete(in, &err);
		if (!ret && !in->spill)
			see_it_off(in);
	}
	incoming_end_probes(in);
	incoming_end_streams(in);
	if (in->main)
		close_main(in);
	stop_listening(in);
	if (!ret || in->quit)
		return NULL;
	pthread_mutex_lock(&in->lock);
	in->progress.why = in->broken ? in->broken_why : err;
	pthread_mutex_unlock(&in->lock);
	incoming_set_status(in, MIGRATE_FAILED);
	return NULL;
}

/* ---- Birth and death ---- */

static void incoming_free(struct incoming *in)
{
	wire_unlisten(in->listener);
	if (in->guest.memory_fd >= 0)
		close(in->guest.memory_fd);
	remote_destroy(in->remote);
	image_close(in->spill);
	pthread_cond_destroy(&in->wake);
	pthread_mutex_destroy(&in->lock);
	pthread_mutex_destroy(&in->ask_lock);
	free(in->missing);
	free(in->state);
	free(in->psk_file);
	free(in->address);
	free(in);
}

int incoming_start(struct incoming **out, const struct incoming_config *cfg, struct err *err)
{
	struct incoming *in = calloc(1, sizeof(*in));
	struct wire_config wire = {.psk_file = cfg->psk_file};
	int ret;

	if (!in)
		return err_set(err, -ENOMEM, "out of memory");
	in->cfg = *cfg;
	in->guest.memory_fd = -1;
	in->progress.incoming = true;
	pthread_mutex_init(&in->lock, NULL);
	pthread_mutex_init(&in->ask_lock, NULL);
	thread_cond_init(&in->wake);
	if (cfg->psk_file)
		wire.psk_file = in->psk_file = strdup(cfg->psk_file);
	ret = wire_listen(&in->listener, cfg->address, &wire, err);
	if (!ret) {
		in->address = strdup(wire_address(in->listener));
		ret = in->address ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (!ret) {
		ret = thread_start(&in->thread, "incoming", incoming_thread, in);
		if (ret)
			err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	}
	if (ret) {
		incoming_free(in);
		return ret;
	}
	*out = in;
	return 0;
}

void incoming_stop(struct incoming *in)
{
	pthread_mutex_lock(&in->lock);
	in->quit = true;
	if (in->listener)
		wire_stop_listening(in->listener);
	if (in->main)
		wire_cut(in->main);
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
	pthread_join(in->thread, NULL);
}

void incoming_destroy(struct incoming *in)
{
	if (in)
		incoming_free(in);
}
