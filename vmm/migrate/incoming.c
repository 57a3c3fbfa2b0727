// SPDX-License-Identifier: Apache-2.0
/*
 * The destination of a migration: its birth, its thread, its end. Contract in incoming.h.
 *
 * Threads: the owner's (start, the VM that is asked for, stop, destroy) and "incoming", which does
 * the work from incoming_thread() down, in the files that incoming_impl.h lists, and starts and
 * joins those called "stream" and "probe". The memory engine's threads come in through the remote
 * pager alone (incoming_ask(), incoming_all_here()).
 *
 * in->lock guards what the owner and the threads share, as the fields say, and in->wake is its
 * event; nobody sends, receives or calls the engine under it. in->ask_lock is for sending on the
 * urgent connection. incoming_stop() ends every wait: it sets in->quit, wakes, and cuts the main
 * connection.
 *
 * Always: before GO the guest is the source's, and every failure leaves it there; from GO on it is
 * ours and runs here. Between LOADED and GO nobody knows without the source: it is waited for
 * (wait_for_word()), and the guest does not run.
 */
#include "vmm/migrate/incoming.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/image/image.h"
#include "mm/engine/mem.h"
#include "mm/base/thread.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/incoming_link.h"
#include "vmm/migrate/incoming_pages.h"
#include "vmm/migrate/incoming_postcopy.h"
#include "vmm/migrate/incoming_probe.h"
#include "vmm/migrate/incoming_progress.h"
#include "vmm/migrate/incoming_setup.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

const char *incoming_address(const struct incoming *in)
{
	return in->address;
}

/* For so long a source that has heard nothing may ask again: longer than it tries. */
#define LINGER_NS ((u64)15000000000)

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
	if (in->remote)
		atomic_store_explicit(&in->live, true, memory_order_release);
	incoming_set_status(in, MIGRATE_DEVICE);
	return wire_send(in->main, MIGRATE_LOADED, NULL, 0, err);
}

/* How far it has come, before the guest is ours. */
struct before {
	bool prepared; /* the engine is in charge */
	bool loaded;   /* the state too: it could run here */
	bool over;     /* GO has come */
};

/* One message of that time. */
static int hear_before(struct incoming *in, struct before *b, struct err *err)
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
		b->prepared = !ret;
		return ret ? ret : wire_send(in->main, MIGRATE_PREPARED, NULL, 0, err);
	case MIGRATE_STALE:
		if (b->prepared && !b->loaded)
			return incoming_forget(in, &msg, err);
		break;
	case MIGRATE_MISSING:
		if (in->missing)
			return migrate_unpack_bitmap(&msg, in->missing, in->words, &last, err);
		break;
	case MIGRATE_STATE:
		if (b->loaded)
			break;
		ret = load(in, &msg, err);
		b->loaded = !ret;
		return ret;
	case MIGRATE_GO:
		b->over = b->loaded;
		if (b->loaded)
			return 0;
		break;
	}
	return err_set(err, -EPROTO, "message %u came out of turn", msg.type);
}

/* The last word did not come: it may come again. Until then the guest is nobody's to run. */
static int wait_for_word(struct incoming *in, struct err *err)
{
	struct wire_message msg;
	int ret;

	incoming_end_streams(in);
	do {
		incoming_close_main(in);
		incoming_set_status(in, MIGRATE_UNSURE);
		ret = incoming_accept_main(in, MIGRATE_CONFIRM, err);
		if (!ret)
			ret = migrate_expect(in->main, MIGRATE_GO, MIGRATE_ANSWER_MS, &msg, err);
	} while (ret && ret != -EREMOTEIO && !incoming_is_ending(in));
	return ret;
}

static int receive_memory(struct incoming *in, struct err *err)
{
	struct before b = {.over = false};
	int ret = 0;

	incoming_set_status(in, MIGRATE_ACTIVE);
	while (!ret && !b.over)
		ret = hear_before(in, &b, err);
	/* what was refused was not a lost connection */
	if (ret && b.loaded && ret != -EREMOTEIO && ret != -EPROTO)
		ret = wait_for_word(in, err);
	return ret;
}

/* It is ours. */
static void run(struct incoming *in)
{
	struct err ignored;

	ASSERT(in->vm && (!in->remote || atomic_load(&in->live)));
	if (in->guest.runs)
		vm_resume(in->vm);
	wire_send(in->main, MIGRATE_RUNNING, NULL, 0, &ignored);
	incoming_set_status(in, in->remote ? MIGRATE_POSTCOPY_ACTIVE : MIGRATE_COMPLETED);
}

/* ---- The thread ---- */

static int receive_guest(struct incoming *in, struct err *err)
{
	int ret = incoming_accept_main(in, MIGRATE_MAIN, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&in->lock);
	in->began_ns = now_ns();
	pthread_mutex_unlock(&in->lock);
	ret = incoming_hear_setup(in, err);
	if (!ret)
		ret = incoming_wait_for_vm(in, err);
	if (!ret)
		ret = wire_send(in->main, MIGRATE_READY, NULL, 0, err);
	if (!ret)
		ret = incoming_accept_rest(in, err);
	if (!ret)
		ret = receive_memory(in, err);
	if (ret && in->main)
		migrate_refuse(in->main, err);
	return ret;
}

/* A source that is not sure asks again: by the role that it comes in. */
static int answer_again(struct incoming *in, int timeout_ms, struct err *err)
{
	struct migrate_hello hello;
	struct wire_message msg;
	struct wire *w;
	int ret = incoming_accept(in, MIGRATE_CONFIRM, timeout_ms, &w, &hello, err);

	if (ret)
		return ret;
	incoming_set_main(in, w);
	ret = migrate_say_hello(w, in->session, hello.role, 0, err);
	if (!ret && hello.role == MIGRATE_RECOVER)
		return wire_send(w, MIGRATE_DONE, NULL, 0, err);
	if (!ret)
		ret = migrate_expect(w, MIGRATE_GO, MIGRATE_ANSWER_MS, &msg, err);
	return ret ? ret : wire_send(w, MIGRATE_RUNNING, NULL, 0, err);
}

/* Stay until the source knows that it can go, or for as long as it may ask. */
static void linger(struct incoming *in)
{
	u64 until = now_ns() + LINGER_NS, now;
	struct wire_message msg;
	struct err err;
	int ret = 0;

	while (!incoming_is_ending(in) && (now = now_ns()) < until) {
		if (!in->main)
			ret = answer_again(in, (int)((until - now) / 1000000) + 1, &err);
		if (!ret && in->main)
			ret = migrate_expect(in->main, MIGRATE_DONE, MIGRATE_ANSWER_MS, &msg, &err);
		if (!ret)
			return;
		if (in->main)
			incoming_close_main(in);
	}
}

static void *incoming_thread(void *arg)
{
	struct incoming *in = arg;
	struct err err = {.text = ""};
	int ret = receive_guest(in, &err);

	if (!ret) {
		run(in);
		if (in->remote)
			ret = incoming_complete(in, &err);
		if (!ret && !in->postcopy.filled) /* else the source is no more */
			linger(in);
	}
	incoming_end_probes(in);
	incoming_end_streams(in);
	if (in->main)
		incoming_close_main(in);
	incoming_stop_listening(in);
	if (!ret || incoming_is_ending(in))
		return NULL;
	incoming_get_broken(in, &err);
	pthread_mutex_lock(&in->lock);
	in->progress.why = err;
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
	image_close(in->postcopy.spill);
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
