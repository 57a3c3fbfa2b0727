// SPDX-License-Identifier: Apache-2.0
/* The dirty log of KVM. Contract in dirty.h. */
#include "vmm/vm/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/engine/access.h"
#include "vmm/vm/vm.h"

/*
 * Pages protected in one call: KVM holds its lock for so long, and a vCPU that faults waits for it.
 * A multiple of 64.
 */
#define CLEAR_AT_ONCE ((u64)16384)

u32 dirty_words(const struct vm *vm)
{
	return (u32)(space_size(vm->space) / PAGE_SIZE / 64);
}

static int fail(int ret, struct err *err)
{
	return err_set(err, ret, "KVM's dirty log: %s", strerror(-ret));
}

static u64 slot_pages(const struct space_slot *slot)
{
	return slot->size >> PAGE_SHIFT;
}

/* Protect what @bits names; those pages are clean from now on. */
static int clear(struct vm *vm, u32 slot, u64 first, u64 n, u64 *bits)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot,
		.num_pages = (u32)n,
		.first_page = first,
		.dirty_bitmap = bits,
	};

	return kvm_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log);
}

/* Everything counts as dirty at first: so that nothing is protected before it is asked for. */
static int clear_slot(struct vm *vm, u32 i)
{
	u64 nr = slot_pages(space_slot(vm->space, i)), *ones = malloc(CLEAR_AT_ONCE / 8);
	int ret = ones ? 0 : -ENOMEM;

	if (ones)
		memset(ones, 0xff, CLEAR_AT_ONCE / 8);
	for (u64 at = 0; at < nr && !ret; at += CLEAR_AT_ONCE)
		ret = clear(vm, i, at, MIN(CLEAR_AT_ONCE, nr - at), ones);
	free(ones);
	return ret;
}

static int set_slot(struct vm *vm, u32 i, u32 flags)
{
	const struct space_slot *slot = space_slot(vm->space, i);
	struct kvm_userspace_memory_region region = {
		.slot = i,
		.flags = flags,
		.guest_phys_addr = slot->start.v,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->guest,
	};

	return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int log_slot(struct vm *vm, u32 i)
{
	int ret = set_slot(vm, i, KVM_MEM_LOG_DIRTY_PAGES);

	return ret ? ret : clear_slot(vm, i);
}

static int enable(struct vm *vm, u64 how)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = {how}};

	return kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

int dirty_start(struct vm *vm, struct err *err)
{
	int ret;

	if (vm->logs_dirty)
		return 0;
	ret = enable(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	for (u32 i = 0; i < space_nr_slots(vm->space) && !ret; i++)
		ret = log_slot(vm, i);
	if (ret)
		return fail(ret, err);
	vm->logs_dirty = true;
	return 0;
}

void dirty_stop(struct vm *vm, bool keep)
{
	if (!vm->logs_dirty || keep)
		return;
	/* a slot that goes on being logged costs the guest time, and nothing else */
	for (u32 i = 0; i < space_nr_slots(vm->space); i++)
		set_slot(vm, i, 0);
	vm->logs_dirty = false;
}

int dirty_start_early(struct vm *vm, struct err *err)
{
	int ret = enable(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	if (ret)
		return fail(ret, err);
	vm->logs_dirty = true;
	return 0;
}

static int harvest_slot(struct vm *vm, u32 i, u64 *into)
{
	u64 nr = slot_pages(space_slot(vm->space, i)), *bits = vm->dirty_bits;
	struct kvm_dirty_log log = {.slot = i, .dirty_bitmap = bits};
	int ret = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
	bool any = false;

	for (u64 word = 0; word < nr / 64 && !ret; word++) {
		into[word] |= bits[word];
		any |= bits[word];
	}
	return ret || !any ? ret : clear(vm, i, 0, nr, bits);
}

int dirty_harvest(struct vm *vm, u64 *pages, struct err *err)
{
	int ret;

	/* kept: getting memory costs more than all the rest, while vCPUs stand still */
	if (!vm->dirty_bits)
		vm->dirty_bits = malloc(dirty_words(vm) * sizeof(u64));
	ret = vm->dirty_bits ? 0 : -ENOMEM;
	for (u32 i = 0; i < space_nr_slots(vm->space) && !ret; i++)
		ret = harvest_slot(vm, i,
				   pages + space_slot(vm->space, i)->offset / PAGE_SIZE / 64);
	if (!ret && vm->mem)
		ret = mem_take_written(vm->mem, pages);
	return ret ? fail(ret, err) : 0;
}
