// SPDX-License-Identifier: Apache-2.0
/* A Xen PV guest as it sees itself; see pv_guest.h. */
#include "tests/vmm/boot/pv_guest.h"

#include <stdlib.h>

#define UPPER (PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_USER | PTWALK_ACCESSED)

static bool read_entry(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	*entry = 0;
	return !space_read(opaque, at, entry, size);
}

bool pv_walk(const struct pv_guest *g, u64 va, struct ptwalk_result *r)
{
	const struct ptwalk_mode mode = {
		.cr0 = CR0_PG | CR0_WP,
		.cr3 = gfn_gpa(g->boot->root).v,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = 46,
	};
	const struct ptwalk_memory memory = {.opaque = (void *)g->space, .read = read_entry};
	const struct ptwalk_access access = {PTWALK_READ, PTWALK_BY_SUPERVISOR};

	return ptwalk(&mode, &memory, &access, va, r) == PTWALK_DONE;
}

u64 pv_at(const struct pv_guest *g, u64 va)
{
	struct ptwalk_result r;

	if (!pv_walk(g, va, &r))
		abort();
	return r.at.v;
}

bool pv_guest_init(struct pv_guest *g, const struct space *space, const struct outcome *out)
{
	struct ptwalk_result r;

	*g = (struct pv_guest){.space = space, .boot = &out->entry.pv};
	if (!pv_walk(g, out->entry.pv.start_info, &r))
		return false;
	g->info = r.at.v;
	return true;
}

u64 pv_info(const struct pv_guest *g, u64 field)
{
	return guest_u64(g->space, g->info + field);
}

u32 pv_info32(const struct pv_guest *g, u64 field)
{
	return guest_u32(g->space, g->info + field);
}

struct census {
	const struct pv_guest *g;
	u64 first1, nr1, first2, nr2;
	struct pv_census found;
};

static void look_at(struct census *c, u64 frame, int level)
{
	const u64 *table = space_ptr(c->g->space, gpa(frame << PAGE_SHIFT), PAGE_SIZE);

	c->found.tables++;
	if (!table || (frame - c->first1 >= c->nr1 && frame - c->first2 >= c->nr2)) {
		c->found.strays = true;
		return;
	}
	for (int i = 0; i < 512; i++) {
		if (!table[i])
			continue;
		if (level == 1)
			c->found.pages++;
		else if ((table[i] & (PAGE_SIZE - 1)) != UPPER ||
			 (level == 4 && i >= 256 && i < 272))
			c->found.strays = true;
		else
			look_at(c, table[i] >> PAGE_SHIFT, level - 1);
	}
}

struct pv_census pv_census(const struct pv_guest *g, u64 first1, u64 nr1, u64 first2, u64 nr2)
{
	struct census c = {.g = g, first1, nr1, first2, nr2, {0}};

	look_at(&c, g->boot->root.v, 4);
	return c.found;
}
