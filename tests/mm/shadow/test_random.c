// SPDX-License-Identifier: Apache-2.0
/*
 * Shadow tables of a guest that does anything: random tables, among them loops, reserved bits,
 * tables that map tables, places without memory, large pages; random accesses; entries written by
 * the VMM and by the guest itself; flushes, pages that move, arenas that are far too small.
 *
 * What an access may find: what the guest's tables say now; or, for an entry that the guest itself
 * has changed, any value that it had since this processor last flushed. A fault that the guest gets
 * is always that of its tables now.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "tests/mm/shadow/shadow_fixture.h"

#define NR_TABLES     40u /* frames that entries mostly point to */
#define MAX_HISTORY   64u
#define NR_FAVOURITES 12u

/* An entry's value before the guest itself changed it. */
struct past {
	u64 frame;
	u32 index;
	u64 entry;
	u32 cpus; /* mask of those that have not flushed since */
};

struct play {
	struct world *w;
	u64 seed;
	u64 tables[NR_TABLES];
	u64 favourites[NR_FAVOURITES]; /* addresses that led somewhere */
	bool ever_table[NR_FRAMES];
	struct past history[MAX_HISTORY];
	u32 nr_history;
	u64 reached, faults, stale, excess, direct;
};

static u32 below(struct play *p, u32 limit)
{
	return (u32)random_below(&p->seed, limit);
}

static bool chance(struct play *p, u32 percent)
{
	return below(p, 100) < percent;
}

static u64 random_frame(struct play *p)
{
	if (chance(p, 90))
		return p->tables[below(p, NR_TABLES)];
	return below(p, NR_FRAMES + 10);
}

static u64 random_entry(struct play *p)
{
	u64 entry = random_frame(p) << PAGE_SHIFT;

	entry |= chance(p, 96) ? E_P : 0;
	entry |= chance(p, 90) ? E_W : 0;
	entry |= chance(p, 82) ? E_U : 0;
	entry |= chance(p, 50) ? E_A : 0;
	entry |= chance(p, 30) ? E_D : 0;
	entry |= chance(p, 8) ? E_X : 0;
	entry |= chance(p, 20) ? PTWALK_GLOBAL : 0;
	entry |= chance(p, 20) ? (u64)below(p, 1 << 10) << 52 : 0; /* ignored */
	if (chance(p, 5)) {
		entry |= E_L;
		if (chance(p, 80)) /* aligned */
			entry &= ~(u64)(2 * MiB - 1) | (PAGE_SIZE - 1);
	}
	return chance(p, 2) ? entry | (u64)1 << 45 : entry;
}

/* Few different ones, so that they meet; among them neighbours. */
static u32 random_index(struct play *p)
{
	static const u32 some[] = {0, 1, 2, 3, 15, 16, 255, 256, 511, FIXED_AT};

	return some[chance(p, 90) ? below(p, 4) : below(p, ARRAY_SIZE(some))];
}

static u64 random_linear(struct play *p)
{
	u32 i4 = random_index(p), i3 = random_index(p), i2 = random_index(p);

	if (chance(p, 75))
		return p->favourites[below(p, NR_FAVOURITES)] + below(p, PAGE_SIZE);
	return LINEAR(i4, i3, i2, random_index(p)) + below(p, PAGE_SIZE);
}

static void random_tables(struct play *p)
{
	for (u32 i = 0; i < NR_TABLES; i++)
		p->tables[i] = i % 2 ? below(p, 512) : 512 + below(p, NR_FRAMES - 512);
	for (u32 i = 0; i < NR_TABLES; i++) {
		for (u32 n = 0; n < 60; n++)
			p->w->ram[p->tables[i]][n < 40 ? random_index(p) : below(p, 512)] =
				random_entry(p);
	}
}

/* ---- What an access may find ---- */

struct sought {
	struct play *p;
	u32 cpu;
	enum shadow_view view;
	enum ptwalk_kind kind;
	u64 linear, machine;
};

static bool finds(const struct sought *t, u32 level, u64 table, u64 rights);

