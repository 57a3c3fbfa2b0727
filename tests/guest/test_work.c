// SPDX-License-Identifier: Apache-2.0
/*
 * The guests' workload as pure functions: a page that was written checks, every way of being wrong
 * is told from the others, options say what they mean, and Zipf draws follow their law. job=edge
 * runs on a machine of the test's own, which forgets a write when it likes.
 */
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "guest/work/options.h"
#include "guest/work/page.h"
#include "guest/work/work.h"
#include "guest/work/zipf.h"

static struct work_options options(const char *text)
{
	struct work_options o;
	struct line why;

	line_start(&why);
	assert_int_equal(work_options_parse(&o, text, &why), 0);
	return o;
}

static void refuse(const char *text)
{
	struct work_options o;
	struct line why;

	line_start(&why);
	assert_int_equal(work_options_parse(&o, text, &why), -1);
	assert_true(why.length > 0);
}

static void test_options(void **state)
{
	struct work_options o =
		options("job=access size=3M,cpus=2 theta=1.25 time=0.5 other.word=7");

	(void)state;
	assert_int_equal(o.job, WORK_ACCESS);
	assert_int_equal(o.size, 3 << 20);
	assert_int_equal(o.cpus, 2);
	assert_int_equal(o.theta, 1250);
	assert_int_equal(o.time_ms, 500);
	assert_int_equal(o.random, 25); /* a default */
	assert_true(o.corrupt == WORK_NO_PAGE);
	o = options("job=edge passes=0 gap=1");
	assert_int_equal(o.job, WORK_EDGE);
	assert_int_equal(o.gap, 1);
	assert_int_equal(o.time_ms, 0);
	assert_int_equal(options("job=access").time_ms, 10000);
	assert_int_equal(options("job=verify").passes, 1);
	o = options("job=access stop=1");
	assert_int_equal(o.time_ms, 0); /* it is told to stop, */
	assert_int_equal(o.passes, 0);
	o = options("job=access stop=1 time=2 passes=3");
	assert_int_equal(o.time_ms, 2000); /* or something else comes first */
	assert_int_equal(o.passes, 3);
	refuse("gap=2");
	refuse("stop=2");
	refuse("jobs=fill");
	refuse("job=dance");
	refuse("cpus=17");
	refuse("size=3X");
	refuse("zero=60 dup=60");
	refuse("size=99999999999999999999");
}

/* Any one byte that changes is found, in every kind of page. */
static void test_every_byte(void **state)
{
	static const char *const mixes[] = {"", "zero=100", "same=100", "dup=100", "random=100"};
	static union page page, scratch;

	(void)state;
	for (size_t m = 0; m < sizeof(mixes) / sizeof(mixes[0]); m++) {
		struct work_options o = options(mixes[m]);
		const struct page_id id = {.number = 77, .generation = 3};
		struct page_finding finding;

		page_write(&page, &o, id);
		assert_true(page_check(&page, &o, id));
		for (unsigned int at = 0; at < GUEST_PAGE_SIZE; at++) {
			uint8_t *byte = (uint8_t *)&page + at;

			*byte ^= 0x10;
			assert_false(page_check(&page, &o, id));
			page_examine(&page, &o, id, &scratch, &finding);
			assert_int_not_equal(finding.fault, PAGE_RIGHT);
			*byte ^= 0x10;
		}
		assert_true(page_check(&page, &o, id));
	}
}

static enum page_fault fault_of(union page *page, const struct work_options *o, struct page_id id)
{
	static union page scratch;
	struct page_finding finding;

	if (page_check(page, o, id))
		return PAGE_RIGHT;
	page_examine(page, o, id, &scratch, &finding);
	return finding.fault;
}

static void test_kinds_of_wrong(void **state)
{
	const struct work_options o = options("seed=5");
	const struct page_id id = {.number = 10, .generation = 4};
	static union page page;

	(void)state;
	page_write(&page, &o, id);
	assert_int_equal(fault_of(&page, &o, id), PAGE_RIGHT);
	page_write(&page, &o, (struct page_id){.number = 10, .generation = 3});
	assert_int_equal(fault_of(&page, &o, id), PAGE_STALE);
	page_write(&page, &o, (struct page_id){.number = 10, .generation = 5});
	assert_int_equal(fault_of(&page, &o, id), PAGE_EARLY);
	page_write(&page, &o, (struct page_id){.number = 11, .generation = 4});
	assert_int_equal(fault_of(&page, &o, id), PAGE_FOREIGN);
	memset(&page, 0, sizeof(page));
	assert_int_equal(fault_of(&page, &o, id), PAGE_LOST);
	memset(&page, 0xa5, sizeof(page));
	assert_int_equal(fault_of(&page, &o, id), PAGE_CORRUPT);
}

