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
 * Neighbours. A fault that continues a stream of faults in order brings in the pages behind it too,
 * twice as many as the last time, up to MAX_AROUND; a fault elsewhere brings one page. On a host
 * where a trap costs a hundred microseconds and a decompression half of one, a right guess is worth
 * two hundred wrong ones.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "mm/engine.h"

/*
 * How long a handler looks for the next event before it sleeps, if looking paid off lately. Where
 * waking a sleeping thread takes long (a host that is itself a guest: 60 us and more) this halves
 * what a fault costs: 54 to 64 us against 127 us where it was measured.
 */
#define SPIN_NS ((u64)60000)

#define EVENTS_AT_ONCE 16

/* What one thread needs to fill pages. */
struct filler {
	struct mem *mem;
	u8 *pages;		 /* MAX_AROUND of them */
	u32 ids[MAX_AROUND];	 /* their stored copies */
	bool zero[MAX_AROUND];	 /* there is none, or one of zeros */
	int results[MAX_AROUND]; /* 0: filled and mapped */
};

/* A fill under way: [first, first + n) are FILLING and ours. */
struct fill {
	page_no first;
	u32 n;
	bool write; /* the access to the first page was a write */
};

/* ---- Streams ---- */

/* The stream that a fault on @no belongs to; a new one in place of the least used if none. */
static struct stream *stream_of(struct mem *m, page_no no)
{
	struct stream *oldest = &m->streams[0];

	m->nr_faults++;
	for (u32 i = 0; i < NR_STREAMS; i++) {
		struct stream *s = &m->streams[i];

		if (s->width && no == s->next) {
			s->width = MIN(s->width * 2, MAX_AROUND);
			s->used = m->nr_faults;
			return s;
		}
		/* it skipped what was in memory already: neither a hit nor a miss */
		if (s->width > 1 && no > s->next && no - s->next < 2 * s->width) {
			s->used = m->nr_faults;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){.next = no, .width = 1, .used = m->nr_faults};
	return oldest;
}

static u32 width_at(struct mem *m, page_no no)
{
	u32 width = m->trace ? 1 : stream_of(m, no)->width;

	return MIN(width, m->pages.nr - no);
}

/* What was brought in ends here: the next fault of the stream is expected behind it. */
static void stream_went(struct mem *m, page_no no, u32 n)
{
	for (u32 i = 0; i < NR_STREAMS; i++)
		if (m->streams[i].used == m->nr_faults)
			m->streams[i].next = no + n;
}

/* ---- Mapping ---- */

enum map_how { MAP_ZERO, MAP_COPY, MAP_CONTINUE };

static s64 map_some(struct mem *m, enum map_how how, page_no no, u32 n, const void *from,
		    enum uffd_mode mode)
{
	switch (how) {
	case MAP_ZERO:
		return uffd_zero(&m->uffd, no, n);
	case MAP_COPY:
		return uffd_copy(&m->uffd, no, n, from, mode);
	case MAP_CONTINUE:
		return uffd_continue(&m->uffd, no, n, mode);
	}
	return -EINVAL;
}

/*
 * Map all of [no, no + n). What was mapped already is as good; whoever waits for it is woken. The
 * kernel says EAGAIN while the address space is being changed, and means it. 0 or -errno.
 */
static int map_all(struct mem *m, enum map_how how, page_no no, u32 n, const u8 *from,
		   enum uffd_mode mode)
{
	u32 done = 0;

