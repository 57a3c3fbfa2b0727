// SPDX-License-Identifier: Apache-2.0
/*
 * A VM is made, started and taken apart: by one recipe, from a kernel, an image, a base that clones
 * share, or what another host sends. All three are for the owner's thread. See README.md.
 */
#ifndef QUIRE_VMM_RUN_VM_CREATE_H
#define QUIRE_VMM_RUN_VM_CREATE_H

#include "mm/base/err.h"
#include "vmm/vm/vm.h"

/*
 * Build the machine, load the kernel, bring the vCPUs to their first instruction; nothing runs yet.
 * On failure nothing is left. @host must outlive the VM.
 */
int vm_create(struct vm **out, const struct vm_config *cfg, const struct vm_host *host,
	      struct err *err);

/* Stop the vCPU threads and free everything. NULL is allowed. */
void vm_destroy(struct vm *vm);

/* Start one thread per vCPU, which runs at once or parks, as @want says. Once per VM. */
int vm_start(struct vm *vm, enum vm_want want, struct err *err);

#endif
