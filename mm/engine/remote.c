// SPDX-License-Identifier: Apache-2.0
/*
 * The pager of a guest that has moved here before its memory. Contract in remote.h.
 *
 * Two questions are kept apart. Whether a page is missing is the engine's: the bit goes, under the
 * engine's lock, when the page is in guest memory or in the store (took()), and not before; so a
 * page that came but could not be put is missing still. Where a page is on its way is ours:
 *
 *	waiting   who waits in read(), and which of its pages have not come
 *	parked    pages that came and that nobody has taken: about to be put into the engine, or in
 *	          the way of a reader that has taken its pages (FILLING) but has not asked yet
 *	came      pages that a reader got. One more copy of them counts for nothing. Before
 *	          remote_begin() it is all pages that the engine has, which are few in a post-copy
 *	          without rounds: to look at each missing page would take longer than all the rest.
 *
 * Always true: what comes is parked before the engine is asked to put it, and whoever reads looks
 * among what is parked first. So a page that comes at the moment when a handler takes it is found
 * by the handler, or refused by the engine and found by us: it waits, or what came is kept for it.
 *
 * The lock is taken after the engine's, and the engine is never called with it held.
 */
#include "mm/engine/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "mm/base/thread.h"
#include "mm/engine/mem.h"
#include "mm/engine/put.h"

/* Neighbours that are worth the wait of who needs the first: 0.3 ms of a link of 1 Gbit/s. */
#define MOST 8

/* A page that came, or the block of one. On the stack of who brings it, or (@kept) by itself. */
struct parked {
	struct parked *next;
	page_no no;
	const void *page;
	const struct codec_block *block;
	bool kept;
	bool taken; /* a reader has it: no longer in the list */
};

/* Who waits for some of [first, first + 32). */
struct waiter {
	struct waiter *next;
	page_no first;
	u32 want; /* a bit for each page that has not come */
	u8 *pages;
	u32 connection; /* on which it has asked */
	pthread_cond_t came;
};

struct remote {
	struct pager pager;
	struct remote_host host;
	struct mem *mem; /* NULL: not begun */
	u32 nr_pages;
	_Atomic u64 *missing; /* changed under lock */
	atomic_uint nr_missing;

	pthread_mutex_t lock;
	/* Everything below is under lock. */
	u64 *came;
	struct waiter *waiting;
	struct parked *parked;
	u32 connection;
	bool cut;
	struct remote_stats stats;
};

static u32 nr_words(const struct remote *r)
{
	return (r->nr_pages + 63) / 64;
}

static u64 bit_of(page_no no)
{
	return (u64)1 << no % 64;
}

static bool is_missing(struct remote *r, page_no no)
{
	return atomic_load(&r->missing[no / 64]) & bit_of(no);
}

/* ---- What came ---- */

static struct parked **find_parked(struct remote *r, page_no no)
{
	struct parked **at = &r->parked;

	while (*at && (*at)->no != no)
		at = &(*at)->next;
	return at;
}

static void park(struct remote *r, struct parked *p)
{
	p->next = r->parked;
	r->parked = p;
}

static void unpark(struct parked **at)
{
	struct parked *p = *at;

	*at = p->next;
	p->taken = true;
	if (p->kept)
		free(p);
}

static int unpack(const struct parked *p, void *page)
{
	if (p->block)
		return codec_open(p->block, page);
	memcpy(page, p->page, PAGE_SIZE);
	return 0;
}

/* Have a copy of what is in the way of a reader wait for it. */
static int keep(struct remote *r, const struct parked *here)
{
	struct parked *p = malloc(sizeof(*p) + PAGE_SIZE);
	int ret = p ? unpack(here, p + 1) : -ENOMEM;

	if (ret) {
		free(p);
		return ret;
	}
	*p = (struct parked){.no = here->no, .page = p + 1, .kept = true};
	park(r, p);
	return 0;
}

/* Give it to who waits for it: 1, or -EBADMSG. 0: nobody does. */
static int deliver(struct remote *r, const struct parked *here)
{
	struct waiter *w = r->waiting;
	page_no no = here->no;
	int ret;

	while (w && (no < w->first || no - w->first >= 32 || !(w->want >> (no - w->first) & 1)))
		w = w->next;
	if (!w)
		return 0;
	ret = unpack(here, w->pages + ((u64)(no - w->first) << PAGE_SHIFT));
	if (ret)
		return ret;
	w->want &= ~(1u << (no - w->first));
	r->came[no / 64] |= bit_of(no);
	r->stats.asked++;
	if (!w->want)
		pthread_cond_signal(&w->came);
	return 1;
}

