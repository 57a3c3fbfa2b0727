// SPDX-License-Identifier: Apache-2.0
/*
 * Saving a running guest. Contract in checkpoint.h.
 *
 * Threads: the owner starts, watches, cancels and destroys; the thread "checkpoint" does the rest,
 * from checkpoint_thread() down, and has old links merged beside the saving of new ones
 * (merger.h). c->lock guards what the owner and the thread share (cancelled, progress); no
 * file is written and no vCPU waited for under it. The chain has no lock: from checkpoint_start()
 * until @done it is the thread's.
 *
 *	PREPARING   image_begin(), the pages to be saved are marked while the guest runs
 *	(frozen)    state, dirty log, the instant: take()
 *	SAVING      pages go out as they were at the instant; a vCPU that writes one waits for it
 *	(commit)    the link is whole, and the chain ends with it
 *
 * Always: what the dirty log gave up is in chain->dirty until a link that has it is whole; a link
 * that is not whole is aborted and leaves no file; vCPUs are thawed again on every way out.
 */
#include "vmm/checkpoint/checkpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/clock.h"
#include "mm/base/pageset.h"
#include "mm/image/image.h"
#include "mm/base/thread.h"
#include "mm/engine/copy.h"
#include "vmm/checkpoint/chain.h"
#include "vmm/checkpoint/merger.h"
#include "vmm/vm/dirty.h"
#include "vmm/state/state.h"
#include "vmm/vm/vm.h"

/* While it keeps to a rate it looks up so often. */
#define LOOK_UP_NS ((u64)10000000)

const char *const checkpoint_phase_names[] = {
	[CHECKPOINT_NONE] = "none",	      [CHECKPOINT_PREPARING] = "preparing",
	[CHECKPOINT_SAVING] = "saving",	      [CHECKPOINT_WAITING] = "waiting",
	[CHECKPOINT_DONE] = "done",	      [CHECKPOINT_FAILED] = "failed",
	[CHECKPOINT_CANCELLED] = "cancelled",
};

struct checkpoint {
	struct vm *vm;
	struct chain *chain;
	struct checkpoint_config cfg;
	char *dir, *machine; /* that cfg points to */
	void (*done)(void *opaque);
	void *opaque;
	pthread_t thread;
	struct state_buf state;
	struct image_writer *writer;
	u64 started_ns; /* of the present link, for the bandwidth */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	bool cancelled;
	struct checkpoint_progress progress;
};

static int start_thread(pthread_t *thread, void *(*fn)(void *), void *arg, struct err *err)
{
	int ret = thread_start(thread, "checkpoint", fn, arg);

	return ret ? err_set(err, ret, "checkpoint: cannot start a thread: %s", strerror(-ret)) : 0;
}

/* ---- Progress ---- */

static void set_phase(struct checkpoint *c, enum checkpoint_phase phase)
{
	pthread_mutex_lock(&c->lock);
	c->progress.phase = phase;
	pthread_mutex_unlock(&c->lock);
}

static bool is_cancelled(struct checkpoint *c)
{
	bool cancelled;

	pthread_mutex_lock(&c->lock);
	cancelled = c->cancelled;
	pthread_mutex_unlock(&c->lock);
	return cancelled;
}

/* Sleep until @ns (CLOCK_MONOTONIC), or until it is cancelled. */
static void sleep_until(struct checkpoint *c, u64 ns)
{
	u64 now;

	pthread_mutex_lock(&c->lock);
	while (!c->cancelled && (now = now_ns()) < ns)
		thread_wait(&c->wake, &c->lock, ns - now);
	pthread_mutex_unlock(&c->lock);
}

void checkpoint_progress(struct checkpoint *c, struct checkpoint_progress *progress)
{
	pthread_mutex_lock(&c->lock);
	*progress = c->progress;
	pthread_mutex_unlock(&c->lock);
	progress->pages_all = space_size(c->vm->space) >> PAGE_SHIFT;
	if (progress->phase == CHECKPOINT_SAVING)
		progress->pages_done = mem_snap_done(c->vm->mem);
}

/* ---- Pages ---- */

/*
 * Not faster than the user allows; but vCPUs that wait for room, and must leave the guest before
 * they can be paused, come first. What is written too fast for them is made up for later.
 */
