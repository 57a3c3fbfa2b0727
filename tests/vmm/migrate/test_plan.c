// SPDX-License-Identifier: Apache-2.0
/*
 * vmm/migrate/plan.h: its limits, and its predictions beside what becomes of a guest that is moved
 * here page by page, in rounds, by a line that takes so many bytes a second.
 */
#include "tests/lib/test.h"

#include <string.h>

#include "vmm/migrate/plan.h"

#define PAGES  ((u64)65536)
#define MS     ((u64)1000000)
#define SECOND (1000 * MS)

/* ---- A guest that writes, and has no memory but a bit for each page ---- */

struct writer {
	u64 hot;	 /* pages that are written again and again */
	double hot_rate; /* writes a second there */
	double any_rate; /* writes a second anywhere */
	double sweep;	 /* pages a second from end to end */
};

struct guest {
	struct writer w;
	u64 dirty[PAGES / 64];
	u64 at, random;
	double owed[3];
};

static u64 draw(struct guest *g, u64 n)
{
	g->random ^= g->random << 13;
	g->random ^= g->random >> 7;
	g->random ^= g->random << 17;
	return g->random % n;
}

static void put(struct guest *g, u64 no)
{
	g->dirty[no / 64] |= (u64)1 << no % 64;
}

static u64 take(struct guest *g, u64 *also)
{
	u64 n = 0;

	for (u32 i = 0; i < PAGES / 64; i++) {
		n += (u64)__builtin_popcountll(g->dirty[i]);
		if (also)
			also[i] |= g->dirty[i];
	}
	memset(g->dirty, 0, sizeof(g->dirty));
	return n;
}

static void run_for(struct guest *g, double ns)
{
	const struct writer *w = &g->w;

	g->owed[0] += w->hot_rate * ns / 1e9;
	g->owed[1] += w->any_rate * ns / 1e9;
	g->owed[2] += w->sweep * ns / 1e9;
	for (; g->owed[0] >= 1; g->owed[0]--)
		put(g, draw(g, w->hot));
	for (; g->owed[1] >= 1; g->owed[1]--)
		put(g, draw(g, PAGES));
	for (; g->owed[2] >= 1; g->owed[2]--)
		put(g, g->at++ % PAGES);
}

/* As plan_measure.c does it. */
static void watch(struct guest *g, struct plan_input *in)
{
	static const u32 slices[] = {10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000};
	static u64 all[PAGES / 64];
	u64 before = 0, written = 0;

	memset(all, 0, sizeof(all));
	for (u32 i = 0; i < ARRAY_SIZE(slices); i++) {
		u64 distinct = 0;

		run_for(g, (double)(slices[i] * MS - before));
		before = slices[i] * MS;
		written += take(g, all);
		for (u32 w = 0; w < PAGES / 64; w++)
			distinct += (u64)__builtin_popcountll(all[w]);
		in->curve[i] = (struct plan_point){before, distinct};
	}
	in->nr_points = ARRAY_SIZE(slices);
	in->dirty_rate = (double)written;
}

static struct plan_input usual(void)
{
	return (struct plan_input){
		.pages_all = PAGES,
		.pages = PAGES / 2,
		.page_bytes = 4100,
		.page_ns = 1000,
		.rate = 400e6,
		.measured = true,
		.setup_ns = 10 * MS,
		.fixed_ns = 3 * MS / 2,
		.limit_ns = 20 * MS,
		.streams = 1,
	};
}

static double page_ns(const struct plan_input *in)
{
	return in->page_bytes * 1e9 / in->rate + in->page_ns;
}

struct outcome {
	double total_ns, downtime_ns, bytes;
	u32 rounds;
};

/* Pre-copy until little enough is left, without throttling; false: it does not end. */
static bool move(struct guest *g, const struct plan_input *in, struct outcome *out)
{
	double left = (double)in->pages, before = (double)in->pages_all;

	*out = (struct outcome){.total_ns = (double)in->setup_ns};
	take(g, NULL);
	while (out->rounds++ < 50) {
		double ns = left * page_ns(in);

		run_for(g, ns);
		out->total_ns += ns;
		out->bytes += left * in->page_bytes;
		left = (double)take(g, NULL);
		ns = left * page_ns(in);
		if (ns + 1.5e6 > (double)in->limit_ns || (ns > 1e6 && left <= 0.7 * before)) {
			before = left;
			continue;
		}
		out->downtime_ns = left * page_ns(in) + (double)in->fixed_ns;
		out->total_ns += out->downtime_ns;
		out->bytes += left * in->page_bytes;
		return true;
	}
	return false;
}

