// SPDX-License-Identifier: Apache-2.0
/*
 * From watching to being in charge: guest memory is registered with userfaultfd, and every page
 * gets the state that it has in truth. The guest may run meanwhile.
 *
 * The order makes that safe. Once registered, no page comes into the file without an event, and no
 * handler answers events before the states are known: what the guest faults on meanwhile waits. So
 * what the file holds then is what it holds, and a walk over it (SEEK_DATA) finds all of it.
 */
#include <string.h>
#include <sys/mman.h>

#include "mm/engine/charge.h"
#include "mm/engine/fault.h"
#include "mm/engine/impl.h"
#include "mm/engine/note.h"

/* All pages that the file holds are resident. Under lock. */
static void adopt(struct mem *m)
{
	u64 start, end = 0;

	while (space_next_present(m->space, end, &start, &end))
		for (u64 no = start; no < end; no++) {
			page_move(&m->pages, (page_no)no, PAGE_FILLING);
			page_move(&m->pages, (page_no)no, PAGE_RESIDENT);
			m->pages.page[no].seen = age_now();
			m->pages.page[no].flags |= PAGE_F_LISTED;
			note_own(m, (page_no)no);
			policy_loaded(m->policy, (page_no)no);
		}
}

static int take_charge(struct mem *m, struct err *err)
{
	u64 size = (u64)m->pages.nr << PAGE_SHIFT;
	void *base = space_guest_base(m->space);
	int ret;

	/* state is kept per 4 KiB page; a huge page would come and go as a whole */
	madvise(base, size, MADV_NOHUGEPAGE);
	ret = uffd_register(&m->uffd, base, size, err);
	if (ret)
		return ret;
	adopt(m);
	m->peak = used_bytes(m);
	ret = fault_start(m, err);
	if (!ret)
		atomic_store(&m->in_charge, true);
	return ret;
}

int charge_take(struct mem *m, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&m->evict_lock);
	pthread_mutex_lock(&m->lock);
	if (!atomic_load(&m->in_charge))
		ret = take_charge(m, err);
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&m->evict_lock);
	return ret;
}
