// SPDX-License-Identifier: Apache-2.0
/*
 * Which pages are idle, without accessed bits: unmap a page and see whether it comes back as a soft
 * fault. Two things are built on that.
 *
 * The scan goes round all resident pages and unmaps some each period. Pages that do not come back
 * collect in the list of idle pages, oldest first, which is where the evictor looks. Its budget is
 * a share of guest time: each page that comes back has cost the guest a trap, and how many the next
 * period may unmap follows from how many came back lately. It runs only while somebody wants to
 * know: near the limit, or in a proactive mode.
 *
 * The sample draws pages at random from all of the guest, touched or not, and watches each for a
 * window of time. That gives the working set and the miss-ratio curve (mm/policy/wss.h), at a tenth
 * of the scan's price.
 *
 * A page that is stored or absent when it is drawn needs no unmapping: its next touch is a fault
 * anyway.
 */
#include <errno.h>
#include <stdlib.h>

#include "mm/engine/age.h"
#include "mm/engine/evict.h"
#include "mm/engine/impl.h"
#include "mm/engine/stats.h"
#include "mm/engine/trace.h"

#define SCAN_BUDGET   0.01   /* share of guest time that the scan's soft faults may cost */
#define SAMPLE_BUDGET 0.0006 /* the same for the sample's: well below a thousandth */

/* Pages unmapped in one step at most, and descriptors looked at to find them. */
#define SCAN_MOST 1024
#define SCAN_LOOK 8192

#define WSS_WINDOW_NS ((u64)8000000000)
#define MAX_WATCHED   2048

/* The highest age that is kept, in ticks, and steps in which the pages are gone round for it. */
#define OLDEST	  0xc000
#define OLD_STEPS 8192

/*
 * What a soft fault costs the guest beyond the time in the handler: the trap, two wake-ups across
 * processors, the way back. 107 to 115 us in all where it was measured (a KVM without hardware
 * paging); less on bare metal, where the budgets are then not used up.
 */
#define TRAP_NS ((u64)100000)

/*
 * Samples under watch, oldest first. Each counts when its window is over, touched or not: if those
 * that are touched counted at once, there would be too many of them.
 */
struct wss_watch {
	u32 first, nr;
	struct {
		page_no no;
		bool touched;
		u64 since, after;
	} ring[MAX_WATCHED];
};

struct age {
	page_no scan_hand, old_hand;
	double scan_credit_ns;		  /* guest time that soft faults may cost */
	double scan_returns;		  /* share of scanned pages that came back, lately */
	u32 scan_unmapped, scan_returned; /* since the last step */
	struct wss_watch watch;		  /* samples being watched */
	double sample_credit;
	u64 random;
};

int age_init(struct mem *m)
{
	wss_init(&m->wss, WSS_WINDOW_NS);
	m->age = calloc(1, sizeof(*m->age));
	if (!m->age)
		return -ENOMEM;
	m->age->scan_returns = 0.5;
	m->age->random = now_ns() | 1;
	return 0;
}

void age_fini(struct mem *m)
{
	free(m->age);
	m->age = NULL;
}

static u64 soft_fault_ns(const struct mem *m)
{
	u64 n = atomic_load(&m->faults[MEM_FAULT_SOFT].count);
	u64 sum = atomic_load(&m->faults[MEM_FAULT_SOFT].sum);

	return TRAP_NS + (n ? sum / n : 0);
}

/* ---- The scan ---- */

static bool scan_is_wanted(struct mem *m)
{
	if (m->cfg.proactive != MEM_PROACTIVE_OFF)
		return true;
	return m->limit && used_bytes(m) > m->limit - m->limit / 4;
}

void age_returned(struct mem *m)
{
	m->age->scan_credit_ns -= (double)soft_fault_ns(m);
	m->age->scan_returned++;
}

/* Pages to unmap in this period, from the credit and the share that will come back. */
static u32 scan_quota(struct mem *m, u64 period_ns)
{
	struct age *a = m->age;
	double second = 1e9 * SCAN_BUDGET * m->cfg.nr_cpus, quota;

	a->scan_credit_ns += (double)period_ns * SCAN_BUDGET * m->cfg.nr_cpus;
	/* neither saved up for long nor owed for long: a burst of returns may have other causes */
	a->scan_credit_ns = MAX(MIN(a->scan_credit_ns, second), -second);
	if (a->scan_unmapped)
		a->scan_returns = 0.8 * a->scan_returns +
				  0.2 * MIN(1.0, (double)a->scan_returned / a->scan_unmapped);
	a->scan_unmapped = a->scan_returned = 0;
	if (a->scan_credit_ns <= 0)
		return 0;
	quota = a->scan_credit_ns / ((double)soft_fault_ns(m) * MAX(a->scan_returns, 0.02));
	return (u32)MIN(quota, (double)SCAN_MOST);
}

/* Under lock. */
static void scan(struct mem *m, u64 period_ns)
{
	page_no nos[SCAN_MOST];
	u32 quota = scan_quota(m, period_ns), n = 0;

	if (!scan_is_wanted(m) || m->trace)
		return;
	for (u32 looked = 0; looked < SCAN_LOOK && n < quota; looked++) {
		page_no no = m->age->scan_hand;

		m->age->scan_hand = no + 1 < m->pages.nr ? no + 1 : 0;
		if (m->age->scan_hand == 0 && n)
			break; /* the batch is in order */
		if (m->pages.page[no].state == PAGE_RESIDENT)
			nos[n++] = no;
	}
	evict_unmap(m, nos, n);
	m->scanned += n;
	m->age->scan_unmapped += n;
}

