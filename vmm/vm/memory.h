// SPDX-License-Identifier: Apache-2.0
/*
 * The one door by which the VMM reads and writes a VM's memory, whether it is managed or not, and
 * whether the guest runs. Any thread, with no lock that a page could be waited for under; the
 * errors are those of mm/engine/access.h and mm/space/space.h.
 */
#ifndef QUIRE_VMM_VM_MEMORY_H
#define QUIRE_VMM_VM_MEMORY_H

#include "vmm/vm/vm.h"

int vm_read(struct vm *vm, gpa_t at, void *data, u64 len);
int vm_write(struct vm *vm, gpa_t at, const void *data, u64 len);

/* As mem_cmpxchg(): 0 done, 1 *@expected is now what is there, or -errno. */
int vm_cmpxchg(struct vm *vm, gpa_t at, u64 *expected, u64 value);

#endif
