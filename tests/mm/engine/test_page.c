// SPDX-License-Identifier: Apache-2.0
/*
 * The page's state machine: every pair of states against the drawing in mm/engine/page.h, written
 * down a second time here; the list of idle pages against an array; reasons for write protection
 * against a set.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm/engine/page.h"

enum { NR = 64 };

/* Row: from; column: to. A, F, R, I, E, S in the order of enum page_state. */
static const char drawing[PAGE_NR_STATES][PAGE_NR_STATES + 1] = {
	"-F---S", /* absent */
	"A-R--S", /* filling */
	"A--I--", /* resident */
	"A-R-E-", /* idle */
	"A-RI-S", /* evicting */
	"AF----", /* stored */
};

/* A way from absent to each state. */
static void bring(struct pages *ps, page_no no, enum page_state to)
{
	static const enum page_state path[PAGE_NR_STATES][5] = {
		[PAGE_ABSENT] = {PAGE_ABSENT},
		[PAGE_FILLING] = {PAGE_FILLING, PAGE_ABSENT},
		[PAGE_RESIDENT] = {PAGE_FILLING, PAGE_RESIDENT, PAGE_ABSENT},
		[PAGE_IDLE] = {PAGE_FILLING, PAGE_RESIDENT, PAGE_IDLE, PAGE_ABSENT},
		[PAGE_EVICTING] = {PAGE_FILLING, PAGE_RESIDENT, PAGE_IDLE, PAGE_EVICTING},
		[PAGE_STORED] = {PAGE_FILLING, PAGE_RESIDENT, PAGE_IDLE, PAGE_EVICTING,
				 PAGE_STORED},
	};

	for (int i = 0; i < 5 && path[to][i] != PAGE_ABSENT; i++) {
		if (path[to][i] == PAGE_STORED)
			page_set_copy(ps, no, 1);
		page_move(ps, no, path[to][i]);
	}
}

/* What must hold of a descriptor in the new state, so that only the arrow is at issue. */
static void dress(struct pages *ps, page_no no, enum page_state to)
{
	page_set_copy(ps, no, to == PAGE_STORED ? 7 : 0);
	ps->page[no].flags = 0;
}

static bool survives(enum page_state from, enum page_state to)
{
	const struct rlimit none = {0};
	struct pages ps;
	int status;
	pid_t child = fork();

	if (child) {
		assert_int_equal(waitpid(child, &status, 0), child);
		return WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	setrlimit(RLIMIT_CORE, &none);
	close(STDERR_FILENO);
	if (pages_init(&ps, NR, true))
		_exit(9);
	bring(&ps, 5, from);
	dress(&ps, 5, to);
	page_move(&ps, 5, to);
	_exit(ps.page[5].state == to && pages_sane(&ps) ? 0 : 9);
}

static void test_every_arrow(void **state)
{
	(void)state;
	for (int from = 0; from < PAGE_NR_STATES; from++)
		for (int to = 0; to < PAGE_NR_STATES; to++)
			if (survives(from, to) != (drawing[from][to] != '-'))
				fail_msg("%s -> %s", page_state_names[from], page_state_names[to]);
}

static u32 next_random(u32 *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* The idle pages in order, kept as an array. */
struct model {
	page_no idle[NR];
	u32 nr;
};

static void model_move(struct model *m, page_no no, enum page_state from, enum page_state to)
{
	u32 at = 0;

	if (from == PAGE_IDLE) {
		while (m->idle[at] != no)
			at++;
		m->nr--;
		memmove(m->idle + at, m->idle + at + 1, (m->nr - at) * sizeof(m->idle[0]));
	}
	if (to == PAGE_IDLE)
		m->idle[m->nr++] = no;
}

static void compare(const struct pages *ps, const struct model *m)
{
	page_no no = ps->idle_first;

	for (u32 i = 0; i < m->nr; i++, no = ps->page[no].next)
		assert_int_equal(no, m->idle[i]);
	assert_int_equal(no, PAGE_NONE);
	assert_int_equal(ps->count[PAGE_IDLE], m->nr);
	assert_true(pages_sane(ps));
}

static void test_random_lives(void **state)
{
	struct model m = {.nr = 0};
	struct pages ps;
	u32 seed = 1, moves = 0;

	(void)state;
	assert_int_equal(pages_init(&ps, NR, true), 0);
	while (moves < 50000) {
		page_no no = next_random(&seed) % NR;
		enum page_state from = ps.page[no].state, to = next_random(&seed) % PAGE_NR_STATES;

		if (drawing[from][to] == '-')
			continue;
		/* a kept copy now and then, as the states allow */
		if (to == PAGE_ABSENT || to == PAGE_STORED || next_random(&seed) % 4 == 0)
			page_set_copy(&ps, no, to == PAGE_STORED ? moves + 1 : 0);
		page_move(&ps, no, to);
		model_move(&m, no, from, to);
		if (++moves % 16 == 0)
			compare(&ps, &m);
	}
	pages_fini(&ps);
}

/* page_sane() must be able to say no. */
static void test_insane(void **state)
{
	struct pages ps;

	(void)state;
	assert_int_equal(pages_init(&ps, NR, false), 0);
	bring(&ps, 3, PAGE_STORED);
	assert_true(pages_sane(&ps));
	ps.page[3].stored = 0;
	assert_false(page_sane(&ps, 3));
	ps.page[3].stored = 1;
	ps.page[4].stored = 1;
	assert_false(page_sane(&ps, 4));
	ps.page[4].stored = 0;
	bring(&ps, 6, PAGE_IDLE);
	bring(&ps, 7, PAGE_IDLE);
	assert_true(pages_sane(&ps));
	ps.page[7].prev = 3;
	assert_false(page_sane(&ps, 7));
	ps.page[7].prev = 6;
	ps.count[PAGE_IDLE]++;
	assert_false(pages_sane(&ps));
	ps.count[PAGE_IDLE]--;
	ps.kept++;
	assert_false(pages_sane(&ps));
	pages_fini(&ps);
}

/* In force from the first reason to the last. */
static void test_reasons(void **state)
{
	struct pages ps;

	(void)state;
	assert_int_equal(pages_init(&ps, NR, true), 0);
	for (unsigned int had = 0; had < 16; had++)
		for (unsigned int more = 0; more < 16; more++) {
			ps.page[1].protect = had & 15u;
			assert_int_equal(page_protect(&ps, 1, more), !had && more);
			assert_int_equal(ps.page[1].protect, had | more);
			ps.page[1].protect = had & 15u;
			assert_int_equal(page_unprotect(&ps, 1, more), had && !(had & ~more));
			assert_int_equal(ps.page[1].protect, had & ~more);
		}
	pages_fini(&ps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_arrow),
		cmocka_unit_test(test_random_lives),
		cmocka_unit_test(test_insane),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
