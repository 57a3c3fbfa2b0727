// SPDX-License-Identifier: Apache-2.0
/*
 * The jobs. All workers go through the same phases and meet between them; worker 0 measures and
 * tells.
 *
 *   fill    every page, generation 1
 *   damage  the page of corrupt=, if any
 *   job     verify: passes over the slice; access: the pattern, then one pass; edge: see edge.c
 *
 * Once a page was found wrong, no further pass is begun: it would only find the same page again.
 */
#include <stddef.h>

#include "guest/work/random.h"
#include "guest/work/work.h"

#define MS ((uint64_t)1000000)

/*
 * How far a writer with rate= may fall behind and still catch up: a long stop is not made up for.
 */
#define MAX_DEBT (10 * MS)

/*
 * A phase: a stretch of work that all workers begin and end together. Between the end of one and
 * the start of the next nothing moves, so worker 0's sums are exact.
 */
struct phase {
	const char *name;
	uint64_t start;
	struct guest_beat before;
};

static void begin_phase(struct worker *worker, struct phase *phase, const char *name)
{
	phase->name = name;
	phase->before = pulse_total(worker->work);
	pulse_meet(worker);
	phase->start = work_now(worker->work);
}

/* "fill 1000 pages 0.005 s 5.000 us/page": pages of all workers, time on the clock. */
static void end_phase(struct worker *worker, const struct phase *phase)
{
	const struct guest_beat *before = &phase->before;
	struct guest_beat now;
	uint64_t elapsed, writes, reads, pages;
	struct line line;

	pulse_meet(worker);
	if (worker->index)
		return;
	elapsed = work_now(worker->work) - phase->start;
	now = pulse_total(worker->work);
	writes = now.writes - before->writes;
	reads = now.reads - before->reads;
	pages = now.filled - before->filled + writes + reads;
	line_start(&line);
	line_text(&line, phase->name);
	line_add(&line, " %u pages %m s %m us/page", pages, elapsed / MS,
		 pages ? elapsed / pages : 0);
	if (writes)
		line_add(&line, ", %u writes %u reads", writes, reads);
	work_print(worker->work->platform, &line);
}

/*
 * Give page @number its next generation. The table is written first, but no order would matter: who
 * stops and copies this guest stops the CPU between two instructions, and copies its registers too.
 */
static void write_page(struct worker *worker, uint64_t number)
{
	struct work *work = worker->work;
	uint32_t generation = ++work->platform->generations[number];

	page_write(work_page(work, number), work->options, (struct page_id){number, generation});
}

static void fill(struct worker *worker)
{
	struct phase phase;

	begin_phase(worker, &phase, "fill");
	for (uint64_t i = 0; i < worker->pages; i++) {
		write_page(worker, worker->first + i);
		work_count(&worker->beat->filled);
		pulse_tick(worker);
	}
	end_phase(worker, &phase);
}

/* Break a page on purpose, as a broken host might. */
static void damage(struct worker *worker)
{
	struct work *work = worker->work;
	uint64_t number = work->options->corrupt;
	union page *page = work_page(work, number);

	if (number < worker->first || number - worker->first >= worker->pages)
		return;
	switch (work->options->damage) {
	case WORK_FLIP:
		page->words[PAGE_WORDS / 2] ^= 0x10000;
		break;
	case WORK_STALE:
		if (work->options->job == WORK_EDGE)
			page->words[PAGE_WORDS - 1]--;
		else
			work->platform->generations[number]++;
		break;
	case WORK_FOREIGN:
		page_write(page, work->options, (struct page_id){number + 1, 1});
		break;
	case WORK_LOST:
		*page = (union page){0};
		break;
	}
}

/* Whether another pass is to be made, after @done of them. */
static bool another_pass(const struct work *work, uint64_t done, uint64_t deadline)
{
	const struct work_options *options = work->options;

	if (options->job == WORK_ACCESS || options->job == WORK_EDGE || pulse_told(work) ||
	    __atomic_load_n(&work->wrong, __ATOMIC_RELAXED))
		return !done;
	if (options->passes && done >= options->passes)
		return false;
	return !deadline || work_now(work) < deadline;
}

/* Workers make their passes at their own pace, and meet only at the end. */
static void verify(struct worker *worker)
{
	const struct work *work = worker->work;
	uint64_t limit = work->options->time_ms * MS;
	void (*check)(struct worker *) = work->options->job == WORK_EDGE ? edge_check : check_slice;
	uint64_t passes = 0;
	struct phase phase;

	begin_phase(worker, &phase, "verify");
	for (; another_pass(work, passes, limit ? phase.start + limit : 0); passes++)
		check(worker);
	end_phase(worker, &phase);
}

/* Wait until a writer that makes one write each @interval may do the next, due at *@due. */
static void wait_for_turn(struct worker *worker, uint64_t *due, uint64_t interval)
{
	uint64_t now = pulse_tick(worker);

	while (now < *due)
		now = pulse_wait(worker);
	if (now - *due > MAX_DEBT)
		*due = now;
	*due += interval;
}

/* Whether a worker goes on, which has done @done of its @share of accesses, if there is one. */
static bool another_access(const struct work *work, uint64_t done, uint64_t share)
{
	return !pulse_told(work) && (!work->options->ops || done < share);
}

