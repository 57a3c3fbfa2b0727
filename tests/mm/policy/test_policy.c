// SPDX-License-Identifier: Apache-2.0
/*
 * Replacement policies against models written for nothing but being obvious: arrays that are
 * shifted and sorted. Each policy and its model live through the same random life, with pages
 * removed, memory resized and more loaded than fits, and must choose the same victims. Known
 * reference strings are in test_sim.c.
 */
#include "tests/lib/test.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "mm/policy/policy.h"

#define PAGES 24

/* ---- Models ---- */

/* Pages in an order, each with a value; what both mean is the model's business. */
struct queue {
	u32 nr;
	u32 page[PAGES + 1];
};

struct model;

struct model_ops {
	const char *name;
	void (*loaded)(struct model *m, u32 page);
	void (*touched)(struct model *m, u32 page);
	u32 (*victim)(struct model *m); /* something is resident */
	void (*tick)(struct model *m);
};

struct model {
	const struct model_ops *ops;
	struct queue q;		 /* resident pages; of car, T1 */
	struct queue t2, b1, b2; /* of car */
	u32 value[PAGES];
	u32 frames;
	double target;
};

static u32 find(const struct queue *q, u32 page)
{
	u32 at = 0;

	while (at < q->nr && q->page[at] != page)
		at++;
	return at;
}

static bool has(const struct queue *q, u32 page)
{
	return find(q, page) < q->nr;
}

static void insert(struct queue *q, u32 at, u32 page)
{
	memmove(q->page + at + 1, q->page + at, (q->nr - at) * sizeof(u32));
	q->page[at] = page;
	q->nr++;
}

static void append(struct queue *q, u32 page)
{
	insert(q, q->nr, page);
}

static void drop(struct queue *q, u32 page)
{
	u32 at = find(q, page);

	if (at == q->nr)
		return;
	q->nr--;
	memmove(q->page + at, q->page + at + 1, (q->nr - at) * sizeof(u32));
}

static u32 shift(struct queue *q)
{
	u32 page = q->page[0];

	drop(q, page);
	return page;
}

static void append_loaded(struct model *m, u32 page)
{
	append(&m->q, page);
	m->value[page] = 0;
}

static void not_touched(struct model *m, u32 page)
{
	(void)m;
	(void)page;
}

static u32 first_victim(struct model *m)
{
	return shift(&m->q);
}

static void lru_touched(struct model *m, u32 page)
{
	drop(&m->q, page);
	append(&m->q, page);
}

/* Clocks: the value is how often the hand must still pass. */
static void clock_loaded(struct model *m, u32 page)
{
	append(&m->q, page);
	m->value[page] = 1;
}

static void clock_touched(struct model *m, u32 page)
{
	m->value[page] = 1;
}

static void nth3_loaded(struct model *m, u32 page)
{
	append(&m->q, page);
	m->value[page] = 3;
}

static void nth3_touched(struct model *m, u32 page)
{
	m->value[page] = 3;
}

static u32 clock_victim(struct model *m)
{
	for (;;) {
		u32 page = shift(&m->q);

		if (!m->value[page])
			return page;
		m->value[page]--;
		append(&m->q, page);
	}
}

/* NFU: pages sorted by register, new ones behind their equals; shifting keeps the order. */
static void nfu_insert(struct model *m, u32 page, u32 history)
{
	u32 at = 0;

	m->value[page] = history;
	while (at < m->q.nr && m->value[m->q.page[at]] <= history)
		at++;
	insert(&m->q, at, page);
}

static void nfu_loaded(struct model *m, u32 page)
{
	nfu_insert(m, page, 256);
}

static void nfu_touched(struct model *m, u32 page)
{
	if (m->value[page] >= 256)
		return;
	drop(&m->q, page);
	nfu_insert(m, page, m->value[page] + 256);
}

static void nfu_tick(struct model *m)
{
	for (u32 i = 0; i < PAGES; i++)
		m->value[i] /= 2;
}

/* CAR, line by line from the paper; the limits of the ghost lists in force at all times. */
static void car_limit(struct model *m, u32 more)
{
	while (m->b1.nr && m->q.nr + m->b1.nr + more > m->frames)
		shift(&m->b1);
	while (m->b2.nr && m->q.nr + m->t2.nr + m->b1.nr + m->b2.nr + more > 2 * m->frames)
		shift(&m->b2);
}

