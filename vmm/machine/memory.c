// SPDX-License-Identifier: Apache-2.0
/*
 * Orders and questions to the memory engine of the guest, and what it tells. Contract in machine.h.
 *
 * What is set here is written into vm_cfg, too, so that it stays set through a reset. Events come
 * on the engine's threads, which must not wait: they are put into a queue, and the main thread is
 * woken to take them out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/engine/stats.h"
#include "vmm/inspect/translate.h"
#include "vmm/machine/impl.h"

/* One step of machine_reclaim(), and when it stops. A step takes a few milliseconds here. */
#define RECLAIM_SLICE (256 * KiB)
#define RECLAIM_NS    ((u64)10 * 1000 * 1000)

int machine_get_mem(const struct machine *m, struct mem **mem, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (ret)
		return ret;
	*mem = m->vm->mem;
	if (*mem)
		return 0;
	return err_set(err, -EOPNOTSUPP, "guest %s: its memory is not managed (%s)", m->cfg.name,
		       vm_is_clone(m->vm) ? "it is a clone's; quire restore makes one that is"
					  : "run it with --backing memfd");
}

int machine_set_limit(struct machine *m, u64 limit, u64 limit_min, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (!ret)
		ret = mem_set_limit(mem, limit, limit_min, err);
	if (ret)
		return ret;
	m->vm_cfg.mem.limit = limit;
	m->vm_cfg.mem.limit_min = limit_min;
	return 0;
}

int machine_set_policy(struct machine *m, const char *policy, struct err *err)
{
	struct mem *mem;
	char *copy;
	int ret = machine_get_mem(m, &mem, err);

	if (ret)
		return ret;
	copy = strdup(policy);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	ret = mem_set_policy(mem, copy, err);
	if (ret) {
		free(copy);
		return ret;
	}
	free(m->memory.policy);
	m->memory.policy = copy;
	m->vm_cfg.mem.policy = copy;
	return 0;
}

int machine_set_proactive(struct machine *m, enum mem_proactive mode, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (!ret)
		ret = mem_set_proactive(mem, mode, err);
	if (!ret)
		m->vm_cfg.mem.proactive = mode;
	return ret;
}

s64 machine_reclaim(struct machine *m, u64 bytes, struct err *err)
{
	u64 until = uv_hrtime() + RECLAIM_NS;
	struct mem *mem;
	s64 total = 0, went = machine_get_mem(m, &mem, err);

	if (went)
		return went;
	do {
		went = mem_reclaim(mem, MIN(bytes - (u64)total, RECLAIM_SLICE), err);
		if (went < 0)
			return went;
		total += went;
	} while (went && (u64)total < bytes && uv_hrtime() < until);
	return total;
}

int machine_memory_stats(struct machine *m, struct mem_stats *stats, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (!ret)
		mem_get_stats(mem, stats);
	return ret;
}

int machine_memory_map(struct machine *m, struct mem_map_cell *cells, u32 n, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (!ret)
		mem_map(mem, cells, n);
	return ret;
}

int machine_translate(struct machine *m, const struct translate_order *order, struct translation *t,
		      struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	return ret ? ret : translate(m->vm, order, t, err);
}

int machine_reset_memory_peak(struct machine *m, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (!ret)
		mem_reset_peak(mem);
	return ret;
}

int machine_audit_memory(struct machine *m, u64 *wrong, struct err *err)
{
	struct mem *mem;
	int ret = machine_get_mem(m, &mem, err);

	if (ret)
		return ret;
	if (m->state == MACHINE_RUNNING)
		return err_set(err, -EINVAL, "guest %s: is running (pause it first)", m->cfg.name);
	*wrong = mem_audit(mem);
	return 0;
}

/* ---- What the engine tells ---- */

void machine_listen_memory(struct machine *m, machine_memory_event_fn fn, void *opaque)
{
	m->memory.listener = fn;
	m->memory.opaque = opaque;
}

void machine_hear_memory(void *opaque, const struct mem_event *event)
{
	struct machine *m = opaque;

	memory_events_put(&m->memory.events, event);
	uv_async_send(&m->memory.async);
}

static void on_memory(uv_async_t *handle)
{
	struct machine *m = handle->data;
	struct mem_event event;

	while (memory_events_take(&m->memory.events, &event))
		if (m->memory.listener && !machine_is_over(m))
			m->memory.listener(m->memory.opaque, &event);
}

void machine_open_memory(struct machine *m)
{
	memory_events_init(&m->memory.events);
	uv_async_init(m->loop, &m->memory.async, on_memory);
	m->memory.async.data = m;
}

void machine_forget_memory_events(struct machine *m)
{
	memory_events_clear(&m->memory.events);
}

void machine_close_memory(struct machine *m)
{
	memory_events_fini(&m->memory.events);
	free(m->memory.policy);
}
