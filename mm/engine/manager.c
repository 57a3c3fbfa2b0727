// SPDX-License-Identifier: Apache-2.0
/*
 * How much must go, and when. Two threads and one function for everybody who is about to bring
 * something in:
 *
 *   reclaim_room()   the hard limit: whoever needs a page while there is no room evicts first, and
 *                    waits if that does not help
 *   the evictor      the soft limit: begins a margin below the limit and stops at two margins, so
 *                    that faults seldom have to evict; also pushes out what a proactive mode found
 *   the manager      the clock: watches until the guest comes near its limit, then ages pages ten
 *                    times a second and looks at the controllers (mm/policy/tuner.h) once a second
 *
 * When nothing more can go out, the fault waits, its vCPU with it, and the owner is told once
 * (MEM_EV_LIMIT): raising the limit lets the guest go on, with nothing lost. A guest that is to be
 * paused or ended meanwhile is served all the same (mem.hurry): its vCPUs must leave the guest, and
 * each needs one page for that, which the slack covers.
 */
#include <errno.h>
#include <string.h>

#include "mm/engine/impl.h"

#define STEP_NS	   ((u64)100000000)
#define CONTROL_NS ((u64)1000000000)

/* Batches that move nothing before it is said that nothing can be moved. */
#define TRIES 4

/* Batches that move something without making room before the same is said. */
#define ROUNDS 256

/*
 * How fast a guest can fill memory while it is only watched, in bytes a second: more than any
 * processor clears pages. It says how often to look.
 */
#define FILL_RATE (16 * GiB)

/* Shares of vCPU time lost in faults, above and below which the store's part is changed. */
#define STALL_HIGH 0.05
#define STALL_LOW  0.005

/* Less than this left: time to take charge. */
#define ARM_MARGIN (64 * MiB)

/* ---- The hard limit ---- */

/* How far below the limit reclaim in the background sets in, in bytes. Under lock. */
static u64 reclaim_margin(const struct mem *m)
{
	return MIN(MAX(m->limit / 64, 512 * KiB), 16 * MiB);
}

bool reclaim_fits(struct mem *m, u32 n)
{
	return !m->limit || used_bytes(m) + ((u64)n << PAGE_SHIFT) <= m->limit;
}

bool reclaim_has_plenty(struct mem *m)
{
	return !m->limit || used_bytes(m) + 4 * reclaim_margin(m) < m->limit;
}

void reclaim_call(struct mem *m)
{
	if (m->limit && used_bytes(m) > m->limit - reclaim_margin(m))
		pthread_cond_signal(&m->wanted);
}

/* One try at making room for @n pages. Under lock; returns whether something went. */
static bool push_out(struct mem *m, u32 n)
{
	u32 went;
	bool mine;

	pthread_mutex_unlock(&m->lock);
	mine = evict_try(m, MAX(n, 32u), &went);
	pthread_mutex_lock(&m->lock);
	if (mine)
		return went;
	m->nr_waiting++; /* the other evictor says when something went */
	thread_wait(&m->room, &m->lock, 2000000);
	m->nr_waiting--;
	return true;
}

static void wait_for_room(struct mem *m)
{
	if (!m->told_full) {
		m->told_full = true;
		mem_tell(m, MEM_EV_LIMIT);
	}
	m->nr_waiting++;
	thread_wait(&m->room, &m->lock, 20000000);
	m->nr_waiting--;
}

static bool must_serve(const struct mem *m)
{
	return atomic_load(&m->cut) || atomic_load(&m->hurry) || atomic_load(&m->stopping);
}

void reclaim_room(struct mem *m, u32 n)
{
	u64 since = now_ns();
	u32 tries = 0, rounds = 0;

	while (!reclaim_fits(m, n) && !must_serve(m)) {
		/* pages go but no room comes of it: they do not compress, and nothing takes them */
		if (push_out(m, n) && ++rounds < ROUNDS)
			tries = 0;
		else if (++tries >= TRIES)
			wait_for_room(m);
	}
	if (reclaim_fits(m, n) && m->told_full && tries < TRIES) {
		m->told_full = false;
		mem_tell(m, MEM_EV_ROOM);
	}
	m->waited++;
	m->waited_ns += now_ns() - since;
}

/* ---- No reclaim at all ---- */

/*
 * With the evictors' lock no batch is under way; choose() makes no new one. A fill that has begun
 * ends by itself. An engine that takes charge meanwhile moves nothing by that.
 */
void mem_hold_still(struct mem *m)
{
	pthread_mutex_lock(&m->evict_lock);
	pthread_mutex_lock(&m->lock);
	ASSERT(!m->still);
	m->still = m->no_ahead = true;
	while (m->pages.count[PAGE_FILLING] && !atomic_load(&m->cut))
		pthread_cond_wait(&m->filled, &m->lock);
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&m->evict_lock);
}

void mem_move_on(struct mem *m)
{
	pthread_mutex_lock(&m->lock);
	m->still = m->no_ahead = false;
	pthread_cond_broadcast(&m->room);
	pthread_cond_broadcast(&m->wanted);
	pthread_mutex_unlock(&m->lock);
}

/* ---- The soft limit ---- */

