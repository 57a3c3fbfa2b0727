// SPDX-License-Identifier: Apache-2.0
/*
 * The hard limit, for everybody who is about to bring something in: whoever needs a page while
 * there is no room evicts first, and waits if that does not help.
 *
 * When nothing more can go out, the fault waits, its vCPU with it, and the owner is told once
 * (MEM_EV_LIMIT): raising the limit lets the guest go on, with nothing lost. A guest that is to be
 * paused or ended meanwhile is served all the same (mem.hurry): its vCPUs must leave the guest, and
 * each needs one page for that, which the slack covers.
 *
 * All under the engine's lock, which room_make() lets go of while it evicts or waits.
 */
#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "mm/engine/owner.h"
#include "mm/engine/room.h"

/* Batches that move nothing before it is said that nothing can be moved. */
#define TRIES 4

/* Batches that move something without making room before the same is said. */
#define ROUNDS 256

/* How far below the limit reclaim in the background sets in, in bytes. Under lock. */
u64 room_margin(const struct mem *m)
{
	return MIN(MAX(m->limit / 64, 512 * KiB), 16 * MiB);
}

bool room_fits(struct mem *m, u32 n)
{
	return !m->limit || used_bytes(m) + ((u64)n << PAGE_SHIFT) <= m->limit;
}

bool room_is_plenty(struct mem *m)
{
	return !m->limit || used_bytes(m) + 4 * room_margin(m) < m->limit;
}

void room_call_evictor(struct mem *m)
{
	if (m->limit && used_bytes(m) > m->limit - room_margin(m))
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
		owner_tell(m, MEM_EV_LIMIT);
	}
	m->nr_waiting++;
	thread_wait(&m->room, &m->lock, 20000000);
	m->nr_waiting--;
}

static bool must_serve(const struct mem *m)
{
	return atomic_load(&m->cut) || atomic_load(&m->hurry) || atomic_load(&m->stopping);
}

void room_make(struct mem *m, u32 n)
{
	u64 since = now_ns();
	u32 tries = 0, rounds = 0;

	while (!room_fits(m, n) && !must_serve(m)) {
		/* pages go but no room comes of it: they do not compress, and nothing takes them */
		if (push_out(m, n) && ++rounds < ROUNDS)
			tries = 0;
		else if (++tries >= TRIES)
			wait_for_room(m);
	}
	if (room_fits(m, n) && m->told_full && tries < TRIES) {
		m->told_full = false;
		owner_tell(m, MEM_EV_ROOM);
	}
	m->waited++;
	m->waited_ns += now_ns() - since;
}
