// SPDX-License-Identifier: Apache-2.0
/*
 * The simulator: every line of tests/tools/replacement.txt, OPT against exhaustive search, the
 * working set and the idle list against their definitions.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/generate.h"
#include "tools/sim/opt.h"

#define VECTORS "tests/tools/replacement.txt"

/* ---- The vectors ---- */

struct vectors {
	struct trace t;
	char name[64];
	unsigned int refs, pages;
	u32 *next;
	unsigned int nr_traces, nr_faults, nr_victims, nr_windows;
	unsigned int nr_wrong;
};

/* What is evicted, as the file writes it. */
static void append_victim(void *opaque, u32 page)
{
	char *text = opaque;

	sprintf(text + strlen(text), " %u", page);
}

static struct outcome replay_named(const struct vectors *v, const char *policy, u32 frames,
				   const struct watcher *watcher)
{
	struct policy_choice choice;
	struct outcome out;

	if (!strcmp(policy, "opt")) {
		assert_int_equal(replay_opt(&out, &v->t, v->next, frames, watcher), 0);
	} else {
		assert_int_equal(policy_parse(policy, &choice, NULL), 0);
		assert_int_equal(replay(&out, &v->t, &choice, frames, 0, watcher), 0);
	}
	return out;
}

/* A line is wrong: say so and go on, so that one run tells of all. */
static void wrong(struct vectors *v, const char *what, unsigned int size, u64 got, u64 want)
{
	print_error("%s, %s %u: %llu, not %llu\n", v->name, what, size, (unsigned long long)got,
		    (unsigned long long)want);
	v->nr_wrong++;
}

static void close_trace(struct vectors *v)
{
	trace_free(&v->t);
	free(v->next);
	v->next = NULL;
}

static void have_trace(struct vectors *v)
{
	v->next = next_uses(&v->t);
	assert_non_null(v->next);
	assert_int_equal(v->t.nr_refs, v->refs);
	assert_int_equal(v->t.nr_pages, v->pages);
}

static void on_trace(struct vectors *v, const char *rest)
{
	close_trace(v);
	assert_int_equal(sscanf(rest, "%63s refs %u pages %u", v->name, &v->refs, &v->pages), 3);
	v->nr_traces++;
}

static void on_string(struct vectors *v, const char *rest)
{
	assert_int_equal(trace_parse(&v->t, "string", rest, strlen(rest), NULL), 0);
	have_trace(v);
}

static void on_generated(struct vectors *v, const char *rest)
{
	u32 hash = 0;

	assert_int_equal(generate(&v->t, v->name, NULL), 0);
	have_trace(v);
	for (u32 i = 0; i < v->t.nr_refs; i++)
		hash = hash * 1000003 + (u32)v->t.pages[v->t.refs[i]];
	assert_int_equal(hash, strtoul(rest, NULL, 16));
}

static void on_faults(struct vectors *v, const char *rest)
{
	char policy[24];
	unsigned int frames, want;
	int n;

	assert_int_equal(sscanf(rest, "%u%n", &frames, &n), 1);
	for (rest += n; sscanf(rest, " %23[^=]=%u%n", policy, &want, &n) == 2; rest += n) {
		struct outcome out = replay_named(v, policy, frames, NULL);

		if (out.faults != want)
			wrong(v, policy, frames, out.faults, want);
		assert_int_equal(out.rescues, 0);
		v->nr_faults++;
	}
	assert_string_equal(rest, "\n");
}

static void on_victims(struct vectors *v, const char *rest)
{
	char policy[24], dense[512] = "", got[512] = "";
	struct watcher watcher = {.opaque = dense, .evicted = append_victim};
	unsigned int frames;
	int n;

	assert_int_equal(sscanf(rest, "%u %23s%n", &frames, policy, &n), 2);
	replay_named(v, policy, frames, &watcher);
	for (char *word = strtok(dense, " "); word; word = strtok(NULL, " "))
		sprintf(got + strlen(got), " %u", (unsigned int)v->t.pages[atoi(word)]);
	strcat(got, "\n");
	assert_string_equal(got, rest + n);
	v->nr_victims++;
}

