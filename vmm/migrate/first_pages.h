// SPDX-License-Identifier: Apache-2.0
/*
 * Pages that a guest will need for its very next instructions: those under each vCPU's instruction
 * pointer, stack, segment bases and descriptor tables, and the page tables on the way to them. A
 * guest that has moved before its memory did would wait for each of them, one after the other.
 *
 * Only a guess at what is worth sending first: what cannot be found is left out, and a guest may
 * have its tables say whatever it likes.
 */
#ifndef QUIRE_VMM_MIGRATE_FIRST_PAGES_H
#define QUIRE_VMM_MIGRATE_FIRST_PAGES_H

#include "mm/base/base.h"

struct vm;

/*
 * Add them to @pages, a bit for each page of guest memory in the order of the file
 * (mm/space/space.h). vCPUs stand still (vm_freeze()). Only 64-bit mode is looked through.
 */
void first_pages(const struct vm *vm, u64 *pages);

#endif
