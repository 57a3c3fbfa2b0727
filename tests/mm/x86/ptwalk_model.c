// SPDX-License-Identifier: Apache-2.0
/* Contract in ptwalk_model.h. */
#include "tests/mm/x86/ptwalk_model.h"

#include "tests/lib/test.h"

#include <string.h>

_Alignas(4096) u8 ram[RAM_SIZE];

bool ram_read(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	(void)opaque;
	if (at.v % size)
		fail_msg("entry of %u bytes at 0x%lx", size, at.v);
	*entry = 0;
	if (!range_fits(at.v, size, RAM_SIZE))
		return false;
	memcpy(entry, ram + at.v, size);
	return true;
}

u64 peek(u64 at, u32 size)
{
	u64 entry;

	if (!ram_read(NULL, gpa(at), size, &entry))
		fail_msg("no memory at 0x%lx", at);
	return entry;
}

void poke(u64 at, u32 size, u64 entry)
{
	if (!range_fits(at, size, RAM_SIZE))
		fail_msg("no memory at 0x%lx", at);
	memcpy(ram + at, &entry, size);
}

void collect(const struct ptwalk_mode *m, u64 linear, struct collected *c)
{
	bool lma = on(m->efer, EFER_LMA), pae = on(m->cr4, CR4_PAE);
	u64 base = m->cr3;

	c->levels = lma ? (on(m->cr4, CR4_LA57) ? 5 : 4) : pae ? 3 : 2;
	c->size = lma || pae ? 8 : 4;
	base &= lma ? BIT(52) - 4096 : pae ? BIT(32) - 32 : BIT(32) - 4096;
	if (!lma)
		linear &= 0xffffffff;
	for (c->n = 0; c->n < c->levels; c->n++) {
		u32 level = c->levels - c->n, i = c->n;
		u64 index = c->size == 4 ? linear >> (level == 2 ? 22 : 12) & 1023
					 : linear >> (12 + (level - 1) * 9) & 511;

		c->at[i] = base + index * c->size;
		c->absent[i] = c->at[i] >= RAM_SIZE;
		c->entry[i] = c->absent[i] ? 0 : peek(c->at[i], c->size);
		if (c->levels == 3 && i == 0 && m->pdptes) {
			c->entry[i] = m->pdptes[index];
			c->absent[i] = false;
		}
		c->after[i] = c->entry[i];
		base = c->entry[i] & (BIT(m->maxphyaddr) - 4096);
	}
}

/* The page's size if entry @i maps one, else 0. */
static u32 maps(const struct ptwalk_mode *m, const struct collected *c, u32 i)
{
	u32 level = c->levels - i;

	if (level == 1)
		return 12;
	if (!on(c->entry[i], BIT(7)))
		return 0;
	if (c->size == 4)
		return on(m->cr4, CR4_PSE) ? 22 : 0;
	if (level == 2)
		return 21;
	return level == 3 && c->levels > 3 && m->gib_pages ? 30 : 0;
}

static bool has_reserved(const struct ptwalk_mode *m, const struct collected *c, u32 i)
{
	u32 level = c->levels - i, shift = maps(m, c, i);
	bool nxe = on(m->efer, EFER_NXE);

	for (u64 left = c->entry[i]; left; left &= left - 1) {
		u32 b = (u32)__builtin_ctzll(left);
		bool bad = false;

		if (c->size == 4 && shift == 22 && m->pse36)
			bad |= b >= 13u + m->maxphyaddr - 32 && b <= 21;
		if (c->size == 4 && shift == 22)
			bad |= (!m->pse36 && b >= 13 && b <= 21) || b == 21;
		if (c->size == 8 && c->levels == 3 && level == 3)
			bad |= !m->pdptes &&
			       (b == 1 || b == 2 || (b >= 5 && b <= 8) || b >= m->maxphyaddr);
		if (c->size == 8 && c->levels == 3 && level < 3)
			bad |= b >= m->maxphyaddr && b < 63;
		if (c->levels > 3)
			bad |= (b >= m->maxphyaddr && b < 52) || (level > 3 && b == 7) ||
			       (level > 3 && b == 8 && m->amd) ||
			       (level == 3 && b == 7 && !m->gib_pages);
		if (c->size == 8 && !(c->levels == 3 && level == 3))
			bad |= b == 63 && !nxe;
		if (shift == 21)
			bad |= b >= 13 && b <= 20;
		if (shift == 30)
			bad |= b >= 13 && b <= 29;
		if (bad)
			return true;
	}
	return false;
}