static void on_window(struct vectors *v, const char *rest)
{
	unsigned int window, want;
	char mean[24], got[24];
	struct working_set w;

	assert_int_equal(sscanf(rest, "%u faults=%u mean=%23s", &window, &want, mean), 3);
	working_set(&w, &v->t, v->next, window);
	if (w.faults != want)
		wrong(v, "window", window, w.faults, want);
	snprintf(got, sizeof(got), "%.3f", w.mean);
	assert_string_equal(got, mean);
	v->nr_windows++;
}

static void take_line(struct vectors *v, const char *line)
{
	static const struct {
		const char *word;
		void (*take)(struct vectors *v, const char *rest);
	} words[] = {{"trace ", on_trace},   {"string ", on_string},   {"generated ", on_generated},
		     {"faults ", on_faults}, {"victims ", on_victims}, {"window ", on_window}};

	if (line[0] == '#' || line[0] == '\n')
		return;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strncmp(line, words[i].word, strlen(words[i].word))) {
			words[i].take(v, line + strlen(words[i].word));
			return;
		}
	fail_msg("%s: what is: %s", VECTORS, line);
}

static void test_vectors(void **state)
{
	static struct vectors v;
	FILE *f = fopen(VECTORS, "r");
	char line[512];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		take_line(&v, line);
	fclose(f);
	close_trace(&v);
	assert_int_equal(v.nr_wrong, 0);
	assert_int_equal(v.nr_traces, 16);
	assert_int_equal(v.nr_faults, 6 * (11 * 5 + 1 + 3 + 2 + 2 + 3));
	assert_int_equal(v.nr_victims, 6);
	assert_int_equal(v.nr_windows, 33);
}

/* ---- OPT ---- */

/* Fewest faults on refs[at..] from the set of resident pages @memory, by trying every victim. */
static u32 fewest(const u32 *refs, u32 nr, u32 at, u32 memory, u32 frames)
{
	u32 best = UINT32_MAX, bit;

	while (at < nr && memory & 1u << refs[at])
		at++;
	if (at == nr)
		return 0;
	bit = 1u << refs[at];
	if ((u32)__builtin_popcount(memory) < frames)
		return 1 + fewest(refs, nr, at + 1, memory | bit, frames);
	for (u32 rest = memory; rest; rest &= rest - 1) {
		u32 victim = rest & -rest;

		best = MIN(best, fewest(refs, nr, at + 1, (memory & ~victim) | bit, frames));
	}
	return 1 + best;
}

static void check_opt(const struct trace *t, u32 max_frames)
{
	u32 *next = next_uses(t);

	assert_non_null(next);
	for (u32 frames = 1; frames <= max_frames; frames++) {
		struct outcome out;

		assert_int_equal(replay_opt(&out, t, next, frames, NULL), 0);
		assert_int_equal(out.faults, fewest(t->refs, t->nr_refs, 0, 0, frames));
	}
	free(next);
}

/* All strings of 7 references to 4 pages, and random ones of 12 to 6. */
static void test_opt_is_optimal(void **state)
{
	struct trace t;
	u64 refs[12];

	(void)state;
	for (u32 n = 0; n < 1u << 14; n++) {
		for (u32 i = 0; i < 7; i++)
			refs[i] = n >> 2 * i & 3;
		assert_int_equal(trace_from_numbers(&t, refs, 7), 0);
		check_opt(&t, 3);
		trace_free(&t);
	}
	srand(1);
	for (u32 n = 0; n < 300; n++) {
		for (u32 i = 0; i < 12; i++)
			refs[i] = (u64)(rand() / 7 % 6);
		assert_int_equal(trace_from_numbers(&t, refs, 12), 0);
		check_opt(&t, 5);
		trace_free(&t);
	}
}

/* ---- Random traces against definitions ---- */

#define NR 400

/* Skewed, so that there are hits and misses at all sizes. */
static void random_trace(struct trace *t, unsigned int seed, u32 nr_pages)
{
	u64 refs[NR];

	srand(seed);
	for (u32 i = 0; i < NR; i++)
		refs[i] = (u64)rand() / 7 % (1 + (u64)rand() / 7 % nr_pages);
	assert_int_equal(trace_from_numbers(t, refs, NR), 0);
}

/* The different pages among the @window references up to @at. */
static u32 nr_in_window(const struct trace *t, u32 at, u32 window, u32 page, bool *has_page)
{
	bool seen[64] = {false};
	u32 nr = 0;

	for (u32 i = at + 1 < window ? 0 : at + 1 - window; i <= at; i++) {
		nr += !seen[t->refs[i]];
		seen[t->refs[i]] = true;
	}
	*has_page = seen[page];
	return nr;
}

