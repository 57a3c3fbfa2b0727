// SPDX-License-Identifier: Apache-2.0
/*
 * What a plan is made of, measured. Contract in plan_measure.h.
 *
 * On one thread, which may sleep: "plan" (plan_thread.c) or "migrate" (outgoing_auto.c). The guest
 * runs, and stands still only within stop_and_save(); whoever cancels waits for one nap at most.
 *
 * Always: what the dirty log gave up is noted for the owner's next checkpoint as well; the log is
 * left on, and the caller stops it.
 */
#include "vmm/migrate/plan_measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "mm/space/space.h"
#include "vmm/vm/dirty.h"
#include "vmm/migrate/encode.h"
#include "vmm/migrate/line_probe.h"
#include "vmm/state/state.h"
#include "vmm/vm/vm.h"

/* When the log is looked at, in ms: close together first, since a late round may be short. */
static const u32 slices_ms[] = {10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000};

_Static_assert(ARRAY_SIZE(slices_ms) <= PLAN_MAX_POINTS, "a point for each");

/* Nobody who cancels waits for longer. */
#define NAP_NS ((u64)10000000)

/* Pages that stand for all of them. */
#define SAMPLE 2048

/* So often the guest is stopped, for less than a millisecond each time where nothing else is. */
#define STOPS 4

/* The other side, before it knows what it is: a VM is made there (3 ms), or more. */
#define MAKE_NS ((u64)15000000)

/* What the other side does with a page: one that comes is put where nothing was. */
#define PUT_NS 2500.0

/* Without a line: an answer from the next host. */
#define USUAL_ANSWER_NS ((u64)200000)

struct measuring {
	const struct plan_order *order;
	struct plan_input *in;
	struct err *err;
	u32 words;
	u64 *present, *all, *slice;
};

static bool is_cancelled(const struct measuring *m)
{
	return m->order->is_cancelled && m->order->is_cancelled(m->order->opaque);
}

/* ---- How it writes ---- */

static int nap_until(const struct measuring *m, u64 until)
{
	for (u64 now = now_ns(); now < until; now = now_ns()) {
		if (is_cancelled(m))
			return err_set(m->err, -ECANCELED, "cancelled");
		usleep((useconds_t)(MIN(until - now, NAP_NS) / 1000 + 1));
	}
	return 0;
}

static int harvest(struct measuring *m)
{
	u64 *also = m->order->also_dirty;
	int ret;

	memset(m->slice, 0, m->words * sizeof(u64));
	ret = dirty_harvest(m->order->vm, m->slice, m->err);
	if (also)
		pageset_add(also, m->slice, m->words);
	return ret;
}

static int watch(struct measuring *m)
{
	u64 since, written = 0;
	int ret = dirty_start(m->order->vm, m->err);

	if (!ret)
		ret = harvest(m);
	since = now_ns();
	for (u32 i = 0; i < ARRAY_SIZE(slices_ms) && !ret; i++) {
		ret = nap_until(m, since + (u64)slices_ms[i] * 1000000);
		if (!ret)
			ret = harvest(m);
		pageset_add(m->all, m->slice, m->words);
		written += pageset_count(m->slice, m->words);
		m->in->curve[i] = (struct plan_point){
			.ns = now_ns() - since,
			.pages = pageset_count(m->all, m->words),
		};
		m->in->nr_points = i + 1;
	}
	m->in->dirty_rate = (double)written * 1e9 / (double)MAX(now_ns() - since, 1);
	return ret;
}

/* ---- What pages come to ---- */

/* The sample, in batches of 64, with one effort: what a page takes, on average. */
static int encode(struct measuring *m, const page_no *nos, u32 n, enum batch_effort effort,
		  double *bytes, double *ns)
{
	const struct batch_config cfg = {.nr_pages = (u32)m->in->pages_all};
	struct encode_to to = {.encoder = NULL};
	struct batch_encoder *e;
	int ret = batch_encoder_create(&e, &cfg, m->err);
	u64 since = now_ns(), sum = 0;
	u32 size;

	if (ret)
		return ret;
	to.encoder = e;
	batch_set_effort(e, effort);
	for (u32 at = 0; at < n && !ret; at += 64) {
		ret = encode_pages(m->order->vm->mem, nos + at, MIN(n - at, 64u), &to, m->err);
		batch_finish(e, &size);
		sum += size;
	}
	*ns = (double)(now_ns() - since) / n;
	*bytes = (double)sum / n;
	batch_encoder_destroy(e);
	return ret;
}

/* Every so-many-eth of those that there are. */
static u32 draw(const struct measuring *m, page_no nos[SAMPLE])
{
	u64 step = m->in->pages / SAMPLE + 1, at = 0;
	u32 n = 0;

	for (u32 w = 0; w < m->words; w++)
		for (u64 bits = m->present[w]; bits && n < SAMPLE; bits &= bits - 1)
			if (at++ % step == 0)
				nos[n++] = w * 64 + (u32)__builtin_ctzll(bits);
	return n;
}