/* What became of a parked page once the engine was asked to put it: @ret. */
static int settle(struct remote *r, struct parked *here, int ret)
{
	if (here->taken) {
		ret = 0;
	} else {
		unpark(find_parked(r, here->no));
		if (ret == -EBUSY && is_missing(r, here->no))
			ret = keep(r, here);
		else if (ret == -EBUSY || ret == -EEXIST)
			ret = 0;
	}
	r->stats.pushed += !ret;
	return ret;
}

/* It has come before, and is where it belongs or on its way there. */
static bool is_known(struct remote *r, page_no no)
{
	return !is_missing(r, no) || (r->came[no / 64] & bit_of(no)) || *find_parked(r, no);
}

static int arrive(struct remote *r, struct parked *here)
{
	int ret;

	if (here->no >= r->nr_pages)
		return -EINVAL;
	if (!is_missing(r, here->no))
		return 0;
	pthread_mutex_lock(&r->lock);
	ret = is_known(r, here->no) ? 1 : deliver(r, here);
	if (!ret)
		park(r, here);
	pthread_mutex_unlock(&r->lock);
	if (ret)
		return MIN(ret, 0);
	if (here->block)
		ret = put_missing_block(r->mem, here->no, here->block);
	else
		ret = put_missing_page(r->mem, here->no, here->page);
	pthread_mutex_lock(&r->lock);
	ret = settle(r, here, ret);
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int remote_page(struct remote *r, page_no no, const void *page)
{
	return arrive(r, &(struct parked){.no = no, .page = page});
}

/* What the source had stored is not in use: it stays out of guest memory here too. */
int remote_block(struct remote *r, page_no no, const struct codec_block *block)
{
	return arrive(r, &(struct parked){.no = no, .block = block});
}

/* ---- Who waits ---- */

/* Of pages [w->first, w->first + n) is taken what is parked and whole; the rest is wanted. */
static void take_parked(struct remote *r, struct waiter *w, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		page_no no = w->first + i;
		struct parked **at = find_parked(r, no);

		if (*at && !unpack(*at, w->pages + ((u64)i << PAGE_SHIFT))) {
			unpark(at);
			r->came[no / 64] |= bit_of(no);
		} else {
			/* what came before, if it did, never got to where it belongs */
			r->came[no / 64] &= ~bit_of(no);
			w->want |= 1u << i;
		}
	}
}

/* Ask for what @want has of the pages from @first on, lowest first; returns how many requests. */
static u32 ask(struct remote *r, page_no first, u32 want)
{
	u32 requests = 0, n;

	for (u32 i = 0; i < 32 && want >> i; i += n) {
		for (n = 0; i + n < 32 && want >> (i + n) & 1;)
			n++;
		if (n) {
			r->host.ask(r->host.opaque, first + i, n);
			requests++;
		} else {
			n = 1;
		}
	}
	return requests;
}

/* Under lock, which is let go of meanwhile. */
static void wait_for(struct remote *r, struct waiter *w)
{
	while (w->want && !r->cut) {
		u32 want = w->want, requests;

		if (w->connection == r->connection) {
			pthread_cond_wait(&w->came, &r->lock);
			continue;
		}
		w->connection = r->connection;
		pthread_mutex_unlock(&r->lock);
		requests = ask(r, w->first, want);
		pthread_mutex_lock(&r->lock);
		r->stats.requests += requests;
	}
}

static void wait_in_list(struct remote *r, struct waiter *w)
{
	struct waiter **at = &r->waiting;
	u64 since = now_ns(), waited;

	thread_cond_init(&w->came);
	w->next = r->waiting;
	r->waiting = w;
	wait_for(r, w);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	pthread_cond_destroy(&w->came);
	waited = now_ns() - since;
	r->stats.waited_ns += waited;
	r->stats.worst_ns = MAX(r->stats.worst_ns, waited);
}

static void wake_all(struct remote *r)
{
	for (struct waiter *w = r->waiting; w; w = w->next)
		pthread_cond_signal(&w->came);
}

void remote_ask_again(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	r->connection++;
	wake_all(r);
	pthread_mutex_unlock(&r->lock);
}

/* ---- The pager ---- */

static struct remote *remote_of(struct pager *p)
{
	return (struct remote *)p;
}

static int read_pages(struct pager *p, page_no no, u32 n, u8 *pages, struct err *err)
{
	struct remote *r = remote_of(p);
	struct waiter w = {.first = no, .pages = pages};

	ASSERT(n && n <= 32 && no < r->nr_pages && n <= r->nr_pages - no);
	pthread_mutex_lock(&r->lock);
	take_parked(r, &w, n);
	if (w.want)
		wait_in_list(r, &w);
	pthread_mutex_unlock(&r->lock);
	if (!w.want)
		return 0;
	return err_set(err, -ECANCELED,
		       "the rest of the guest's memory does not come any more from the host that "
		       "it was moved away from");
}

