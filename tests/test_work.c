// SPDX-License-Identifier: Apache-2.0
/*
 * The guests' workload as pure functions: a page that was written checks, every way of being wrong
 * is told from the others, options say what they mean, and Zipf draws follow their law.
 */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "guest/work/options.h"
#include "guest/work/page.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),	       cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_kinds_of_wrong), cmocka_unit_test(test_mixture),
		cmocka_unit_test(test_duplicates),     cmocka_unit_test(test_zipf),
	};

	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
