// SPDX-License-Identifier: Apache-2.0
/*
 * The rules of mm/shadow/shadow.h about the guest's writes to its tables, about several processors,
 * and about an arena that is full.
 */
#include "tests/lib/test.h"

#include "tests/mm/shadow/shadow_fixture.h"

#define KERNEL_RO (E_P | E_A)
#define KERNEL_RW (E_P | E_A | E_W | E_D)
#define RO_ERROR  (PTWALK_ERROR_PRESENT | PTWALK_ERROR_WRITE)

/* Where page i of the tables, by its frame, is mapped in all of these. */
#define TABLE_AT(frame) AT(100 + (frame))

/* The tables are mapped as the kernel's own, with @rights. */
static struct world *guest_with_tables(u32 nr_cpus, u64 rights)
{
	struct world *w = world_guest(nr_cpus);

	for (u32 frame = ROOT; frame <= OTHER; frame++)
		w->ram[L1][100 + frame] = POINTS(frame, rights);
	w->ram[L1][0] = POINTS(PAGES, E_PAGE);
	w->ram[L1][1] = POINTS(PAGES + 1, E_PAGE);
	w->ram[L2][1] = POINTS(OTHER, E_TABLE);
	w->ram[OTHER][0] = POINTS(PAGES + 2, E_PAGE);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 2, 1);
	return w;
}

/* The guest itself writes an entry, after @faults. */
static void writes(struct world *w, u64 frame, u32 index, u64 entry, u32 faults)
{
	reaches(w, 0, SHADOW_KERNEL, TABLE_AT(frame), PTWALK_WRITE, frame, faults);
	w->ram[frame][index] = entry;
}

static bool is_synced(const struct world *w, u64 frame)
{
	bool synced;

	assert_int_not_equal(shadow_table_level(w->s, frame, &synced), 0);
	return synced;
}

/* ---- Writes ---- */

static void test_unsync(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	assert_true(is_synced(w, OTHER));
	writes(w, OTHER, 0, POINTS(PAGES + 3, E_PAGE), 1);
	assert_false(is_synced(w, OTHER));
	writes(w, OTHER, 1, POINTS(PAGES + 4, E_PAGE), 0);
	/* what was there stays until the flush; what was not comes by a fault */
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 2, 0);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 1), PTWALK_READ, PAGES + 4, 1);
	world_check(w);
	world_flush(w, 0);
	assert_true(is_synced(w, OTHER));
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 3, 0);
	writes(w, OTHER, 0, 0, 1); /* it is protected again */
	world_flush(w, 0);
	fails(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, 0);
	assert_int_equal(world_stats(w).unsyncs, 2);
	assert_int_equal(world_stats(w).syncs, 2);
	assert_int_equal(world_stats(w).table_writes, 2);
	/* the guest's entry is not made dirty by it */
	assert_int_equal(w->ram[L1][100 + OTHER], POINTS(OTHER, KERNEL_RO));
	world_end(w);
}

/* A VMM's write to a table that is not in step. */
static void test_written_while_unsynced(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	writes(w, OTHER, 1, POINTS(PAGES + 4, E_PAGE), 1);
	world_write(w, OTHER, 0, POINTS(PAGES + 3, E_PAGE));
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 3, 0);
	assert_false(is_synced(w, OTHER));
	world_end(w);
}

/* A table of a higher level that is not needed for the write itself is dropped. */
static void test_upper_level(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	w->ram[L3][1] = POINTS(20, E_TABLE);
	w->ram[20][0] = POINTS(L1, E_TABLE);
	w->ram[L1][120] = POINTS(20, KERNEL_RO);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 1, 0, 0), PTWALK_READ, PAGES, 1);
	assert_int_equal(shadow_table_level(w->s, 20, NULL), 2);
	reaches(w, 0, SHADOW_KERNEL, AT(120), PTWALK_WRITE, 20, 1);
	assert_int_equal(shadow_table_level(w->s, 20, NULL), 0);
	world_check(w);
	/* it can still be written, and is protected as soon as it has a shadow again */
	w->ram[20][1] = POINTS(OTHER, E_TABLE);
	reaches(w, 0, SHADOW_KERNEL, AT(120), PTWALK_WRITE, 20, 0);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 1, 1, 0), PTWALK_READ, PAGES + 2, 1);
	assert_true(is_synced(w, 20));
	/* the second time in a row, it stays, unsynchronised */
	reaches(w, 0, SHADOW_KERNEL, AT(120), PTWALK_WRITE, 20, 1);
	assert_false(is_synced(w, 20));
	w->ram[20][1] = POINTS(L1, E_TABLE | E_A);
	world_flush(w, 0);
	assert_true(is_synced(w, 20));
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 1, 1, 0), PTWALK_READ, PAGES, 1);
	/* and then it is as at first */
	reaches(w, 0, SHADOW_KERNEL, AT(120), PTWALK_WRITE, 20, 1);
	assert_int_equal(shadow_table_level(w->s, 20, NULL), 0);
	world_end(w);
}