/* ---- The sample ---- */

/* xorshift64*: Marsaglia's generator with Vigna's multiplier. */
static u64 draw(struct mem *m)
{
	u64 x = m->age->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	m->age->random = x;
	return x * 0x2545f4914f6cdd1d;
}

static void watch_one(struct mem *m, u64 now)
{
	struct wss_watch *w = &m->age->watch;
	page_no no = (page_no)((draw(m) >> 32) * m->pages.nr >> 32);
	struct page *p = &m->pages.page[no];
	u32 at;

	if (w->nr == MAX_WATCHED || (p->flags & PAGE_F_SAMPLED))
		return;
	p->flags |= PAGE_F_SAMPLED;
	if (p->state == PAGE_RESIDENT)
		evict_unmap(m, &no, 1);
	at = (w->first + w->nr++) % MAX_WATCHED;
	w->ring[at].no = no;
	w->ring[at].since = now;
	w->ring[at].touched = false;
}

/* Windows that are over. */
static void expire(struct mem *m, u64 now)
{
	struct wss_watch *w = &m->age->watch;

	for (; w->nr; w->nr--, w->first = (w->first + 1) % MAX_WATCHED) {
		u32 at = w->first;

		if (now - w->ring[at].since < m->wss.window_ns)
			return;
		wss_add(&m->wss, w->ring[at].touched ? w->ring[at].after : WSS_NEVER);
		if (!w->ring[at].touched)
			m->pages.page[w->ring[at].no].flags &= (u8)~PAGE_F_SAMPLED;
	}
}

void age_sample_touched(struct mem *m, page_no no, u64 now)
{
	struct wss_watch *w = &m->age->watch;

	m->pages.page[no].flags &= (u8)~PAGE_F_SAMPLED;
	for (u32 i = 0; i < w->nr; i++) {
		u32 at = (w->first + i) % MAX_WATCHED;

		if (w->ring[at].no != no || w->ring[at].touched)
			continue;
		w->ring[at].touched = true;
		w->ring[at].after = MIN(now - w->ring[at].since, m->wss.window_ns);
		return;
	}
}

/* Under lock. */
static void sample(struct mem *m, u64 period_ns)
{
	double rate = wss_sample_rate(&m->wss, SAMPLE_BUDGET * m->cfg.nr_cpus, soft_fault_ns(m));
	u64 now = now_ns();

	expire(m, now);
	/* as many as fit into the ring in one window, whatever the budget would allow */
	rate = MIN(rate, MAX_WATCHED * 1e9 / (double)m->wss.window_ns);
	m->age->sample_credit = MIN(m->age->sample_credit + rate * (double)period_ns / 1e9, rate);
	for (; m->age->sample_credit >= 1; m->age->sample_credit -= 1)
		watch_one(m, now);
}

/* ---- Ages ---- */

/*
 * Ages are counted modulo 2^16 ticks: a page that nobody wants for longer must not become young
 * again. A second hand goes round all pages often enough to hold the oldest where they are.
 */
static void hold_oldest(struct mem *m)
{
	u32 some = m->pages.nr / OLD_STEPS + 1;
	u16 now = age_now();

	while (some--) {
		struct page *p = &m->pages.page[m->age->old_hand];

		if (p->state == PAGE_IDLE && (u16)(now - p->seen) > OLDEST)
			p->seen = (u16)(now - OLDEST);
		m->age->old_hand = m->age->old_hand + 1 < m->pages.nr ? m->age->old_hand + 1 : 0;
	}
}

void age_step(struct mem *m, u64 period_ns)
{
	pthread_mutex_lock(&m->lock);
	trace_step(m);
	hold_oldest(m);
	if (!m->quiesced)
		scan(m, period_ns);
	if (!m->quiesced && !m->trace)
		sample(m, period_ns);
	pthread_mutex_unlock(&m->lock);
}

/* Bucket i holds ages below 2^i ticks; what is mapped may be in use now. */
static u32 age_bucket(const struct page *p, u16 now)
{
	u16 age = (u16)(now - p->seen);
	u32 bucket = 0;

	if (p->state != PAGE_IDLE)
		return 0;
	while (bucket < MEM_NR_AGES - 1 && age >= 1u << bucket)
		bucket++;
	return bucket;
}

/* A piece at a time, so that faults do not wait for the whole walk. */
void age_histogram(struct mem *m, u64 ages[MEM_NR_AGES])
{
	enum { PIECE = 16384 };

	for (u64 from = 0; from < m->pages.nr; from += PIECE) {
		u16 now = age_now();

		pthread_mutex_lock(&m->lock);
		for (u64 no = from; no < MIN(from + PIECE, (u64)m->pages.nr); no++) {
			const struct page *p = &m->pages.page[no];

			if (page_in_memory(p))
				ages[age_bucket(p, now)]++;
		}
		pthread_mutex_unlock(&m->lock);
	}
}
