// SPDX-License-Identifier: Apache-2.0
/*
 * Pages come in. Handler threads read what userfaultfd reports, in batches, and resolve each event
 * by what the page's state says; the kind of the event is only a hint, since it may be old by the
 * time it is read.
 *
 *	ABSENT, STORED   fill: take the page (FILLING), make room, fetch, map, commit
 *	IDLE, EVICTING   soft: it is in memory, map it again; this is a reference
 *	RESIDENT         it was mapped meanwhile, or the host dropped the mapping: map it
 *	FILLING          another handler is at it and will wake the guest
 *	(write-protect)  lift all reasons, tell their owners
 *
 * How many pages a fault brings in beside the one that is needed, stream.c says.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "mm/engine/age.h"
#include "mm/engine/fault.h"
#include "mm/engine/fill.h"
#include "mm/engine/impl.h"
#include "mm/engine/note.h"
#include "mm/engine/owner.h"
#include "mm/engine/prefetch.h"
#include "mm/engine/snap_marks.h"
#include "mm/engine/stats.h"
#include "mm/engine/stream.h"
#include "mm/engine/trace.h"

/*
 * How long a handler looks for the next event before it sleeps, if looking paid off lately. Where
 * waking a sleeping thread takes long (a host that is itself a guest: 60 us and more) this halves
 * what a fault costs: 54 to 64 us against 127 us where it was measured.
 */
#define SPIN_NS ((u64)60000)

#define EVENTS_AT_ONCE 16

#define FEW_HANDLERS 4

/* More than four only where each may have to wait for another host. */
#define MAX_HANDLERS 17

struct handlers {
	unsigned int nr;
	pthread_t thread[MAX_HANDLERS];
};

struct handler {
	struct mem *mem;
	struct filler *filler;
};

/* ---- Soft faults ---- */

/* Pages behind @no that are idle too, as far as the stream's width goes. */
static u32 idle_run(struct mem *m, page_no no)
{
	u32 width = stream_width(m, no), n = 1;

	if (m->pages.page[no].protect)
		return 1;
	while (n < width) {
		const struct page *p = &m->pages.page[no + n];

		/* a sample must be touched by the guest, not by us */
		if (p->state != PAGE_IDLE || p->protect || (p->flags & PAGE_F_SAMPLED))
			break;
		n++;
	}
	return n;
}

/* How to map a page that is back; its copy is forgotten if nobody can tell when it is written. */
static enum uffd_mode mode_back(struct mem *m, page_no no, bool write)
{
	struct page *p = &m->pages.page[no];

	if (!(p->protect & PAGE_PROTECT_EVICT))
		return UFFD_WRITABLE;
	if (!write && p->stored && m->uffd.can_continue_wp)
		return UFFD_PROTECTED;
	page_unprotect(&m->pages, no, PAGE_PROTECT_EVICT);
	note_drop_copy(m, no);
	return UFFD_WRITABLE;
}

static void rescue(struct mem *m, page_no no, u64 now)
{
	struct page *p = &m->pages.page[no];

	snap_before_change(m, no);
	if (p->flags & PAGE_F_SAMPLED)
		age_sample_touched(m, no, now);
	page_move(&m->pages, no, PAGE_RESIDENT);
	note_use(m, no);
	m->rescued++;
}

static int serve_soft(struct mem *m, const struct uffd_event *ev)
{
	u32 n = idle_run(m, ev->no);
	enum uffd_mode mode = mode_back(m, ev->no, ev->write);
	u64 now = now_ns();

	for (u32 i = 0; i < n; i++)
		rescue(m, ev->no + i, now);
	stream_took(m, ev->no, n);
	m->around += n - 1;
	age_returned(m);
	trace_reference(m, ev->no, ev->write);
	return fill_map(m, MAP_CONTINUE, ev->no, n, NULL, mode);
}

/* ---- Write faults ---- */

