// SPDX-License-Identifier: Apache-2.0
/*
 * The pool: memory for objects of 1 to 4096 bytes, most of them odd sizes, with as little as
 * possible lost between them. It knows nothing of what they are.
 *
 * Objects are rounded up to a size class and lie in slabs of that class. A slab is at most 256 KiB
 * of address space, of which only what was used once takes memory. A freed object leaves a hole for
 * the next of its class; a slab without objects gives its memory back at once, and compaction moves
 * objects until the others are full.
 *
 * There is nothing beside an object: who owns it, and its exact size, is for the owner to know. So
 * compaction cannot tell an owner that something moved. Instead the owner walks over what it has:
 *
 *	for each class		zpool_compact_begin()	decide which places are to be given up
 *	for each object		zpool_must_move()	does it lie in one of them?
 *				zpool_move()		if so
 *	for each class		zpool_compact_end()	give back what is free by now
 *
 * and may allocate and free in between.
 *
 * Private to mm/store/. No lock of its own: the store's covers everything.
 */
#ifndef QUIRE_MM_STORE_ZPOOL_H
#define QUIRE_MM_STORE_ZPOOL_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct zpool;

/* Where an object lies, until it is moved. 0 is nowhere. */
typedef u32 zpool_loc;

int zpool_create(struct zpool **out, struct err *err);
void zpool_destroy(struct zpool *pool);

/* Room for @size bytes, 1 to PAGE_SIZE. -ENOMEM. */
int zpool_alloc(struct zpool *pool, u32 size, zpool_loc *loc);
void zpool_free(struct zpool *pool, zpool_loc loc);

/* The bytes of the object; valid until it is freed or moved. */
void *zpool_ptr(struct zpool *pool, zpool_loc loc);

/* Host memory that objects, and the holes between them, take. */
u64 zpool_bytes(const struct zpool *pool);

/* Host memory for the pool's own bookkeeping. */
u64 zpool_metadata_bytes(const struct zpool *pool);

/* How many bytes a compaction of everything would give back. */
u64 zpool_compactable(const struct zpool *pool);

u32 zpool_nr_classes(const struct zpool *pool);

/* False: there is nothing to gain in this class, and no need for zpool_compact_end(). */
bool zpool_compact_begin(struct zpool *pool, u32 class_no);
bool zpool_must_move(const struct zpool *pool, zpool_loc loc);

/*
 * Move the object and free its old place. -ENOSPC: all room in slabs that stay was taken meanwhile;
 * the object stays where it is.
 */
int zpool_move(struct zpool *pool, zpool_loc *loc);

/* Also ends a compaction of the class that has not moved everything. */
void zpool_compact_end(struct zpool *pool, u32 class_no);

/* For tests and for the switch that checks everything. Returns the number of objects. */
u64 zpool_audit(const struct zpool *pool);

#endif
