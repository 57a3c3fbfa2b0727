// SPDX-License-Identifier: Apache-2.0
/* The arithmetic of a plan; pure: no state, no thread, no lock. Contract in plan.h. */
#include "vmm/migrate/plan.h"

#include <stdio.h>

/* Between rounds: the harvest, and waking whoever sends. */
#define ROUND_NS ((u64)1000000)

/* As outgoing_precopy.c has it: a round stalls leaving more than this share of the one before. */
#define STALLED	  0.8
#define STALLS	  2
#define MAX_ROUND 1000

/*
 * Also as there: what it allows for beside pages when it looks whether little enough is left, and
 * how long below the limit rounds go on.
 */
#define ALLOWED_NS  ((u64)1500000)
#define WORTHWHILE  0.7
#define GOOD_ENOUGH ((u64)1000000)

/* What goes beside pages: greetings, the state. */
#define FIXED_BYTES ((u64)64 * KiB)

const char *const plan_way_names[] = {
	[PLAN_HANDOVER] = "hand-over",
	[PLAN_PRECOPY] = "pre-copy",
	[PLAN_POSTCOPY] = "post-copy",
	[PLAN_HYBRID] = "hybrid",
};

/* ---- How it writes ---- */

/* Between two points, or beyond the second, in a straight line. */
static double on_line(struct plan_point a, struct plan_point b, u64 ns)
{
	double rise = (double)(b.pages - a.pages), run = (double)MAX(b.ns - a.ns, 1);

	return (double)a.pages + rise * (double)(ns - a.ns) / run;
}

double plan_written(const struct plan_input *in, u64 ns)
{
	struct plan_point before = {.ns = 0}, middle = {.ns = 0};
	double pages;

	if (!in->nr_points)
		return 0;
	for (u32 i = 0; i < in->nr_points; i++) {
		if (ns <= in->curve[i].ns)
			return on_line(before, in->curve[i], ns);
		before = in->curve[i];
	}
	/* the second half of what was seen says how it goes on: by then the hot pages are in */
	if (in->nr_points > 1)
		middle = in->curve[(in->nr_points - 1) / 2];
	pages = on_line(middle, before, ns);
	return MIN(pages, (double)in->pages_all);
}

/* ---- How long pages take ---- */

static double page_ns(const struct plan_input *in)
{
	double wire = in->page_bytes * 1e9 / in->rate;

	/* work is shared among streams, the line is one */
	return wire + in->page_ns / (double)MAX(in->streams, 1u);
}

static u64 pages_ns(const struct plan_input *in, double pages)
{
	return (u64)(pages * page_ns(in));
}

/* The names of the pages that are missing, for post-copy: at most a bit for each. */
static u64 names_ns(const struct plan_input *in, double pages)
{
	double bytes = MIN(pages * 2, (double)in->pages_all / 8);

	return (u64)(bytes * 1e9 / in->rate);
}

/* ---- The ways ---- */

static void finish(const struct plan_input *in, struct plan_prediction *p)
{
	p->possible = true;
	p->total_ns += in->setup_ns + p->downtime_ns;
	p->bytes += FIXED_BYTES;
	p->keeps_limit = p->downtime_ns <= in->limit_ns;
}

static void hand_over(const struct plan_input *in, struct plan_prediction *p)
{
	*p = (struct plan_prediction){.in_time = true};
	if (!in->can_hand_over)
		return;
	p->downtime_ns = in->fixed_ns;
	finish(in, p);
}

static void post_copy(const struct plan_input *in, struct plan_prediction *p)
{
	double pages = (double)in->pages;

	*p = (struct plan_prediction){.rounds = 1, .in_time = true};
	p->downtime_ns = in->fixed_ns + names_ns(in, pages);
	p->total_ns = pages_ns(in, pages);
	p->bytes = (u64)(pages * in->page_bytes);
	finish(in, p);
}

static void hybrid(const struct plan_input *in, struct plan_prediction *p)
{
	u64 first = pages_ns(in, (double)in->pages) + ROUND_NS;
	double again = plan_written(in, first);

	*p = (struct plan_prediction){.rounds = 1, .in_time = true};
	p->downtime_ns = in->fixed_ns + names_ns(in, again);
	p->total_ns = first + pages_ns(in, again);
	p->bytes = (u64)(((double)in->pages + again) * in->page_bytes);
	finish(in, p);
}

/* The steps of outgoing_precopy.c. */
static unsigned int slower(unsigned int percent)
{
	return percent ? MIN(percent + (100 - percent) / 3 + 1, 99u) : 20;
}

