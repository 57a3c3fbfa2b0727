// SPDX-License-Identifier: Apache-2.0
/*
 * The controllers (mm/policy/tuner.h), once a second: what the second was like goes in, and out
 * come the limit of fault-frequency mode, the store's share of the limit, what a proactive mode
 * pushes out, and whether the guest thrashes. The manager's thread alone; under the engine's lock.
 */
#include "mm/engine/impl.h"
#include "mm/engine/owner.h"
#include "mm/engine/trim.h"
#include "mm/engine/tune.h"

/* Shares of vCPU time lost in faults, above and below which the store's part is changed. */
#define STALL_HIGH 0.05
#define STALL_LOW  0.005

void tune_init(struct mem *m)
{
	tuner_promotions_init(&m->tune.promotions, 0.002);
	tuner_stall_init(&m->tune.stall, 0.01);
	tuner_thrash_init(&m->tune.thrash);
}

void tune_limits(struct mem *m)
{
	if (m->limit_min)
		tuner_pff_init(&m->tune.pff, m->limit_min, m->limit);
}

void tune_proactive(struct mem *m)
{
	m->tune.cold_ms = 0;
	m->tune.push = 0;
}

static struct tuner_sample take_sample(struct mem *m, u64 period_ns)
{
	struct wss_estimate wss;
	struct tuner_sample s = {
		.period_ns = period_ns,
		.promotions = m->promoted,
		.faults = m->promoted,
		.stall_ns = m->stall_ns,
		.nr_cpus = m->cfg.nr_cpus,
		.resident = resident_pages(m),
	};

	wss_estimate(&m->wss, m->wss.window_ns, &wss);
	s.wss_pages = wss.samples ? (u64)(wss.share * m->pages.nr) : resident_pages(m);
	m->promoted = m->stall_ns = 0;
	return s;
}

/*
 * How much of the limit the store may have. What lies in it is colder than what is resident, so a
 * guest that loses time in faults gets room from the store, whose coldest then go down a tier, and
 * one that does not gives it back slowly.
 */
static void share_with_store(struct mem *m)
{
	u64 most = m->limit / 2, least = m->limit / 8;

	if (m->cfg.store_limit || !m->tier || !m->limit)
		return;
	if (m->tune.thrash.share > STALL_HIGH)
		m->store_limit = MAX(m->store_limit - MIN(m->limit / 32, m->store_limit), least);
	else if (m->tune.thrash.share < STALL_LOW)
		m->store_limit = MIN(m->store_limit + m->limit / 128, most);
}

static void be_proactive(struct mem *m, const struct tuner_sample *s)
{
	tune_proactive(m);
	if (m->cfg.proactive == MEM_PROACTIVE_PROMOTIONS)
		m->tune.cold_ms = tuner_promotions_step(&m->tune.promotions, s);
	else if (m->cfg.proactive == MEM_PROACTIVE_STALL)
		m->tune.push = tuner_stall_step(&m->tune.stall, s);
}

/* Once a second. Returns what is to be told. Under lock. */
static enum tuner_thrash_change control(struct mem *m, u64 period_ns)
{
	struct tuner_sample s = take_sample(m, period_ns);
	double minutes = (double)period_ns / 60e9;
	double rate = s.wss_pages ? (double)s.promotions / (double)s.wss_pages / minutes : 0;

	m->tune.promotion_rate = 0.9 * m->tune.promotion_rate + 0.1 * rate;
	be_proactive(m, &s);
	if (m->limit_min)
		m->limit = tuner_pff_step(&m->tune.pff, &s);
	policy_tick(m->policy);
	share_with_store(m);
	return tuner_thrash_step(&m->tune.thrash, &s);
}

void tune_step(struct mem *m, u64 period_ns)
{
	enum tuner_thrash_change change;

	pthread_mutex_lock(&m->lock);
	change = control(m, period_ns);
	if (!m->limit)
		change = THRASH_SAME; /* stored pages come back for good: nobody need do anything */
	pthread_cond_signal(&m->wanted);
	pthread_mutex_unlock(&m->lock);
	if (change != THRASH_SAME)
		owner_tell(m, change == THRASH_BEGAN ? MEM_EV_THRASH : MEM_EV_THRASH_OVER);
	trim_and_compact(m);
}
