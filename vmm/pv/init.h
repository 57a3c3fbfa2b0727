// SPDX-License-Identifier: Apache-2.0
/* The beginnings of a guest, step by step: for those who bring it from a state, and for tests. */
#ifndef QUIRE_VMM_PV_INIT_H
#define QUIRE_VMM_PV_INIT_H

#include "vmm/pv/impl.h"

/* What pv_create() does but for KVM's part, with @pages pages of arena. */
int pv_make(struct vm *vm, u32 pages, struct err *err);

/* What vm->pv and its processors begin with, from vm->entry and vm->vcpus. */
void pv_init(struct vm *vm);

#endif