static bool finds_page(const struct sought *t, u32 level, u64 entry, u64 above)
{
	u64 machine, span = (u64)1 << 9 * (level - 1);
	u64 frame = (entry & (((u64)1 << MAXPHYADDR) - PAGE_SIZE)) >> PAGE_SHIFT;
	bool excess = t->view == SHADOW_KERNEL && level == 1 && (above & E_W) &&
		      !(above & entry & E_U) && frame < NR_FRAMES && t->p->ever_table[frame];

	frame = align_down(frame, span) + (t->linear >> PAGE_SHIFT) % span;
	if (!world_where(t->p->w, frame, &machine) || machine != t->machine)
		return false;
	if (t->kind != PTWALK_WRITE || excess)
		return true;
	return (above & entry & E_W) && (entry & E_D);
}

static bool finds_by(const struct sought *t, u32 level, u64 entry, u64 above)
{
	u64 need = E_P | E_A | (t->view == SHADOW_USER ? E_U : 0);
	u64 reserved = ((u64)1 << 52) - ((u64)1 << MAXPHYADDR);

	if ((entry & need) != need || (entry & reserved))
		return false;
	if (t->kind == PTWALK_FETCH && (entry & E_X))
		return false;
	if (level == 1 || (level < 4 && (entry & E_L)))
		return finds_page(t, level, entry, above);
	return finds(t, level - 1, (entry & (((u64)1 << 52) - PAGE_SIZE)) >> PAGE_SHIFT,
		     above & entry);
}

/* Whether some way through entries as they are or were leads there. */
/* @above: the rights of the entries above. */
static bool finds(const struct sought *t, u32 level, u64 table, u64 above)
{
	const struct play *p = t->p;
	u32 index = t->linear >> (12 + 9 * (level - 1)) & 511;

	if (table >= NR_FRAMES || p->w->hole[table])
		return false;
	if (finds_by(t, level, p->w->ram[table][index], above))
		return true;
	for (u32 i = 0; i < p->nr_history; i++) {
		const struct past *h = &p->history[i];

		if (h->frame == table && h->index == index && (h->cpus >> t->cpu & 1) &&
		    finds_by(t, level, h->entry, above))
			return true;
	}
	return false;
}

static void check_reached(const struct sought *t)
{
	struct ptwalk_result r;
	struct play *p = t->p;
	u64 root = p->w->cpus[t->cpu].frames[t->view], machine = 0;
	bool now = world_walk(p->w, t->view, root, t->linear, t->kind, &r) == PTWALK_DONE &&
		   world_where(p->w, r.at.v >> PAGE_SHIFT, &machine) && machine == t->machine;

	p->reached++;
	for (u32 i = 0; i < r.nr_steps; i++)
		now &= !!(r.steps[i].entry & E_A);
	if (t->kind == PTWALK_WRITE)
		now &= !!(r.steps[r.nr_steps - 1].entry & E_D);
	if (now)
		return;
	if (!finds(t, 4, root, E_W | E_U))
		fail_msg("cpu %u reached 0x%lx by 0x%lx, view %u, kind %u: error %x, 0x%lx", t->cpu,
			 t->machine, t->linear, t->view, t->kind, r.error, r.at.v);
	p->stale++;
	p->excess += r.error == (PTWALK_ERROR_PRESENT | PTWALK_ERROR_WRITE);
}

