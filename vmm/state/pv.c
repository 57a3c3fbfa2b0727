// SPDX-License-Identifier: Apache-2.0
/*
 * The sections of a guest on shadow tables (vmm/pv/state.h), in place of those of KVM's processors,
 * interrupt controllers, timer and clock, of which it has nothing but CPUID and XSAVE area.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/pv/state.h"
#include "vmm/state/impl.h"

bool state_is_pv(const void *data, u32 size)
{
	struct state_section s;

	return state_find(data, size, STATE_PV, 0, &s);
}

/* ---- Saving ---- */

static u32 next_tables(struct vm *vm, u64 *frame, u32 frames[PV_STATE_TABLES_EACH])
{
	u32 n = 0;

	for (; n < PV_STATE_TABLES_EACH && pv_next_table(vm, frame); ++*frame)
		frames[n++] = (u32)*frame;
	return n;
}

static int save_tables(struct vm *vm, struct state_buf *buf, struct err *err)
{
	u32 *frames = malloc(PV_STATE_TABLES_EACH * sizeof(u32)), *room = frames, n = 1;
	u64 frame = 0;

	for (u32 i = 0; room && n && i < PV_STATE_TABLES_MAX; i++) {
		n = next_tables(vm, &frame, frames);
		if (n)
			room = state_add(buf, STATE_PV_TABLES, i, 1, n * (u32)sizeof(u32));
		if (n && room)
			memcpy(room, frames, n * sizeof(u32));
	}
	free(frames);
	if (!room)
		return err_set(err, -ENOMEM, "state: out of memory");
	return pv_next_table(vm, &frame)
		       ? err_set(err, -E2BIG, "state: the guest has more than %u page tables",
				 PV_STATE_TABLES_MAX * PV_STATE_TABLES_EACH)
		       : 0;
}

static int save_cpu(struct vm *vm, u32 i, struct state_buf *buf, struct err *err)
{
	struct pv_state_cpu *room;
	int ret = state_save_common(vm, i, buf, err);

	if (ret)
		return ret;
	room = state_add(buf, STATE_PV_CPU, i, 1, sizeof(*room));
	ret = room ? pv_save_cpu(vm, i, room) : -ENOMEM;
	return ret ? err_set(err, ret, "vCPU %u: its registers: %s", i, strerror(-ret)) : 0;
}

int state_save_pv(struct vm *vm, struct state_buf *buf, struct err *err)
{
	struct pv_state *room;
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = save_cpu(vm, i, buf, err);
	if (ret)
		return ret;
	room = state_add(buf, STATE_PV, 0, 1, sizeof(*room));
	if (!room)
		return err_set(err, -ENOMEM, "state: out of memory");
	pv_save(vm, room);
	return save_tables(vm, buf, err);
}

/* ---- Loading ---- */

static int load_cpu(struct vm *vm, u32 i, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_load_common(vm, i, data, size, err);

	if (!ret)
		ret = state_need(data, size, STATE_PV_CPU, i, sizeof(struct pv_state_cpu), &s, err);
	if (ret)
		return ret;
	ret = pv_load_cpu(vm, i, s.data);
	return ret ? err_set(err, ret, "vCPU %u: its registers: %s", i, strerror(-ret)) : 0;
}

int state_load_pv(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
		  struct err *err)
{
	struct state_section s;
	u32 at = 0;
	int ret = state_need(data, size, STATE_PV, 0, sizeof(struct pv_state), &s, err);

	if (ret)
		return ret;
	pv_load(vm, s.data, jump->ns);
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = load_cpu(vm, i, data, size, err);
	while (!ret && state_next(data, size, &at, &s))
		if (s.tag == STATE_PV_TABLES)
			pv_load_tables(vm, s.data, s.size / (u32)sizeof(u32));
	return ret;
}

/* ---- Whether it can be ---- */

static int check_cpu(u32 i, u64 memory, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_check_common(i, data, size, err);

	if (!ret)
		ret = state_need(data, size, STATE_PV_CPU, i, sizeof(struct pv_state_cpu), &s, err);
	return ret ? ret : pv_state_check_cpu(s.data, memory, i, err);
}

static int check_tables(const struct state_section *s, u64 memory, const void *data, u32 size,
			struct err *err)
{
	struct state_section same;
	int ret = state_need(data, size, STATE_PV_TABLES, s->instance, 0, &same, err);

	if (ret)
		return ret;
	if (s->size % sizeof(u32))
		return err_set(err, -EBADMSG,
			       "state: a list of page tables has the wrong size (the image is "
			       "damaged)");
	return pv_state_check_tables(s->data, s->size / (u32)sizeof(u32), memory, err);
}

int state_check_pv(const struct state_shape *shape, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	u32 at = 0;
	int ret = state_need(data, size, STATE_PV, 0, sizeof(struct pv_state), &s, err);

	if (!ret)
		ret = pv_state_check(s.data, shape->memory, shape->nr_cpus, err);
	for (u32 i = 0; i < shape->nr_cpus && !ret; i++)
		ret = check_cpu(i, shape->memory, data, size, err);
	while (!ret && state_next(data, size, &at, &s))
		if (s.tag == STATE_PV_TABLES)
			ret = check_tables(&s, shape->memory, data, size, err);
	return ret;
}