static int serve_write(struct mem *m, const struct uffd_event *ev)
{
	struct page *p = &m->pages.page[ev->no];

	snap_before_change(m, ev->no);
	/* of a page that is mapped but not yet committed, commit_one() sees it */
	if ((p->protect & PAGE_PROTECT_EVICT) && p->state != PAGE_FILLING)
		note_drop_copy(m, ev->no);
	page_unprotect(&m->pages, ev->no, p->protect);
	p->seen = age_now();
	/* it wakes the guest, also when there was nothing left to lift */
	return uffd_protect(&m->uffd, ev->no, 1, UFFD_WRITABLE);
}

/* ---- Fills ---- */

static int serve_fill(struct filler *f, struct mem *m, const struct uffd_event *ev,
		      enum mem_fault_kind *kind)
{
	struct fill_done done;
	int ret = fill_serve(f, ev->no, ev->write, stream_width(m, ev->no), &done);

	if (ret)
		return ret;
	*kind = done.kind;
	m->around += done.n - 1;
	trace_reference(m, ev->no, ev->write);
	prefetch_touched(m, ev->no, done.n);
	return 0;
}

/* ---- One event ---- */

/* It was mapped meanwhile, or the host dropped the mapping. */
static int serve_resident(struct mem *m, const struct uffd_event *ev)
{
	snap_before_change(m, ev->no);
	return fill_map(m, MAP_CONTINUE, ev->no, 1, NULL, UFFD_WRITABLE);
}

static int serve(struct mem *m, struct filler *f, const struct uffd_event *ev,
		 enum mem_fault_kind *kind)
{
	if (!snap_ready(m, MAX_AROUND))
		return -EAGAIN;
	*kind = MEM_FAULT_SOFT;
	if (ev->protected) {
		*kind = MEM_FAULT_WRITE;
		return serve_write(m, ev);
	}
	switch ((enum page_state)m->pages.page[ev->no].state) {
	case PAGE_ABSENT:
	case PAGE_STORED:
		return serve_fill(f, m, ev, kind);
	case PAGE_IDLE:
	case PAGE_EVICTING:
		return serve_soft(m, ev);
	case PAGE_RESIDENT:
		return serve_resident(m, ev);
	case PAGE_FILLING:
	case PAGE_NR_STATES:
		break;
	}
	*kind = MEM_NR_FAULT_KINDS; /* not ours to count */
	return 0;
}

/* @why: what the origin said, if it was the origin. */
static void explain(struct mem *m, page_no no, int ret, const struct err *why)
{
	if (why->text[0])
		owner_fail(m, "page %u: %s (the guest was stopped; nothing wrong was given to it)",
			   no, why->text);
	else if (ret == -EBADMSG)
		owner_fail(m,
			   "page %u came back from the store with a wrong checksum (the guest was "
			   "stopped; nothing wrong was given to it)",
			   no);
	else if (ret == -ENOMEM)
		owner_fail(m, "page %u: the host has no memory left (lower other guests' limits)",
			   no);
	else
		owner_fail(m,
			   "page %u could not be brought back: %s (if it was in the swap file, see "
			   "what its disk says)",
			   no, strerror(-ret));
}

static void count_fault(struct mem *m, enum mem_fault_kind kind, u64 ns)
{
	if (kind >= MEM_NR_FAULT_KINDS)
		return;
	hist_add(&m->faults[kind], ns);
	if (kind == MEM_FAULT_STORE || kind == MEM_FAULT_TIER) {
		m->promoted++;
		m->stall_ns += ns;
	}
}

static void handle(struct handler *h, const struct uffd_event *ev, u64 since)
{
	struct mem *m = h->mem;
	enum mem_fault_kind kind = MEM_NR_FAULT_KINDS;
	int ret;

	pthread_mutex_lock(&m->lock);
	do {
		ret = atomic_load(&m->cut) ? 0 : serve(m, h->filler, ev, &kind);
	} while (ret == -EAGAIN);
	if (!ret)
		count_fault(m, kind, now_ns() - since);
	pthread_mutex_unlock(&m->lock);
	/* who was cut off while it waited has nothing to explain */
	if (ret && (ret != -ECANCELED || !atomic_load(&m->cut)))
		explain(m, ev->no, ret, filler_why(h->filler));
	if (atomic_load(&m->cut))
		uffd_wake(&m->uffd, ev->no, 1);
}

