// SPDX-License-Identifier: Apache-2.0
/* Contract in shadow_fixture.h. */
#include "tests/mm/shadow/shadow_fixture.h"

#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MACHINE 0x7000000000u
#define WHOLE_MACHINE 0x40000000u
#define REST_MACHINE  0x50000000u
#define ADDRESS	      (((u64)1 << 52) - PAGE_SIZE)

/* None open to CPL 3. */
static const u64 fixed[NR_FIXED] = {0x123456000 | E_P | E_W | E_A | E_D, 0};

/* ---- Guest memory ---- */

static bool entry_read(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	struct world *w = opaque;
	u64 frame = gpa_gfn(at).v;

	assert_int_equal(size, 8);
	if (frame >= NR_FRAMES || w->hole[frame])
		return false;
	*entry = w->ram[frame][at.v / 8 % SHADOW_ENTRIES];
	if (w->race_in && !--w->race_in)
		*w->raced = w->race_value;
	return true;
}

static bool entry_cmpxchg(void *opaque, gpa_t at, u32 size, u64 old, u64 new)
{
	struct world *w = opaque;
	u64 *entry = &w->ram[gpa_gfn(at).v][at.v / 8 % SHADOW_ENTRIES];

	assert_int_equal(size, 8);
	if (*entry != old)
		return false;
	*entry = new;
	return true;
}

static bool read_table(void *opaque, u64 frame, u64 entries[SHADOW_ENTRIES])
{
	struct world *w = opaque;

	if (frame >= NR_FRAMES || w->hole[frame])
		return false;
	memcpy(entries, w->ram[frame], PAGE_SIZE);
	return true;
}

bool world_where(const struct world *w, u64 frame, u64 *machine)
{
	if (frame >= NR_FRAMES || w->hole[frame])
		return false;
	if (frame < 512)
		*machine = WHOLE_MACHINE + frame * PAGE_SIZE;
	else
		*machine = REST_MACHINE +
			   ((frame ^ (w->swapped[frame] ? 0 : 1)) + w->shift) * PAGE_SIZE;
	return true;
}

static bool where(void *opaque, u64 frame, u64 *machine)
{
	return world_where(opaque, frame, machine);
}

u64 world_frame(const struct world *w, u64 machine)
{
	u64 frame, found;

	if (machine < REST_MACHINE) {
		frame = (machine - WHOLE_MACHINE) / PAGE_SIZE;
	} else {
		frame = (machine - REST_MACHINE) / PAGE_SIZE - w->shift;
		frame ^= frame < NR_FRAMES && w->swapped[frame] ? 0 : 1;
	}
	if (!world_where(w, frame, &found) || found != align_down(machine, PAGE_SIZE))
		fail_msg("0x%lx is no frame's", machine);
	return frame;
}

struct world *world_new(u32 pages, u32 nr_cpus, bool lazy)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->ram = calloc(NR_FRAMES, PAGE_SIZE);
	w->arena = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
	w->kvm = calloc(pages, PAGE_SIZE);
	assert_true(w->ram && w->arena && w->kvm);
	memset(w->arena, 0xa5, pages * PAGE_SIZE);
	w->lazy = lazy;
	w->cfg = (struct shadow_config){
		.guest = {.opaque = w,
			  .entries = {w, entry_read, entry_cmpxchg},
			  .table = read_table,
			  .where = where,
			  .nr_frames = NR_FRAMES},
		.arena = w->arena,
		.machine = ARENA_MACHINE,
		.pages = pages,
		.maxphyaddr = MAXPHYADDR,
		.first = FIXED_AT,
		.nr = NR_FIXED,
		.fixed = fixed,
		.nr_cpus = nr_cpus,
	};
	assert_int_equal(shadow_create(&w->s, &w->cfg), 0);
	for (u32 i = 0; i < nr_cpus; i++) {
		world_roots(w, i, SHADOW_NO_ROOT, SHADOW_NO_ROOT);
		memcpy(w->cpus[i].on, w->cpus[i].cr3, sizeof(w->cpus[i].on));
	}
	return w;
}

void world_free(struct world *w)
{
	shadow_destroy(w->s);
	free(w->ram);
	free(w->arena);
	free(w->kvm);
	free(w);
}

/* ---- Processors ---- */

