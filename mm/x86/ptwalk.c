// SPDX-License-Identifier: Apache-2.0
/*
 * The walk, in the order in which a processor takes it. Contract in ptwalk.h.
 *
 *	descend()	level by level: is the entry there, are its reserved bits zero, where does
 *			it lead; what all entries grant together is added up on the way
 *	check_rights()	whether that is enough for this access, and which bits the error code has
 *	set_bits()	accessed bits and the dirty bit, once the access is allowed; where an entry
 *			is not what was read any more, all of it begins again
 *
 * Always true: what is in the result comes from one descent, and nothing is written to the guest's
 * memory for an access that faults. How the paging modes differ is in the table of layouts and in
 * the functions above descend(); below it there is but one way.
 */
#include "mm/x86/ptwalk.h"

#define KEY_SHIFT 59
#define KEY_MASK  15u

/* A paging mode's tables. What is at @level is found by @index_bits of the linear address. */
static const struct layout {
	u32 levels;
	u32 index_bits;
	u32 entry_size;
	u32 linear_bits;
	u32 root_align; /* log2 of the alignment of what CR3 points to */
} layouts[] = {
	[PTWALK_32_BIT] = {2, 10, 4, 32, 12},
	[PTWALK_PAE] = {3, 9, 8, 32, 5}, /* at level 3 two bits are left of the address */
	[PTWALK_4_LEVEL] = {4, 9, 8, 48, 12},
	[PTWALK_5_LEVEL] = {5, 9, 8, 57, 12},
};

struct walk {
	const struct ptwalk_mode *mode;
	const struct ptwalk_memory *memory;
	const struct ptwalk_access *access;
	enum ptwalk_paging paging;
	const struct layout *layout;
	u64 linear;
	struct ptwalk_result *r;
};

/* Bits @low to @high, both included; none if @low is above @high. */
static u64 bits(u32 low, u32 high)
{
	return low > high ? 0 : (~(u64)0 >> (63 - high)) & (~(u64)0 << low);
}

enum ptwalk_paging ptwalk_paging(const struct ptwalk_mode *mode)
{
	if (!(mode->cr0 & CR0_PG))
		return PTWALK_OFF;
	if (mode->efer & EFER_LMA)
		return mode->cr4 & CR4_LA57 ? PTWALK_5_LEVEL : PTWALK_4_LEVEL;
	return mode->cr4 & CR4_PAE ? PTWALK_PAE : PTWALK_32_BIT;
}

static bool is_long(const struct walk *w)
{
	return w->paging >= PTWALK_4_LEVEL;
}

/* PDPTEs of PAE paging have neither rights nor accessed bits. */
static bool is_bare(const struct walk *w, u32 level)
{
	return w->paging == PTWALK_PAE && level == 3;
}

static u32 level_shift(const struct walk *w, u32 level)
{
	return PAGE_SHIFT + w->layout->index_bits * (level - 1);
}

/* Whether the present @entry maps a page, rather than lead to another table. */
static bool is_leaf(const struct walk *w, u32 level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTWALK_LARGE))
		return false;
	if (level == 2)
		return w->paging != PTWALK_32_BIT || (w->mode->cr4 & CR4_PSE);
	return level == 3 && is_long(w) && w->mode->gib_pages;
}

/*
 * 32-bit entries have no room for reserved bits but in a large page's: there bits 20 to 13 are 39
 * to 32 of the address, as far as the processor has them, if it has PSE-36.
 */
static u64 reserved_32_bit(const struct walk *w, bool leaf, u32 level)
{
	u32 address_bits = w->mode->pse36 ? MIN((u32)w->mode->maxphyaddr, 40u) : 32;

	return leaf && level == 2 ? bits(13 + address_bits - 32, 21) : 0;
}

/* The bits that must be zero in the present @entry. */
static u64 reserved(const struct walk *w, u32 level, u64 entry)
{
	u32 maxphyaddr = w->mode->maxphyaddr;
	bool leaf = is_leaf(w, level, entry);
	u64 mask;

	if (w->paging == PTWALK_32_BIT)
		return reserved_32_bit(w, leaf, level);
	if (is_bare(w, level)) /* registers were checked when they were loaded */
		return w->mode->pdptes ? 0 : bits(1, 2) | bits(5, 8) | bits(maxphyaddr, 63);
	mask = bits(maxphyaddr, is_long(w) ? 51 : 62);
	if (!(w->mode->efer & EFER_NXE))
		mask |= PTWALK_NX;
	if (leaf && level > 1) /* bit 12 is a large page's PAT */
		mask |= bits(13, level_shift(w, level) - 1);
	if (!leaf && level >= 3)
		mask |= PTWALK_LARGE;
	if (level >= 4 && w->mode->amd)
		mask |= PTWALK_GLOBAL;
	return mask;
}

