// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest that has moved before its memory did still needs from its source, kept in a file:
 * should the source be lost, the destination can finish alone. It is an image (mm/image/image.h)
 * without a machine's state, which therefore cannot be restored as a guest, and names the migration
 * that it belongs to.
 */
#ifndef QUIRE_VMM_MIGRATE_SPILL_H
#define QUIRE_VMM_MIGRATE_SPILL_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct mem;
struct remote;
struct image;
struct image_writer;

/* Before the guest moves: what can be known to go wrong goes wrong now. image_abort() undoes it. */
int spill_begin(struct image_writer **out, const char *dir, u32 nr_pages, struct err *err);

/* The pages of @pages, as they are; the guest stands still. @w is gone afterwards. */
int spill_write(struct image_writer *w, struct mem *mem, const u64 *pages, u32 nr_pages,
		const u8 session[16], struct err *err);

/* At the destination. -EINVAL: it is of another migration. image_close() closes it. */
int spill_open(struct image **out, const char *dir, u32 nr_pages, const u8 session[16],
	       struct err *err);

/* Take all pages that are missing from there. */
int spill_fill(struct image *image, struct remote *remote, u32 nr_pages, struct err *err);

#endif