void world_roots(struct world *w, u32 cpu, u64 kernel, u64 user)
{
	struct cpu *c = &w->cpus[cpu];

	c->frames[SHADOW_KERNEL] = kernel;
	c->frames[SHADOW_USER] = user;
	shadow_set_roots(w->s, cpu, c->frames, c->cr3);
	memset(c->tlb, 0, sizeof(c->tlb)); /* as a load of CR3 does */
}

/* The VMM's own entries are there on the roots that it comes from. */
static void check_way_in(struct world *w, struct cpu *c)
{
	for (u32 i = 0; i < SHADOW_NR_VIEWS; i++) {
		u64 page = (c->on[i] - ARENA_MACHINE) / PAGE_SIZE;

		assert_memory_equal(&w->arena[page][FIXED_AT], fixed, sizeof(fixed));
		c->on[i] = c->cr3[i];
	}
}

void world_enter(struct world *w, u32 cpu)
{
	struct cpu *c = &w->cpus[cpu];
	struct shadow_touch touches[7];
	u32 n;

	while ((n = shadow_touches(w->s, touches, ARRAY_SIZE(touches)))) {
		w->touches += n;
		for (u32 i = 0; i < n; i++) {
			u64 *copy = w->kvm[touches[i].page];

			assert_in_range(touches[i].page, 0, w->cfg.pages - 1);
			assert_in_range(touches[i].index, 0, SHADOW_ENTRIES);
			if (touches[i].index == SHADOW_ENTRIES)
				memset(copy, 0, PAGE_SIZE);
			else
				copy[touches[i].index] =
					w->arena[touches[i].page][touches[i].index];
		}
	}
	if (c->generation != shadow_generation(w->s))
		memset(c->tlb, 0, sizeof(c->tlb));
	c->generation = shadow_generation(w->s);
	shadow_flushed(w->s, cpu, c->generation);
	check_way_in(w, c);
}

/* An entry as the processor finds it. */
static u64 arena_entry(struct world *w, u64 table, u32 index)
{
	u64 page = (table - ARENA_MACHINE) / PAGE_SIZE;
	u64 *copy;

	if (page >= w->cfg.pages)
		fail_msg("0x%lx is no table", table);
	copy = &w->kvm[page][index];
	if (!w->lazy)
		return w->arena[page][index];
	if (!(*copy & E_P))
		*copy = w->arena[page][index];
	return *copy;
}

/* Its own accessed and dirty bits never need to be set, nothing is global, reserved bits are 0. */
static void check_entry(u32 level, u64 entry)
{
	bool leaf = level == 1 || (entry & E_L);
	u64 need = leaf ? E_A | E_D : E_A;

	if ((entry & need) != need || (entry & PTWALK_GLOBAL) || (level == 1 && (entry & E_L)) ||
	    (level > 2 && (entry & E_L)) || (entry & ((u64)0x7ff << 52)))
		fail_msg("entry 0x%lx at level %u", entry, level);
}

static bool hardware_walk(struct world *w, u64 table, u64 linear, struct translation *t)
{
	t->writable = t->executable = true;
	for (u32 level = 4;; level--) {
		u32 shift = 12 + 9 * (level - 1), index = linear >> shift & 511;
		u64 entry = arena_entry(w, table, index);

		if (level == 4 && index - FIXED_AT < NR_FIXED) {
			assert_int_equal(entry, fixed[index - FIXED_AT]);
			return false;
		}
		if (!(entry & E_P))
			return false;
		check_entry(level, entry);
		assert_true(entry & E_U);
		t->writable &= !!(entry & E_W);
		t->executable &= !(entry & E_X);
		if (level == 1 || (entry & E_L)) {
			u64 size = (u64)1 << shift;

			assert_false(entry & ADDRESS & (size - 1));
			t->machine = (entry & ADDRESS) + (linear & (size - 1) & ~(PAGE_SIZE - 1));
			return true;
		}
		table = entry & ADDRESS;
	}
}

