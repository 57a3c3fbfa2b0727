// SPDX-License-Identifier: Apache-2.0
/*
 * How much must go, and when: the engine's two threads.
 *
 *   the evictor   the soft limit: begins a margin below the limit and stops at two margins, so that
 *                 faults seldom have to evict (room.c); also pushes out what a proactive mode found
 *   the manager   the clock: watches until the guest comes near its limit and then takes charge;
 *                 from there on ages pages ten times a second (age.c) and lets the controllers look
 *                 once a second (tune.c)
 *
 * Both live from mem_start() to mem_destroy(), hold no lock while they work, and sleep under the
 * engine's lock: the evictor on mem.wanted, the manager on mem.tick.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/engine/age.h"
#include "mm/engine/charge.h"
#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "mm/engine/manager.h"
#include "mm/engine/owner.h"
#include "mm/engine/room.h"
#include "mm/engine/tune.h"

#define STEP_NS	   ((u64)100000000)
#define CONTROL_NS ((u64)1000000000)

/*
 * How fast a guest can fill memory while it is only watched, in bytes a second: more than any
 * processor clears pages. It says how often to look.
 */
#define FILL_RATE (16 * GiB)

/* Less than this left: time to take charge. */
#define CHARGE_MARGIN (64 * MiB)

struct manager {
	pthread_t evictor, manager;
	bool has_evictor, has_manager;
	bool draining; /* the evictor alone: it is on its way from one margin to two */
};

/* ---- The soft limit ---- */

static u32 cold_ticks(const struct mem *m)
{
	return (u32)MIN((u64)m->tune.cold_ms * 1000000 / AGE_TICK_NS + 1, (u64)0x7fff);
}

/* Pages to push out now, by the limit or by a proactive mode; *@ticks as evict_pages() has it. */
static u32 work_to_do(struct mem *m, u32 *ticks)
{
	u64 used = used_bytes(m), margin = room_margin(m);

	*ticks = 0;
	if (m->limit && used > m->limit - margin)
		m->manager->draining = true;
	if (!m->limit || used <= m->limit - 2 * margin)
		m->manager->draining = false;
	if (m->manager->draining)
		return (u32)MIN((used - (m->limit - 2 * margin)) >> PAGE_SHIFT, (u64)256) + 1;
	if (m->tune.push) {
		u32 n = (u32)MIN(m->tune.push, (u64)256);

		m->tune.push -= n;
		return n;
	}
	if (m->tune.cold_ms) {
		*ticks = cold_ticks(m);
		return 256;
	}
	return 0;
}

static void *evictor(void *arg)
{
	struct mem *m = arg;

	while (!atomic_load(&m->stopping)) {
		u32 ticks, n, went = 0;

		pthread_mutex_lock(&m->lock);
		n = work_to_do(m, &ticks);
		pthread_mutex_unlock(&m->lock);
		if (n)
			went = evict_pages(m, n, ticks);
		if (went)
			continue;
		pthread_mutex_lock(&m->lock);
		if (!atomic_load(&m->stopping))
			thread_wait(&m->wanted, &m->lock, STEP_NS);
		pthread_mutex_unlock(&m->lock);
	}
	return NULL;
}

/* ---- The manager ---- */

/* How long it may take before the guest can have come near its limit. 0: it is time. */
static u64 watch_interval(struct mem *m)
{
	u64 resident = 0, limit, left;

	pthread_mutex_lock(&m->lock);
	limit = m->limit;
	pthread_mutex_unlock(&m->lock);
	/* without a limit it is something else that needs page states */
	if (!limit || space_resident(m->space, &resident) || resident + CHARGE_MARGIN >= limit)
		return 0;
	left = limit - resident - CHARGE_MARGIN;
	return MIN(MAX(left * 1000 / FILL_RATE, (u64)1) * 1000000, STEP_NS);
}

bool manager_is_due(struct mem *m)
{
	return !watch_interval(m);
}

static void sleep_for(struct mem *m, u64 ns)
{
	pthread_mutex_lock(&m->lock);
	if (!atomic_load(&m->stopping))
		thread_wait(&m->tick, &m->lock, ns);
	pthread_mutex_unlock(&m->lock);
}

/* Until it is time to take charge. False: the engine ends. */
static bool watch(struct mem *m)
{
	struct err err;
	u64 ns;

	while (!atomic_load(&m->in_charge)) {
		if (atomic_load(&m->stopping))
			return false;
		ns = watch_interval(m);
		if (ns)
			sleep_for(m, ns);
		else if (charge_take(m, &err)) {
			owner_fail(m, "%s", err.text);
			return false;
		}
	}
	return true;
}

static void *manager(void *arg)
{
	struct mem *m = arg;
	u64 step = now_ns(), second = step, now;

	if (!watch(m))
		return NULL;
	while (!atomic_load(&m->stopping)) {
		sleep_for(m, STEP_NS);
		now = now_ns();
		if (now - step >= STEP_NS / 2) {
			age_step(m, now - step);
			step = now;
		}
		if (now - second >= CONTROL_NS) {
			tune_step(m, now - second);
			second = now;
		}
	}
	return NULL;
}

int manager_start(struct mem *m, struct err *err)
{
	struct manager *g = m->manager;
	int ret = 0;

	if (!g)
		g = m->manager = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, -ENOMEM, "out of memory");
	if (!g->has_evictor) {
		ret = thread_start(&g->evictor, "evictor", evictor, m);
		g->has_evictor = !ret;
	}
	if (!ret && !g->has_manager) {
		ret = thread_start(&g->manager, "manager", manager, m);
		g->has_manager = !ret;
	}
	return ret ? err_set(err, ret, "memory engine: cannot start a thread: %s", strerror(-ret))
		   : 0;
}

void manager_stop(struct mem *m)
{
	struct manager *g = m->manager;

	if (!g)
		return;
	ASSERT(atomic_load(&m->stopping)); /* or they would not end */
	if (g->has_manager)
		pthread_join(g->manager, NULL);
	if (g->has_evictor)
		pthread_join(g->evictor, NULL);
	free(g);
	m->manager = NULL;
}