/* With the effort that the sender will find the better one (vmm/migrate/sender.c). */
static int weigh_pages(struct measuring *m)
{
	struct plan_input *in = m->in;
	double bytes[2] = {PAGE_SIZE, PAGE_SIZE}, ns[2] = {0};
	page_no nos[SAMPLE];
	int ret = mem_present(m->order->vm->mem, m->present);
	u32 n, pack;

	if (ret)
		return err_set(m->err, ret, "memory: %s", strerror(-ret));
	in->pages = pageset_count(m->present, m->words);
	n = draw(m, nos);
	for (u32 effort = 0; effort < 2 && n && !ret; effort++)
		ret = encode(m, nos, n, effort, &bytes[effort], &ns[effort]);
	pack = ns[BATCH_PACK] + bytes[BATCH_PACK] * 1e9 / in->rate <
	       ns[BATCH_FAST] + bytes[BATCH_FAST] * 1e9 / in->rate;
	in->page_bytes = bytes[pack ? BATCH_PACK : BATCH_FAST];
	in->page_ns = ns[pack ? BATCH_PACK : BATCH_FAST] + PUT_NS;
	return ret;
}

/* ---- How long it stands still ---- */

/*
 * A few times, after one that has to find things out: what is usual, on a host that may be busy.
 * Loading is taken to last as long as saving, and the vCPUs to be as long about starting.
 */
static int stop_and_save(struct measuring *m, u64 answer_ns)
{
	struct state_buf state = {.data = NULL};
	u64 sum = 0;
	int ret = 0;

	for (u32 i = 0; i <= STOPS && !ret; i++) {
		u64 since = now_ns();

		vm_freeze(m->order->vm);
		ret = state_save(m->order->vm, &state, m->err);
		vm_thaw(m->order->vm);
		sum += i ? now_ns() - since : 0;
	}
	free(state.data);
	/* STATE and LOADED, GO and RUNNING */
	m->in->fixed_ns = 2 * sum / STOPS + 2 * answer_ns;
	return ret;
}

/* ---- All of it ---- */

static const char *psk_file(const struct migrate_params *p)
{
	return p->psk_file[0] ? p->psk_file : NULL;
}

static int measure_line(struct measuring *m, struct migrate_probe *probe, struct err *no_line)
{
	const struct migrate_params *p = m->order->params;
	struct plan_input *in = m->in;
	const struct migrate_probe_order order = {
		.address = m->order->address,
		.psk_file = psk_file(p),
		.is_cancelled = m->order->is_cancelled,
		.opaque = m->order->opaque,
	};
	int ret = migrate_probe(&order, probe, no_line ? no_line : m->err);

	if (ret && !no_line)
		return ret;
	in->measured = !ret;
	if (ret)
		*probe = (struct migrate_probe){PLAN_USUAL_RATE, 0, USUAL_ANSWER_NS};
	else if (no_line)
		no_line->text[0] = '\0';
	in->rate = probe->rate;
	if (p->bandwidth)
		in->rate = MIN(in->rate, (double)p->bandwidth);
	in->setup_ns = probe->connect_ns + 2 * probe->answer_ns + MAKE_NS;
	return 0;
}

static int measure(struct measuring *m, struct err *no_line)
{
	struct migrate_probe probe = {.rate = 0};
	int ret = measure_line(m, &probe, no_line);

	if (!ret)
		ret = stop_and_save(m, probe.answer_ns);
	if (!ret)
		ret = weigh_pages(m);
	if (!ret && m->order->runs)
		ret = watch(m);
	return ret;
}

static void begin(const struct plan_order *order, struct plan *plan)
{
	const struct migrate_params *p = order->params;

	*plan = (struct plan){
		.in =
			{
				.pages_all = space_size(order->vm->space) >> PAGE_SHIFT,
				.limit_ns = p->downtime_ns,
				.time_ns = p->time_ns,
				.streams = p->streams,
				.can_hand_over = plan_can_hand_over(order),
				.unthrottled = !p->auto_converge,
			},
	};
}

int plan_measure(const struct plan_order *order, struct plan *plan, struct err *no_line,
		 struct err *err)
{
	struct measuring m = {.order = order, .in = &plan->in, .err = err};
	int ret;

	begin(order, plan);
	m.words = dirty_words(order->vm);
	m.present = calloc(m.words, sizeof(u64));
	m.all = calloc(m.words, sizeof(u64));
	m.slice = calloc(m.words, sizeof(u64));
	ret = m.present && m.all && m.slice ? measure(&m, no_line)
					    : err_set(err, -ENOMEM, "out of memory");
	free(m.present);
	free(m.all);
	free(m.slice);
	if (!ret)
		plan_make(plan);
	return ret;
}

/* As outgoing.c has it, but for what is found out only once there is a connection. */
static bool may_hand_over(const struct plan_order *order)
{
	const struct migrate_params *p = order->params;

	return !strncmp(order->address, "unix:", 5) && !psk_file(p) && !p->copy && !p->postcopy &&
	       p->late != MIGRATE_LATE_POSTCOPY;
}

bool plan_can_hand_over(const struct plan_order *order)
{
	return may_hand_over(order) && mem_elsewhere(order->vm->mem, NULL) <= MIGRATE_FEW_PAGES;
}

int plan_measure_hand_over(const struct plan_order *order, struct plan *plan, struct err *err)
{
	struct measuring m = {.order = order, .in = &plan->in, .err = err};
	int ret;

	begin(order, plan);
	plan->in.rate = PLAN_USUAL_RATE;
	plan->in.setup_ns = MAKE_NS;
	ret = stop_and_save(&m, 0);
	if (!ret)
		plan_make(plan);
	return ret;
}
