// SPDX-License-Identifier: Apache-2.0
/* The store's own limit. For the engine's own files. */
#ifndef QUIRE_MM_ENGINE_TRIM_H
#define QUIRE_MM_ENGINE_TRIM_H

#include "mm/base/addr.h"

struct trim {
	page_no hand; /* where the search for kept copies goes on */
	bool told;    /* that the tier below did not take something */
};

struct mem;

/*
 * Keep the store within its own limit (drop kept copies, move the coldest down). Under evict_lock
 * alone.
 */
void trim_store(struct mem *m);

/* The same, and give back what the store's pool does not need. Without locks. */
void trim_and_compact(struct mem *m);

/* Whether the store may take no more: without a tier below, its own limit is final. */
bool trim_is_full(struct mem *m);

#endif
