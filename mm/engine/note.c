// SPDX-License-Identifier: Apache-2.0
/*
 * What is noted of a page, whatever brought it where it is: that it was used, that the engine has
 * it now and the origin need not be asked any more, that its stored copy is good no longer. Under
 * the engine's lock; none of it moves a page from one state to another.
 */
#include "mm/engine/impl.h"
#include "mm/engine/note.h"

void note_use(struct mem *m, page_no no)
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

void note_own(struct mem *m, page_no no)
{
	m->pages.page[no].flags |= PAGE_F_OWN;
	pager_took(m->cfg.origin, no);
}

void note_drop_copy(struct mem *m, page_no no)
{
	u32 id = page_set_copy(&m->pages, no, STORE_NONE);

	if (id)
		store_drop(m->store, id);
}