bool cpu_try(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	     u64 *machine, u32 *error)
{
	struct cpu *c = &w->cpus[cpu];
	u64 page = align_down(linear, PAGE_SIZE);
	struct translation *t = &c->tlb[page / PAGE_SIZE * 0x9e3779b97f4a7c15u >> 59];

	*error = PTWALK_ERROR_USER;
	*error |= kind == PTWALK_WRITE ? PTWALK_ERROR_WRITE : 0;
	*error |= kind == PTWALK_FETCH ? PTWALK_ERROR_FETCH : 0;
	if (!t->valid || t->page != page || t->view != view) {
		*t = (struct translation){.page = page, .view = (u8)view};
		t->valid = hardware_walk(w, c->cr3[view], linear, t);
	}
	*machine = t->machine;
	if (t->valid && (kind != PTWALK_WRITE || t->writable) &&
	    (kind != PTWALK_FETCH || t->executable))
		return true;
	*error |= t->valid ? PTWALK_ERROR_PRESENT : 0;
	t->valid = false; /* as a fault does */
	return false;
}

enum shadow_outcome cpu_access(struct world *w, u32 cpu, enum shadow_view view, u64 linear,
			       enum ptwalk_kind kind, u64 *machine, u32 *error, u32 *faults)
{
	for (u32 tries = 0; tries < 24; tries++) {
		enum shadow_outcome outcome;

		world_enter(w, cpu);
		if (cpu_try(w, cpu, view, linear, kind, machine, error))
			return SHADOW_FILLED;
		if (faults)
			++*faults;
		outcome = shadow_fault(w->s, cpu, view, linear, error);
		/* the monitor makes the others come */
		for (u32 i = 0; i < w->cfg.nr_cpus && outcome == SHADOW_STARVED; i++)
			world_enter(w, i);
		if (outcome != SHADOW_FILLED && outcome != SHADOW_STARVED)
			return outcome;
	}
	fail_msg("no end of faults at 0x%lx, view %u, kind %u", linear, view, kind);
	return SHADOW_FAULT;
}

void world_flush(struct world *w, u32 cpu)
{
	shadow_sync(w->s);
	memset(w->cpus[cpu].tlb, 0, sizeof(w->cpus[cpu].tlb));
	world_enter(w, cpu);
}

void world_write(struct world *w, u64 frame, u32 index, u64 entry)
{
	u64 old = w->ram[frame][index];

	w->ram[frame][index] = entry;
	shadow_entry_written(w->s, frame, index, old, entry);
}

enum ptwalk_outcome world_walk(const struct world *w, enum shadow_view view, u64 root, u64 linear,
			       enum ptwalk_kind kind, struct ptwalk_result *r)
{
	const struct ptwalk_mode mode = {
		.cr0 = CR0_PG | CR0_WP,
		.cr3 = root << PAGE_SHIFT,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = MAXPHYADDR,
		.gib_pages = true,
	};
	const struct ptwalk_access access = {kind, view == SHADOW_USER ? PTWALK_BY_USER
								       : PTWALK_BY_SUPERVISOR};
	struct ptwalk_memory memory = w->cfg.guest.entries;

	memory.cmpxchg = NULL;
	return ptwalk(&mode, &memory, &access, linear, r);
}

void world_check(struct world *w)
{
	struct shadow_check seen;
	char why[128] = "";

	if (shadow_self_check(w->s, &seen, why))
		fail_msg("self-check: %s", why);
}

/* ---- A small guest ---- */

struct world *world_guest(u32 nr_cpus)
{
	struct world *w = world_new(100, nr_cpus, true);

	w->ram[ROOT][0] = POINTS(L3, E_TABLE);
	w->ram[L3][0] = POINTS(L2, E_TABLE);
	w->ram[L2][0] = POINTS(L1, E_TABLE);
	for (u32 i = 0; i < nr_cpus; i++)
		world_roots(w, i, ROOT, ROOT);
	return w;
}

void world_end(struct world *w)
{
	world_check(w);
	world_free(w);
}

struct shadow_stats world_stats(const struct world *w)
{
	struct shadow_stats stats;

	shadow_get_stats(w->s, &stats);
	return stats;
}

void reaches(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	     u64 frame, u32 faults)
{
	u64 machine;
	u32 error, n = 0;

	assert_int_equal(cpu_access(w, cpu, view, linear, kind, &machine, &error, &n),
			 SHADOW_FILLED);
	assert_int_equal(world_frame(w, machine), frame);
	assert_int_equal(n, faults);
}

void fails(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	   u32 expected)
{
	u64 machine;
	u32 error;

	assert_int_equal(cpu_access(w, cpu, view, linear, kind, &machine, &error, NULL),
			 SHADOW_FAULT);
	assert_int_equal(error, expected);
}