/* One within a factor of the other, and a little that does not matter. */
static void assert_about(double a, double b, double factor, double slack)
{
	if (a > factor * b + slack || b > factor * a + slack)
		fail_msg("%g and %g", a, b);
}

static const struct writer writers[] = {
	{.hot = 1},
	{.hot = 500, .hot_rate = 1000},
	{.hot = 1000, .hot_rate = 1e6},
	{.hot = 4000, .hot_rate = 1e5},
	{.hot = 1, .any_rate = 3000},
	{.hot = 1, .any_rate = 20000},
	{.hot = 300, .hot_rate = 1e5, .any_rate = 5000},
	{.hot = 1, .sweep = 2000},
	{.hot = 1, .sweep = 20000},
	{.hot = 2000, .hot_rate = 1e5, .sweep = 5000},
	{.hot = 1, .sweep = 200000},
	{.hot = 30000, .hot_rate = 1e6},
};

static const double rates[] = {20e6, 125e6, 400e6, 2e9};

static void predicts_what_becomes_of_a_guest(void **state)
{
	u32 ended = 0, not_ended = 0;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(writers) * ARRAY_SIZE(rates); i++) {
		struct guest g = {.w = writers[i / ARRAY_SIZE(rates)], .random = 88172645463325252};
		struct plan plan = {.in = usual()};
		const struct plan_prediction *p = &plan.ways[PLAN_PRECOPY];
		struct outcome out;

		plan.in.rate = rates[i % ARRAY_SIZE(rates)];
		watch(&g, &plan.in);
		plan_make(&plan);
		if (!move(&g, &plan.in, &out)) {
			assert_int_not_equal(p->throttle, 0);
			assert_int_equal(plan.choice, PLAN_HYBRID);
			not_ended++;
			continue;
		}
		if (p->throttle)
			continue; /* it would have ended by chance, or after many rounds */
		assert_int_equal(plan.choice, PLAN_PRECOPY);
		assert_about((double)p->total_ns, out.total_ns, 1.5, 5e6);
		/* a round more or less at the end is a matter of chance, below the limit */
		assert_true(out.downtime_ns <= 2 * (double)p->downtime_ns + 5e6);
		assert_true(p->keeps_limit);
		assert_about((double)p->bytes, out.bytes, 1.5, 1e6);
		ended++;
	}
	/* both were really seen, and what is left over is little */
	assert_true(ended >= 24);
	assert_true(not_ended >= 8);
	assert_true(ended + not_ended >= ARRAY_SIZE(writers) * ARRAY_SIZE(rates) - 6);
}

static void predicts_hybrid(void **state)
{
	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(writers) * ARRAY_SIZE(rates); i++) {
		struct guest g = {.w = writers[i / ARRAY_SIZE(rates)], .random = 88172645463325252};
		struct plan plan = {.in = usual()};
		const struct plan_prediction *p = &plan.ways[PLAN_HYBRID];
		double first, again;

		plan.in.rate = rates[i % ARRAY_SIZE(rates)];
		watch(&g, &plan.in);
		plan_make(&plan);
		first = (double)plan.in.pages * page_ns(&plan.in);
		take(&g, NULL);
		run_for(&g, first);
		again = (double)take(&g, NULL);
		assert_about((double)p->total_ns, 10e6 + first + again * page_ns(&plan.in), 1.4,
			     20e6);
		assert_about((double)p->bytes, ((double)plan.in.pages + again) * 4100, 1.4, 1e6);
		assert_true(p->downtime_ns >= plan.in.fixed_ns);
		assert_true(p->downtime_ns < plan.in.fixed_ns + 8192 * 1e9 / plan.in.rate + 1);
	}
}

/* ---- The curve ---- */