	while (done < n && !atomic_load(&m->cut)) {
		const u8 *at = from ? from + ((u64)done << PAGE_SHIFT) : NULL;
		s64 ret = map_some(m, how, no + done, n - done, at, mode);

		if (ret > 0) {
			done += (u32)ret;
		} else if (ret == -EEXIST) {
			uffd_wake(&m->uffd, no + done, 1);
			done++;
		} else if (ret == -EAGAIN) {
			sched_yield();
		} else {
			return (int)ret;
		}
	}
	return 0;
}

/* The page has been seen in use, and is mapped. Under lock. */
static void note_use(struct mem *m, page_no no)
{
	struct page *p = &m->pages.page[no];

	p->seen = age_now();
	if (p->flags & PAGE_F_LISTED) {
		policy_touched(m->policy, no);
	} else {
		p->flags |= PAGE_F_LISTED;
		policy_loaded(m->policy, no);
	}
}

/* ---- Soft faults ---- */

/* Pages behind @no that are idle too, as far as the stream's width goes. */
static u32 idle_run(struct mem *m, page_no no)
{
	u32 width = width_at(m, no), n = 1;

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
	evict_forget_copy(m, no);
	return UFFD_WRITABLE;
}

static void rescue(struct mem *m, page_no no, u64 now)
{
	struct page *p = &m->pages.page[no];

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
	stream_went(m, ev->no, n);
	m->around += n - 1;
	age_returned(m);
	trace_reference(m, ev->no, ev->write);
	return map_all(m, MAP_CONTINUE, ev->no, n, NULL, mode);
}

/* ---- Write faults ---- */

static int serve_write(struct mem *m, const struct uffd_event *ev)
{
	struct page *p = &m->pages.page[ev->no];

	/* of a page that is mapped but not yet committed, commit_one() sees it */
	if ((p->protect & PAGE_PROTECT_EVICT) && p->state != PAGE_FILLING)
		evict_forget_copy(m, ev->no);
	page_unprotect(&m->pages, ev->no, p->protect);
	p->seen = age_now();
	/* it wakes the guest, also when there was nothing left to lift */
	return uffd_protect(&m->uffd, ev->no, 1, UFFD_WRITABLE);
}

/* ---- Fills ---- */

static bool fillable(const struct mem *m, page_no no)
{
	enum page_state state = m->pages.page[no].state;

	return state == PAGE_ABSENT || state == PAGE_STORED;
}

static bool is_below(struct mem *m, page_no no)
{
	u32 id = m->pages.page[no].stored;

	return id && store_is_below(m->store, id);
}

/*
 * How many pages from @no on to bring in together. Pages in the tier below go with others from
 * there, since one read may fetch them all; a page in memory must not wait for them.
 */
static u32 fill_run(struct mem *m, page_no no, u32 width)
{
	bool below = is_below(m, no);
	u32 n = 1;

	while (n < width && fillable(m, no + n) &&
	       !(m->pages.page[no + n].flags & PAGE_F_SAMPLED) && (below || !is_below(m, no + n)))
		n++;
	return n;
}

static bool is_zero(struct mem *m, u32 id)
{
	u64 value;

	return !id || (store_pattern(m->store, id, &value) && !value);
}

/*
 * Take the pages: from here on they are ours, and count as resident. Reasons for write protection
 * are set before the pages are mapped: a write may come before they are committed. Under lock.
 */
static void fill_begin(struct mem *m, struct filler *f, const struct fill *fill)
{
	for (u32 i = 0; i < fill->n; i++) {
		page_no no = fill->first + i;

		f->ids[i] = m->pages.page[no].stored;
		f->zero[i] = is_zero(m, f->ids[i]);
		page_move(&m->pages, no, PAGE_FILLING);
		if (m->cfg.clean == MEM_CLEAN_PROTECT && !f->zero[i] && !(i == 0 && fill->write))
			page_protect(&m->pages, no, PAGE_PROTECT_EVICT);
	}
	m->peak = MAX(m->peak, used_bytes(m));
}

/* How page @i of the fill is to be mapped. */
enum fill_class { FILL_FAILED, FILL_ZERO, FILL_PLAIN, FILL_PROTECTED };

static enum fill_class class_of(struct mem *m, const struct filler *f, const struct fill *fill,
				u32 i)
{
	if (f->results[i])
		return FILL_FAILED;
	if (f->zero[i])
		return FILL_ZERO;
	if (m->cfg.clean != MEM_CLEAN_PROTECT || (i == 0 && fill->write))
		return FILL_PLAIN;
	return FILL_PROTECTED;
}

/* Map pages [i, i + n), which are of one class. */
static void map_stretch(struct mem *m, struct filler *f, const struct fill *fill, u32 i, u32 n)
{
	enum fill_class class = class_of(m, f, fill, i);
	int ret;

	if (class == FILL_FAILED)
		return;
	ret = map_all(m, class == FILL_ZERO ? MAP_ZERO : MAP_COPY, fill->first + i, n,
		      f->pages + ((u64)i << PAGE_SHIFT),
		      class == FILL_PROTECTED ? UFFD_PROTECTED : UFFD_WRITABLE);
	for (u32 k = i; k < i + n; k++)
		f->results[k] = ret;
}

/*
 * Without lock. All contents are fetched before the first page is mapped: a guest that is woken
 * early only runs into the next page, and that trap costs more than all the fetching.
 */
static void fill_fetch(struct mem *m, struct filler *f, const struct fill *fill)
{
	u32 n;

	for (u32 i = 0; i < fill->n; i++)
		f->results[i] = f->zero[i] ? 0
					   : store_get(m->store, f->ids[i],
						       f->pages + ((u64)i << PAGE_SHIFT));
	for (u32 i = 0; i < fill->n; i += n) {
		enum fill_class class = class_of(m, f, fill, i);

		for (n = 1; i + n < fill->n && class_of(m, f, fill, i + n) == class;)
			n++;
		map_stretch(m, f, fill, i, n);
	}
}

/* The page is in memory and mapped. Under lock. */
static void commit_one(struct mem *m, const struct filler *f, const struct fill *fill, u32 i)
{
	page_no no = fill->first + i;
	bool dirty = i == 0 && fill->write;

	if (m->cfg.clean == MEM_CLEAN_PROTECT)
		dirty = !(m->pages.page[no].protect & PAGE_PROTECT_EVICT);
	page_move(&m->pages, no, PAGE_RESIDENT);
	if (f->ids[i] && (dirty || f->zero[i]))
		evict_forget_copy(m, no);
	if (m->pages.page[no].flags & PAGE_F_SAMPLED)
		age_sample_touched(m, no, now_ns());
	note_use(m, no);
}

/*
 * Under lock. A page that could not be had goes back to where it was, and whoever waits for it is
 * woken to fault again: if it was a neighbour, it then gets its own try. Returns what became of the
 * first page.
 */
static int fill_commit(struct mem *m, struct filler *f, const struct fill *fill)
{
	for (u32 i = 0; i < fill->n; i++) {
		page_no no = fill->first + i;

		if (!f->results[i]) {
			commit_one(m, f, fill, i);
			continue;
		}
		page_unprotect(&m->pages, no, PAGE_PROTECT_EVICT);
		page_move(&m->pages, no, f->ids[i] ? PAGE_STORED : PAGE_ABSENT);
		if (i)
			uffd_wake(&m->uffd, no, 1);
	}
	pthread_cond_broadcast(&m->filled);
	if (m->limit && used_bytes(m) > m->limit - reclaim_margin(m))
		pthread_cond_signal(&m->wanted);
	return f->results[0];
}

/* Under lock, which is let go of meanwhile. *@kind is what it was. */
static int serve_fill(struct mem *m, struct filler *f, const struct uffd_event *ev, u32 width,
		      enum mem_fault_kind *kind)
{
	struct fill fill = {.first = ev->no, .write = ev->write};
	int ret;

