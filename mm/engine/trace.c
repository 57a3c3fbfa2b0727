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
#include "mm/policy/trace_file.h"

#define MAX_TRACE_WINDOW 4096

struct trace_window {
	struct trace_file *file;
	u32 size, next;
	page_no window[]; /* pages that are mapped, as far as it knows */
};

int trace_init(struct mem *m, struct err *err)
{
	u32 size = MIN(m->cfg.trace_window ? m->cfg.trace_window : 64, MAX_TRACE_WINDOW);
	struct trace_window *t;

	if (!m->cfg.trace)
		return 0;
	t = calloc(1, sizeof(*t) + size * sizeof(t->window[0]));
	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->size = size;
	for (u32 i = 0; i < size; i++)
		t->window[i] = PAGE_NONE;
	m->trace = t;
	return trace_create(&t->file, m->cfg.trace, m->pages.nr, err);
}

void trace_fini(struct mem *m)
{
	if (m->trace && m->trace->file)
		trace_close(m->trace->file);
	free(m->trace);
	m->trace = NULL;
}

void trace_reference(struct mem *m, page_no no, bool write)
{
	struct trace_window *t = m->trace;
	page_no *place, old;

	if (!t)
		return;
	trace_add(t->file, now_ns() / 1000, no, write);
	place = &t->window[t->next++ % t->size];
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
	if (!m->trace || !trace_flush(m->trace->file))
		return;
	trace_fini(m);
	owner_tell(m, MEM_EV_TRACE_ERROR);
}
