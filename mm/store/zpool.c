// SPDX-License-Identifier: Apache-2.0
/*
 * Pool of compressed pages. Contract in zpool.h.
 *
 *	arena (address space, reserved once)
 *	+---------------+---------------+---------------+------
 *	| slab 0        | slab 1        | slab 2        | ...     256 KiB of addresses each
 *	+---------------+---------------+---------------+------
 *	  |
 *	  +- [ 0 ][ 1 ][   ][ 3 ]......|          |
 *	     objects of one class      touched    end of the class's slab, the rest is never used
 *
 * A location is a slab's number plus one, and 9 bits of place in the slab. The number of pages in a
 * slab is chosen for each class so that less than 1/256 is lost at its end where that is possible.
 *
 * Always true:
 *   1. A bit of slab->map is set exactly while the object at that place is allocated; slab->used is
 *      how many are. A slab with none has no class and no memory.
 *   2. Memory of a slab beyond slab->touched pages was never used since the slab was last empty,
 *      so it takes none. The sum of touched pages is what the pool costs.
 *   3. An allocation takes the lowest free place of one of the fullest slabs with room.
 *   4. A slab is in the list of its class that slab->where says, FULL and TAIL ones in none.
 *   5. Between compact_begin and compact_end nothing is allocated in DRAIN slabs, nor in the TAIL
 *      slab at or beyond its limit.
 */
#include "mm/store/zpool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLAB_SHIFT  18
#define SLAB_BYTES  ((u64)1 << SLAB_SHIFT)
#define SLAB_PAGES  (SLAB_BYTES >> PAGE_SHIFT)
#define PLACE_BITS  9
#define SLAB_PLACES (1u << PLACE_BITS)
#define MAP_WORDS   (SLAB_PLACES / 64)
#define SLAB_NONE   UINT32_MAX

/* Most and least address space to ask for; a store larger than the first makes no sense. */
#define ARENA_MOST  (256 * GiB)
#define ARENA_LEAST (64 * MiB)

/* Slabs whose addresses are made usable at a time. */
#define OPEN_SLABS 16

/*
 * Classes: every 16 bytes up to 1.5 KiB, every 32 beyond. Finer classes lose less in rounding and
 * more in slabs that are not full, of which each class has one, half a page on average. Of the
 * steps that were tried these lose least over stores of 2 to 30 MiB (docs/store.md).
 */
#define SMALLEST   32u
#define FINE	   1536u
#define FINE_STEP  16u
#define STEP	   32u
#define NR_FINE	   ((FINE - SMALLEST) / FINE_STEP + 1)
#define NR_CLASSES (NR_FINE + ((u32)PAGE_SIZE - FINE) / STEP)

/* Which list a slab is in: how full it is in quarters, or why it is in none of those. */
enum where {
	QUARTERS = 4,
	FULL = QUARTERS,
	DRAIN, /* to be emptied */
	TAIL,  /* the one slab of a class being compacted that will not be full afterwards */
	FREE,  /* of no class */
	NR_LISTS,
};

struct slab {
	u64 map[MAP_WORDS];
	u32 prev, next;
	u16 class_no;
	u16 used;
	u16 limit;  /* no allocation at or beyond this place */
	u8 touched; /* pages */
	u8 where;   /* 0 to 3, or enum where */
};

struct class
{
	u32 first[DRAIN + 1]; /* heads of lists; [FULL] is not used */
	u32 nr_slabs;
	u32 tail; /* while being compacted */
	u64 used, touched;
	u16 size, nr; /* of an object; objects in a slab */
};

struct zpool {
	u8 *arena;
	struct slab *slabs;
	u32 nr_slabs, nr_open, max_slabs; /* that were ever used, that may be, that could be */
	u32 first_free;
	u64 touched; /* pages, all classes */
	struct class classes[NR_CLASSES];
};

/* ---- Classes ---- */

static u32 class_of(u32 size)
{
	if (size <= FINE)
		return size <= SMALLEST ? 0 : (size - SMALLEST + FINE_STEP - 1) / FINE_STEP;
	return NR_FINE - 1 + (size - FINE + STEP - 1) / STEP;
}

