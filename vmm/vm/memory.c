// SPDX-License-Identifier: Apache-2.0
/*
 * A VM's memory, through the engine where there is one, for it alone knows where a page is; else
 * straight from the space, all of which is there. Contract in memory.h.
 */
#include "vmm/vm/memory.h"

#include <errno.h>

#include "mm/engine/access.h"
#include "mm/space/space.h"

int vm_read(struct vm *vm, gpa_t at, void *data, u64 len)
{
	return vm->mem ? mem_read(vm->mem, at, data, len) : space_read(vm->space, at, data, len);
}

int vm_write(struct vm *vm, gpa_t at, const void *data, u64 len)
{
	return vm->mem ? mem_write(vm->mem, at, data, len) : space_write(vm->space, at, data, len);
}

int vm_cmpxchg(struct vm *vm, gpa_t at, u64 *expected, u64 value)
{
	u64 *word;

	if (vm->mem)
		return mem_cmpxchg(vm->mem, at, expected, value);
	word = space_ptr_mut(vm->space, at, sizeof(*word));
	if (!word)
		return -EFAULT;
	return !__atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
}
