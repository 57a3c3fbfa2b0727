// SPDX-License-Identifier: Apache-2.0
/*
 * A memory engine without a machine: threads of the test touch the guest mapping as vCPUs would,
 * and every page's contents follow from its number and from how often it was written.
 */
#ifndef QUIRE_TESTS_MM_ENGINE_MEM_FIXTURE_H
#define QUIRE_TESTS_MM_ENGINE_MEM_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/engine/mem.h"
#include "mm/space/space.h"

#define SIZE	 (64 * MiB)
#define NR_PAGES ((u32)(SIZE >> PAGE_SHIFT))
#define LIMIT	 (16 * MiB)

/* What the engine told; cleared by guest_open(). */
extern atomic_int nr_failed, nr_events[MEM_NR_EVENT_KINDS];
extern struct err failed_why;

/* One guest: its memory, its engine, and what each page must hold. */
struct guest {
	struct space *space;
	struct mem *mem;
	u8 *base;
	u32 *generation;	/* per page; 0: never written */
	pthread_rwlock_t world; /* held for writing, no worker is in the middle of a page */
};

struct mem_config limited(void);

void guest_open(struct guest *g, const struct mem_config *cfg);
void guest_close(struct guest *g);

/* Half of a page is noise, half repeats; a page of generation 0 is zeros. */
void contents_of(u64 *page, u32 no, u32 generation);

void write_page(struct guest *g, u32 no);
bool page_right(struct guest *g, u32 no);
void fill(struct guest *g);
void check_all(struct guest *g);

struct mem_stats stats_of(struct guest *g);

/* Descriptors and memory agree, and nothing failed. */
void settle(struct guest *g);

/* A thread that writes and checks pages of its own until it is stopped. */
struct worker {
	pthread_t thread;
	struct guest *guest;
	u32 first, count; /* its pages: nobody else touches them */
	u32 seed, wrong;
	atomic_bool *stop;
	bool by_access; /* writes through mem_write(), as a device would */
};

enum { NR_WORKERS = 2 };

u32 next_random(u32 *seed);
void worker_start(struct worker *w);
void workers_start(struct worker *w, struct guest *g, atomic_bool *stop, bool by_access);
void workers_stop(struct worker *w, atomic_bool *stop);

#endif