static bool is_enough(const struct plan_input *in, double before, double now)
{
	u64 ns = pages_ns(in, now);

	return ALLOWED_NS + ns <= in->limit_ns && (ns <= GOOD_ENOUGH || now > WORTHWHILE * before);
}

/* Round after round until what is left can go within the pause. */
static void pre_copy(const struct plan_input *in, struct plan_prediction *p)
{
	double pages = (double)in->pages, before = (double)in->pages_all;
	bool ended = false;
	u32 stalls = 0;

	*p = (struct plan_prediction){.rounds = 0};
	for (;;) {
		u64 ns = pages_ns(in, pages) + ROUND_NS;

		p->rounds++;
		p->total_ns += ns;
		p->bytes += (u64)(pages * in->page_bytes);
		pages = plan_written(in, (u64)((double)ns * (100 - p->throttle) / 100));
		p->downtime_ns = in->fixed_ns + pages_ns(in, pages);
		ended = is_enough(in, before, pages);
		if (ended || p->rounds == MAX_ROUND)
			break;
		stalls = pages > STALLED * before ? stalls + 1 : 0;
		before = pages;
		if (stalls < STALLS || in->unthrottled)
			continue;
		p->throttle = slower(p->throttle);
		stalls = 1;
	}
	if (!ended)
		p->throttle = 100;
	p->in_time = !in->time_ns || in->setup_ns + p->total_ns <= in->time_ns;
	p->bytes += (u64)(pages * in->page_bytes);
	finish(in, p);
}

/* ---- The choice ---- */

static double ms(u64 ns)
{
	return (double)ns / 1e6;
}

#define SAY(plan, ...) snprintf((plan)->reason, sizeof((plan)->reason), __VA_ARGS__)

/* Of pre-copy. */
static void say_why(struct plan *plan)
{
	const struct plan_input *in = &plan->in;
	const struct plan_prediction *pre = &plan->ways[PLAN_PRECOPY];

	if (in->fixed_ns > in->limit_ns)
		SAY(plan,
		    "no way keeps the limit of %.1f ms: to stop here and to start there takes "
		    "%.1f ms by itself",
		    ms(in->limit_ns), ms(in->fixed_ns));
	else
		SAY(plan, "after %u round%s little enough is left for the limit of %.1f ms",
		    pre->rounds, pre->rounds == 1 ? "" : "s", ms(in->limit_ns));
}

static void say_why_not(struct plan *plan)
{
	const struct plan_prediction *pre = &plan->ways[PLAN_PRECOPY];
	double rate = plan->in.dirty_rate;

	if (pre->throttle == 100)
		SAY(plan,
		    "it writes %.0f pages a second, and rounds of pre-copy would not come to "
		    "an end",
		    rate);
	else if (pre->throttle)
		SAY(plan,
		    "it writes %.0f pages a second, and pre-copy would have to slow it down "
		    "by %u%%",
		    rate, pre->throttle);
	else if (!pre->in_time)
		SAY(plan, "pre-copy would take %.1f s, longer than it may",
		    ms(pre->total_ns) / 1e3);
	else
		SAY(plan, "with pre-copy it would stand still for %.1f ms, longer than it may",
		    ms(pre->downtime_ns));
}

/*
 * Rounds end, of themselves and in time, and the pause is what it may be, or hybrid's is hardly
 * shorter: after that the guest waits for pages, which is no gain.
 */
static bool suits(const struct plan *plan)
{
	const struct plan_prediction *pre = &plan->ways[PLAN_PRECOPY];
	const struct plan_prediction *other = &plan->ways[PLAN_HYBRID];

	return !pre->throttle && pre->in_time &&
	       (pre->keeps_limit || !other->keeps_limit ||
		pre->downtime_ns <= other->downtime_ns + plan->in.limit_ns / 4);
}

static void choose(struct plan *plan)
{
	if (plan->ways[PLAN_HANDOVER].possible) {
		plan->choice = PLAN_HANDOVER;
		SAY(plan, "both sides are on one host, and its memory can stay where it is");
	} else if (suits(plan)) {
		plan->choice = PLAN_PRECOPY;
		say_why(plan);
	} else {
		plan->choice = PLAN_HYBRID;
		say_why_not(plan);
	}
}

void plan_make(struct plan *plan)
{
	hand_over(&plan->in, &plan->ways[PLAN_HANDOVER]);
	pre_copy(&plan->in, &plan->ways[PLAN_PRECOPY]);
	post_copy(&plan->in, &plan->ways[PLAN_POSTCOPY]);
	hybrid(&plan->in, &plan->ways[PLAN_HYBRID]);
	choose(plan);
}
