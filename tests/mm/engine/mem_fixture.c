// SPDX-License-Identifier: Apache-2.0
/* A memory engine without a machine. Contract in mem_fixture.h. */
#include "mm/engine/access.h"
#include "mm/engine/stats.h"
#include "tests/lib/test.h"

#include "tests/mm/engine/mem_fixture.h"

#include <stdlib.h>
#include <string.h>

atomic_int nr_failed, nr_events[MEM_NR_EVENT_KINDS];
struct err failed_why;

static void on_failed(void *opaque, const struct err *why)
{
	(void)opaque;
	failed_why = *why;
	atomic_fetch_add(&nr_failed, 1);
}

static void on_event(void *opaque, const struct mem_event *event)
{
	(void)opaque;
	atomic_fetch_add(&nr_events[event->kind], 1);
}

static const struct mem_host host = {.failed = on_failed, .event = on_event};

struct mem_config limited(void)
{
	return (struct mem_config){.limit = LIMIT, .check = true, .nr_cpus = 2, .swap = "/tmp"};
}

static void init_world(struct guest *g)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&g->world, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void guest_open(struct guest *g, const struct mem_config *cfg)
{
	struct err err;

	atomic_store(&nr_failed, 0);
	for (int i = 0; i < MEM_NR_EVENT_KINDS; i++)
		atomic_store(&nr_events[i], 0);
	*g = (struct guest){.generation = calloc(NR_PAGES, sizeof(u32))};
	init_world(g);
	assert_int_equal(space_create(&g->space, SIZE, SPACE_MEMFD), 0);
	g->base = space_guest_base(g->space);
	if (mem_create(&g->mem, g->space, cfg, &host, &err))
		fail_msg("%s", err.text);
	if (mem_start(g->mem, &err))
		fail_msg("%s", err.text);
}

void guest_close(struct guest *g)
{
	mem_cut(g->mem);
	mem_destroy(g->mem);
	space_destroy(g->space);
	pthread_rwlock_destroy(&g->world);
	free(g->generation);
}

/* ---- Contents ---- */

static u64 mix(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	return x ^ x >> 33;
}

void contents_of(u64 *page, u32 no, u32 generation)
{
	u64 seed = (u64)no << 32 | generation;

	for (u32 i = 0; i < 512; i++)
		page[i] = !generation ? 0 : i < 256 ? seed : mix(seed + i);
}

void write_page(struct guest *g, u32 no)
{
	contents_of((u64 *)(g->base + ((u64)no << PAGE_SHIFT)), no, ++g->generation[no]);
}

bool page_right(struct guest *g, u32 no)
{
	u64 want[512];

	contents_of(want, no, g->generation[no]);
	return !memcmp(want, g->base + ((u64)no << PAGE_SHIFT), PAGE_SIZE);
}

void check_all(struct guest *g)
{
	for (u32 no = 0; no < NR_PAGES; no++)
		if (!page_right(g, no))
			fail_msg("page %u, generation %u is wrong", no, g->generation[no]);
}

struct mem_stats stats_of(struct guest *g)
{
	struct mem_stats s;

	mem_get_stats(g->mem, &s);
	return s;
}

void settle(struct guest *g)
{
	assert_int_equal(mem_audit(g->mem), 0);
	assert_int_equal(atomic_load(&nr_failed), 0);
}

void fill(struct guest *g)
{
	for (u32 no = 0; no < NR_PAGES; no++)
		write_page(g, no);
}

/* ---- Workers ---- */

u32 next_random(u32 *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void write_by_access(struct guest *g, u32 no)
{
	u64 page[512];

	contents_of(page, no, ++g->generation[no]);
	if (mem_write(g->mem, gpa((u64)no << PAGE_SHIFT), page, PAGE_SIZE))
		abort();
}

static void work_on(struct worker *w, u32 no)
{
	if (!page_right(w->guest, no))
		w->wrong++;
	if (next_random(&w->seed) % 2)
		return;
	if (w->by_access && next_random(&w->seed) % 2)
		write_by_access(w->guest, no);
	else
		write_page(w->guest, no);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		u32 no = w->first + next_random(&w->seed) % w->count;

		pthread_rwlock_rdlock(&w->guest->world);
		work_on(w, no);
		pthread_rwlock_unlock(&w->guest->world);
	}
	return NULL;
}

void worker_start(struct worker *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

void workers_start(struct worker *w, struct guest *g, atomic_bool *stop, bool by_access)
{
	for (u32 i = 0; i < NR_WORKERS; i++) {
		w[i] = (struct worker){
			.guest = g,
			.first = i * NR_PAGES / NR_WORKERS,
			.count = NR_PAGES / NR_WORKERS,
			.seed = i + 1,
			.stop = stop,
			.by_access = by_access,
		};
		worker_start(&w[i]);
	}
}

void workers_stop(struct worker *w, atomic_bool *stop)
{
	atomic_store(stop, true);
	for (u32 i = 0; i < NR_WORKERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].wrong, 0);
	}
}
