// SPDX-License-Identifier: Apache-2.0
/* Contract in nested.h. */
#include "vmm/inspect/nested.h"

#define INDEX_BITS   9
#define LARGE_LEVEL  2
#define LARGE_SHIFT  (PAGE_SHIFT + INDEX_BITS)
#define ADDRESS_BITS (PAGE_SHIFT + NESTED_LEVELS * INDEX_BITS)

/* The pages of one table of level 1, which is what is looked at together. */
#define TABLE_PAGES (1u << INDEX_BITS)

#define RIGHTS (NESTED_READ | NESTED_WRITE | NESTED_EXECUTE)

/* A page that is protected for these reasons is as it was when it was last known to be clean. */
#define CLEAN (PAGE_PROTECT_EVICT | PAGE_PROTECT_TRACK)

static u32 level_shift(u32 level)
{
	return PAGE_SHIFT + INDEX_BITS * (level - 1);
}

/* The level whose entries map pages. */
static u32 leaf_level(const struct nested *map)
{
	return map->huge ? LARGE_LEVEL : 1;
}

/* Pages that are known to exist. */
static void look(const struct nested *map, u64 no, u32 n, struct mem_page *pages)
{
	int ret = mem_get_pages(map->mem, (page_no)no, n, pages);

	ASSERT(!ret);
}

bool nested_where(const struct space *space, gfn_t frame, gpa_t *machine)
{
	u64 page;

	if (frame.v > UINT64_MAX >> PAGE_SHIFT ||
	    !space_page_of(space, gfn_gpa(frame), PAGE_SIZE, &page))
		return false;
	*machine = gfn_gpa(frame);
	return true;
}

/* ---- Entries ---- */

/* Whether any memory is in the @size bytes that an entry stands for. */
static bool touches_memory(const struct space *space, u64 start, u64 size)
{
	for (unsigned int i = 0; i < space_nr_slots(space); i++) {
		const struct space_slot *slot = space_slot(space, i);

		if (start < slot->start.v + slot->size && slot->start.v < start + size)
			return true;
	}
	return false;
}

static u64 page_bits(const struct mem_page *p)
{
	u64 bits = NESTED_READ | NESTED_EXECUTE | NESTED_WRITE_BACK;

	if (p->state != PAGE_RESIDENT && p->state != PAGE_IDLE && p->state != PAGE_EVICTING)
		return 0;
	if (!p->protect)
		bits |= NESTED_WRITE;
	if (p->state == PAGE_RESIDENT)
		bits |= NESTED_ACCESSED;
	if (!(p->protect & CLEAN))
		bits |= NESTED_DIRTY;
	return bits;
}

/* Whether any page of the table of level 1 that @at is in was seen in use. */
static bool table_accessed(const struct nested *map, gpa_t at)
{
	struct mem_page pages[TABLE_PAGES];
	gpa_t start = gpa(align_down(at.v, (u64)1 << LARGE_SHIFT));
	u64 no;

	if (!space_page_of(map->space, start, (u64)1 << LARGE_SHIFT, &no))
		return false;
	look(map, no, TABLE_PAGES, pages);
	for (u32 i = 0; i < TABLE_PAGES; i++)
		if (page_bits(&pages[i]) & NESTED_ACCESSED)
			return true;
	return false;
}

/* An entry that leads to a table. */
static u64 table_entry(const struct nested *map, u32 level, gpa_t at)
{
	u64 size = (u64)1 << level_shift(level);

	if (!touches_memory(map->space, align_down(at.v, size), size))
		return 0;
	if (!map->mem || (level == LARGE_LEVEL && !table_accessed(map, at)))
		return RIGHTS;
	return RIGHTS | NESTED_ACCESSED;
}

static u64 leaf_entry(const struct nested_walk *walk)
{
	u64 bits = 0;

	if (walk->kind == NESTED_MAPPED)
		bits = RIGHTS | NESTED_WRITE_BACK;
	if (walk->kind == NESTED_PAGE)
		bits = page_bits(&walk->page);
	if (!bits)
		return 0;
	if (walk->shift > PAGE_SHIFT)
		bits |= NESTED_LARGE;
	return bits | align_down(walk->machine.v, (u64)1 << walk->shift);
}

/* ---- The way of an address ---- */

/* What is there. */
static void identify(const struct nested *map, gpa_t at, struct nested_walk *walk)
{
	gpa_t machine;
	u64 no;

	if (!nested_where(map->space, gpa_gfn(at), &machine) ||
	    !space_page_of(map->space, at, 1, &no))
		return;
	walk->machine = gpa_add(machine, at.v % PAGE_SIZE);
	walk->kind = map->mem ? NESTED_PAGE : NESTED_MAPPED;
	if (map->mem)
		look(map, no, 1, &walk->page);
}

void nested_walk(const struct nested *map, gpa_t at, struct nested_walk *walk)
{
	u32 last = leaf_level(map);

	*walk = (struct nested_walk){.kind = NESTED_HOLE, .shift = level_shift(last)};
	identify(map, at, walk);
	if (at.v >> ADDRESS_BITS)
		return;
	for (u32 level = NESTED_LEVELS; level >= last; level--) {
		struct nested_step *step = &walk->steps[walk->nr_steps++];

		step->level = level;
		step->index = at.v >> level_shift(level) & (TABLE_PAGES - 1);
		step->entry = level > last ? table_entry(map, level, at) : leaf_entry(walk);
		if (!(step->entry & NESTED_READ))
			break;
	}
}

const char *nested_state_name(const struct nested_walk *walk)
{
	switch (walk->kind) {
	case NESTED_HOLE:
		return "no memory";
	case NESTED_MAPPED:
		return "mapped";
	case NESTED_PAGE:
		break;
	}
	return page_state_names[walk->page.state];
}

/* ---- All of them ---- */

static void count_entry(struct nested_count *count, u64 entry)
{
	count->present += !!(entry & NESTED_READ);
	count->writable += !!(entry & NESTED_WRITE);
	count->accessed += !!(entry & NESTED_ACCESSED);
	count->dirty += !!(entry & NESTED_DIRTY);
}

void nested_count(const struct nested *map, struct nested_count counts[NESTED_NR_SIZES])
{
	u64 size = space_size(map->space), nr = size >> PAGE_SHIFT;
	struct mem_page pages[TABLE_PAGES];

	for (u32 i = 0; i < NESTED_NR_SIZES; i++)
		counts[i] = (struct nested_count){0};
	if (!map->mem) {
		struct nested_count *all = &counts[leaf_level(map) == 1 ? NESTED_4K : NESTED_2M];

		all->present = all->writable = size >> level_shift(leaf_level(map));
		return;
	}
	for (u64 no = 0; no < nr; no += TABLE_PAGES) {
		look(map, no, TABLE_PAGES, pages);
		for (u32 i = 0; i < TABLE_PAGES; i++)
			count_entry(&counts[NESTED_4K], page_bits(&pages[i]));
	}
}