/* One access. Returns the time. */
static uint64_t access_once(struct worker *worker, uint64_t now, uint64_t *due, uint64_t interval)
{
	const struct work_options *options = worker->work->options;
	struct pattern *pattern = &worker->pattern;
	uint64_t number = worker->first + pattern_next(pattern, now);

	if (random_below(&pattern->random, 100) >= options->write) {
		check_page(worker, number);
		return pulse_tick(worker);
	}
	if (interval)
		wait_for_turn(worker, due, interval);
	write_page(worker, number);
	work_count(&worker->beat->writes);
	return pulse_tick(worker);
}

/*
 * With rate= each worker writes at its share of it; reads go at whatever pace the writes between
 * them leave. An idle worker looks at the clock and nothing else.
 */
static void access(struct worker *worker)
{
	const struct work_options *options = worker->work->options;
	uint64_t share = options->ops / options->cpus;
	uint64_t interval = options->rate ? MS * options->cpus / options->rate : 0;
	uint64_t end = UINT64_MAX;
	struct phase phase;
	uint64_t due, now;

	if (worker->index < options->ops % options->cpus)
		share++;
	begin_phase(worker, &phase, "access");
	due = now = phase.start;
	if (options->time_ms)
		end = phase.start + options->time_ms * MS;
	for (uint64_t done = 0; now < end && another_access(worker->work, done, share); done++) {
		if (options->pattern == WORK_IDLE)
			now = pulse_wait(worker);
		else
			now = access_once(worker, now, &due, interval);
	}
	end_phase(worker, &phase);
}

static void edge(struct worker *worker)
{
	uint64_t limit = worker->work->options->time_ms * MS;
	struct phase phase;

	begin_phase(worker, &phase, "edge");
	edge_count(worker, limit ? phase.start + limit : UINT64_MAX);
	end_phase(worker, &phase);
}

/*
 * What every worker goes through. The clock of its beats starts here: how long CPUs took to come up
 * is no gap.
 */
static void run_worker(void *arg, unsigned int index)
{
	struct work *work = arg;
	struct worker *worker = &work->workers[index];

	worker->beat->last_ns = work_now(work);
	worker->status_at = worker->beat->last_ns + work->options->status_ms * MS;
	fill(worker);
	if (work->options->job == WORK_EDGE)
		edge_prepare(worker);
	if (work->options->corrupt != WORK_NO_PAGE)
		damage(worker);
	pulse_forget_gaps(worker);
	if (work->options->job == WORK_EDGE)
		edge(worker);
	if (work->options->job == WORK_ACCESS)
		access(worker);
	if (work->options->job != WORK_FILL)
		verify(worker);
}

/* Before any worker runs. Setting .cpus last tells a host that the rest of the block is valid. */
static void prepare(struct work *work)
{
	const struct work_options *options = work->options;
	uint64_t slice = work->pages / options->cpus;
	struct guest_beat_block *beats = work->platform->beats;

	if (options->job == WORK_ACCESS && options->pattern == WORK_ZIPF)
		zipf_init(&work->zipf, pattern_hot_pages(options, slice), options->theta);
	for (unsigned int i = 0; i < options->cpus; i++) {
		struct worker *worker = &work->workers[i];

		worker->work = work;
		worker->index = i;
		worker->first = i * slice;
		worker->pages = slice;
		worker->beat = &beats->cpu[i];
		pattern_init(&worker->pattern, options, &work->zipf, slice,
			     random_of(options->seed, i));
	}
	beats->magic = GUEST_BEAT_MAGIC;
	beats->version = GUEST_BEAT_VERSION;
	beats->pages = work->pages;
	beats->start_ns = work->start_ns;
	__atomic_store_n(&beats->cpus, (uint32_t)options->cpus, __ATOMIC_RELEASE);
}

static enum guest_exit judge(const struct work *work)
{
	struct line reason;

	pulse_report(work);
	if (!work->wrong)
		return work_verdict(work->platform, GUEST_EXIT_PASS, NULL);
	line_start(&reason);
	line_add(&reason, "wrong pages: %u", work->wrong);
	return work_verdict(work->platform, GUEST_EXIT_WRONG, reason.text);
}

enum guest_exit work_run(struct work *work, const struct work_platform *platform,
			 const struct work_options *options)
{
	work->platform = platform;
	work->options = options;
	work->pages = platform->arena_pages - platform->arena_pages % options->cpus;
	work->start_ns = work_now(work);
	if (options->job == WORK_NONE)
		return work_verdict(platform, GUEST_EXIT_PASS, NULL);
	if (options->job == WORK_CHURN)
		return work_verdict(platform, GUEST_EXIT_OPTIONS,
				    "job=churn is not for this program");
	if (options->job == WORK_ATTACK)
		return work_verdict(platform, GUEST_EXIT_OPTIONS,
				    "job=attack is not for this program");
	if (!work->pages)
		return work_verdict(platform, GUEST_EXIT_MEMORY, "no memory to work in");
	if (options->corrupt != WORK_NO_PAGE && options->corrupt >= work->pages)
		return work_verdict(platform, GUEST_EXIT_OPTIONS, "corrupt= is no page in use");
	prepare(work);
	if (platform->run_workers(platform->opaque, (unsigned int)options->cpus, run_worker, work))
		return work_verdict(platform, GUEST_EXIT_CPUS, "a CPU did not start");
	return judge(work);
}
