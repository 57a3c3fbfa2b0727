// SPDX-License-Identifier: Apache-2.0
/*
 * How a guest's addresses are translated, for a person: a few lines of `quire stats`. What the
 * guest's process answered is not trusted, as in vmm/cli/memory_view.h.
 */
#ifndef QUIRE_VMM_CLI_MMU_VIEW_H
#define QUIRE_VMM_CLI_MMU_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* What x-quire-mmu returned; nothing is printed where there are no shadow tables of ours. */
void mmu_view_print(const json_t *mmu, FILE *out);

#endif
