// SPDX-License-Identifier: Apache-2.0
/*
 * Pages out of a guest. Contract in sender.h.
 *
 * The guest's pages are cut into chunks of 512; chunk c goes by stream c modulo the number of
 * streams. A stream goes through its chunks in order, from where it was told to begin and around,
 * until a whole turn finds nothing left to send.
 *
 * Whether packing pages is worth it is found by trying: what a page costs in all, from one batch to
 * the next, says more than any sum of its parts, since who waits for whom (for the processor that
 * packs, for the connection, for the processor over there, which may be this one) cannot be seen.
 *
 * Threads: one called "stream" for each connection, which sleeps until s->order is raised; while it
 * is not busy, its stream is the caller's of sender_send(), who sends few pages himself. Bits are
 * taken out of the caller's set atomically, since others may take them too (sender_claim()).
 * s->lock guards the order, who is busy, and the numbers; nothing is sent under it.
 *
 * Always: a page is sent by one stream only, and what is sent on it keeps its order.
 */
#include "vmm/migrate/sender.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "mm/engine/copy.h"
#include "mm/base/thread.h"
#include "vmm/migrate/encode.h"
#include "vmm/migrate/format.h"

#define CHUNK_PAGES 512
#define CHUNK_WORDS (CHUNK_PAGES / 64)

/* So few pages are sent sooner than other threads have woken up, above all on a busy host. */
#define FEW_PAGES 512

/* Memory for old versions, to make deltas to, of each stream. */
#define DELTA_BYTES (16 * MiB)

/*
 * An effort is judged by so many batches, after as many bytes as may wait in the connection. The
 * one that is not the best is tried again after so many judgements of the other; each time that it
 * is no better, after twice as many. Under a limit to the bandwidth it begins with packing.
 */
#define STRETCH	    8
#define TRIAL	    4 /* of the one that is not the best */
#define LAG	    MiB
#define START	    (4 * MiB) /* everything is slow at first: memory that was never touched */
#define FIRST_TRIAL 8
#define LAST_TRIAL  64

/* Nobody sleeps longer than this for the sake of the bandwidth before he looks again. */
#define NAP_NS ((u64)10000000)

/* What is being found out about the two efforts. */
struct trial {
	enum batch_effort effort, best; /* as it is done now; as it should be, as far as known */
	double page_ns[2];		/* what a page takes, when last judged */
	u64 lag;			/* bytes until the present one can be judged */
	u64 ns, pages;			/* of this stretch */
	u32 batches;
	u32 wait, left; /* judgements between trials; until the next one */
};

struct stream {
	struct sender *sender;
	struct wire *wire;
	struct batch_encoder *encoder;
	pthread_t thread;
	u32 index;
	atomic_uint prefer; /* the chunk to go on with; NO_CHUNK: as it is */
	struct trial trial;
	u64 since; /* when the batch that is being made was begun */
	/* under the sender's lock */
	struct batch_stats stats;
	bool busy;
};

#define NO_CHUNK UINT32_MAX

struct sender {
	struct sender_config cfg;
	struct stream streams[MIGRATE_MAX_STREAMS];
	u32 nr_streams;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock */
	u64 *pages; /* to be sent; NULL: nothing to do */
	u64 order;  /* number of the work that is under way */
	int ret;
	struct err err;
	bool quit;
	/* for the bandwidth */
	_Atomic u64 sent;
	u64 began_ns, began_bytes; /* set when nobody sends */
	atomic_bool cut;
};

/* ---- How hard to try ---- */

static void go_over(struct trial *t, enum batch_effort effort)
{
	t->lag = effort == t->effort ? 0 : LAG;
	t->effort = effort;
	t->ns = t->pages = t->batches = 0;
}

/* A stretch is over: what comes next. */
static void judge(struct trial *t)
{
	enum batch_effort other = t->best == BATCH_PACK ? BATCH_FAST : BATCH_PACK;

	t->page_ns[t->effort] = (double)t->ns / (double)MAX(t->pages, 1);
	if (t->effort == t->best) {
		go_over(t, t->left-- ? t->best : other);
		return;
	}
	if (t->page_ns[other] < t->page_ns[t->best]) {
		t->best = other;
		t->wait = FIRST_TRIAL;
	} else {
		t->wait = MIN(t->wait * 2, LAST_TRIAL);
	}
	t->left = t->wait;
	go_over(t, t->best);
}

/* A trial that takes much longer need not take it to the end. */
static bool is_hopeless(const struct trial *t)
{
	return t->effort != t->best && t->batches > 1 &&
	       (double)t->ns > 2 * t->page_ns[t->best] * (double)t->pages;
}

/* A batch of @pages, @bytes on the wire, took @ns in all. */
static void learn(struct trial *t, u64 ns, u64 pages, u64 bytes)
{
	if (t->lag) {
		t->lag -= MIN(t->lag, bytes);
		return;
	}
	if (pages < BATCH_MAX_PAGES)
		return; /* the end of a round: it tells nothing of the middle of one */
	t->ns += ns;
	t->pages += pages;
	if (++t->batches == (t->effort == t->best ? STRETCH : TRIAL) || is_hopeless(t))
		judge(t);
}