static void check_fault(const struct sought *t, enum shadow_outcome outcome, u32 error)
{
	struct play *p = t->p;
	struct ptwalk_result r;
	u64 root = p->w->cpus[t->cpu].frames[t->view], machine;
	u32 of_access = (t->kind == PTWALK_WRITE   ? PTWALK_ERROR_WRITE
			 : t->kind == PTWALK_FETCH ? PTWALK_ERROR_FETCH
						   : 0) |
			(t->view == SHADOW_USER ? PTWALK_ERROR_USER : 0);
	enum ptwalk_outcome walk;

	p->faults++;
	if ((t->linear >> 39 & 511) - FIXED_AT < NR_FIXED || root == SHADOW_NO_ROOT) {
		assert_int_equal(outcome, SHADOW_FAULT);
		assert_int_equal(error, of_access);
		return;
	}
	walk = world_walk(p->w, t->view, root, t->linear, t->kind, &r);
	if (outcome == SHADOW_NO_MEMORY) {
		if (walk == PTWALK_FAULT && r.error == (PTWALK_ERROR_PRESENT | PTWALK_ERROR_WRITE))
			/* read-only, and a table */
			walk = world_walk(p->w, t->view, root, t->linear, PTWALK_READ, &r);
		assert_true(walk == PTWALK_NO_MEMORY ||
			    (walk == PTWALK_DONE &&
			     !world_where(p->w, r.at.v >> PAGE_SHIFT, &machine)));
	} else if (walk == PTWALK_NO_MEMORY) {
		assert_int_equal(r.nr_steps, 1);
		assert_int_equal(error, of_access);
	} else {
		assert_int_equal(walk, PTWALK_FAULT);
		assert_int_equal(error, r.error);
	}
}

/* Frames that the walk would take as tables: the kernel may write them from now on. */
static void note_tables(struct play *p, u32 cpu, enum shadow_view view, u64 linear)
{
	struct ptwalk_result r;

	world_walk(p->w, view, p->w->cpus[cpu].frames[view], linear, PTWALK_READ, &r);
	for (u32 i = 0; i < r.nr_steps; i++) {
		if (gpa_gfn(r.steps[i].at).v < NR_FRAMES)
			p->ever_table[gpa_gfn(r.steps[i].at).v] = true;
	}
}

/* ---- What happens ---- */

static bool random_access(struct play *p, enum ptwalk_kind kind, u64 *machine)
{
	struct sought t = {
		.p = p,
		.cpu = below(p, p->w->cfg.nr_cpus),
		.view = below(p, SHADOW_NR_VIEWS),
		.kind = kind,
		.linear = random_linear(p),
	};
	enum shadow_outcome outcome;
	u32 error;

	note_tables(p, t.cpu, t.view, t.linear);
	outcome = cpu_access(p->w, t.cpu, t.view, t.linear, kind, machine, &error, NULL);
	t.machine = *machine;
	if (outcome != SHADOW_FILLED) {
		check_fault(&t, outcome, error);
		return false;
	}
	check_reached(&t);
	if (chance(p, 20))
		p->favourites[below(p, NR_FAVOURITES)] = align_down(t.linear, PAGE_SIZE);
	return true;
}

static void flush(struct play *p, u32 cpu)
{
	u32 kept = 0;

	world_flush(p->w, cpu);
	for (u32 i = 0; i < p->nr_history; i++) {
		p->history[i].cpus &= ~(1u << cpu);
		if (p->history[i].cpus)
			p->history[kept++] = p->history[i];
	}
	p->nr_history = kept;
}

/* Wherever it can write, the guest writes an entry. */
static void write_directly(struct play *p)
{
	u64 machine, frame;
	u32 index = random_index(p);

	if (p->nr_history == MAX_HISTORY || !random_access(p, PTWALK_WRITE, &machine))
		return;
	p->direct++;
	frame = world_frame(p->w, machine);
	p->history[p->nr_history++] = (struct past){frame, index, p->w->ram[frame][index],
						    (1u << p->w->cfg.nr_cpus) - 1};
	p->w->ram[frame][index] = random_entry(p);
}

static void random_roots(struct play *p)
{
	u64 frames[SHADOW_NR_VIEWS];
	u32 cpu = below(p, p->w->cfg.nr_cpus);

	for (u32 i = 0; i < SHADOW_NR_VIEWS; i++) {
		frames[i] = p->tables[below(p, 3)];
		if (chance(p, 10))
			frames[i] = chance(p, 50) ? SHADOW_NO_ROOT : NR_FRAMES + 3;
		else
			p->ever_table[frames[i]] = true;
	}
	world_roots(p->w, cpu, frames[0], frames[1]);
	flush(p, cpu); /* as a load of CR3 is */
}

