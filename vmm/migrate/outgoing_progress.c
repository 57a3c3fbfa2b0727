// SPDX-License-Identifier: Apache-2.0
/*
 * What is told of a migration by its source, and what is counted for that alone. Bytes are counted
 * where they are sent, by the connections; here they are given to the phase that was under way.
 *
 * Any thread; everything under o->lock, which each function takes unless its contract says that it
 * is held. The owner is told (cfg.changed()) without it.
 *
 * Always: bytes are counted once, in the phase in which they went, and those of connections that
 * are no more stay counted.
 */
#include "vmm/migrate/outgoing_progress.h"

#include "mm/base/clock.h"
#include "vmm/migrate/outgoing_impl.h"

/* Rates are of so long at least: what goes in less is a batch or two. */
#define LATELY_NS ((u64)100000000)

void outgoing_set_status(struct outgoing *o, enum migrate_status status)
{
	pthread_mutex_lock(&o->lock);
	o->progress.status = status;
	pthread_mutex_unlock(&o->lock);
	o->cfg.changed(o->cfg.opaque);
}

/* ---- What went; all of it under lock ---- */

/* What was sent since the last time is of the phase that was under way since. */
static void count_bytes(struct outgoing *o)
{
	struct migrate_progress *p = &o->progress;
	u64 bytes = o->counts.bytes_before, further = o->counts.further_before;

	for (u32 i = 0; i < MIGRATE_MAX_STREAMS; i++) {
		u64 sent = o->wires[i] ? wire_sent(o->wires[i]) : 0;

		bytes += sent;
		further += i ? sent : 0;
	}
	bytes += o->urgent ? wire_sent(o->urgent) : 0;
	p->bytes_in[o->counts.phase] += bytes - p->bytes;
	p->bytes = bytes;
	p->bytes_further = further;
}

static void count_pages(struct outgoing *o)
{
	struct migrate_progress *p = &o->progress;
	struct sender_stats stats;

	p->batch = o->counts.batch_before;
	batch_add_stats(&p->batch, &o->counts.urgent_batch);
	if (!o->sender)
		return;
	sender_get_stats(o->sender, &stats);
	batch_add_stats(&p->batch, &stats.batch);
	p->pages_left = stats.pages_left;
}

static void count(struct outgoing *o)
{
	count_bytes(o);
	count_pages(o);
}

void outgoing_keep_pages(struct outgoing *o, struct sender *sender)
{
	struct sender_stats stats;

	if (sender) {
		sender_get_stats(sender, &stats);
		batch_add_stats(&o->counts.batch_before, &stats.batch);
	}
	batch_add_stats(&o->counts.batch_before, &o->counts.urgent_batch);
	o->counts.urgent_batch = (struct batch_stats){.pages = 0};
}

struct wire *outgoing_take_wire(struct outgoing *o, struct wire **at)
{
	struct wire *w;
	u64 sent;

	pthread_mutex_lock(&o->lock);
	w = *at;
	sent = w ? wire_sent(w) : 0;
	o->counts.bytes_before += sent;
	if (at != &o->wires[0] && at != &o->urgent)
		o->counts.further_before += sent;
	*at = NULL;
	pthread_mutex_unlock(&o->lock);
	return w;
}

void outgoing_enter(struct outgoing *o, enum migrate_phase phase)
{
	pthread_mutex_lock(&o->lock);
	ASSERT(phase >= o->counts.phase);
	count_bytes(o);
	o->counts.phase = phase;
	pthread_mutex_unlock(&o->lock);
}

void outgoing_note_asked(struct outgoing *o, u32 n, const struct batch_encoder *e)
{
	pthread_mutex_lock(&o->lock);
	o->progress.asked += n;
	batch_get_stats(e, &o->counts.urgent_batch);
	pthread_mutex_unlock(&o->lock);
}

/* ---- How fast ---- */

static u64 per_second(u64 n, u64 ns)
{
	return (u64)((double)n * 1e9 / (double)MAX(ns, 1));
}

void outgoing_note_set_up(struct outgoing *o)
{
	pthread_mutex_lock(&o->lock);
	if (!o->counts.is_set_up) {
		o->counts.is_set_up = true;
		count(o);
		o->counts.rated_ns = now_ns();
		o->counts.rated_bytes = o->progress.bytes;
		o->progress.setup_ns = o->counts.rated_ns - o->began_ns;
	}
	pthread_mutex_unlock(&o->lock);
}

/* Since somebody last looked, if that is a while ago. Under lock, and counted. */
static void measure(struct outgoing *o, u64 now)
{
	struct migrate_progress *p = &o->progress;

	if (!o->counts.is_set_up || now - o->counts.rated_ns < LATELY_NS)
		return;
	p->rate = per_second(p->bytes - o->counts.rated_bytes, now - o->counts.rated_ns);
	p->pages_rate = per_second(p->batch.pages - o->counts.rated_pages,
				   now - o->counts.rated_ns);
	o->counts.rated_ns = now;
	o->counts.rated_bytes = p->bytes;
	o->counts.rated_pages = p->batch.pages;
}

void outgoing_sum_up(struct outgoing *o)
{
	struct migrate_progress *p = &o->progress;

	count(o);
	p->total_ns = now_ns() - o->began_ns;
	if (!o->counts.is_set_up)
		p->setup_ns = p->total_ns;
	p->rate = per_second(p->bytes, p->total_ns - p->setup_ns);
	p->pages_rate = per_second(p->batch.pages, p->total_ns - p->setup_ns);
}

void outgoing_progress(struct outgoing *o, struct migrate_progress *progress)
{
	u64 now = now_ns();

	pthread_mutex_lock(&o->lock);
	if (!o->over) {
		count(o);
		measure(o, now);
		o->progress.total_ns = now - o->began_ns;
		if (!o->counts.is_set_up)
			o->progress.setup_ns = o->progress.total_ns;
	}
	*progress = o->progress;
	pthread_mutex_unlock(&o->lock);
}