/* What the guest maps writable is no table any more. */
static void test_writable(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	w->ram[L1][3] = POINTS(OTHER, KERNEL_RW);
	reaches(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_READ, OTHER, 0);
	reaches(w, 0, SHADOW_KERNEL, AT(3), PTWALK_WRITE, OTHER, 1);
	assert_int_equal(shadow_table_level(w->s, OTHER, NULL), 0);
	fails(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, RO_ERROR);
	world_end(w);
}

/* The tables that lead to the page which is written; and those that lead to the code. */
static void test_on_the_way(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RW);
	u64 code = LINEAR(0, 0, 1, 0);

	(void)state;
	for (u32 frame = ROOT; frame <= L1; frame++) {
		writes(w, frame, 9, 0, 1);
		assert_false(is_synced(w, frame));
	}
	world_flush(w, 0);
	for (u32 frame = ROOT; frame <= L1; frame++)
		assert_true(is_synced(w, frame));
	/* an instruction on a page which needs the table that it writes */
	for (u32 i = 0;; i++) {
		u64 machine;
		u32 error, faults = 0;

		assert_int_not_equal(i, 4);
		cpu_access(w, 0, SHADOW_KERNEL, code, PTWALK_FETCH, &machine, &error, &faults);
		cpu_access(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, &machine, &error,
			   &faults);
		if (!faults)
			break;
	}
	world_end(w);
}

/* A process's read-only page is shared with somebody: the kernel must get the fault. */
static void test_process_page(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	w->ram[L1][3] = POINTS(OTHER, E_P | E_U);
	fails(w, 0, SHADOW_KERNEL, AT(3), PTWALK_WRITE, RO_ERROR);
	fails(w, 0, SHADOW_USER, AT(3), PTWALK_WRITE, RO_ERROR | PTWALK_ERROR_USER);
	/* nor where more than the entry itself forbids it */
	w->ram[L2][2] = POINTS(L1, E_P | E_U);
	fails(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 2, 100 + OTHER), PTWALK_WRITE, RO_ERROR);
	assert_true(is_synced(w, OTHER));
	world_end(w);
}

static void test_note_and_forget(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	w->ram[L1][50] = POINTS(PAGES + 5, KERNEL_RO);
	fails(w, 0, SHADOW_KERNEL, AT(50), PTWALK_WRITE, RO_ERROR);
	shadow_note_table(w->s, PAGES + 5);
	reaches(w, 0, SHADOW_KERNEL, AT(50), PTWALK_WRITE, PAGES + 5, 1);
	world_check(w);
	shadow_forget_table(w->s, PAGES + 5);
	world_check(w);
	fails(w, 0, SHADOW_KERNEL, AT(50), PTWALK_WRITE, RO_ERROR);
	/* one that lost its shadow otherwise can still be written */
	shadow_drop_all(w->s);
	reaches(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, OTHER, 1);
	assert_int_equal(shadow_table_level(w->s, OTHER, NULL), 0);
	shadow_note_table(w->s, NR_FRAMES);
	shadow_forget_table(w->s, NR_FRAMES);
	world_end(w);
}

/* Which frames are tables, as who saves the guest asks. */
static u64 next_table(const struct world *w, u64 from)
{
	return shadow_next_table(w->s, &from) ? from : NR_FRAMES;
}

static void test_next_table(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	for (u64 frame = ROOT; frame <= OTHER; frame++)
		assert_int_equal(next_table(w, frame), frame);
	assert_int_equal(next_table(w, 0), ROOT);
	assert_int_equal(next_table(w, OTHER + 1), NR_FRAMES);
	for (u64 frame = PAGES; frame < PAGES + 20; frame += 3) {
		shadow_note_table(w->s, frame);
		assert_int_equal(next_table(w, OTHER + 1), frame);
		shadow_forget_table(w->s, frame);
	}
	shadow_note_table(w->s, NR_FRAMES - 1);
	assert_int_equal(next_table(w, OTHER + 1), NR_FRAMES - 1);
	/* without a shadow they are tables still */
	shadow_drop_all(w->s);
	assert_int_equal(next_table(w, 0), ROOT);
	world_end(w);
}