/* Two frames change places on the machine. */
static void move_pages(struct play *p)
{
	u64 frame = (512 + below(p, NR_FRAMES - 512)) & ~1u;

	if (chance(p, 50))
		frame = p->tables[2 * below(p, NR_TABLES / 2)] & ~(u64)1;
	shadow_unmap_frame(p->w->s, frame);
	shadow_unmap_frame(p->w->s, frame + 1);
	assert_int_equal(shadow_unmap_frame(p->w->s, frame), 0);
	p->w->swapped[frame] ^= true;
	p->w->swapped[frame + 1] ^= true;
}

static void random_step(struct play *p)
{
	u32 what = below(p, 1000);
	u64 machine, frame = random_frame(p);
	u64 table = p->tables[below(p, NR_TABLES)];

	if (what < 600) {
		random_access(p, below(p, 3), &machine);
	} else if (what < 700) {
		world_write(p->w, table, random_index(p), random_entry(p));
	} else if (what < 820) {
		write_directly(p);
	} else if (what < 870) {
		flush(p, below(p, p->w->cfg.nr_cpus));
	} else if (what < 900) {
		for (u32 i = 0; i < p->w->cfg.nr_cpus; i++)
			flush(p, i);
		assert_int_equal(p->nr_history, 0);
	} else if (what < 930) {
		random_roots(p);
	} else if (what < 945) {
		shadow_forget_table(p->w->s, frame);
		if (frame < NR_FRAMES)
			p->ever_table[frame] = false;
	} else if (what < 960) {
		shadow_note_table(p->w->s, table);
		p->ever_table[table] = true;
	} else if (what < 975) {
		shadow_protect_frame(p->w->s, frame);
		assert_int_equal(shadow_protect_frame(p->w->s, frame), 0);
	} else if (what < 990) {
		move_pages(p);
	} else if (what == 999) {
		shadow_drop_all(p->w->s);
	}
}

/* What the run is to have met, or it proves little. */
static void check_variety(const struct play *p, const struct shadow_stats *s)
{
	assert_true(p->reached > 2000 && p->faults > 2000 && p->stale > 20 && p->excess > 10);
	assert_true(p->direct > 500 && s->fills > 1000 && s->dirty_sets > 10);
	assert_true(s->prefills > 5000 && s->table_writes > 200 && p->w->touches > 5000);
	assert_true(s->unsyncs > 100 && s->syncs > 100 && s->tables_made > 2000);
}

static void play(u64 seed, u32 pages, u32 nr_cpus, bool lazy, u32 steps)
{
	struct play *p = calloc(1, sizeof(*p));
	struct shadow_stats stats;

	assert_non_null(p);
	p->w = world_new(pages, nr_cpus, lazy);
	p->seed = seed;
	for (u32 i = 0; i < 3; i++)
		p->w->hole[600 + 7 * i] = p->w->hole[(600 + 7 * i) ^ 1] = true;
	random_tables(p);
	for (u32 i = 0; i < nr_cpus; i++)
		random_roots(p);
	for (u32 i = 0; i < steps; i++) {
		random_step(p);
		if (i % 16 == 0)
			world_check(p->w);
	}
	shadow_get_stats(p->w->s, &stats);
	check_variety(p, &stats);
	world_free(p->w);
	free(p);
}

static void test_roomy(void **state)
{
	(void)state;
	play(1, 150, 1, true, 30000);
	play(2, 150, 3, true, 30000);
}

static void test_without_kvm(void **state)
{
	(void)state;
	play(3, 100, 1, false, 20000);
	play(4, 100, 2, false, 20000);
}

static void test_tiny(void **state)
{
	(void)state;
	play(5, 22, 1, true, 25000);
	play(6, 28, 2, true, 25000);
	play(7, 34, 3, true, 25000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roomy),
		cmocka_unit_test(test_without_kvm),
		cmocka_unit_test(test_tiny),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