static u32 cold_ticks(const struct mem *m)
{
	return (u32)MIN((u64)m->cold_ms * 1000000 / AGE_TICK_NS + 1, (u64)0x7fff);
}

/* Pages to push out now, by the limit or by a proactive mode; *@ticks as evict_pages() has it. */
static u32 work_to_do(struct mem *m, u32 *ticks)
{
	u64 used = used_bytes(m), margin = reclaim_margin(m);

	*ticks = 0;
	if (m->limit && used > m->limit - margin)
		m->draining = true;
	if (!m->limit || used <= m->limit - 2 * margin)
		m->draining = false;
	if (m->draining)
		return (u32)MIN((used - (m->limit - 2 * margin)) >> PAGE_SHIFT, (u64)256) + 1;
	if (m->push) {
		u32 n = (u32)MIN(m->push, (u64)256);

		m->push -= n;
		return n;
	}
	if (m->cold_ms) {
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

/* ---- The controllers ---- */

static struct tuner_sample take_sample(struct mem *m, u64 period_ns)
{
	struct wss_estimate wss;
	struct tuner_sample s = {
		.period_ns = period_ns,
		.promotions = m->promoted,
		.faults = m->promoted,
		.stall_ns = m->stall_ns,
		.nr_cpus = m->cfg.nr_cpus,
		.resident = resident_pages(m),
	};

	wss_estimate(&m->wss, m->wss.window_ns, &wss);
	s.wss_pages = wss.samples ? (u64)(wss.share * m->pages.nr) : resident_pages(m);
	m->promoted = m->stall_ns = 0;
	return s;
}

/*
 * How much of the limit the store may have. What lies in it is colder than what is resident, so a
 * guest that loses time in faults gets room from the store, whose coldest then go down a tier, and
 * one that does not gives it back slowly.
 */
static void share_with_store(struct mem *m)
{
	u64 most = m->limit / 2, least = m->limit / 8;

	if (m->cfg.store_limit || !m->tier || !m->limit)
		return;
	if (m->thrash.share > STALL_HIGH)
		m->store_limit = MAX(m->store_limit - MIN(m->limit / 32, m->store_limit), least);
	else if (m->thrash.share < STALL_LOW)
		m->store_limit = MIN(m->store_limit + m->limit / 128, most);
}

static void be_proactive(struct mem *m, const struct tuner_sample *s)
{
	m->cold_ms = 0;
	m->push = 0;
	if (m->cfg.proactive == MEM_PROACTIVE_PROMOTIONS)
		m->cold_ms = tuner_promotions_step(&m->promotions, s);
	else if (m->cfg.proactive == MEM_PROACTIVE_STALL)
		m->push = tuner_stall_step(&m->stall, s);
}

/* Once a second. Returns what is to be told. Under lock. */
static enum tuner_thrash_change control(struct mem *m, u64 period_ns)
{
	struct tuner_sample s = take_sample(m, period_ns);
	double minutes = (double)period_ns / 60e9;
	double rate = s.wss_pages ? (double)s.promotions / (double)s.wss_pages / minutes : 0;

	m->promotion_rate = 0.9 * m->promotion_rate + 0.1 * rate;
	be_proactive(m, &s);
	if (m->limit_min)
		m->limit = tuner_pff_step(&m->pff, &s);
	policy_tick(m->policy);
	share_with_store(m);
	return tuner_thrash_step(&m->thrash, &s);
}

static void control_step(struct mem *m, u64 period_ns)
{
	enum tuner_thrash_change change;

	pthread_mutex_lock(&m->lock);
	change = control(m, period_ns);
	if (!m->limit)
		change = THRASH_SAME; /* stored pages come back for good: nobody need do anything */
	pthread_cond_signal(&m->wanted);
	pthread_mutex_unlock(&m->lock);
	if (change != THRASH_SAME)
		mem_tell(m, change == THRASH_BEGAN ? MEM_EV_THRASH : MEM_EV_THRASH_OVER);
	evict_trim_store(m);
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
	if (!limit || space_resident(m->space, &resident) || resident + ARM_MARGIN >= limit)
		return 0;
	left = limit - resident - ARM_MARGIN;
	return MIN(MAX(left * 1000 / FILL_RATE, (u64)1) * 1000000, STEP_NS);
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

	while (!atomic_load(&m->armed)) {
		if (atomic_load(&m->stopping))
			return false;
		ns = watch_interval(m);
		if (ns)
			sleep_for(m, ns);
		else if (mem_arm(m, &err)) {
			mem_fail(m, "%s", err.text);
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
			control_step(m, now - second);
			second = now;
		}
	}
	return NULL;
}

int reclaim_start(struct mem *m, struct err *err)
{
	int ret = thread_start(&m->evictor, "evictor", evictor, m);

	m->has_evictor = !ret;
	if (!ret) {
		ret = thread_start(&m->manager, "manager", manager, m);
		m->has_manager = !ret;
	}
	return ret ? err_set(err, ret, "memory engine: cannot start a thread: %s", strerror(-ret))
		   : 0;
}

void reclaim_stop(struct mem *m)
{
	if (m->has_manager)
		pthread_join(m->manager, NULL);
	if (m->has_evictor)
		pthread_join(m->evictor, NULL);
	m->has_manager = m->has_evictor = false;
}
