// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints of the machine's guest, one at a time, and the way back to one. Contract in
 * machine.h.
 *
 * The work is a thread's (vmm/checkpoint/checkpoint.h), which wakes the main one when it has ended;
 * until then m->checkpoint is there. It uses the VM and the chain, so it is ended before they go.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/image/image.h"
#include "vmm/checkpoint/origin.h"
#include "vmm/checkpoint/rollback.h"
#include "vmm/machine/impl.h"

void machine_listen_checkpoint(struct machine *m, machine_checkpoint_fn fn, void *opaque)
{
	m->saving.listener = fn;
	m->saving.opaque = opaque;
}

/* On the checkpoint's thread. */
static void has_ended(void *opaque)
{
	struct machine *m = opaque;

	uv_async_send(&m->saving.async);
}

static void tell(struct machine *m, const struct checkpoint_progress *progress)
{
	if (m->saving.listener && !machine_is_over(m))
		m->saving.listener(m->saving.opaque, progress);
}

static void reap(struct machine *m)
{
	checkpoint_progress(m->checkpoint, &m->saving.last);
	checkpoint_destroy(m->checkpoint);
	m->checkpoint = NULL;
}

static void on_ended(uv_async_t *handle)
{
	struct machine *m = handle->data;
	struct checkpoint_progress now;

	if (!m->checkpoint)
		return;
	checkpoint_progress(m->checkpoint, &now);
	if (now.phase < CHECKPOINT_DONE)
		return; /* it is about another, which ended before it */
	reap(m);
	tell(m, &m->saving.last);
}

void machine_open_checkpoint(struct machine *m)
{
	uv_async_init(m->loop, &m->saving.async, on_ended);
	m->saving.async.data = m;
}

void machine_end_checkpoint(struct machine *m)
{
	if (m->checkpoint) {
		checkpoint_cancel(m->checkpoint);
		reap(m);
	}
	chain_fini(&m->chain);
}

/* What a restore needs to know beyond the state: malloc()ed JSON. */
static char *describe(const struct machine *m)
{
	json_t *object = json_pack("{s:s, s:I, s:I}", "name", m->cfg.name, "memory",
				   (json_int_t)m->vm_cfg.memory, "cpus",
				   (json_int_t)m->vm_cfg.nr_cpus);
	char *text = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	return text;
}

/* What @dir will be called once it is made: its parent is there. malloc()ed, or NULL with errno. */
static char *absolute_new(const char *dir)
{
	char *copy = strdup(dir), *slash, *parent, *path = NULL;

	if (!copy)
		return NULL;
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	if (parent && asprintf(&path, "%s/%s", parent, slash ? slash + 1 : copy) < 0)
		path = NULL;
	free(parent);
	free(copy);
	return path;
}

/*
 * The directory's one name, by which it is known again. It is not made here: who makes it removes
 * it when there is nothing to keep in it. malloc()ed, or NULL with errno.
 */
static char *absolute(const char *dir)
{
	char *path = realpath(dir, NULL);

	return path || errno != ENOENT ? path : absolute_new(dir);
}

static bool continues_chain(const struct machine *m, const char *dir)
{
	return m->chain.dir && !strcmp(m->chain.dir, dir);
}

static int start(struct machine *m, const struct machine_checkpoint *order, const char *dir,
		 struct err *err)
{
	struct checkpoint_config cfg = {
		.dir = dir,
		.incremental = order->incremental || (order->every_ns && continues_chain(m, dir)),
		.every_ns = order->every_ns,
		.bandwidth = order->bandwidth,
	};
	char *machine = describe(m);
	int ret;

	if (!machine)
		return err_set(err, -ENOMEM, "out of memory");
	cfg.machine = machine;
	ret = checkpoint_start(&m->checkpoint, m->vm, &m->chain, &cfg, has_ended, m, err);
	free(machine);
	return ret;
}

int machine_checkpoint(struct machine *m, const struct machine_checkpoint *order, struct err *err)
{
	struct mem *mem;
	char *dir;
	int ret = machine_get_mem(m, &mem, err);

	if (ret)
		return ret;
	ret = machine_refuse_when_moving(m, err);
	if (ret)
		return ret;
	if (m->checkpoint)
		return err_set(err, -EBUSY,
			       "guest %s: a checkpoint is under way (wait, or cancel it)",
			       m->cfg.name);
	dir = absolute(order->dir);
	if (!dir)
		return err_set(err, -errno, "%s: %s", order->dir, strerror(errno));
	ret = start(m, order, dir, err);
	free(dir);
	return ret;
}

int machine_cancel_checkpoint(struct machine *m, struct err *err)
{
	if (!m->checkpoint)
		return err_set(err, -ENOENT, "guest %s: no checkpoint is under way", m->cfg.name);
	checkpoint_cancel(m->checkpoint);
	return 0;
}

void machine_checkpoint_progress(const struct machine *m, struct checkpoint_progress *progress)
{
	if (m->checkpoint)
		checkpoint_progress(m->checkpoint, progress);
	else
		*progress = m->saving.last;
}

/* ---- Back to it ---- */

int machine_begin_chain(struct machine *m, struct err *err)
{
	const struct origin *o = m->vm_cfg.origin;

	/* nothing can be added to a clone's: it is not checkpointed, and rolls back by itself */
	if (!o || vm_is_clone(m->vm))
		return 0;
	return chain_begin(&m->chain, m->vm, o->dir, image_number(o->image), err);
}

/* Whether there is something to go back to: for a clone there always is. */
static int ready_to_roll_back(struct machine *m, struct err *err)
{
	struct mem *mem;
	int ret = machine_refuse_when_moving(m, err);

	if (ret || vm_is_clone(m->vm))
		return ret;
	ret = machine_get_mem(m, &mem, err);
	if (!ret && m->checkpoint)
		ret = err_set(err, -EBUSY, "guest %s: a checkpoint is under way", m->cfg.name);
	if (!ret && !m->chain.dir)
		ret = err_set(err, -ENOENT,
			      "guest %s: there is no checkpoint to go back to (make one with quire "
			      "checkpoint)",
			      m->cfg.name);
	return ret ? ret : chain_open_image(&m->chain, err);
}

int machine_roll_back(struct machine *m, struct machine_rolled_back *rolled, struct err *err)
{
	int ret = ready_to_roll_back(m, err);
	u64 since;

	if (ret)
		return ret;
	since = uv_hrtime();
	vm_freeze(m->vm);
	ret = vm_roll_back(m->vm, &m->chain, &rolled->pages, err);
	vm_thaw(m->vm);
	rolled->pause_ns = uv_hrtime() - since;
	if (ret)
		machine_fail(m, err);
	return ret;
}