/* Shares of kinds come out as asked, within five standard deviations. */
static void test_mixture(void **state)
{
	const struct work_options o = options("zero=20 same=10 dup=30");
	static const double share[] = {
		[PAGE_ORDINARY] = 0.4, [PAGE_ZERO] = 0.2, [PAGE_SAME] = 0.1, [PAGE_DUP] = 0.3};
	unsigned int seen[4] = {0};
	const unsigned int n = 100000;

	(void)state;
	for (unsigned int i = 0; i < n; i++)
		seen[page_kind(&o, i)]++;
	for (unsigned int k = 0; k < 4; k++) {
		double expected = share[k] * n;
		double deviation = sqrt(expected * (1 - share[k]));

		assert_true(fabs(seen[k] - expected) < 5 * deviation);
	}
}

/* Duplicates really are: no more different pages than classes. */
static void test_duplicates(void **state)
{
	const struct work_options o = options("dup=100");
	static union page pages[GUEST_DUP_CLASSES], page;
	unsigned int nr = 0;

	(void)state;
	for (uint64_t i = 0; i < 20 * GUEST_DUP_CLASSES; i++) {
		unsigned int k = 0;

		page_write(&page, &o, (struct page_id){.number = i, .generation = 1});
		while (k < nr && memcmp(&pages[k], &page, sizeof(page)))
			k++;
		if (k < nr)
			continue;
		assert_true(nr < GUEST_DUP_CLASSES);
		pages[nr++] = page;
	}
	assert_true(nr > GUEST_DUP_CLASSES / 2);
}

/* Draws against the exact law, for the ranks that are drawn often enough to tell. */
static void test_zipf(void **state)
{
	static const unsigned int thetas[] = {0, 500, 990, 1500};
	static struct zipf zipf;
	static unsigned int seen[1000];
	const unsigned int n = 400000;

	(void)state;
	for (size_t t = 0; t < sizeof(thetas) / sizeof(thetas[0]); t++) {
		double theta = thetas[t] / 1000.0, total = 0;
		uint64_t random = 12345;

		memset(seen, 0, sizeof(seen));
		zipf_init(&zipf, 1000, thetas[t]);
		for (unsigned int i = 0; i < n; i++) {
			uint64_t rank = zipf_draw(&zipf, &random);

			assert_true(rank < 1000);
			seen[rank]++;
		}
		for (unsigned int k = 0; k < 1000; k++)
			total += pow(k + 1, -theta);
		for (unsigned int k = 0; k < 32; k++) {
			double expected = n * pow(k + 1, -theta) / total;

			/* 3% for the buckets' coarseness, five deviations for chance */
			assert_true(fabs(seen[k] - expected) <
				    0.03 * expected + 5 * sqrt(expected));
		}
	}
}

#define EDGE_PAGES 64

/* A machine with one CPU, whose clock is how often it was looked at. */
static struct edge_machine {
	union page arena[EDGE_PAGES];
	uint32_t generations[EDGE_PAGES];
	struct guest_beat_block beats;
	struct work work;
	uint64_t now;
	uint64_t forget_at; /* then page 9 loses its last round, */
	uint64_t spoil_at;  /* or a byte of its contents changes */
	uint64_t stall_at;  /* or the clock leaps by 5 ms */
	uint64_t tell_at;   /* then a byte comes on the console; */
	unsigned int looks; /* so often it was looked for */
	char printed[8192];
	size_t length;
} machine;

static void edge_print(void *opaque, const char *text, unsigned int length)
{
	struct edge_machine *m = opaque;

	assert_true(m->length + length < sizeof(m->printed));
	memcpy(m->printed + m->length, text, length);
	m->length += length;
}

static uint64_t edge_now(void *opaque)
{
	struct edge_machine *m = opaque;

	m->now += 1000;
	if (m->now == m->forget_at)
		m->arena[9].words[PAGE_WORDS - 1]--;
	if (m->now == m->spoil_at)
		m->arena[9].words[3] ^= 1;
	if (m->now == m->stall_at)
		m->now += 5000000;
	return m->now;
}

static bool edge_told(void *opaque)
{
	struct edge_machine *m = opaque;

	m->looks++;
	return m->now >= m->tell_at;
}

static int edge_workers(void *opaque, unsigned int count, void (*work)(void *, unsigned int),
			void *arg)
{
	(void)opaque;
	assert_int_equal(count, 1);
	work(arg, 0);
	return 0;
}