/* ---- Threads ---- */

/* When a handler looks for events instead of sleeping. */
struct spin {
	u64 last; /* the last event was dealt with then */
	bool pays;
};

/*
 * Read events. Looking on pays while the next one comes in time; a look in vain ends it, and an
 * event soon after a sleep begins it again. Others that could run are let run in between.
 */
static u32 next_events(struct mem *m, struct uffd_event *events, struct spin *spin)
{
	/* where one may wait long for the first, the others are for other handlers */
	u32 most = pager_owes(m->cfg.origin) ? 1 : EVENTS_AT_ONCE;
	u32 n = uffd_read(&m->uffd, events, most);

	if (n) {
		spin->pays = now_ns() - spin->last < 2 * SPIN_NS;
		return n;
	}
	while (!n && spin->pays && !atomic_load(&m->stopping)) {
		sched_yield();
		n = uffd_read(&m->uffd, events, most);
		spin->pays = n || now_ns() - spin->last < SPIN_NS;
	}
	return n;
}

static void *handler(void *arg)
{
	struct handler *h = arg;
	struct mem *m = h->mem;
	struct uffd_event events[EVENTS_AT_ONCE];
	struct epoll_event ready;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct spin spin = {.pays = false};

	/* exclusive: one event wakes one handler */
	ready = (struct epoll_event){.events = EPOLLIN | EPOLLEXCLUSIVE};
	ASSERT(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, m->uffd.fd, &ready));
	ready = (struct epoll_event){.events = EPOLLIN};
	ASSERT(!epoll_ctl(ep, EPOLL_CTL_ADD, m->stop_fd, &ready));
	while (!atomic_load(&m->stopping)) {
		u32 n = next_events(m, events, &spin);
		u64 since = now_ns();

		for (u32 i = 0; i < n; i++)
			handle(h, &events[i], since);
		if (n)
			spin.last = now_ns();
		else
			epoll_wait(ep, &ready, 1, -1);
	}
	close(ep);
	filler_destroy(h->filler);
	free(h);
	return NULL;
}

static int start_one(struct mem *m)
{
	struct handler *h = calloc(1, sizeof(*h));
	int ret = -ENOMEM;

	if (!h)
		return -ENOMEM;
	h->mem = m;
	h->filler = filler_create(m);
	if (h->filler)
		ret = thread_start(&m->handlers->thread[m->handlers->nr], "faults", handler, h);
	if (ret) {
		filler_destroy(h->filler);
		free(h);
		return ret;
	}
	m->handlers->nr++;
	return 0;
}

/*
 * One handler per two vCPUs, and one more, so that a read from the tier below stops nobody else.
 * Where another host has the pages, one per vCPU: each may have one that waits for it.
 */
static unsigned int handlers_wanted(const struct mem *m)
{
	const struct pager *origin = m->cfg.origin;

	if (origin && origin->ops->kind == PAGER_REMOTE)
		return MIN(m->cfg.nr_cpus + 1, MAX_HANDLERS);
	return MAX(MIN(m->cfg.nr_cpus / 2 + 1, FEW_HANDLERS), 2u);
}

int fault_start(struct mem *m, struct err *err)
{
	unsigned int want = handlers_wanted(m);
	int ret = 0;

	if (!m->handlers)
		m->handlers = calloc(1, sizeof(*m->handlers));
	if (!m->handlers)
		return err_set(err, -ENOMEM, "out of memory");
	while (m->handlers->nr < want && !ret)
		ret = start_one(m);
	return ret ? err_set(err, ret, "memory engine: cannot start a thread: %s", strerror(-ret))
		   : 0;
}

void fault_stop(struct mem *m)
{
	if (!m->handlers)
		return;
	ASSERT(atomic_load(&m->stopping)); /* or they would not end */
	while (m->handlers->nr)
		pthread_join(m->handlers->thread[--m->handlers->nr], NULL);
	free(m->handlers);
	m->handlers = NULL;
}
