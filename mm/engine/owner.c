// SPDX-License-Identifier: Apache-2.0
/*
 * What the owner is told: that something happened, and that the guest cannot go on. Any thread of
 * the engine, with its lock or without; the owner's callbacks must be quick and ask for nothing.
 *
 * The end of a guest begins here too. Its memory is cut off: whoever waits for a page gets an error
 * instead, and what cannot be given right is not given at all.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "mm/engine/impl.h"
#include "mm/engine/owner.h"
#include "mm/engine/tune.h"

/* The lock may or may not be held: what is read here for show may be a moment old. */
void owner_tell(struct mem *m, enum mem_event_kind kind)
{
	struct mem_event event = {
		.kind = kind,
		.limit = m->limit,
		.resident = resident_bytes(m),
		.store = store_bytes(m->store),
		.stall = m->tune.thrash.share,
		.faults = m->tune.thrash.faults,
	};

	if (m->host.event)
		m->host.event(m->host.opaque, &event);
}

/*
 * Inaccessible rather than gone: KVM gets EFAULT where it would have got a page, on every kernel.
 * Closing the userfaultfd instead would hand the guest pages of zeros.
 */
void mem_cut(struct mem *m)
{
	if (!atomic_load(&m->in_charge))
		return;
	atomic_store(&m->cut, true);
	mprotect(space_guest_base(m->space), space_size(m->space), PROT_NONE);
	pager_cut(m->cfg.origin);
	uffd_wake(&m->uffd, 0, m->pages.nr);
}

void owner_fail(struct mem *m, const char *fmt, ...)
{
	struct err why;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, ap);
	va_end(ap);
	m->host.failed(m->host.opaque, &why);
	mem_cut(m);
}