static enum guest_exit run_machine(const char *text)
{
	struct work_options o = options(text);
	struct work_platform platform = {
		.name = "test",
		.opaque = &machine,
		.print = edge_print,
		.now_ns = edge_now,
		.told = edge_told,
		.run_workers = edge_workers,
		.arena = machine.arena,
		.arena_pages = EDGE_PAGES,
		.generations = machine.generations,
		.beats = &machine.beats,
	};

	return work_run(&machine.work, &platform, &o);
}

static enum guest_exit run_edge(const char *text, uint64_t forget_at, uint64_t spoil_at,
				uint64_t stall_at)
{
	memset(&machine, 0, sizeof(machine));
	machine.forget_at = forget_at;
	machine.spoil_at = spoil_at;
	machine.stall_at = stall_at;
	return run_machine(text);
}

/* The clock is looked at once a page, so that each of these ends at another edge. */
static void test_edge(void **state)
{
	(void)state;
	for (unsigned int us = 1; us < 3 * EDGE_PAGES; us++) {
		char text[64];

		snprintf(text, sizeof(text), "job=edge passes=0 time=0.%03u", us % 7 + 1);
		assert_int_equal(run_edge(text, 0, 0, 0), GUEST_EXIT_PASS);
		snprintf(text, sizeof(text), "job=edge passes=%u zero=30 same=30 dup=10", us);
		assert_int_equal(run_edge(text, 0, 0, 0), GUEST_EXIT_PASS);
		assert_int_equal(machine.arena[9].words[PAGE_WORDS - 1], us + 1);
	}
}

static void test_edge_finds(void **state)
{
	(void)state;
	for (uint64_t at = 400; at < 800; at++) {
		assert_int_equal(run_edge("job=edge passes=0", at * 1000, 0, 0), GUEST_EXIT_WRONG);
		assert_non_null(strstr(machine.printed, "test: wrong page 9: stale, "));
		assert_non_null(strstr(machine.printed, "FAIL wrong pages: 1\n"));
		assert_int_equal(run_edge("job=edge passes=50", 0, at * 1000, 0), GUEST_EXIT_WRONG);
		assert_non_null(strstr(machine.printed, "wrong page 9: corrupt from byte 24, "));
	}
}

/* The longest time between two looks, from the fill on, since the last line and in all. */
static void test_gap(void **state)
{
	const char *text = "job=edge passes=200 gap=1 status=1", *first, *second;

	(void)state;
	assert_int_equal(run_edge(text, 0, 0, 4000000), GUEST_EXIT_PASS);
	first = strstr(machine.printed, " wrong 0 gap 5001 us\n");
	assert_non_null(first);
	second = strstr(first, " wrong 0 gap 1 us\n");
	assert_non_null(second);
	assert_non_null(strstr(second, "test: gap 5001 us\n"));
	/* what was before the work began is not told */
	assert_int_equal(run_edge("job=edge gap=1", 0, 0, 20000), GUEST_EXIT_PASS);
	assert_non_null(strstr(machine.printed, "test: gap "));
	assert_null(strstr(machine.printed, "gap 5"));
}

/* Each job works until it is told to stop, finds that out within 10 ms, and then checks all. */
static void test_told(void **state)
{
	static const char *const jobs[] = {"job=edge stop=1", "job=verify stop=1",
					   "job=access stop=1", "job=access pattern=sweep stop=1"};

	(void)state;
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		memset(&machine, 0, sizeof(machine));
		machine.tell_at = 123000000;
		assert_int_equal(run_machine(jobs[i]), GUEST_EXIT_PASS);
		assert_non_null(strstr(machine.printed, "test: verify "));
		assert_true(machine.now >= machine.tell_at);
		assert_true(machine.now < machine.tell_at + 11000000);
		assert_in_range(machine.looks, 12, 14);
	}
	/* even before it has begun */
	memset(&machine, 0, sizeof(machine));
	assert_int_equal(run_machine("job=edge stop=1"), GUEST_EXIT_PASS);
	assert_non_null(strstr(machine.printed, "test: verify 64 pages"));
	assert_int_equal(machine.looks, 1);
	/* and what was wrong is still found */
	memset(&machine, 0, sizeof(machine));
	machine.tell_at = 50000000;
	machine.spoil_at = 20000000;
	assert_int_equal(run_machine("job=edge stop=1"), GUEST_EXIT_WRONG);
	/* who is not to listen does not */
	memset(&machine, 0, sizeof(machine));
	assert_int_equal(run_machine("job=edge passes=100"), GUEST_EXIT_PASS);
	assert_int_equal(machine.looks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_kinds_of_wrong),
		cmocka_unit_test(test_mixture),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_edge_finds),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_told),
	};

	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
