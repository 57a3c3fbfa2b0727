// SPDX-License-Identifier: Apache-2.0
/*
 * A destination's connections: who is let in, and in which role. Contract in incoming_link.h.
 *
 * All of it on the thread "incoming", which alone changes in->listener, in->main, in->streams and
 * in->nr_streams: under in->lock, so that others may count their bytes and cut them, while the
 * thread itself reads them without it.
 *
 * Always: there is one main connection at most; a further one was announced by the set-up, and has
 * shown the session's number. Who is not let in is told why, and keeps nobody waiting.
 */
#include "vmm/migrate/incoming_link.h"

#include <errno.h>
#include <string.h>

#include "mm/base/clock.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/incoming_pages.h"
#include "vmm/migrate/incoming_probe.h"
#include "vmm/migrate/talk.h"

/* Hosts whose clocks differ by more give their guests no time of each other's. */
#define MAX_SKEW_NS ((u64)100000000)

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

int incoming_accept(struct incoming *in, enum migrate_role role, int timeout_ms, struct wire **out,
		    struct migrate_hello *hello, struct err *err)
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

void incoming_set_main(struct incoming *in, struct wire *w)
{
	pthread_mutex_lock(&in->lock);
	ASSERT(!in->main);
	in->main = w;
	pthread_mutex_unlock(&in->lock);
}

int incoming_accept_main(struct incoming *in, enum migrate_role role, struct err *err)
{
	struct migrate_hello hello;
	struct wire *w;
	u64 skew;
	int ret = incoming_accept(in, role, -1, &w, &hello, err);

	if (ret)
		return ret;
	incoming_end_probes(in); /* the line is the guest's from here on */
	incoming_set_main(in, w);
	if (role == MIGRATE_MAIN) /* others have shown that it is theirs */
		memcpy(in->session, hello.session, sizeof(in->session));
	skew = hello.wall_ns > wall_ns() ? hello.wall_ns - wall_ns() : wall_ns() - hello.wall_ns;
	in->guest.clock = skew < MAX_SKEW_NS ? STATE_CLOCK_JUMP : STATE_CLOCK_CONTINUE;
	return migrate_say_hello(w, in->session, role, 0, err);
}

static int accept_further(struct incoming *in, struct err *err)
{
	struct incoming_stream *st = &in->streams[in->nr_streams];
	struct migrate_hello hello;
	struct wire *w;
	int ret = incoming_accept(in, MIGRATE_STREAM, MIGRATE_ANSWER_MS, &w, &hello, err);

	if (ret)
		return ret;
	ASSERT(in->nr_streams < ARRAY_SIZE(in->streams) && !st->wire);
	pthread_mutex_lock(&in->lock);
	*st = (struct incoming_stream){.in = in, .wire = w};
	in->nr_streams++;
	pthread_mutex_unlock(&in->lock);
	if (hello.role == MIGRATE_URGENT) {
		pthread_mutex_lock(&in->ask_lock);
		in->urgent = st;
		pthread_mutex_unlock(&in->ask_lock);
	}
	return 0;
}

int incoming_accept_rest(struct incoming *in, struct err *err)
{
	int ret = 0;

	while (!ret && (lacks(in, MIGRATE_STREAM) || lacks(in, MIGRATE_URGENT)))
		ret = accept_further(in, err);
	return ret ? ret : incoming_start_streams(in, err);
}

void incoming_close_main(struct incoming *in)
{
	struct wire *w = in->main;

	pthread_mutex_lock(&in->lock);
	in->main = NULL;
	pthread_mutex_unlock(&in->lock);
	wire_close(w);
}

void incoming_stop_listening(struct incoming *in)
{
	struct wire_listener *l;

	pthread_mutex_lock(&in->lock);
	l = in->listener;
	in->listener = NULL;
	pthread_mutex_unlock(&in->lock);
	wire_unlisten(l);
}

bool incoming_is_ending(struct incoming *in)
{
	bool quit;

	pthread_mutex_lock(&in->lock);
	quit = in->quit;
	pthread_mutex_unlock(&in->lock);
	return quit;
}