static void keep_bandwidth(struct checkpoint *c)
{
	u64 now, until;
	double ns;

	if (!c->cfg.bandwidth)
		return;
	ns = 1e9 * (double)image_writer_bytes(c->writer) / (double)c->cfg.bandwidth;
	until = c->started_ns + (u64)MIN(ns, 1e18); /* thirty years */
	while ((now = now_ns()) + 1000000 < until && !is_cancelled(c) && !mem_in_hurry(c->vm->mem))
		sleep_until(c, MIN(until, now + LOOK_UP_NS));
}

static int put_page(void *opaque, page_no no, const void *page)
{
	struct checkpoint *c = opaque;

	keep_bandwidth(c);
	return image_put(c->writer, no, page);
}

static int put_block(void *opaque, page_no no, const struct codec_block *block)
{
	struct checkpoint *c = opaque;

	keep_bandwidth(c);
	return image_put_block(c->writer, no, block);
}

/* ---- The instant ---- */

/*
 * vCPUs stopped: state, dirty log, memory. Whatever fails, what was dirty is noted.
 */
static int take(struct checkpoint *c, bool incremental, struct err *err)
{
	u64 since = now_ns(), ns;
	int ret;

	ASSERT(c->chain->dirty);
	vm_freeze(c->vm);
	ret = state_save(c->vm, &c->state, err);
	if (!ret)
		ret = dirty_harvest(c->vm, c->chain->dirty, err);
	if (!ret)
		mem_snap_take(c->vm->mem, incremental ? c->chain->dirty : NULL);
	vm_thaw(c->vm);
	ns = now_ns() - since;
	pthread_mutex_lock(&c->lock);
	c->progress.pause_ns = ns;
	c->progress.worst_ns = MAX(c->progress.worst_ns, ns);
	c->progress.saved_ns = wall_ns();
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* While the guest runs: have little left to do at the instant. */
static int arm(struct checkpoint *c, bool incremental, struct err *err)
{
	const u64 *pages = incremental ? c->chain->dirty : NULL;
	int ret = dirty_start(c->vm, err);

	if (!ret && incremental)
		ret = dirty_harvest(c->vm, c->chain->dirty, err);
	if (!ret && incremental && pageset_count(pages, dirty_words(c->vm)) < MEM_SNAP_FEW)
		return 0;
	while (!ret && mem_snap_mark(c->vm->mem, pages))
		if (is_cancelled(c))
			ret = err_set(err, -ECANCELED, "cancelled");
	return ret ? ret : dirty_harvest(c->vm, c->chain->dirty, err);
}

static int save_memory(struct checkpoint *c, bool incremental, struct err *err)
{
	const struct mem_snap_sink sink = {c, put_page, put_block};
	int ret = mem_snap_begin(c->vm->mem, err);

	if (ret)
		return ret;
	/* a cancellation that came before there was anything to cancel */
	if (is_cancelled(c))
		mem_snap_cancel(c->vm->mem);
	ret = arm(c, incremental, err);
	if (!ret)
		ret = take(c, incremental, err);
	if (!ret) {
		set_phase(c, CHECKPOINT_SAVING);
		ret = mem_snap_save(c->vm->mem, &sink, err);
	}
	mem_snap_end(c->vm->mem);
	return ret;
}

/* ---- One link ---- */

static void note_link(struct checkpoint *c, const struct image_written *written)
{
	pthread_mutex_lock(&c->lock);
	c->progress.number = written->number;
	c->progress.count++;
	c->progress.pages = written->pages;
	c->progress.bytes = written->bytes;
	c->progress.total_ns = now_ns() - c->started_ns;
	pthread_mutex_unlock(&c->lock);
}

static int save_link(struct checkpoint *c, bool incremental, struct err *err)
{
	const struct image_writer_config cfg = {
		.nr_pages = (u32)(space_size(c->vm->space) >> PAGE_SHIFT),
		.incremental = incremental,
		.parent = incremental ? c->chain->number : 0,
	};
	struct image_written written;
	int ret;

	c->started_ns = now_ns();
	set_phase(c, CHECKPOINT_PREPARING);
	ret = image_begin(&c->writer, c->dir, &cfg, err);
	if (ret)
		return ret;
	ret = save_memory(c, incremental, err);
	if (ret) {
		image_abort(c->writer);
		return ret;
	}
	ASSERT(c->state.size); /* of the same instant as the pages */
	ret = image_commit(c->writer, c->state.data, c->state.size, c->machine, &written, err);
	if (ret)
		return ret;
	note_link(c, &written);
	return chain_begin(c->chain, c->vm, c->dir, written.number, err);
}

/* ---- One after the other ---- */

static int save_for_ever(struct checkpoint *c, struct err *err)
{
	struct merger merger = {.dir = c->dir};
	u64 next = now_ns();
	bool incremental = c->cfg.incremental;
	struct err merging;
	u32 links = 0;
	int ret = 0, merged;

	while (!ret && !is_cancelled(c)) {
		ret = save_link(c, incremental, err);
		incremental = true;
		/* the first of a run too: a chain stays short over many short runs */
		if (!ret && links++ % CHAIN_AFTER == 0)
			ret = merger_start(&merger, err);
		set_phase(c, CHECKPOINT_WAITING);
		next = MAX(next + c->cfg.every_ns, now_ns());
		if (!ret)
			sleep_until(c, next);
	}
	merged = merger_join(&merger, &merging);
	if (!ret && merged)
		*err = merging;
	return ret ? ret : merged;
}

static void *checkpoint_thread(void *arg)
{
	struct checkpoint *c = arg;
	struct err err = {""};
	int ret = c->cfg.every_ns ? save_for_ever(c, &err) : save_link(c, c->cfg.incremental, &err);

	pthread_mutex_lock(&c->lock);
	ASSERT(c->progress.phase < CHECKPOINT_DONE); /* @done is called once */
	c->progress.phase = CHECKPOINT_DONE;
	if (c->cancelled && (ret || c->cfg.every_ns))
		c->progress.phase = CHECKPOINT_CANCELLED;
	else if (ret)
		c->progress.phase = CHECKPOINT_FAILED;
	c->progress.why = err;
	pthread_mutex_unlock(&c->lock);
	c->done(c->opaque);
	return NULL;
}

/* ---- Birth and death ---- */

/* An increment must begin where this guest's last checkpoint ended, and nowhere else. */
static int check_chain(const struct chain *chain, const struct checkpoint_config *cfg,
		       struct err *err)
{
	if (!cfg->incremental)
		return 0;
	if (!chain->dir || strcmp(chain->dir, cfg->dir))
		return err_set(err, -EINVAL,
			       "%s: not where this guest's last checkpoint went (make one without "
			       "--incremental first)",
			       cfg->dir);
	return 0;
}

static void free_checkpoint(struct checkpoint *c)
{
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c->state.data);
	free(c->dir);
	free(c->machine);
	free(c);
}

