// SPDX-License-Identifier: Apache-2.0
/* What always holds of a guest's shadow tables, whatever it does. Contract in bare_pv.h. */
#include <stdlib.h>

#include "tests/vmm/pv/bare_impl.h"

struct census {
	struct bare *b;
	u8 *level; /* of each page of the arena that can be found; 0: not yet */
	u32 *todo;
	u32 nr;
};

static void found_table(struct census *s, u64 machine, u8 level)
{
	u32 page;

	if (machine % PAGE_SIZE || !bare_is_arena(s->b, machine, &page))
		bare_fail("a table of level %u at %#lx", level, machine);
	if (s->level[page] && s->level[page] != level)
		bare_fail("page %u is of level %u and %u", page, level, s->level[page]);
	if (!s->level[page])
		s->todo[s->nr++] = page;
	s->level[page] = level;
}

static void check_page(struct census *s, u32 page)
{
	const struct monitor *m = &s->b->vm.pv->monitor;
	u8 level = s->level[page];

	for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
		u64 entry = bare_arena(s->b, page)[i], at = entry & PV_ENTRY_ADDRESS;
		u64 size = PAGE_SIZE << 9 * (level - 1);

		if (level == 4 && i - MONITOR_FIRST_SLOT < MONITOR_NR_SLOTS) {
			if (entry != m->fixed[i - MONITOR_FIRST_SLOT])
				bare_fail("slot %u of a root is %#lx", i, entry);
		} else if (!(entry & PTWALK_PRESENT)) {
			continue;
		} else if (level > 1 && !(entry & PTWALK_LARGE)) {
			found_table(s, at, level - 1);
		} else if (level > 2 || !space_ptr(s->b->vm.space, gpa(at), size)) {
			bare_fail("entry %u of level %u is %#lx", i, level, entry);
		}
	}
}

/* Pages that no processor can find have no entries, or the same ones. */
static void check_unfound(const struct bare *b, u32 page)
{
	const struct monitor *m = &b->vm.pv->monitor;
	const u64 *entries = bare_arena(b, page);

	if (bare_is_zero(entries))
		return;
	for (u32 i = 0; i < SHADOW_ENTRIES; i++) {
		u64 entry = entries[i], at = entry & PV_ENTRY_ADDRESS;
		bool fixed = i - MONITOR_FIRST_SLOT < MONITOR_NR_SLOTS &&
			     entry == m->fixed[i - MONITOR_FIRST_SLOT];
		u32 other;

		if ((entry & PTWALK_PRESENT) && !fixed && !bare_is_arena(b, at, &other) &&
		    !space_ptr(b->vm.space, gpa(at), PAGE_SIZE))
			bare_fail("page %u has %#lx", page, entry);
	}
}

void bare_check(struct bare *b)
{
	struct pv *pv = b->vm.pv;
	u32 pages = pv->monitor.arena_pages;
	struct census s = {b, calloc(pages, 1), calloc(pages, sizeof(u32)), 0};
	struct mmu_check check;

	ASSERT(s.level && s.todo);
	pv_check(pv, &check);
	if (check.wrong)
		bare_fail("self-check: %s", check.why);
	for (u32 i = 0; i < BARE_CPUS; i++) {
		found_table(&s, b->cpus[i].cr3, 4);
		for (u32 view = 0; view < SHADOW_NR_VIEWS; view++)
			found_table(&s, pv->cpus[i].cr3[view], 4);
	}
	while (s.nr)
		check_page(&s, s.todo[--s.nr]);
	for (u32 page = 0; page < pages; page++)
		if (!s.level[page])
			check_unfound(b, page);
	free(s.level);
	free(s.todo);
}