/* Another memory: nothing of what was known is true of it. */
static void test_forget_all(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	reaches(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, OTHER, 1);
	shadow_note_table(w->s, NR_FRAMES - 1);
	shadow_forget_all(w->s);
	assert_int_equal(next_table(w, 0), NR_FRAMES);
	world_check(w);
	fails(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, RO_ERROR);
	world_roots(w, 0, ROOT, SHADOW_NO_ROOT);
	reaches(w, 0, SHADOW_KERNEL, AT(0), PTWALK_READ, PAGES, 1);
	assert_int_equal(next_table(w, 0), ROOT);
	shadow_note_table(w->s, OTHER);
	reaches(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, OTHER, 1);
	world_end(w);
}

/* ---- Several processors ---- */

/*
 * A page becomes a table while another processor's TLB can still write it: its writes are found by
 * the flush that follows them.
 */
static void test_late_write(void **state)
{
	struct world *w = world_guest(2);
	u64 machine;
	u32 error;

	(void)state;
	w->ram[L1][0] = POINTS(OTHER, KERNEL_RW);
	w->ram[OTHER][0] = POINTS(PAGES, E_PAGE);
	w->ram[L2][1] = POINTS(OTHER, E_TABLE);
	reaches(w, 1, SHADOW_KERNEL, AT(0), PTWALK_WRITE, OTHER, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES, 1);
	assert_true(cpu_try(w, 1, SHADOW_KERNEL, AT(0), PTWALK_WRITE, &machine, &error));
	w->ram[OTHER][0] = POINTS(PAGES + 1, E_PAGE);
	world_flush(w, 0);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 1, 0);
	/* and again, until it has flushed */
	assert_true(cpu_try(w, 1, SHADOW_KERNEL, AT(0), PTWALK_WRITE, &machine, &error));
	w->ram[OTHER][0] = POINTS(PAGES + 2, E_PAGE);
	world_flush(w, 0);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 2, 0);
	world_enter(w, 1);
	assert_false(cpu_try(w, 1, SHADOW_KERNEL, AT(0), PTWALK_WRITE, &machine, &error));
	shadow_sync(w->s);
	assert_true(is_synced(w, OTHER));
	world_end(w);
}

/* Likewise one that was unsynchronised, and that another processor has written. */
static void test_late_unsynced_write(void **state)
{
	struct world *w = guest_with_tables(2, KERNEL_RO);
	u64 machine;
	u32 error;

	(void)state;
	writes(w, OTHER, 1, 0, 1);
	reaches(w, 1, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, OTHER, 0);
	world_flush(w, 0);
	assert_true(cpu_try(w, 1, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, &machine, &error));
	w->ram[OTHER][0] = POINTS(PAGES + 1, E_PAGE);
	world_flush(w, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES + 1, 0);
	assert_false(is_synced(w, OTHER)); /* until the next one sees that all have flushed */
	world_flush(w, 1);
	assert_true(is_synced(w, OTHER));
	world_end(w);
}

/* A read-only entry of a table that becomes another's between two looks at it. */
static void test_race(void **state)
{
	struct world *w = guest_with_tables(1, KERNEL_RO);

	(void)state;
	w->race_in = 4;
	w->raced = &w->ram[L1][100 + OTHER];
	w->race_value = POINTS(PAGES, KERNEL_RO);
	fails(w, 0, SHADOW_KERNEL, TABLE_AT(OTHER), PTWALK_WRITE, RO_ERROR);
	world_free(w); /* the entry was not the guest's to change without a word */
}

/* A page of a table that was dropped is used again only when no TLB can know it. */
static void test_wait_for_flush(void **state)
{
	struct world *w = world_new(28, 2, true);
	enum shadow_outcome outcome = SHADOW_FILLED;
	u64 machine;
	u32 error, tries;

	(void)state;
	w->ram[ROOT][0] = POINTS(L3, E_TABLE);
	w->ram[L3][0] = POINTS(L2, E_TABLE);
	for (u32 i = 0; i < 300; i++) {
		w->ram[L2][i] = POINTS(10 + i, E_TABLE);
		w->ram[10 + i][0] = POINTS(PAGES, E_PAGE);
	}
	world_roots(w, 0, ROOT, ROOT);
	world_roots(w, 1, ROOT, ROOT);
	world_enter(w, 1);
	for (u32 i = 0; i < 300 && outcome == SHADOW_FILLED; i++) {
		for (tries = 0; tries < 3; tries++) {
			world_enter(w, 0);
			if (cpu_try(w, 0, SHADOW_KERNEL, LINEAR(0, 0, i, 0), PTWALK_READ, &machine,
				    &error))
				break;
			outcome = shadow_fault(w->s, 0, SHADOW_KERNEL, LINEAR(0, 0, i, 0), &error);
		}
	}
	assert_int_equal(outcome, SHADOW_STARVED);
	assert_true(world_stats(w).starved);
	world_check(w);
	world_enter(w, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 299, 0), PTWALK_READ, PAGES, 1);
	world_end(w);
}