int checkpoint_start(struct checkpoint **out, struct vm *vm, struct chain *chain,
		     const struct checkpoint_config *cfg, void (*done)(void *opaque), void *opaque,
		     struct err *err)
{
	struct checkpoint *c;
	int ret = check_chain(chain, cfg, err);

	if (ret)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	*c = (struct checkpoint){
		.vm = vm, .chain = chain, .cfg = *cfg, .done = done, .opaque = opaque};
	pthread_mutex_init(&c->lock, NULL);
	thread_cond_init(&c->wake);
	c->cfg.dir = c->dir = strdup(cfg->dir);
	c->cfg.machine = c->machine = strdup(cfg->machine);
	if (!chain->dirty)
		chain->dirty = calloc(dirty_words(vm), sizeof(u64));
	if (!c->dir || !c->machine || !chain->dirty)
		ret = err_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = start_thread(&c->thread, checkpoint_thread, c, err);
	if (ret) {
		free_checkpoint(c);
		return ret;
	}
	*out = c;
	return 0;
}

void checkpoint_cancel(struct checkpoint *c)
{
	pthread_mutex_lock(&c->lock);
	c->cancelled = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
	mem_snap_cancel(c->vm->mem);
}

void checkpoint_destroy(struct checkpoint *c)
{
	if (!c)
		return;
	pthread_join(c->thread, NULL);
	ASSERT(c->progress.phase >= CHECKPOINT_DONE);
	free_checkpoint(c);
}
