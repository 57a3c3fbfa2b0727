// SPDX-License-Identifier: Apache-2.0
/*
 * A running guest rolled back to where it was: to the link that its chain ends with, or a clone to
 * its base. Only what has changed since is put back.
 */
#ifndef QUIRE_VMM_CHECKPOINT_ROLLBACK_H
#define QUIRE_VMM_CHECKPOINT_ROLLBACK_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct chain;
struct vm;

/*
 * Roll @vm, whose vCPUs are stopped, back to the link that its chain ends with, or a clone (which
 * has no chain) to its base: only what changed since is put back,
 * *@pages says how much. It gets a new generation id.
 * -errno: the guest is neither here nor there, and must end; but -ENOENT when it has no chain, and
 * nothing has changed.
 */
int vm_roll_back(struct vm *vm, struct chain *chain, u32 *pages, struct err *err);

#endif