static u32 class_size(u32 class_no)
{
	if (class_no < NR_FINE)
		return SMALLEST + class_no * FINE_STEP;
	return FINE + (class_no - NR_FINE + 1) * STEP;
}

/* Bytes lost at the end of a slab of @pages pages, in units of 1/4096 of it. */
static u32 lost_share(u32 size, u32 pages)
{
	u32 bytes = pages << PAGE_SHIFT, nr = MIN(bytes / size, SLAB_PLACES);

	ASSERT(pages > 0);
	/* cppcheck-suppress zerodiv ; no class is so small that its slab has no page */
	return (bytes - nr * size) / pages;
}

/*
 * The smallest slab from 64 KiB up that loses little, else the one that loses least. Small objects
 * have smaller slabs, because the map has no more places.
 */
static void class_init(struct class *class, u32 class_no)
{
	u32 size = class_size(class_no);
	u32 first = MAX(MIN((u32)SLAB_PAGES / 4, size * SLAB_PLACES >> PAGE_SHIFT), 1u);
	u32 best = first;

	for (u32 pages = first; pages <= SLAB_PAGES && lost_share(size, best) > 16; pages++)
		if (lost_share(size, pages) < lost_share(size, best))
			best = pages;
	*class = (struct class){
		.size = (u16)size,
		.nr = (u16)MIN((best << PAGE_SHIFT) / size, SLAB_PLACES),
		.tail = SLAB_NONE,
	};
	for (u32 i = 0; i < ARRAY_SIZE(class->first); i++)
		class->first[i] = SLAB_NONE;
}

