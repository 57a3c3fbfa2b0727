// SPDX-License-Identifier: Apache-2.0
/*
 * Pages of a guest into batches for the wire: what the memory engine exports (mm/engine/copy.h) is
 * what a batch encoder takes (mm/wire/batch.h), page for page, stored ones as they are stored.
 */
#ifndef QUIRE_VMM_MIGRATE_ENCODE_H
#define QUIRE_VMM_MIGRATE_ENCODE_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

struct batch_encoder;
struct mem;

/* Whose encoder, and what happens when it is full. */
struct encode_to {
	struct batch_encoder *encoder;
	int (*make_room)(void *opaque); /* called before each page, or NULL: they fit */
	void *opaque;
};

/*
 * The pages of @nos as they are, each as mem_export() has it. Whoever calls owns the encoder, and
 * finishes the last batch. What memory and make_room() say; the latter's sentence is its own.
 */
int encode_pages(struct mem *mem, const page_no *nos, u32 n, const struct encode_to *to,
		 struct err *err);

#endif