static void the_curve_grows_and_ends(void **state)
{
	struct plan_input in = usual();
	double before = 0;

	(void)state;
	assert_true(plan_written(&in, SECOND) == 0);
	in.nr_points = 3;
	in.curve[0] = (struct plan_point){100 * MS, 1000};
	in.curve[1] = (struct plan_point){500 * MS, 2000};
	in.curve[2] = (struct plan_point){SECOND, 2500};
	assert_true(plan_written(&in, 0) == 0);
	assert_true(plan_written(&in, 50 * MS) == 500);
	assert_true(plan_written(&in, 300 * MS) == 1500);
	assert_true(plan_written(&in, SECOND) == 2500);
	/* then as in the second half: 1000 a second, up to all there are */
	assert_true(plan_written(&in, 3 * SECOND) == 4500);
	assert_true(plan_written(&in, 1000 * SECOND) == PAGES);
	for (u64 ns = 0; ns < 100 * SECOND; ns += 7 * MS) {
		double now = plan_written(&in, ns);

		assert_true(now >= before && now <= PAGES);
		before = now;
	}
}

static void one_point_is_a_line(void **state)
{
	struct plan_input in = usual();

	(void)state;
	in.nr_points = 1;
	in.curve[0] = (struct plan_point){SECOND, 1000};
	assert_true(plan_written(&in, SECOND / 2) == 500);
	assert_true(plan_written(&in, 2 * SECOND) == 2000);
}

/* ---- The choice ---- */

static struct plan steady(double pages_a_second, double rate)
{
	struct plan plan = {.in = usual()};

	plan.in.rate = rate;
	plan.in.nr_points = 1;
	plan.in.curve[0] = (struct plan_point){SECOND, (u64)pages_a_second};
	plan.in.dirty_rate = pages_a_second;
	plan_make(&plan);
	return plan;
}

static void faster_writing_is_once_too_fast(void **state)
{
	bool too_fast = false;

	(void)state;
	for (double rate = 0; rate < 3e5; rate += 500) {
		struct plan plan = steady(rate, 400e6);
		double per_page = page_ns(&plan.in);

		if (too_fast)
			assert_int_equal(plan.choice, PLAN_HYBRID);
		too_fast = plan.choice == PLAN_HYBRID;
		/* well below what the line takes rounds end; above it they do not */
		if (rate * per_page < 0.7e9)
			assert_false(too_fast);
		if (rate * per_page > 1e9)
			assert_true(too_fast);
		assert_true(strlen(plan.reason) > 20);
	}
	assert_true(too_fast);
}

static void a_faster_line_is_never_worse(void **state)
{
	struct plan before = steady(20000, 1e6);

	(void)state;
	for (double rate = 2e6; rate < 4e9; rate *= 1.3) {
		struct plan plan = steady(20000, rate);

		for (u32 way = PLAN_POSTCOPY; way < PLAN_NR_WAYS; way++) {
			assert_true(plan.ways[way].total_ns <= before.ways[way].total_ns);
			assert_true(plan.ways[way].downtime_ns <= before.ways[way].downtime_ns);
			assert_true(plan.ways[way].bytes <= before.ways[way].bytes);
		}
		assert_true(plan.ways[PLAN_PRECOPY].throttle <= before.ways[PLAN_PRECOPY].throttle);
		before = plan;
	}
	assert_int_equal(before.choice, PLAN_PRECOPY);
}

static void hands_over_where_it_can(void **state)
{
	struct plan plan = {.in = usual()};

	(void)state;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_PRECOPY);
	assert_false(plan.ways[PLAN_HANDOVER].possible);
	plan.in.can_hand_over = true;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_HANDOVER);
	assert_int_equal(plan.ways[PLAN_HANDOVER].downtime_ns, plan.in.fixed_ns);
	assert_int_equal(plan.ways[PLAN_HANDOVER].total_ns, plan.in.fixed_ns + plan.in.setup_ns);
	assert_true(plan.ways[PLAN_PRECOPY].total_ns > 10 * plan.ways[PLAN_HANDOVER].total_ns);
}

static void keeps_the_time_that_it_has(void **state)
{
	struct plan plan = {.in = usual()};
	u64 ns;

	(void)state;
	plan_make(&plan);
	ns = plan.ways[PLAN_PRECOPY].total_ns;
	plan.in.time_ns = ns + 1;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_PRECOPY);
	plan.in.time_ns = ns / 2;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_HYBRID);
	assert_non_null(strstr(plan.reason, "longer than it may"));
}