static void car_loaded(struct model *m, u32 page)
{
	double b1 = m->b1.nr, b2 = m->b2.nr;

	m->value[page] = 0;
	if (!has(&m->b1, page) && !has(&m->b2, page)) {
		car_limit(m, 1);
		append(&m->q, page);
		return;
	}
	if (has(&m->b1, page)) {
		m->target += b2 / b1 > 1 ? b2 / b1 : 1;
		m->target = m->target > m->frames ? m->frames : m->target;
	} else {
		m->target -= b1 / b2 > 1 ? b1 / b2 : 1;
		m->target = m->target < 0 ? 0 : m->target;
	}
	drop(&m->b1, page);
	drop(&m->b2, page);
	append(&m->t2, page);
}

static u32 car_victim(struct model *m)
{
	for (;;) {
		bool t1 = m->q.nr && (m->q.nr >= (m->target > 1 ? m->target : 1) || !m->t2.nr);
		u32 page = shift(t1 ? &m->q : &m->t2);

		if (!m->value[page]) {
			append(t1 ? &m->b1 : &m->b2, page);
			car_limit(m, 0);
			return page;
		}
		m->value[page] = 0;
		append(&m->t2, page);
	}
}

static const struct model_ops models[] = {
	{"fifo", append_loaded, not_touched, first_victim, NULL},
	{"lru", append_loaded, lru_touched, first_victim, NULL},
	{"clock", clock_loaded, clock_touched, clock_victim, NULL},
	{"clock0", append_loaded, clock_touched, clock_victim, NULL},
	{"nth:1", clock_loaded, clock_touched, clock_victim, NULL},
	{"nth:3", nth3_loaded, nth3_touched, clock_victim, NULL},
	{"nfu", nfu_loaded, nfu_touched, first_victim, nfu_tick},
	{"car", car_loaded, clock_touched, car_victim, NULL},
};

/* ---- One life of both ---- */

struct life {
	struct model m;
	struct policy *p;
	bool resident[PAGES];
	u32 nr_resident;
	u64 seed;
};

static u32 draw(struct life *l, u32 below)
{
	l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
	return (u32)(l->seed >> 33) % below;
}

static void evict_one(struct life *l)
{
	u32 got, want;

	if (!l->nr_resident) {
		assert_false(policy_victim(l->p, &got));
		return;
	}
	want = l->m.ops->victim(&l->m);
	assert_true(policy_victim(l->p, &got));
	assert_int_equal(got, want);
	assert_true(l->resident[got]);
	l->resident[got] = false;
	l->nr_resident--;
}

static void reference(struct life *l, u32 page)
{
	if (l->resident[page]) {
		l->m.ops->touched(&l->m, page);
		policy_touched(l->p, page);
		return;
	}
	/* mostly within the frames, sometimes beyond */
	while (l->nr_resident >= l->m.frames && draw(l, 20))
		evict_one(l);
	l->m.ops->loaded(&l->m, page);
	policy_loaded(l->p, page);
	l->resident[page] = true;
	l->nr_resident++;
}

static void discard(struct life *l, u32 page)
{
	if (!l->resident[page])
		return;
	drop(&l->m.q, page);
	drop(&l->m.t2, page);
	policy_removed(l->p, page);
	l->resident[page] = false;
	l->nr_resident--;
}

static void resize(struct life *l)
{
	l->m.frames = 1 + draw(l, PAGES);
	if (l->m.target > l->m.frames)
		l->m.target = l->m.frames;
	car_limit(&l->m, 0);
	policy_resize(l->p, l->m.frames);
}

static void step(struct life *l)
{
	u32 kind = draw(l, 100);

	if (kind == 0) {
		resize(l);
	} else if (kind < 5) {
		discard(l, draw(l, PAGES));
	} else if (kind < 10) {
		evict_one(l);
	} else if (kind < 20) {
		if (l->m.ops->tick)
			l->m.ops->tick(&l->m);
		policy_tick(l->p);
	} else {
		reference(l, draw(l, 1 + draw(l, PAGES)));
	}
}

