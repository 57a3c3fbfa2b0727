// SPDX-License-Identifier: Apache-2.0
/* What the files of tests/vmm/pv/bare_pv.h share. Nobody else includes this. */
#ifndef QUIRE_TESTS_VMM_PV_BARE_IMPL_H
#define QUIRE_TESTS_VMM_PV_BARE_IMPL_H

#include <string.h>

#include "tests/vmm/pv/bare_pv.h"

/* Whether there is a page of the arena at @machine: which. */
static inline bool bare_is_arena(const struct bare *b, u64 machine, u32 *page)
{
	const struct monitor *m = &b->vm.pv->monitor;
	u64 at = machine - m->machine - m->arena;

	*page = (u32)(at / PAGE_SIZE);
	return at < m->arena_pages * PAGE_SIZE;
}

static inline u64 *bare_arena(const struct bare *b, u32 page)
{
	const struct monitor *m = &b->vm.pv->monitor;

	return (u64 *)(m->memory + m->arena + page * PAGE_SIZE);
}

/* Whether a page of entries is all zeros. */
static inline bool bare_is_zero(const u64 *page)
{
	static const u64 zeros[SHADOW_ENTRIES];

	return !memcmp(page, zeros, PAGE_SIZE);
}

/* bare_pv.c: the monitor at @rip says that it is there. */
void bare_leave_by(struct bare *b, u32 cpu, u64 rip);

/* bare_out.c: run a way out, up to the guest or to a pause; KVM knows all that has changed. */
void bare_run_way_out(struct bare *b, u32 cpu);
void bare_check_copies(struct bare *b);

#endif