/* Read the entry at @level of the table at @table, and note the step. */
static bool read_entry(struct walk *w, u32 level, u64 table, u64 *entry)
{
	u32 size = w->layout->entry_size;
	u64 index = w->linear >> level_shift(w, level) & bits(0, w->layout->index_bits - 1);
	struct ptwalk_step *step = &w->r->steps[w->r->nr_steps++];

	*step = (struct ptwalk_step){.level = level, .at = gpa(table + index * size)};
	if (is_bare(w, level) && w->mode->pdptes)
		step->entry = w->mode->pdptes[index];
	else if (!w->memory->read(w->memory->opaque, step->at, size, &step->entry))
		return false;
	*entry = step->entry;
	return true;
}

/* What the error code says of the access itself. */
static u32 access_error(const struct walk *w)
{
	const struct ptwalk_mode *m = w->mode;
	bool nx = (m->cr4 & CR4_PAE) && (m->efer & EFER_NXE);
	u32 error = 0;

	if (w->access->kind == PTWALK_WRITE)
		error |= PTWALK_ERROR_WRITE;
	if (w->access->by == PTWALK_BY_USER)
		error |= PTWALK_ERROR_USER;
	if (w->access->kind == PTWALK_FETCH && (nx || (m->cr4 & CR4_SMEP)))
		error |= PTWALK_ERROR_FETCH;
	return error;
}

static enum ptwalk_outcome fault(struct walk *w, u32 why)
{
	w->r->error = access_error(w) | why;
	return PTWALK_FAULT;
}

static void add_rights(struct walk *w, u32 level, u64 entry)
{
	if (is_bare(w, level))
		return;
	w->r->writable &= !!(entry & PTWALK_WRITABLE);
	w->r->user &= !!(entry & PTWALK_USER);
	/* where it is reserved, or 32-bit entries have none, it is not set here */
	w->r->executable &= !(entry & PTWALK_NX);
}

/* Where the page of the leaf @entry begins, with the linear address's offset into it. */
static void map(struct walk *w, u32 level, u64 entry)
{
	u32 shift = level_shift(w, level);
	u64 page = entry & bits(shift, 51);

	if (w->paging == PTWALK_32_BIT && level == 2)
		page |= (entry & bits(13, 20)) << (32 - 13);
	w->r->at = gpa(page | (w->linear & bits(0, shift - 1)));
	w->r->shift = shift;
	w->r->key = is_long(w) ? entry >> KEY_SHIFT & KEY_MASK : 0;
}

/* Down to the page. */
static enum ptwalk_outcome descend(struct walk *w)
{
	u64 entry, table = w->mode->cr3 & bits(w->layout->root_align, is_long(w) ? 51 : 31);

	w->r->nr_steps = 0;
	w->r->writable = w->r->user = w->r->executable = true;
	for (u32 level = w->layout->levels;; level--) {
		if (!read_entry(w, level, table, &entry))
			return PTWALK_NO_MEMORY;
		if (!(entry & PTWALK_PRESENT))
			return fault(w, 0);
		if (entry & reserved(w, level, entry))
			return fault(w, PTWALK_ERROR_PRESENT | PTWALK_ERROR_RESERVED);
		add_rights(w, level, entry);
		if (is_leaf(w, level, entry)) {
			map(w, level, entry);
			return PTWALK_DONE;
		}
		table = entry & bits(PAGE_SHIFT, 51);
	}
}

/* CR0.WP off lets supervisors write where the tables or a key forbid it. */
static bool ignores_protection(const struct walk *w)
{
	return w->access->by != PTWALK_BY_USER && !(w->mode->cr0 & CR0_WP);
}