/* ---- Sending ---- */

/* Where the user's limit has it, wait until what was sent is no more than it allows by now. */
static void keep_bandwidth(struct sender *s)
{
	u64 bytes = atomic_load(&s->sent), now, until;

	if (!s->cfg.bandwidth || bytes < s->began_bytes)
		return;
	until = s->began_ns +
		(u64)((double)(bytes - s->began_bytes) * 1e9 / (double)s->cfg.bandwidth);
	while ((now = now_ns()) < until && !atomic_load(&s->cut)) {
		pthread_mutex_lock(&s->lock);
		thread_wait(&s->changed, &s->lock, MIN(until - now, NAP_NS));
		pthread_mutex_unlock(&s->lock);
	}
}

static int send_batch(struct stream *st, struct err *err)
{
	struct batch_stats stats, before = st->stats;
	u32 size;
	const void *batch;
	u64 now;
	int ret;

	if (batch_is_empty(st->encoder))
		return 0;
	batch = batch_finish(st->encoder, &size);
	batch_get_stats(st->encoder, &stats);
	ret = wire_send(st->wire, MIGRATE_PAGES, batch, size, err);
	atomic_fetch_add(&st->sender->sent, size);
	pthread_mutex_lock(&st->sender->lock);
	st->stats = stats;
	pthread_mutex_unlock(&st->sender->lock);
	keep_bandwidth(st->sender);
	now = now_ns();
	learn(&st->trial, now - st->since, stats.pages - before.pages, size);
	st->since = now;
	batch_set_effort(st->encoder, st->trial.effort);
	return ret;
}

/* Whose batches go out when they are full, and who is told what went wrong. */
struct way {
	struct stream *stream;
	struct err *err;
};

static int make_room(void *opaque)
{
	struct way *way = opaque;

	return batch_is_full(way->stream->encoder) ? send_batch(way->stream, way->err) : 0;
}

bool sender_claim(u64 *pages, page_no no)
{
	u64 bit = (u64)1 << no % 64;

	return __atomic_fetch_and(&pages[no / 64], ~bit, __ATOMIC_RELAXED) & bit;
}

static int send_chunk(struct stream *st, u64 *pages, u32 chunk, struct way *way, bool *any)
{
	const struct encode_to to = {st->encoder, make_room, way};
	struct sender *s = st->sender;
	page_no nos[64];

	for (u32 i = 0; i < CHUNK_WORDS; i++) {
		u32 word = chunk * CHUNK_WORDS + i, n;
		int ret;

		if (word * 64 >= s->cfg.nr_pages)
			break;
		n = pageset_list(word, __atomic_exchange_n(&pages[word], 0, __ATOMIC_RELAXED), nos);
		if (!n)
			continue;
		*any = true;
		ret = atomic_load(&s->cut) ? err_set(way->err, -ECANCELED, "cancelled")
					   : encode_pages(s->cfg.mem, nos, n, &to, way->err);
		if (ret)
			return ret;
	}
	return 0;
}

/* All chunks of this stream, as often as something is found. */
static int send_share(struct stream *st, u64 *pages, struct err *err)
{
	struct sender *s = st->sender;
	u32 nr = (s->cfg.nr_pages + CHUNK_PAGES - 1) / CHUNK_PAGES, prefer, chunk = st->index;
	struct way way = {.stream = st, .err = err};
	bool any = false, again = true;
	int ret = 0;

	batch_set_effort(st->encoder, st->trial.effort);
	st->since = now_ns();
	while (again && !ret) {
		again = any;
		any = false;
		for (; chunk < nr && !ret; chunk += s->nr_streams) {
			ret = send_chunk(st, pages, chunk, &way, &any);
			prefer = atomic_exchange(&st->prefer, NO_CHUNK);
			if (prefer != NO_CHUNK && prefer < nr)
				chunk = prefer >= s->nr_streams ? prefer - s->nr_streams : chunk;
		}
		again |= any;
		chunk = st->index;
	}
	return ret ? ret : send_batch(st, err);
}

/* ---- Threads ---- */

static void *stream_thread(void *arg)
{
	struct stream *st = arg;
	struct sender *s = st->sender;
	u64 done = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		struct err err = {.text = ""};
		int ret;

		if (s->order == done) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		ASSERT(s->order == done + 1 && st->busy && s->pages);
		done = s->order;
		pthread_mutex_unlock(&s->lock);
		ret = send_share(st, s->pages, &err);
		pthread_mutex_lock(&s->lock);
		if (ret && !s->ret) {
			s->ret = ret;
			s->err = err;
		}
		st->busy = false;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int sender_create(struct sender **out, const struct sender_config *cfg, struct err *err)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->cfg = *cfg;
	pthread_mutex_init(&s->lock, NULL);
	thread_cond_init(&s->changed);
	*out = s;
	return 0;
}