static void test_working_set(void **state)
{
	struct trace t;

	(void)state;
	for (unsigned int seed = 1; seed <= 20; seed++) {
		u32 *next;

		random_trace(&t, seed, 40);
		next = next_uses(&t);
		for (u32 window = 1; window <= NR + 1; window += 1 + window / 4) {
			u64 faults = 1, sum = 1; /* of the first reference */
			struct working_set w;
			bool hit;

			for (u32 i = 1; i < NR; i++) {
				nr_in_window(&t, i - 1, window, t.refs[i], &hit);
				faults += !hit;
				sum += nr_in_window(&t, i, window, t.refs[i], &hit);
			}
			working_set(&w, &t, next, window);
			assert_int_equal(w.faults, faults);
			assert_true(w.mean * NR > (double)sum - 0.01);
			assert_true(w.mean * NR < (double)sum + 0.01);
		}
		free(next);
		trace_free(&t);
	}
}

/*
 * fifo+idle, which is two queues: the mapped pages and the idle ones. The model keeps both as one
 * array, oldest first, whose first pages are idle.
 */
struct two_queues {
	u32 pages[64];
	u32 nr, nr_idle;
	u32 max_mapped, max_idle;
	struct outcome out;
};

static void use(struct two_queues *q, u32 page)
{
	u32 at = 0;

	while (at < q->nr && q->pages[at] != page)
		at++;
	if (at < q->nr && at >= q->nr_idle)
		return;
	if (at < q->nr) {
		q->out.rescues++;
		q->nr_idle--;
		q->nr--;
		memmove(q->pages + at, q->pages + at + 1, (q->nr - at) * sizeof(u32));
	} else {
		q->out.faults++;
	}
	q->nr_idle += q->nr - q->nr_idle == q->max_mapped;
	if (q->nr_idle > q->max_idle) {
		q->nr_idle--;
		q->nr--;
		memmove(q->pages, q->pages + 1, q->nr * sizeof(u32));
	}
	q->pages[q->nr++] = page;
}

static void test_idle_list(void **state)
{
	struct policy_choice fifo;
	struct trace t;
	u64 rescues = 0;

	(void)state;
	assert_int_equal(policy_parse("fifo+idle", &fifo, NULL), 0);
	for (unsigned int seed = 1; seed <= 20; seed++) {
		random_trace(&t, seed, 40);
		for (u32 frames = 1; frames <= 42; frames++) {
			struct two_queues q = {.max_idle = frames / 4,
					       .max_mapped = frames - frames / 4};
			struct outcome out;

			for (u32 i = 0; i < t.nr_refs; i++)
				use(&q, t.refs[i]);
			assert_int_equal(replay(&out, &t, &fifo, frames, 0, NULL), 0);
			assert_int_equal(out.faults, q.out.faults);
			assert_int_equal(out.rescues, q.out.rescues);
			rescues += out.rescues;
		}
		trace_free(&t);
	}
	assert_true(rescues > 0);
}

/* What must hold for every policy, with and without idle list, on any trace and at any size. */
static void test_bounds(void **state)
{
	struct trace t;

	(void)state;
	for (unsigned int seed = 1; seed <= 5; seed++) {
		u32 *next;

		random_trace(&t, seed, 60);
		next = next_uses(&t);
		for (u32 frames = 1; frames <= t.nr_pages + 1; frames += 1 + frames / 8) {
			struct outcome best, out;
			struct policy_choice c = {.param = 3};

			assert_int_equal(replay_opt(&best, &t, next, frames, NULL), 0);
			for (u32 i = 0; policy_table[i / 2]; i++) {
				c.ops = policy_table[i / 2];
				c.idle = i % 2;
				assert_int_equal(replay(&out, &t, &c, frames, 0, NULL), 0);
				assert_true(out.faults >= best.faults);
				assert_true(out.faults >= t.nr_pages);
				if (frames >= t.nr_pages)
					assert_int_equal(out.faults, t.nr_pages);
			}
		}
		free(next);
		trace_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	    cmocka_unit_test(test_opt_is_optimal),
		cmocka_unit_test(test_working_set), cmocka_unit_test(test_idle_list),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
