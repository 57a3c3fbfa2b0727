// SPDX-License-Identifier: Apache-2.0
/*
 * Time passing in a worker. There is no timer interrupt: a worker looks at the clock between any
 * two pages it works on. So a beat is late when the worker was held up, by a page fault, by another
 * task on its host CPU, by a migration, and that is what the gaps are to show.
 */
#include "guest/work/work.h"

#define MS ((uint64_t)1000000)

/* A look at the console is an exit to the VMM, up to 90 us: a hundredth of the time at most. */
#define LISTEN (10 * MS)

/*
 * Under a millisecond since the last beat there is none due. A late one counts once, however late:
 * the beats that were missed show in the bucket of its gap.
 */
static void beat(struct guest_beat *beat, uint64_t now)
{
	uint64_t gap = now - beat->last_ns;
	uint64_t ms = gap / MS;
	unsigned int bucket;

	if (!ms)
		return;
	bucket = 63 - (unsigned int)__builtin_clzll(ms);
	if (bucket >= GUEST_BEAT_BUCKETS)
		bucket = GUEST_BEAT_BUCKETS - 1;
	work_count(&beat->gaps[bucket]);
	if (gap > beat->max_gap_ns)
		__atomic_store_n(&beat->max_gap_ns, gap, __ATOMIC_RELAXED);
	__atomic_store_n(&beat->last_ns, now, __ATOMIC_RELAXED);
	work_count(&beat->beats);
}

/*
 * Others go on counting meanwhile, so the sum is of no exact moment; between phases nobody does,
 * and it is exact.
 */
struct guest_beat pulse_total(const struct work *work)
{
	struct guest_beat sum = {0};

	for (unsigned int i = 0; i < work->options->cpus; i++) {
		const struct guest_beat *one = &work->platform->beats->cpu[i];
		uint64_t gap = __atomic_load_n(&one->max_gap_ns, __ATOMIC_RELAXED);

		sum.beats += __atomic_load_n(&one->beats, __ATOMIC_RELAXED);
		sum.filled += __atomic_load_n(&one->filled, __ATOMIC_RELAXED);
		sum.writes += __atomic_load_n(&one->writes, __ATOMIC_RELAXED);
		sum.reads += __atomic_load_n(&one->reads, __ATOMIC_RELAXED);
		sum.wrong += __atomic_load_n(&one->wrong, __ATOMIC_RELAXED);
		for (unsigned int b = 0; b < GUEST_BEAT_BUCKETS; b++)
			sum.gaps[b] += __atomic_load_n(&one->gaps[b], __ATOMIC_RELAXED);
		if (gap > sum.max_gap_ns)
			sum.max_gap_ns = gap;
	}
	return sum;
}

/* Longest gap of any worker since the fill. */
static uint64_t longest_gap(const struct work *work)
{
	uint64_t longest = 0;

	for (unsigned int i = 0; i < work->options->cpus; i++) {
		uint64_t gap = __atomic_load_n(&work->workers[i].gap_all, __ATOMIC_RELAXED);

		if (gap > longest)
			longest = gap;
	}
	return longest;
}

/*
 * The same since it was last asked for. A worker that raises its own just then does so for this
 * time or for the next.
 */
static uint64_t take_gap(struct work *work)
{
	uint64_t longest = 0;

	for (unsigned int i = 0; i < work->options->cpus; i++) {
		uint64_t gap = __atomic_exchange_n(&work->workers[i].gap_ns, 0, __ATOMIC_RELAXED);

		if (gap > longest)
			longest = gap;
	}
	return longest;
}

static void raise(uint64_t *longest, uint64_t gap)
{
	if (gap > __atomic_load_n(longest, __ATOMIC_RELAXED))
		__atomic_store_n(longest, gap, __ATOMIC_RELAXED);
}

static void look(struct worker *worker, uint64_t now)
{
	uint64_t gap = worker->looked_ns ? now - worker->looked_ns : 0; /* 0: it never did */

	worker->looked_ns = now;
	raise(&worker->gap_ns, gap);
	raise(&worker->gap_all, gap);
}

void pulse_forget_gaps(struct worker *worker)
{
	worker->looked_ns = work_now(worker->work);
	__atomic_store_n(&worker->gap_ns, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&worker->gap_all, 0, __ATOMIC_RELAXED);
}

/*
 * Worker 0 speaks for all, from its own loop: a worker 0 that is held up is late with the line,
 * too.
 */
static void print_status(struct worker *worker, uint64_t now)
{
	struct work *work = worker->work;
	struct guest_beat sum = pulse_total(work);
	struct line line;

	line_start(&line);
	line_add(&line, "status %m s filled %u writes %u reads %u wrong %u",
		 (now - work->start_ns) / MS, sum.filled, sum.writes, sum.reads, sum.wrong);
	if (work->options->beat)
		line_add(&line, " beats %u max gap %m ms", sum.beats, sum.max_gap_ns / 1000);
	if (work->options->gap)
		line_add(&line, " gap %u us", take_gap(work) / 1000);
	work_print(work->platform, &line);
}

/* Once told is enough: nobody looks again. */
static void listen(struct worker *worker, uint64_t now)
{
	struct work *work = worker->work;
	const struct work_platform *platform = work->platform;

	if (now < worker->listen_at || pulse_told(work))
		return;
	worker->listen_at = now + LISTEN;
	if (platform->told(platform->opaque))
		__atomic_store_n(&work->told, 1, __ATOMIC_RELAXED);
}

uint64_t pulse_tick(struct worker *worker)
{
	const struct work_options *options = worker->work->options;
	uint64_t now = work_now(worker->work);

	if (options->beat)
		beat(worker->beat, now);
	if (options->gap)
		look(worker, now);
	if (options->status_ms && worker->index == 0 && now >= worker->status_at) {
		print_status(worker, now);
		worker->status_at = now + options->status_ms * MS;
	}
	if (options->stop && worker->index == 0)
		listen(worker, now);
	return now;
}

uint64_t pulse_wait(struct worker *worker)
{
	const struct work_platform *platform = worker->work->platform;

	platform->relax(platform->opaque);
	return pulse_tick(worker);
}

/*
 * The last to arrive resets the count before it opens the door, so the next meeting cannot begin on
 * the old count. Those who wait keep ticking: waiting is not a gap.
 */
void pulse_meet(struct worker *worker)
{
	struct work *work = worker->work;
	unsigned int meeting = __atomic_load_n(&work->meeting, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&work->arrived, 1, __ATOMIC_ACQ_REL) == work->options->cpus) {
		__atomic_store_n(&work->arrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&work->meeting, meeting + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&work->meeting, __ATOMIC_ACQUIRE) == meeting)
		pulse_wait(worker);
}

static void report_beats(const struct work *work)
{
	struct guest_beat sum = pulse_total(work);
	struct line line;

	line_start(&line);
	line_add(&line, "beats %u max gap %m ms, gaps of 1, 2, 4 ... ms:", sum.beats,
		 sum.max_gap_ns / 1000);
	for (unsigned int b = 0; b < GUEST_BEAT_BUCKETS; b++)
		line_add(&line, " %u", sum.gaps[b]);
	work_print(work->platform, &line);
}

void pulse_report(const struct work *work)
{
	struct line line;

	if (work->options->beat)
		report_beats(work);
	if (!work->options->gap)
		return;
	line_start(&line);
	line_add(&line, "gap %u us", longest_gap(work) / 1000);
	work_print(work->platform, &line);
}