/* One that is outside keeps no page from its next use, nor a table from being in step again. */
static void test_nobody_to_wait_for(void **state)
{
	struct world *w = world_new(28, 2, true);

	(void)state;
	w->ram[ROOT][0] = POINTS(L3, E_TABLE);
	w->ram[L3][0] = POINTS(L2, E_TABLE);
	for (u32 i = 0; i < 300; i++) {
		w->ram[L2][i] = POINTS(10 + i, E_TABLE);
		w->ram[10 + i][0] = POINTS(PAGES, E_PAGE);
	}
	w->ram[10][1] = POINTS(11, E_PAGE);
	for (u32 i = 0; i < 2; i++) {
		world_roots(w, i, ROOT, ROOT);
		reaches(w, i, SHADOW_KERNEL, AT(1), PTWALK_WRITE, 11, !i);
	}
	shadow_left(w->s, 1);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 1, 0), PTWALK_READ, PAGES, 1);
	w->ram[11][0] = POINTS(PAGES + 1, E_PAGE);
	shadow_entry_written(w->s, 11, 0, POINTS(PAGES, E_PAGE), w->ram[11][0]);
	world_flush(w, 0);
	world_check(w);
	for (u32 i = 2; i < 300; i++)
		reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, i, 0), PTWALK_READ, PAGES, 1);
	assert_false(world_stats(w).starved);
	reaches(w, 1, SHADOW_KERNEL, LINEAR(0, 0, 299, 0), PTWALK_READ, PAGES, 0);
	world_end(w);
}

/* ---- The arena is full ---- */

static void test_reclaim(void **state)
{
	struct world *w = world_new(22, 1, true);

	(void)state;
	w->ram[ROOT][0] = POINTS(L3, E_TABLE);
	w->ram[L3][0] = POINTS(L2, E_TABLE);
	for (u32 i = 0; i < 300; i++) {
		w->ram[L2][i] = POINTS(10 + i, E_TABLE);
		w->ram[10 + i][0] = POINTS(PAGES, E_PAGE);
	}
	for (u32 i = 1; i < 200; i++)
		w->ram[10][i] = POINTS(PAGES + 1, E_TABLE);
	world_roots(w, 0, ROOT, SHADOW_NO_ROOT);
	reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 0, 0), PTWALK_READ, PAGES, 1);
	/* the tables that are filled stay, and those above them */
	for (u32 i = 1; i < 200; i++) {
		reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, i, 0), PTWALK_READ, PAGES, 1);
		reaches(w, 0, SHADOW_KERNEL, LINEAR(0, 0, 0, i), PTWALK_READ, PAGES + 1, 1);
	}
	assert_int_equal(world_stats(w).tables_made, 3 + 200);
	assert_true(world_stats(w).tables_reclaimed > 100);
	assert_int_equal(shadow_table_level(w->s, ROOT, NULL), 4);
	assert_int_equal(shadow_table_level(w->s, L3, NULL), 3);
	assert_int_equal(shadow_table_level(w->s, L2, NULL), 2);
	assert_int_equal(shadow_table_level(w->s, 10, NULL), 1);
	assert_int_equal(shadow_table_level(w->s, 10 + 199, NULL), 1);
	assert_int_equal(shadow_table_level(w->s, 10 + 150, NULL), 0);
	/* many roots, one after the other, always find place */
	for (u32 i = 10; i < 300; i++) {
		world_roots(w, 0, i, i + 1);
		world_enter(w, 0);
		world_check(w);
	}
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unsync),
		cmocka_unit_test(test_written_while_unsynced),
		cmocka_unit_test(test_upper_level),
		cmocka_unit_test(test_writable),
		cmocka_unit_test(test_on_the_way),
		cmocka_unit_test(test_process_page),
		cmocka_unit_test(test_note_and_forget),
		cmocka_unit_test(test_next_table),
		cmocka_unit_test(test_forget_all),
		cmocka_unit_test(test_late_write),
		cmocka_unit_test(test_late_unsynced_write),
		cmocka_unit_test(test_race),

		cmocka_unit_test(test_wait_for_flush),
		cmocka_unit_test(test_nobody_to_wait_for),
		cmocka_unit_test(test_reclaim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