/* Rights, by the manual's list: who, what, on which kind of address. */
static bool granted(const struct ptwalk_mode *m, const struct ptwalk_access *a,
		    const struct expected *e)
{
	bool wp = on(m->cr0, CR0_WP), ac = on(m->rflags, RFLAGS_AC);
	bool smap = on(m->cr4, CR4_SMAP), smep = on(m->cr4, CR4_SMEP);

	if (a->by == PTWALK_BY_USER) {
		if (!e->u)
			return false;
		return a->kind == PTWALK_READ || (a->kind == PTWALK_WRITE ? e->w : e->x);
	}
	if (a->kind == PTWALK_FETCH)
		return e->x && !(e->u && smep);
	if (e->u && smap && !ac)
		return false;
	if (e->u && smap && a->by == PTWALK_BY_IMPLICIT)
		return false;
	return a->kind == PTWALK_READ || !wp || e->w;
}

static bool key_denies(const struct ptwalk_mode *m, const struct ptwalk_access *a,
		       const struct expected *e)
{
	bool ad = on(m->pkru, BIT(2 * e->key)), wd = on(m->pkru, BIT(2 * e->key + 1));
	bool wp = on(m->cr0, CR0_WP);

	if (!on(m->efer, EFER_LMA) || !on(m->cr4, CR4_PKE))
		return false;
	if (!e->u || a->kind == PTWALK_FETCH)
		return false;
	return ad || (wd && a->kind == PTWALK_WRITE && (wp || a->by == PTWALK_BY_USER));
}

static u32 error_of(const struct ptwalk_mode *m, const struct ptwalk_access *a)
{
	u32 error = 0;

	if (a->kind == PTWALK_WRITE)
		error |= 2;
	if (a->by == PTWALK_BY_USER)
		error |= 4;
	if (a->kind == PTWALK_FETCH && on(m->cr4, CR4_SMEP))
		error |= 16;
	if (a->kind == PTWALK_FETCH && on(m->cr4, CR4_PAE) && on(m->efer, EFER_NXE))
		error |= 16;
	return error;
}

/* What all of them grant: PDPTEs of PAE paging have no rights. */
static void unite(struct expected *e, u64 linear)
{
	const struct collected *c = &e->c;
	u64 leaf = c->entry[c->n - 1];

	e->w = e->u = e->x = true;
	for (u32 i = c->levels == 3 ? 1 : 0; i < c->n; i++) {
		e->w &= on(c->entry[i], BIT(1));
		e->u &= on(c->entry[i], BIT(2));
		e->x &= !on(c->entry[i], BIT(63));
	}
	e->key = c->levels > 3 ? leaf >> 59 & 15 : 0;
	e->at = (leaf & (BIT(52) - 1)) >> e->shift << e->shift;
	if (e->shift == 22)
		e->at |= (leaf >> 13 & 255) << 32;
	e->at |= linear & (BIT(e->shift) - 1);
}

void expect(const struct ptwalk_mode *m, const struct ptwalk_access *a, u64 linear,
	    struct expected *e)
{
	bool denied, by_key;

	memset(e, 0, sizeof(*e));
	collect(m, linear, &e->c);
	e->error = error_of(m, a);
	for (u32 i = 0; i < e->c.levels; i++) {
		e->c.n = i + 1;
		e->outcome = PTWALK_FAULT;
		if (e->c.absent[i])
			e->outcome = PTWALK_NO_MEMORY;
		if (!on(e->c.entry[i], BIT(0)))
			return;
		if (has_reserved(m, &e->c, i)) {
			e->error |= 1 | 8;
			return;
		}
		e->shift = maps(m, &e->c, i);
		if (e->shift)
			break;
	}
	unite(e, linear);
	by_key = key_denies(m, a, e);
	denied = by_key || !granted(m, a, e);
	e->error |= denied | by_key << 5;
	e->outcome = denied ? PTWALK_FAULT : PTWALK_DONE;
	for (u32 i = e->c.levels == 3 ? 1 : 0; i < e->c.n && !denied; i++)
		e->c.after[i] |= BIT(5);
	if (!denied && a->kind == PTWALK_WRITE)
		e->c.after[e->c.n - 1] |= BIT(6);
}
