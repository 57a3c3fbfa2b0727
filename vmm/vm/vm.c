// SPDX-License-Identifier: Apache-2.0
/*
 * One VM as an object: its vCPUs are let run, stopped and held, its end is recorded, its generation
 * id changes. It owns struct vm's want, holds, parked, has_ended and end; what else is in there,
 * the recipe (vmm/run/vm_create.c) has put, before any thread of the VM ran.
 *
 * Threads. vm_resume(), vm_pause() and vm_halt() are the owner's thread's; vm_freeze() and
 * vm_thaw() are for any but a vCPU's, which would wait for itself; the rest for any. Those who
 * wait, wait for vCPU threads that come out of the guest (vmm/run/vcpu_loop.c), each of which
 * counts itself in parked.
 *
 * Locks: vm.lock, and no other is taken under it. What must be told to the engine or the owner is
 * told outside.
 *
 * What always holds: want is written under the lock and never leaves VM_QUIT; once has_ended, end
 * does not change and want is not VM_RUN any more; parked counts at most every vCPU once.
 */
#include "vmm/vm/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/devices/memmap.h"
#include "vmm/devices/vmgenid.h"
#include "vmm/vm/memory.h"
#include "vmm/vm/vcpu.h"

/* Running and pausing. */

void vm_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	if (!vm->has_ended)
		atomic_store(&vm->want, VM_RUN);
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

/* A vCPU may be waiting for room for a page, and must have it before it can leave the guest. */
static void hurry(struct vm *vm, enum mem_hurry hurry)
{
	if (vm->mem)
		mem_hurry(vm->mem, hurry);
}

void vm_pause(struct vm *vm)
{
	hurry(vm, MEM_HURRY_BEGIN);
	pthread_mutex_lock(&vm->lock);
	ASSERT(atomic_load(&vm->want) != VM_QUIT);
	atomic_store(&vm->want, VM_PAUSE);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(vm->vcpus[i]);
	while (vm->parked < vm->nr_vcpus)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	hurry(vm, MEM_HURRY_END);
}

void vm_freeze(struct vm *vm)
{
	hurry(vm, MEM_HURRY_BEGIN);
	pthread_mutex_lock(&vm->lock);
	atomic_fetch_add(&vm->holds, 1);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(vm->vcpus[i]);
	while (vm->parked < vm->nr_vcpus && atomic_load(&vm->want) != VM_QUIT)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	hurry(vm, MEM_HURRY_END);
}

void vm_thaw(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	ASSERT(atomic_load(&vm->holds) > 0);
	atomic_fetch_sub(&vm->holds, 1);
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void vm_wake(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

/* Record the end if it is the first; whether it was. */
static bool set_end(struct vm *vm, const struct vm_end *end)
{
	bool first;

	pthread_mutex_lock(&vm->lock);
	first = !vm->has_ended;
	if (first) {
		vm->has_ended = true;
		vm->end = *end;
		atomic_store(&vm->want, VM_PAUSE);
	}
	pthread_mutex_unlock(&vm->lock);
	return first;
}

void vm_halt(struct vm *vm)
{
	const struct vm_end end = {.cause = SHUTDOWN_BY_NONE};

	set_end(vm, &end);
	if (vm->mem)
		mem_cut(vm->mem);
	vm_pause(vm);
}

void vm_end(struct vm *vm, enum shutdown_cause cause, int status)
{
	struct vm_end end = {.cause = cause, .status = status};

	if (set_end(vm, &end))
		vm->host->ended(vm->host->opaque);
}

void vm_fail(struct vm *vm, enum shutdown_cause cause, const char *fmt, ...)
{
	struct vm_end end = {.cause = cause, .status = 1};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(end.why.text, sizeof(end.why.text), fmt, ap);
	va_end(ap);
	if (set_end(vm, &end))
		vm->host->ended(vm->host->opaque);
}

bool vm_ended(struct vm *vm, struct vm_end *end)
{
	bool ended;

	pthread_mutex_lock(&vm->lock);
	ended = vm->has_ended;
	if (ended && end)
		*end = vm->end;
	pthread_mutex_unlock(&vm->lock);
	return ended;
}

/* Each machine has an id of its own, one that was reset or restored included. */

int vm_new_generation(struct vm *vm, struct err *err)
{
	u8 id[VMGENID_SIZE];
	int ret;

	if (vm->pv) /* it has no such device, and other things in its place */
		return 0;
	ret = vmgenid_new(id);
	if (!ret)
		ret = vm_write(vm, gpa(MEMMAP_VMGENID), id, sizeof(id));
	if (ret)
		return err_set(err, ret, "generation id: %s", strerror(-ret));
	if (vm->devices)
		devices_generation_changed(vm->devices);
	return 0;
}