static int read_block(struct pager *p, page_no no, struct codec_block *block, void *room,
		      struct err *err)
{
	(void)p;
	(void)block;
	(void)room;
	return err_set(err, -EBUSY,
		       "page %u has not come yet from the host that the guest was moved away from",
		       no);
}

static bool has(struct pager *p, page_no no)
{
	return is_missing(remote_of(p), no);
}

/* Something else may have been put there while a page for it was kept. */
static void forget_kept(struct remote *r, page_no no)
{
	struct parked **at = find_parked(r, no);

	if (*at && (*at)->kept)
		unpark(at);
}

static void took(struct pager *p, page_no no)
{
	struct remote *r = remote_of(p);

	if (!r->mem)
		r->came[no / 64] |= bit_of(no); /* the engine's lock is held */
	if (!is_missing(r, no))
		return;
	pthread_mutex_lock(&r->lock);
	atomic_fetch_and(&r->missing[no / 64], ~bit_of(no));
	forget_kept(r, no);
	pthread_mutex_unlock(&r->lock);
	if (atomic_fetch_sub(&r->nr_missing, 1) == 1 && r->host.all_here)
		r->host.all_here(r->host.opaque);
}

static bool owes(struct pager *p)
{
	return atomic_load(&remote_of(p)->nr_missing);
}

static void cut(struct pager *p)
{
	struct remote *r = remote_of(p);

	pthread_mutex_lock(&r->lock);
	r->cut = true;
	wake_all(r);
	pthread_mutex_unlock(&r->lock);
}

static const struct pager_ops ops = {
	.read = read_pages,
	.read_block = read_block,
	.has = has,
	.took = took,
	.owes = owes,
	.cut = cut,
	.pushes = true,
	.most = MOST,
	.kind = PAGER_REMOTE,
};

struct pager *remote_pager(struct remote *r)
{
	return &r->pager;
}

/* ---- Life ---- */

int remote_create(struct remote **out, u32 nr_pages, const struct remote_host *host)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct remote){
		.pager = {.ops = &ops}, .host = *host, .nr_pages = nr_pages, .connection = 1};
	r->missing = calloc(nr_words(r), sizeof(r->missing[0]));
	r->came = calloc(nr_words(r), sizeof(r->came[0]));
	pthread_mutex_init(&r->lock, NULL);
	if (!r->missing || !r->came) {
		remote_destroy(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void remote_destroy(struct remote *r)
{
	if (!r)
		return;
	ASSERT(!r->waiting);
	while (r->parked)
		unpark(&r->parked);
	pthread_mutex_destroy(&r->lock);
	free(r->missing);
	free(r->came);
	free(r);
}

int remote_prepare(struct remote *r, struct mem *mem, struct err *err)
{
	ASSERT(!r->mem);
	return mem_take_charge(mem, err);
}

void remote_forget(struct remote *r, struct mem *mem, u64 *pages)
{
	ASSERT(!r->mem);
	pageset_keep(pages, r->came, nr_words(r));
	put_forget(mem, pages);
	pageset_remove(r->came, pages, nr_words(r));
}

int remote_begin(struct remote *r, struct mem *mem, const u64 *missing, struct err *err)
{
	u32 nr = 0;
	int ret;

	ret = remote_prepare(r, mem, err);
	if (ret)
		return ret;
	pageset_keep(r->came, missing, nr_words(r));
	put_forget(mem, r->came);
	memset(r->came, 0, nr_words(r) * sizeof(r->came[0]));
	r->mem = mem;
	for (u32 i = 0; i < nr_words(r); i++) {
		u64 bits = missing[i];

		if (i == r->nr_pages / 64)
			bits &= bit_of(r->nr_pages) - 1;
		nr += (u32)__builtin_popcountll(bits);
		atomic_store_explicit(&r->missing[i], bits, memory_order_relaxed);
	}
	atomic_store(&r->nr_missing, nr);
	return 0;
}

u32 remote_nr_missing(struct remote *r)
{
	return atomic_load(&r->nr_missing);
}

void remote_missing(struct remote *r, u64 *pages)
{
	for (u32 i = 0; i < nr_words(r); i++)
		pages[i] = atomic_load(&r->missing[i]);
}

void remote_get_stats(struct remote *r, struct remote_stats *stats)
{
	pthread_mutex_lock(&r->lock);
	*stats = r->stats;
	pthread_mutex_unlock(&r->lock);
}
