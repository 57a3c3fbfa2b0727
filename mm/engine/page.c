// SPDX-License-Identifier: Apache-2.0
/* The page's state machine and the list of idle pages. The drawing and the rules are in page.h. */
#include "mm/engine/page.h"

#include <errno.h>
#include <stdlib.h>

const char *const page_state_names[PAGE_NR_STATES] = {
	[PAGE_ABSENT] = "absent", [PAGE_FILLING] = "filling",	[PAGE_RESIDENT] = "resident",
	[PAGE_IDLE] = "idle",	  [PAGE_EVICTING] = "evicting", [PAGE_STORED] = "stored",
};

#define TO(state) (1u << (state))

/* The arrows of the drawing. */
static const unsigned int arrows[PAGE_NR_STATES] = {
	[PAGE_ABSENT] = TO(PAGE_FILLING) | TO(PAGE_STORED),
	[PAGE_FILLING] = TO(PAGE_RESIDENT) | TO(PAGE_ABSENT) | TO(PAGE_STORED),
	[PAGE_RESIDENT] = TO(PAGE_IDLE) | TO(PAGE_ABSENT),
	[PAGE_IDLE] = TO(PAGE_RESIDENT) | TO(PAGE_EVICTING) | TO(PAGE_ABSENT),
	[PAGE_EVICTING] = TO(PAGE_RESIDENT) | TO(PAGE_IDLE) | TO(PAGE_STORED) | TO(PAGE_ABSENT),
	[PAGE_STORED] = TO(PAGE_FILLING) | TO(PAGE_ABSENT),
};

/*
 * calloc() and not a loop: absent is 0, so that the descriptors of memory that a guest never
 * touches cost no host memory either.
 */
int pages_init(struct pages *ps, u32 nr, bool check)
{
	_Static_assert(PAGE_ABSENT == 0, "fresh descriptors are absent pages");

	*ps = (struct pages){
		.nr = nr,
		.check = check,
		.idle_first = PAGE_NONE,
		.idle_last = PAGE_NONE,
		.page = calloc(nr, sizeof(struct page)),
	};
	ps->count[PAGE_ABSENT] = nr;
	return ps->page ? 0 : -ENOMEM;
}

void pages_fini(struct pages *ps)
{
	free(ps->page);
	ps->page = NULL;
}

static void list_idle(struct pages *ps, page_no no)
{
	struct page *p = &ps->page[no];

	p->next = PAGE_NONE;
	p->prev = ps->idle_last;
	if (ps->idle_last != PAGE_NONE)
		ps->page[ps->idle_last].next = no;
	else
		ps->idle_first = no;
	ps->idle_last = no;
}

static void unlist_idle(struct pages *ps, page_no no)
{
	struct page *p = &ps->page[no];

	if (p->prev != PAGE_NONE)
		ps->page[p->prev].next = p->next;
	else
		ps->idle_first = p->next;
	if (p->next != PAGE_NONE)
		ps->page[p->next].prev = p->prev;
	else
		ps->idle_last = p->prev;
}

void page_move(struct pages *ps, page_no no, enum page_state to)
{
	struct page *p = &ps->page[no];
	bool was_in_memory = page_in_memory(p);

	ASSERT(no < ps->nr);
	ASSERT(arrows[p->state] & TO(to));
	if (p->state == PAGE_IDLE)
		unlist_idle(ps, no);
	ps->count[p->state]--;
	p->state = (unsigned int)to & 15u;
	ps->count[to]++;
	if (to == PAGE_IDLE)
		list_idle(ps, no);
	if (p->stored && was_in_memory != page_in_memory(p))
		ps->kept += page_in_memory(p) ? 1 : (u64)-1;
	if (ps->check)
		ASSERT(page_sane(ps, no));
}

u32 page_set_copy(struct pages *ps, page_no no, u32 id)
{
	struct page *p = &ps->page[no];
	u32 had = p->stored;

	if (page_in_memory(p))
		ps->kept += (u64)(id != 0) - (u64)(had != 0);
	p->stored = id;
	return had;
}

bool page_protect(struct pages *ps, page_no no, unsigned int reasons)
{
	struct page *p = &ps->page[no];
	bool first = !p->protect && reasons;

	p->protect = (p->protect | reasons) & 15u;
	return first;
}

bool page_unprotect(struct pages *ps, page_no no, unsigned int reasons)
{
	struct page *p = &ps->page[no];
	bool had = p->protect;

	p->protect = (p->protect & ~reasons) & 15u;
	return had && !p->protect;
}

static bool listed_sanely(const struct pages *ps, page_no no)
{
	const struct page *p = &ps->page[no];

	if (p->prev == PAGE_NONE ? ps->idle_first != no : ps->page[p->prev].next != no)
		return false;
	return p->next == PAGE_NONE ? ps->idle_last == no : ps->page[p->next].prev == no;
}

bool page_sane(const struct pages *ps, page_no no)
{
	const struct page *p = &ps->page[no];

	switch ((enum page_state)p->state) {
	case PAGE_ABSENT:
		return !p->stored && !(p->flags & PAGE_F_LISTED);
	case PAGE_STORED:
		return p->stored && !(p->flags & PAGE_F_LISTED);
	case PAGE_IDLE:
		return listed_sanely(ps, no);
	case PAGE_FILLING:
	case PAGE_RESIDENT:
	case PAGE_EVICTING:
		return true;
	case PAGE_NR_STATES:
		break;
	}
	return false;
}

bool pages_sane(const struct pages *ps)
{
	u64 count[PAGE_NR_STATES] = {0}, kept = 0, idle = 0;

	for (page_no no = 0; no < ps->nr; no++) {
		const struct page *p = &ps->page[no];

		if (p->state >= PAGE_NR_STATES || !page_sane(ps, no))
			return false;
		count[p->state]++;
		kept += p->stored && page_in_memory(p);
	}
	for (page_no no = ps->idle_first; no != PAGE_NONE; no = ps->page[no].next)
		if (ps->page[no].state != PAGE_IDLE || ++idle > ps->nr)
			return false;
	for (int i = 0; i < PAGE_NR_STATES; i++)
		if (count[i] != ps->count[i])
			return false;
	return kept == ps->kept && idle == count[PAGE_IDLE];
}