/* What costs as much with hybrid is no reason for hybrid. */
static void no_way_keeps_the_limit(void **state)
{
	struct plan plan = {.in = usual()};

	(void)state;
	plan.in.fixed_ns = 30 * MS;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_PRECOPY);
	assert_false(plan.ways[PLAN_PRECOPY].keeps_limit);
	assert_non_null(strstr(plan.reason, "no way keeps the limit"));
	/* nor is what costs a little more; what costs much more is */
	plan.in.fixed_ns = 19 * MS;
	plan.in.nr_points = 2;
	plan.in.curve[0] = (struct plan_point){MS, 200};
	plan.in.curve[1] = (struct plan_point){SECOND, 200};
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_PRECOPY);
	assert_false(plan.ways[PLAN_PRECOPY].keeps_limit);
	plan.in.curve[0].pages = plan.in.curve[1].pages = 1000;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_HYBRID);
	assert_int_equal(plan.ways[PLAN_PRECOPY].throttle, 0);
	assert_non_null(strstr(plan.reason, "stand still"));
	/* when rounds do not end it is still hybrid */
	plan = steady(1e6, 400e6);
	plan.in.fixed_ns = 30 * MS;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_HYBRID);
	/* so it is when they would end if it were slowed down, and it may not be */
	plan = steady(20000, 50e6);
	assert_in_range(plan.ways[PLAN_PRECOPY].throttle, 1, 99);
	plan.in.unthrottled = true;
	plan_make(&plan);
	assert_int_equal(plan.ways[PLAN_PRECOPY].throttle, 100);
	assert_int_equal(plan.choice, PLAN_HYBRID);
	/* nor is there any that keeps none at all */
	plan = steady(1e6, 400e6);
	plan.in.fixed_ns = 30 * MS;
	plan.in.limit_ns = 0;
	plan_make(&plan);
	assert_int_equal(plan.ways[PLAN_PRECOPY].throttle, 100);
	assert_int_equal(plan.choice, PLAN_HYBRID);
}

static void an_empty_guest_and_a_dead_line(void **state)
{
	struct plan plan = {.in = usual()};

	(void)state;
	plan.in.pages = 0;
	plan_make(&plan);
	assert_int_equal(plan.choice, PLAN_PRECOPY);
	assert_int_equal(plan.ways[PLAN_PRECOPY].rounds, 1);
	assert_int_equal(plan.ways[PLAN_PRECOPY].downtime_ns, plan.in.fixed_ns);
	/* a byte a second: nothing overflows */
	plan = steady(1e5, 1);
	assert_int_equal(plan.choice, PLAN_HYBRID);
	assert_true(plan.ways[PLAN_POSTCOPY].total_ns > (u64)1e9 * PAGES / 2 * 4000);
	assert_true(plan.ways[PLAN_POSTCOPY].total_ns < (u64)1e9 * PAGES / 2 * 4300);
	assert_true(plan.ways[PLAN_HYBRID].total_ns > plan.ways[PLAN_POSTCOPY].total_ns);
}

static void streams_share_work_but_no_line(void **state)
{
	struct plan plan = steady(0, 4e9), more = plan;

	(void)state;
	more.in.streams = 2;
	plan_make(&more);
	assert_true(more.ways[PLAN_POSTCOPY].total_ns < plan.ways[PLAN_POSTCOPY].total_ns);
	assert_true(more.ways[PLAN_POSTCOPY].total_ns > plan.ways[PLAN_POSTCOPY].total_ns / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(predicts_what_becomes_of_a_guest),
		cmocka_unit_test(predicts_hybrid),
		cmocka_unit_test(the_curve_grows_and_ends),
		cmocka_unit_test(one_point_is_a_line),
		cmocka_unit_test(faster_writing_is_once_too_fast),
		cmocka_unit_test(a_faster_line_is_never_worse),
		cmocka_unit_test(hands_over_where_it_can),
		cmocka_unit_test(keeps_the_time_that_it_has),
		cmocka_unit_test(no_way_keeps_the_limit),
		cmocka_unit_test(an_empty_guest_and_a_dead_line),
		cmocka_unit_test(streams_share_work_but_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