static u64 pages_of(const struct class *class, u64 nr)
{
	return (nr * class->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* ---- Lists ---- */

static void list_add(struct zpool *pool, struct class *class, u32 no, u32 where)
{
	struct slab *slab = &pool->slabs[no];

	slab->where = (u8)where;
	if (where == FULL || where == TAIL)
		return;
	slab->prev = SLAB_NONE;
	slab->next = class->first[where];
	if (slab->next != SLAB_NONE)
		pool->slabs[slab->next].prev = no;
	class->first[where] = no;
}

static void list_del(struct zpool *pool, struct class *class, u32 no)
{
	struct slab *slab = &pool->slabs[no];

	if (slab->where == TAIL)
		class->tail = SLAB_NONE;
	if (slab->where == FULL || slab->where == TAIL)
		return;
	if (slab->prev == SLAB_NONE)
		class->first[slab->where] = slab->next;
	else
		pool->slabs[slab->prev].next = slab->next;
	if (slab->next != SLAB_NONE)
		pool->slabs[slab->next].prev = slab->prev;
}

static void list_move(struct zpool *pool, struct class *class, u32 no, u32 where)
{
	if (pool->slabs[no].where == where)
		return;
	list_del(pool, class, no);
	list_add(pool, class, no, where);
}

/* Where a slab belongs by how full it is. */
static u32 quarter(const struct class *class, const struct slab *slab)
{
	return (u32)slab->used * QUARTERS / class->nr;
}

/* ---- Slabs ---- */

/* Make more of the arena usable. Until then it is not even promised memory. */
static int open_slabs(struct zpool *pool)
{
	u32 n = MIN(OPEN_SLABS, pool->max_slabs - pool->nr_open);
	u8 *start = pool->arena + ((u64)pool->nr_open << SLAB_SHIFT);

	if (!n || mprotect(start, (u64)n << SLAB_SHIFT, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	pool->nr_open += n;
	return 0;
}

static int slab_create(struct zpool *pool, u32 class_no)
{
	struct class *class = &pool->classes[class_no];
	u32 no = pool->first_free;

	if (no != SLAB_NONE) {
		pool->first_free = pool->slabs[no].next;
	} else {
		if (pool->nr_slabs == pool->nr_open && open_slabs(pool))
			return -ENOMEM;
		no = pool->nr_slabs++;
	}
	pool->slabs[no] = (struct slab){.class_no = (u16)class_no, .limit = class->nr};
	list_add(pool, class, no, 0);
	class->nr_slabs++;
	return 0;
}

static void set_touched(struct zpool *pool, u32 no, u64 pages)
{
	struct slab *slab = &pool->slabs[no];
	struct class *class = &pool->classes[slab->class_no];

	/* Two's complement: adding the difference is right when it is negative, too. */
	class->touched += pages - slab->touched;
	pool->touched += pages - slab->touched;
	slab->touched = (u8)pages;
}

/* Give back the memory of the slab's pages from @keep on. */
static void slab_trim(struct zpool *pool, u32 no, u64 keep)
{
	u64 touched = pool->slabs[no].touched;
	u8 *start = pool->arena + ((u64)no << SLAB_SHIFT);

	if (keep >= touched)
		return;
	/* It can only fail for addresses that are not ours. */
	ASSERT(!madvise(start + (keep << PAGE_SHIFT), (touched - keep) << PAGE_SHIFT,
			MADV_DONTNEED));
	set_touched(pool, no, keep);
}

static void slab_destroy(struct zpool *pool, u32 no)
{
	struct slab *slab = &pool->slabs[no];
	struct class *class = &pool->classes[slab->class_no];

	list_del(pool, class, no);
	slab_trim(pool, no, 0);
	class->nr_slabs--;
	slab->where = FREE;
	slab->next = pool->first_free;
	pool->first_free = no;
}

/* The lowest free place below the slab's limit, or SLAB_PLACES. */
static u32 free_place(const struct slab *slab)
{
	for (u32 i = 0; i < MAP_WORDS; i++) {
		if (~slab->map[i]) {
			u32 place = i * 64 + (u32)__builtin_ctzll(~slab->map[i]);

			return place < slab->limit ? place : SLAB_PLACES;
		}
	}
	return SLAB_PLACES;
}

/* The highest place in use, plus one. */
static u32 places_end(const struct slab *slab)
{
	for (u32 i = MAP_WORDS; i--;)
		if (slab->map[i])
			return i * 64 + 64 - (u32)__builtin_clzll(slab->map[i]);
	return 0;
}

/* ---- Objects ---- */

static zpool_loc loc_of(u32 no, u32 place)
{
	return (no + 1) << PLACE_BITS | place;
}

static u32 loc_slab(zpool_loc loc)
{
	return (loc >> PLACE_BITS) - 1;
}

static u32 loc_place(zpool_loc loc)
{
	return loc & (SLAB_PLACES - 1);
}

void *zpool_ptr(struct zpool *pool, zpool_loc loc)
{
	u32 no = loc_slab(loc), place = loc_place(loc);

	return pool->arena + ((u64)no << SLAB_SHIFT) +
	       (u64)place * pool->classes[pool->slabs[no].class_no].size;
}

/* Take a free place of a slab that has one. */
static zpool_loc take(struct zpool *pool, struct class *class, u32 no)
{
	struct slab *slab = &pool->slabs[no];
	u32 place = free_place(slab);

	ASSERT(place < slab->limit);
	slab->map[place / 64] |= (u64)1 << place % 64;
	slab->used++;
	class->used++;
	if (pages_of(class, place + 1) > slab->touched)
		set_touched(pool, no, pages_of(class, place + 1));
	if (slab->where != TAIL)
		list_move(pool, class, no, quarter(class, slab));
	return loc_of(no, place);
}

/* A slab of the class with a free place, the fullest first, or SLAB_NONE. */
static u32 find_room(const struct zpool *pool, const struct class *class)
{
	for (u32 q = QUARTERS; q--;)
		if (class->first[q] != SLAB_NONE)
			return class->first[q];
	if (class->tail != SLAB_NONE && free_place(&pool->slabs[class->tail]) < SLAB_PLACES)
		return class->tail;
	return SLAB_NONE;
}

int zpool_alloc(struct zpool *pool, u32 size, zpool_loc *loc)
{
	u32 class_no = class_of(size), no;
	struct class *class = &pool->classes[class_no];
	int ret;

	ASSERT(size && size <= PAGE_SIZE);
	no = find_room(pool, class);
	if (no == SLAB_NONE) {
		ret = slab_create(pool, class_no);
		if (ret)
			return ret;
		no = class->first[0];
	}
	*loc = take(pool, class, no);
	return 0;
}

void zpool_free(struct zpool *pool, zpool_loc loc)
{
	u32 no = loc_slab(loc), place = loc_place(loc);
	struct slab *slab = &pool->slabs[no];
	struct class *class = &pool->classes[slab->class_no];
	u64 bit = (u64)1 << place % 64;

	ASSERT(no < pool->nr_slabs && slab->map[place / 64] & bit);
	slab->map[place / 64] &= ~bit;
	slab->used--;
	class->used--;
	if (!slab->used)
		slab_destroy(pool, no);
	else if (slab->where != TAIL && slab->where != DRAIN)
		list_move(pool, class, no, quarter(class, slab));
}

/* ---- Compaction ---- */

/* Pages that the class would not take if all its slabs but one were full. */
static u64 class_gain(const struct class *class)
{
	u64 full = class->used / class->nr, rest = class->used % class->nr;
	u64 needed = full * pages_of(class, class->nr) + pages_of(class, rest);
	u64 gain = class->touched - needed;

	return gain * 16 >= class->touched ? gain : 0;
}

u64 zpool_compactable(const struct zpool *pool)
{
	u64 pages = 0;

	for (u32 i = 0; i < NR_CLASSES; i++)
		pages += class_gain(&pool->classes[i]);
	return pages << PAGE_SHIFT;
}

u32 zpool_nr_classes(const struct zpool *pool)
{
	(void)pool;
	return NR_CLASSES;
}

/* The head of the list of the emptiest slabs. There is one: the class is not all full. */
static u32 emptiest(const struct class *class)
{
	u32 q = 0;

	while (q < QUARTERS - 1 && class->first[q] == SLAB_NONE)
		q++;
	ASSERT(class->first[q] != SLAB_NONE);
	return class->first[q];
}

/*
 * With everything moved, all slabs but one are full. So as many of the emptiest as there are too
 * many of are drained; the next becomes the one that is not full, and only its beginning is kept.
 */
bool zpool_compact_begin(struct zpool *pool, u32 class_no)
{
	struct class *class = &pool->classes[class_no];
	u64 keep = (class->used + class->nr - 1) / class->nr;
	u32 no;

	if (!class_gain(class))
		return false;
	ASSERT(class->tail == SLAB_NONE && class->first[DRAIN] == SLAB_NONE);
	for (u64 left = class->nr_slabs - keep; left; left--)
		list_move(pool, class, emptiest(class), DRAIN);
	if (class->used < keep * class->nr) {
		no = emptiest(class);
		list_move(pool, class, no, TAIL);
		pool->slabs[no].limit = (u16)(class->used - (keep - 1) * class->nr);
		class->tail = no;
	}
	return true;
}

bool zpool_must_move(const struct zpool *pool, zpool_loc loc)
{
	const struct slab *slab = &pool->slabs[loc_slab(loc)];

	return slab->where == DRAIN || loc_place(loc) >= slab->limit;
}

int zpool_move(struct zpool *pool, zpool_loc *loc)
{
	struct class *class = &pool->classes[pool->slabs[loc_slab(*loc)].class_no];
	u32 no = find_room(pool, class);
	zpool_loc to;

	if (no == SLAB_NONE)
		return -ENOSPC;
	to = take(pool, class, no);
	memcpy(zpool_ptr(pool, to), zpool_ptr(pool, *loc), class->size);
	zpool_free(pool, *loc);
	*loc = to;
	return 0;
}

void zpool_compact_end(struct zpool *pool, u32 class_no)
{
	struct class *class = &pool->classes[class_no];
	u32 no;

	while ((no = class->first[DRAIN]) != SLAB_NONE)
		list_move(pool, class, no, quarter(class, &pool->slabs[no]));
	no = class->tail;
	if (no == SLAB_NONE)
		return;
	pool->slabs[no].limit = class->nr;
	slab_trim(pool, no, pages_of(class, places_end(&pool->slabs[no])));
	list_move(pool, class, no, quarter(class, &pool->slabs[no]));
}

/* ---- The whole ---- */

/* Address space may be limited: take less of it then. */
static int reserve(struct zpool *pool)
{
	for (u64 size = ARENA_MOST; size >= ARENA_LEAST; size /= 2) {
		void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

		if (p == MAP_FAILED)
			continue;
		/* A huge page would take memory for what nobody touched. */
		madvise(p, size, MADV_NOHUGEPAGE);
		pool->arena = p;
		pool->max_slabs = (u32)(size >> SLAB_SHIFT);
		return 0;
	}
	return -ENOMEM;
}

int zpool_create(struct zpool **out, struct err *err)
{
	struct zpool *pool = calloc(1, sizeof(*pool));
	u64 size;

	if (!pool)
		return err_set(err, -ENOMEM, "store: out of memory");
	if (reserve(pool)) {
		free(pool);
		return err_set(err, -ENOMEM, "store: no address space for it (see ulimit -v)");
	}
	size = pool->max_slabs * sizeof(pool->slabs[0]);
	pool->slabs = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->slabs == MAP_FAILED) {
		munmap(pool->arena, (u64)pool->max_slabs << SLAB_SHIFT);
		free(pool);
		return err_set(err, -ENOMEM, "store: no address space for it (see ulimit -v)");
	}
	pool->first_free = SLAB_NONE;
	for (u32 i = 0; i < NR_CLASSES; i++)
		class_init(&pool->classes[i], i);
	*out = pool;
	return 0;
}

void zpool_destroy(struct zpool *pool)
{
	if (!pool)
		return;
	munmap(pool->slabs, pool->max_slabs * sizeof(pool->slabs[0]));
	munmap(pool->arena, (u64)pool->max_slabs << SLAB_SHIFT);
	free(pool);
}

u64 zpool_bytes(const struct zpool *pool)
{
	return pool->touched << PAGE_SHIFT;
}

u64 zpool_metadata_bytes(const struct zpool *pool)
{
	return sizeof(*pool) + pool->nr_slabs * sizeof(pool->slabs[0]);
}

/* ---- Checking ---- */

static void audit_slab(const struct zpool *pool, const struct slab *slab)
{
	const struct class *class = &pool->classes[slab->class_no];
	u32 used = 0;

	for (u32 i = 0; i < MAP_WORDS; i++)
		used += (u32)__builtin_popcountll(slab->map[i]);
	ASSERT(used && used == slab->used && places_end(slab) <= class->nr);
	ASSERT(pages_of(class, places_end(slab)) <= slab->touched);
	ASSERT(slab->touched <= pages_of(class, class->nr));
	if (slab->where < DRAIN)
		ASSERT(slab->where == quarter(class, slab) && slab->limit == class->nr);
}

static void audit_class(const struct zpool *pool, const struct class *class)
{
	for (u32 list = 0; list <= DRAIN; list++) {
		u32 prev = SLAB_NONE;

		for (u32 no = class->first[list]; no != SLAB_NONE; no = pool->slabs[no].next) {
			ASSERT(pool->slabs[no].where == list && pool->slabs[no].prev == prev);
			prev = no;
		}
	}
}

u64 zpool_audit(const struct zpool *pool)
{
	u64 touched = 0, used = 0, slabs = 0, class_slabs = 0, class_used = 0, class_touched = 0;

	for (u32 no = 0; no < pool->nr_slabs; no++) {
		const struct slab *slab = &pool->slabs[no];

		if (slab->where == FREE)
			continue;
		audit_slab(pool, slab);
		touched += slab->touched;
		used += slab->used;
		slabs++;
	}
	for (u32 i = 0; i < NR_CLASSES; i++) {
		audit_class(pool, &pool->classes[i]);
		class_slabs += pool->classes[i].nr_slabs;
		class_used += pool->classes[i].used;
		class_touched += pool->classes[i].touched;
	}
	ASSERT(slabs == class_slabs && used == class_used);
	ASSERT(touched == class_touched && touched == pool->touched);
	return used;
}
