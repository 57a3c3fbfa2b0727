// SPDX-License-Identifier: Apache-2.0
/*
 * The reference trace: which page was used when, for the simulator. So many pages are mapped at a
 * time as the window has places, so that every reference beyond them is a fault, and seen. It costs
 * the guest most of its speed; the scan and the sample rest meanwhile.
 *
 * All under the engine's lock. A trace that cannot be written ends; the guest goes on.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "mm/engine/owner.h"
#include "mm/engine/trace.h"

#define MAX_TRACE_WINDOW 4096

int trace_init(struct mem *m, struct err *err)
{
	if (!m->cfg.trace)
		return 0;
	m->window_size = m->cfg.trace_window ? m->cfg.trace_window : 64;
	m->window_size = MIN(m->window_size, MAX_TRACE_WINDOW);
	m->window = malloc(m->window_size * sizeof(m->window[0]));
	if (!m->window)
		return err_set(err, -ENOMEM, "out of memory");
	for (u32 i = 0; i < m->window_size; i++)
		m->window[i] = PAGE_NONE;
	return trace_create(&m->trace, m->cfg.trace, m->pages.nr, err);
}

void trace_fini(struct mem *m)
{
	if (m->trace)
		trace_close(m->trace); /* of the last tenth of a second a failure stays unheard */
	free(m->window);
}

/*
 * Record the reference and keep the window: as many pages are mapped at a time as it has places, so
 * that every reference beyond them is a fault, and seen.
 */
void trace_reference(struct mem *m, page_no no, bool write)
{
	page_no *place, old;

	if (!m->trace)
		return;
	trace_add(m->trace, now_ns() / 1000, no, write);
	place = &m->window[m->window_next++ % m->window_size];
	old = *place;
	*place = no;
	m->pages.page[no].flags |= PAGE_F_TRACED;
	if (old == PAGE_NONE || old == no)
		return;
	m->pages.page[old].flags &= (u8)~PAGE_F_TRACED;
	if (m->pages.page[old].state == PAGE_RESIDENT)
		evict_unmap(m, &old, 1);
}

void trace_step(struct mem *m)
{
	if (!m->trace || !trace_flush(m->trace))
		return;
	trace_close(m->trace);
	m->trace = NULL;
	owner_tell(m, MEM_EV_TRACE_ERROR);
}
