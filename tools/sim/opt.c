// SPDX-License-Identifier: Apache-2.0
/*
 * OPT and the working set. Contract in opt.h.
 *
 * OPT needs the resident page with the farthest next use: a binary heap, each page knowing its
 * place in it, because a hit changes the page's next use. Always true: parent >= child, by
 * (next use, then lower page number first); place[heap[i]] == i.
 */
#include "tools/sim/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

struct heap {
	u32 nr;
	u32 *pages;
	u32 *place; /* by page; NOWHERE: not resident */
	u32 *next;  /* by page: its next use */
};

u32 *next_uses(const struct trace *t)
{
	u32 *next = malloc((size_t)t->nr_refs * sizeof(next[0]));
	u32 *seen = malloc((size_t)t->nr_pages * sizeof(seen[0]));

	if (!next || !seen) {
		free(next);
		free(seen);
		return NULL;
	}
	memset(seen, 0xff, (size_t)t->nr_pages * sizeof(seen[0]));
	for (u32 i = t->nr_refs; i-- > 0;) {
		next[i] = seen[t->refs[i]];
		seen[t->refs[i]] = i;
	}
	free(seen);
	return next;
}

/* Whether page @a is to be evicted rather than page @b. */
static bool before(const struct heap *h, u32 a, u32 b)
{
	return h->next[a] > h->next[b] || (h->next[a] == h->next[b] && a < b);
}

static void set(struct heap *h, u32 at, u32 page)
{
	h->pages[at] = page;
	h->place[page] = at;
}

/* The page at @at may belong nearer to the top. */
static void sift_up(struct heap *h, u32 at)
{
	u32 page = h->pages[at];

	while (at && before(h, page, h->pages[(at - 1) / 2])) {
		set(h, at, h->pages[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	set(h, at, page);
}

static void sift_down(struct heap *h, u32 at)
{
	u32 page = h->pages[at];

	for (;;) {
		u32 child = 2 * at + 1;

		if (child >= h->nr)
			break;
		if (child + 1 < h->nr && before(h, h->pages[child + 1], h->pages[child]))
			child++;
		if (!before(h, h->pages[child], page))
			break;
		set(h, at, h->pages[child]);
		at = child;
	}
	set(h, at, page);
}

static u32 pop(struct heap *h)
{
	u32 page = h->pages[0];

	h->place[page] = NOWHERE;
	h->nr--;
	if (h->nr) {
		h->pages[0] = h->pages[h->nr];
		sift_down(h, 0);
	}
	return page;
}

static void load(struct heap *h, u32 page)
{
	h->pages[h->nr] = page;
	sift_up(h, h->nr++);
}

static void run(struct heap *h, struct outcome *out, const struct trace *t, const u32 *next,
		u32 frames, const struct watcher *watcher)
{
	for (u32 i = 0; i < t->nr_refs; i++) {
		u32 page = t->refs[i], gone;

		h->next[page] = next[i];
		if (h->place[page] != NOWHERE) {
			sift_up(h, h->place[page]); /* its next use can only be later */
			continue;
		}
		out->faults++;
		if (h->nr == frames) {
			gone = pop(h);
			if (watcher)
				watcher->evicted(watcher->opaque, gone);
		}
		load(h, page);
	}
}

int replay_opt(struct outcome *out, const struct trace *t, const u32 *next, u32 frames,
	       const struct watcher *watcher)
{
	size_t size = (size_t)t->nr_pages * sizeof(u32);
	struct heap h = {.pages = malloc(size), .place = malloc(size), .next = malloc(size)};
	int ret = -ENOMEM;

	ASSERT(frames);
	if (!h.pages || !h.place || !h.next)
		goto out_free;
	memset(h.place, 0xff, size);
	*out = (struct outcome){0};
	run(&h, out, t, next, frames, watcher);
	ret = 0;
out_free:
	free(h.pages);
	free(h.place);
	free(h.next);
	return ret;
}

void working_set(struct working_set *out, const struct trace *t, const u32 *next, u32 window)
{
	u64 hits = 0, sum = 0;

	/* a reference keeps its page in the set for `window` references, or until the next one */
	for (u32 i = 0; i < t->nr_refs; i++) {
		u32 gap = MIN(next[i], t->nr_refs) - i;

		hits += next[i] != UINT32_MAX && gap <= window;
		sum += MIN(gap, window);
	}
	*out = (struct working_set){
		.window = window, .faults = t->nr_refs - hits, .mean = (double)sum / t->nr_refs};
}