	fill.n = fill_run(m, ev->no, width);
	if (!reclaim_fits(m, fill.n)) {
		reclaim_room(m, fill.n);
		if (!fillable(m, ev->no))
			return -EAGAIN; /* somebody else was faster */
		fill.n = fill_run(m, ev->no, reclaim_fits(m, fill.n) ? fill.n : 1);
	}
	*kind = is_below(m, ev->no) ? MEM_FAULT_TIER : MEM_FAULT_STORE;
	if (is_zero(m, m->pages.page[ev->no].stored))
		*kind = MEM_FAULT_ZERO;
	fill_begin(m, f, &fill);
	stream_went(m, ev->no, fill.n);
	pthread_mutex_unlock(&m->lock);
	fill_fetch(m, f, &fill);
	pthread_mutex_lock(&m->lock);
	ret = fill_commit(m, f, &fill);
	if (!ret) {
		m->around += fill.n - 1;
		trace_reference(m, ev->no, ev->write);
	}
	return ret;
}

/* ---- One event ---- */

static int serve(struct mem *m, struct filler *f, const struct uffd_event *ev,
		 enum mem_fault_kind *kind)
{
	*kind = MEM_FAULT_SOFT;
	if (ev->protected) {
		*kind = MEM_FAULT_WRITE;
		return serve_write(m, ev);
	}
	switch ((enum page_state)m->pages.page[ev->no].state) {
	case PAGE_ABSENT:
	case PAGE_STORED:
		return serve_fill(m, f, ev, width_at(m, ev->no), kind);
	case PAGE_IDLE:
	case PAGE_EVICTING:
		return serve_soft(m, ev);
	case PAGE_RESIDENT:
		return map_all(m, MAP_CONTINUE, ev->no, 1, NULL, UFFD_WRITABLE);
	case PAGE_FILLING:
	case PAGE_NR_STATES:
		break;
	}
	*kind = MEM_NR_FAULT_KINDS; /* not ours to count */
	return 0;
}

static void explain(struct mem *m, page_no no, int ret)
{
	if (ret == -EBADMSG)
		mem_fail(m,
			 "page %u came back from the store with a wrong checksum (the guest was "
			 "stopped; nothing wrong was given to it)",
			 no);
	else if (ret == -ENOMEM)
		mem_fail(m, "page %u: the host has no memory left (lower other guests' limits)",
			 no);
	else
		mem_fail(m,
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

static void handle(struct filler *f, const struct uffd_event *ev, u64 since)
{
	struct mem *m = f->mem;
	enum mem_fault_kind kind = MEM_NR_FAULT_KINDS;
	int ret;

	pthread_mutex_lock(&m->lock);
	do {
		ret = atomic_load(&m->cut) ? 0 : serve(m, f, ev, &kind);
	} while (ret == -EAGAIN);
	if (!ret)
		count_fault(m, kind, now_ns() - since);
	pthread_mutex_unlock(&m->lock);
	if (ret)
		explain(m, ev->no, ret);
	if (atomic_load(&m->cut))
		uffd_wake(&m->uffd, ev->no, 1);
}

/* ---- The VMM's own accesses ---- */

int fault_in(struct mem *m, page_no no, bool write)
{
	struct uffd_event ev = {.no = no, .write = write};
	enum mem_fault_kind kind;
	struct filler f = {.mem = m, .pages = aligned_alloc(PAGE_SIZE, PAGE_SIZE)};
	int ret;

	if (!f.pages)
		return -ENOMEM;
	ret = fillable(m, no) ? serve_fill(m, &f, &ev, 1, &kind) : 0;
	free(f.pages);
	return ret == -EAGAIN ? 0 : ret;
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
	u32 n = uffd_read(&m->uffd, events, EVENTS_AT_ONCE);

	if (n) {
		spin->pays = now_ns() - spin->last < 2 * SPIN_NS;
		return n;
	}
	while (!n && spin->pays && !atomic_load(&m->stopping)) {
		sched_yield();
		n = uffd_read(&m->uffd, events, EVENTS_AT_ONCE);
		spin->pays = n || now_ns() - spin->last < SPIN_NS;
	}
	return n;
}

static void *handler(void *arg)
{
	struct filler *f = arg;
	struct mem *m = f->mem;
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
			handle(f, &events[i], since);
		if (n)
			spin.last = now_ns();
		else
			epoll_wait(ep, &ready, 1, -1);
	}
	close(ep);
	free(f->pages);
	free(f);
	return NULL;
}

static int start_one(struct mem *m)
{
	struct filler *f = calloc(1, sizeof(*f));
	int ret = -ENOMEM;

	if (!f)
		return -ENOMEM;
	f->mem = m;
	f->pages = aligned_alloc(PAGE_SIZE, MAX_AROUND * PAGE_SIZE);
	if (f->pages)
		ret = mem_thread(&m->handlers[m->nr_handlers], "faults", handler, f);
	if (ret) {
		free(f->pages);
		free(f);
		return ret;
	}
	m->nr_handlers++;
	return 0;
}

/* One handler per two vCPUs, and one more, so that a read from the tier below stops nobody else. */
int fault_start(struct mem *m, struct err *err)
{
	unsigned int want = MIN(m->cfg.nr_cpus / 2 + 1, MAX_HANDLERS);
	int ret = 0;

	want = MAX(want, 2u);
	while (m->nr_handlers < want && !ret)
		ret = start_one(m);
	return ret ? err_set(err, ret, "memory engine: cannot start a thread: %s", strerror(-ret))
		   : 0;
}

void fault_stop(struct mem *m)
{
	while (m->nr_handlers)
		pthread_join(m->handlers[--m->nr_handlers], NULL);
}