static bool key_allows(const struct walk *w)
{
	u32 rights = w->mode->pkru >> 2 * w->r->key;

	if (!is_long(w) || !(w->mode->cr4 & CR4_PKE) || !w->r->user ||
	    w->access->kind == PTWALK_FETCH)
		return true;
	if (rights & 1)
		return false;
	return !(rights & 2) || w->access->kind != PTWALK_WRITE || ignores_protection(w);
}

/* Whether the page is on the side of the privilege that the access may touch. */
static bool side_allows(const struct walk *w)
{
	const struct ptwalk_mode *m = w->mode;

	if (w->access->by == PTWALK_BY_USER)
		return w->r->user;
	if (!w->r->user)
		return true;
	if (w->access->kind == PTWALK_FETCH)
		return !(m->cr4 & CR4_SMEP);
	return !(m->cr4 & CR4_SMAP) ||
	       (w->access->by == PTWALK_BY_SUPERVISOR && (m->rflags & RFLAGS_AC));
}

static enum ptwalk_outcome check_rights(struct walk *w)
{
	bool allowed = side_allows(w);
	u32 why = PTWALK_ERROR_PRESENT;

	if (w->access->kind == PTWALK_WRITE)
		allowed &= w->r->writable || ignores_protection(w);
	if (w->access->kind == PTWALK_FETCH)
		allowed &= w->r->executable;
	/* the key has its bit in the error code even where something else forbids it, too */
	if (!key_allows(w)) {
		allowed = false;
		why |= PTWALK_ERROR_KEY;
	}
	return allowed ? PTWALK_DONE : fault(w, why);
}

/* Accessed bits on the way, the page's dirty bit. False when an entry is not what was read. */
static bool set_bits(struct walk *w)
{
	const struct ptwalk_memory *memory = w->memory;

	for (u32 i = 0; i < w->r->nr_steps; i++) {
		const struct ptwalk_step *step = &w->r->steps[i];
		u64 want = step->entry | PTWALK_ACCESSED;

		if (is_bare(w, step->level))
			continue;
		if (i == w->r->nr_steps - 1 && w->access->kind == PTWALK_WRITE)
			want |= PTWALK_DIRTY;
		if (want != step->entry &&
		    !memory->cmpxchg(memory->opaque, step->at, w->layout->entry_size, step->entry,
				     want))
			return false;
	}
	return true;
}

static enum ptwalk_outcome walk_off(struct walk *w)
{
	w->r->at = gpa(w->linear);
	w->r->shift = PAGE_SHIFT;
	w->r->writable = w->r->user = w->r->executable = true;
	return PTWALK_DONE;
}

enum ptwalk_outcome ptwalk(const struct ptwalk_mode *mode, const struct ptwalk_memory *memory,
			   const struct ptwalk_access *access, u64 linear, struct ptwalk_result *r)
{
	enum ptwalk_paging paging = ptwalk_paging(mode);
	struct walk w = {
		.mode = mode,
		.memory = memory,
		.access = access,
		.paging = paging,
		.layout = &layouts[paging],
		.linear = paging < PTWALK_4_LEVEL ? (u32)linear : linear,
		.r = r,
	};

	*r = (struct ptwalk_result){0};
	if (paging == PTWALK_OFF)
		return walk_off(&w);
	if (is_long(&w) && !linear_is_canonical(linear, w.layout->linear_bits))
		return PTWALK_NOT_CANONICAL;
	for (u32 i = 0; i < PTWALK_TRIES; i++) {
		enum ptwalk_outcome outcome = descend(&w);

		if (outcome == PTWALK_DONE)
			outcome = check_rights(&w);
		if (outcome != PTWALK_DONE || !memory->cmpxchg || set_bits(&w))
			return outcome;
	}
	return PTWALK_RACED;
}

/*
 * The guest's walk reads one entry at each of its g levels. Each of them, and then the page, has a
 * guest-physical address, which the host's tables translate by h references of their own: CR3's for
 * the first entry, each entry's for the next, the last entry's for the page. So
 *
 *	g * (h + 1) + h = (g + 1) * (h + 1) - 1
 *
 * Shadow paging walks one table: g with h = 0. Nested, of 4 levels each: 24; with a page of 2 MiB
 * on one side, whichever it is: 19; on both: 15. With 5 levels on both: 35.
 */
u32 ptwalk_references(u32 guest_levels, u32 host_levels)
{
	return (guest_levels + 1) * (host_levels + 1) - 1;
}