static void live(const struct model_ops *model, u32 frames, u64 seed)
{
	struct life l = {.m = {.ops = model, .frames = frames}, .seed = seed};
	struct policy_choice choice;

	assert_int_equal(policy_parse(model->name, &choice, NULL), 0);
	assert_int_equal(policy_create(&l.p, &choice, PAGES, frames), 0);
	for (u32 i = 0; i < 5000; i++)
		step(&l);
	/* in the end each resident page comes out once */
	while (l.nr_resident)
		evict_one(&l);
	evict_one(&l);
	policy_destroy(l.p);
}

static void test_models(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(models); i++)
		for (u32 frames = 1; frames <= PAGES; frames += 1 + frames / 4)
			live(&models[i], frames, frames);
}

/* Every policy of the table has a model. */
static void test_all_have_models(void **state)
{
	(void)state;
	for (const struct policy_ops *const *p = policy_table; *p; p++) {
		struct policy_choice c;
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
			assert_int_equal(policy_parse(models[i].name, &c, NULL), 0);
			found |= c.ops == *p;
		}
		assert_true(found);
	}
}

/* ---- Names ---- */

static void test_names(void **state)
{
	static const struct {
		const char *text, *name;
		u32 param;
		bool idle;
	} good[] = {
		{"fifo", "fifo", 0, false},	     {"clock", "clock", 0, false},
		{"clock0", "clock0", 0, false},	     {"nth", "nth:3", 3, false},
		{"nth:1", "nth:1", 1, false},	     {"nth:007", "nth:7", 7, false},
		{"nth:100", "nth:100", 100, false},  {"nfu", "nfu", 0, false},
		{"lru+idle", "lru+idle", 0, true},   {"nth:100+idle", "nth:100+idle", 100, true},
		{"nth+idle", "nth:3+idle", 3, true}, {"car+idle", "car+idle", 0, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct policy_choice c;

		assert_int_equal(policy_parse(good[i].text, &c, NULL), 0);
		assert_string_equal(c.name, good[i].name);
		assert_int_equal(c.param, good[i].param);
		assert_int_equal(c.idle, good[i].idle);
		assert_memory_equal(c.name, c.ops->name, strlen(c.ops->name));
	}
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = {
		"",	   "+idle",	    "fif",	 "fifoo",	   "FIFO",   "clock1",
		"nth:",	   "nth:0",	    "nth:101",	 "nth:4294967297", "nth:-1", "nth:3x",
		"nth: 3",  "nth:3:3",	    "fifo:",	 "fifo:1",	   "lru:2",  "lru+",
		"lru+idl", "lru+idle+idle", "lru+idle ", "nth+idle:3",	   ":3",     "opt",
	};
	static char long_name[5000];
	struct policy_choice c, before;
	struct err err;

	(void)state;
	memset(&c, 0x5a, sizeof(c));
	before = c;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = 0;
		if (!policy_parse(bad[i], &c, &err))
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(err.text, "replacement policy "));
		assert_non_null(strstr(err.text, bad[i]));
		assert_non_null(strstr(err.text, " (")); /* what to do */
		assert_memory_equal(&c, &before, sizeof(c));
	}
	/* the sentence lists what there is, and holds a name of any length */
	policy_parse("x", &c, &err);
	for (const struct policy_ops *const *p = policy_table; *p; p++)
		assert_non_null(strstr(err.text, (*p)->name));
	memset(long_name, 'x', sizeof(long_name) - 1);
	assert_int_not_equal(policy_parse(long_name, &c, &err), 0);
	assert_non_null(strstr(err.text, "+idle may follow)"));
}

/* ---- Memory ---- */

/* Bytes in use, of the heap and of what malloc maps. 0 under a sanitizer, which has its own. */
static size_t used(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void test_memory_where_malloc_can_tell(void **state)
{
	const u32 nr_pages = 1000000;
	size_t before = used();

	(void)state;
	if (!before)
		skip();
	for (const struct policy_ops *const *p = policy_table; *p; p++) {
		struct policy_choice c = {.ops = *p, .param = (*p)->default_param};
		struct policy *policy;
		size_t bytes;

		before = used();
		assert_int_equal(policy_create(&policy, &c, nr_pages, nr_pages), 0);
		bytes = used() - before;
		assert_true(bytes >= 8 * nr_pages);
		assert_true(bytes <= 12 * nr_pages);
		policy_destroy(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_all_have_models),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_memory_where_malloc_can_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