int sender_add(struct sender *s, struct wire *w, struct err *err)
{
	const struct batch_config cfg = {.nr_pages = s->cfg.nr_pages, .delta_bytes = DELTA_BYTES};
	const enum batch_effort effort = s->cfg.bandwidth ? BATCH_PACK : BATCH_FAST;
	struct stream *st = &s->streams[s->nr_streams];
	int ret;

	ASSERT(s->nr_streams < MIGRATE_MAX_STREAMS && !s->order);
	*st = (struct stream){
		.sender = s,
		.wire = w,
		.index = s->nr_streams,
		.trial = {.effort = effort,
			  .best = effort,
			  .lag = START,
			  .wait = FIRST_TRIAL,
			  .left = effort == BATCH_PACK ? FIRST_TRIAL : 0},
	};
	atomic_init(&st->prefer, NO_CHUNK);
	ret = batch_encoder_create(&st->encoder, &cfg, err);
	if (ret)
		return ret;
	ret = thread_start(&st->thread, "stream", stream_thread, st);
	if (ret) {
		batch_encoder_destroy(st->encoder);
		return err_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	}
	s->nr_streams++;
	return 0;
}

static bool is_busy(const struct sender *s)
{
	for (u32 i = 0; i < s->nr_streams; i++)
		if (s->streams[i].busy)
			return true;
	return false;
}

/* Under lock. */
static void begin(struct sender *s, u64 *pages)
{
	ASSERT(!is_busy(s) && !s->quit); /* one call at a time */
	s->pages = pages;
	s->began_ns = now_ns();
	s->began_bytes = atomic_load(&s->sent);
	for (u32 i = 0; i < s->nr_streams; i++)
		s->streams[i].busy = true;
}

static int send_by_threads(struct sender *s, u64 *pages, struct err *err)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	begin(s, pages);
	s->order++;
	pthread_cond_broadcast(&s->changed);
	while (is_busy(s))
		pthread_cond_wait(&s->changed, &s->lock);
	ret = s->ret;
	if (ret)
		*err = s->err;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

/* The streams' threads wait, and have done so since they last sent anything. */
static int send_here(struct sender *s, u64 *pages, struct err *err)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	begin(s, pages);
	ret = s->ret;
	*err = s->err;
	pthread_mutex_unlock(&s->lock);
	for (u32 i = 0; i < s->nr_streams && !ret; i++)
		ret = send_share(&s->streams[i], pages, err);
	pthread_mutex_lock(&s->lock);
	for (u32 i = 0; i < s->nr_streams; i++)
		s->streams[i].busy = false;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int sender_send(struct sender *s, u64 *pages, struct err *err)
{
	if (pageset_count(pages, (s->cfg.nr_pages + 63) / 64) <= FEW_PAGES)
		return send_here(s, pages, err);
	return send_by_threads(s, pages, err);
}

void sender_set_bandwidth(struct sender *s, u64 bandwidth)
{
	s->cfg.bandwidth = bandwidth;
}

void sender_set_alone(struct sender *s)
{
	for (u32 i = 0; i < s->nr_streams; i++)
		batch_set_alone(s->streams[i].encoder, true);
}

void sender_prefer(struct sender *s, page_no no)
{
	u32 chunk = no / CHUNK_PAGES;

	atomic_store(&s->streams[chunk % s->nr_streams].prefer, chunk);
}

int sender_flush(struct sender *s, struct err *err)
{
	int ret = 0;

	for (u32 i = 0; i < s->nr_streams && !ret; i++)
		ret = wire_send(s->streams[i].wire, MIGRATE_FLUSH, NULL, 0, err);
	return ret;
}

void sender_cut(struct sender *s)
{
	atomic_store(&s->cut, true);
	for (u32 i = 0; i < s->nr_streams; i++)
		wire_cut(s->streams[i].wire);
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sender_get_stats(struct sender *s, struct sender_stats *stats)
{
	*stats = (struct sender_stats){.bytes = 0};
	pthread_mutex_lock(&s->lock);
	for (u32 i = 0; i < s->nr_streams; i++) {
		stats->bytes += wire_sent(s->streams[i].wire);
		batch_add_stats(&stats->batch, &s->streams[i].stats);
	}
	for (u32 word = 0; s->pages && is_busy(s) && word < (s->cfg.nr_pages + 63) / 64; word++)
		stats->pages_left += (u64)__builtin_popcountll(
			__atomic_load_n(&s->pages[word], __ATOMIC_RELAXED));
	pthread_mutex_unlock(&s->lock);
}

void sender_destroy(struct sender *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	ASSERT(!is_busy(s) && !s->quit);
	s->quit = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	for (u32 i = 0; i < s->nr_streams; i++) {
		pthread_join(s->streams[i].thread, NULL);
		batch_encoder_destroy(s->streams[i].encoder);
	}
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
