// SPDX-License-Identifier: Apache-2.0
/*
 * Remembered versions of pages, and deltas to them. Contract in batch_delta.h.
 *
 * A delta is what codec_pack() makes of old XOR new: where nothing changed there are zeros, and LZ4
 * spends a few bytes on any run of them.
 */
#include "mm/wire/batch_delta.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "mm/codec/codec.h"

#define WORDS ((u32)(PAGE_SIZE / sizeof(u64)))

/* More words than this are no few changes: LZ4 would take its time, and find nothing. */
#define DELTA_MAX_WORDS (WORDS * 3 / 4)

/* What a page is protected by when it comes, more with each use, and at most. */
#define USES_FIRST 1u
#define USES_MORE  2u
#define USES_MAX   7u

#define HUGE_SIZE (2 * MiB)
#define SET_BYTES (sizeof(struct version_set) + VERSION_WAYS * PAGE_SIZE)

/* Pages first, so that huge ones of the host can be behind them; sets behind them. */
int versions_init(struct versions *v, u64 bytes, u32 nr_pages)
{
	u64 sets = MIN(bytes / SET_BYTES, (nr_pages - 1) / VERSION_WAYS + 1);
	void *mem;

	*v = (struct versions){.nr_sets = (u32)sets};
	if (!sets)
		return 0;
	v->mapped = sets * SET_BYTES;
	mem = mmap(NULL, v->mapped, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		*v = (struct versions){.nr_sets = 0};
		return -ENOMEM;
	}
	/* all of it will be in use soon, in no order: fewer faults. No matter if it fails */
	if (v->mapped >= 2 * HUGE_SIZE)
		madvise(mem, v->mapped, MADV_HUGEPAGE);
	v->pages = mem;
	v->sets = (void *)(v->pages + sets * VERSION_WAYS * PAGE_SIZE);
	return 0;
}

void versions_fini(struct versions *v)
{
	if (v->pages)
		munmap(v->pages, v->mapped);
	*v = (struct versions){.nr_sets = 0};
}

void versions_clear(struct versions *v)
{
	if (v->nr_sets)
		memset(v->sets, 0, v->nr_sets * sizeof(v->sets[0]));
}

/* Neighbours go to different sets, and so do pages at any regular distance. */
static struct version_set *set_of(const struct versions *v, page_no no)
{
	return &v->sets[((u64)(no * 2654435761u) * v->nr_sets) >> 32];
}

static void *place(const struct versions *v, const struct version_set *set, u32 way)
{
	return v->pages + ((u64)(set - v->sets) * VERSION_WAYS + way) * PAGE_SIZE;
}

/* Where the page is, or VERSION_WAYS. */
static u32 way_of(const struct version_set *set, page_no no)
{
	u32 way = 0;

	while (way < VERSION_WAYS && set->page[way] != no + 1)
		way++;
	return way;
}

/* The set that has the page, at *@way; NULL: none has. */
static struct version_set *find(const struct versions *v, page_no no, u32 *way)
{
	struct version_set *set;

	if (!v->nr_sets)
		return NULL;
	set = set_of(v, no);
	*way = way_of(set, no);
	return *way < VERSION_WAYS ? set : NULL;
}

const void *versions_find(const struct versions *v, page_no no)
{
	u32 way;
	const struct version_set *set = find(v, no, &way);

	return set && !(set->spoiled & 1u << way) ? place(v, set, way) : NULL;
}

/* A place for a page that has none, or VERSION_WAYS: it is not to have one, for now. */
static u32 way_for(struct version_set *set, bool again)
{
	u32 way;

	for (way = 0; way < VERSION_WAYS; way++)
		if (!set->page[way])
			return way;
	if (!again)
		return VERSION_WAYS;
	way = set->hand;
	set->hand = (u8)((way + 1) % VERSION_WAYS);
	if (!set->uses[way])
		return way;
	set->uses[way]--;
	return VERSION_WAYS;
}

void versions_keep(struct versions *v, page_no no, const void *page, bool again)
{
	struct version_set *set;
	u32 way;

	if (!v->nr_sets)
		return;
	set = set_of(v, no);
	way = way_of(set, no);
	if (way < VERSION_WAYS) {
		set->uses[way] = (u8)MIN(set->uses[way] + USES_MORE, USES_MAX);
	} else {
		way = way_for(set, again);
		if (way == VERSION_WAYS)
			return;
		set->page[way] = no + 1;
		set->uses[way] = again ? USES_FIRST : 0;
	}
	set->spoiled &= (u8) ~(1u << way);
	memcpy(place(v, set, way), page, PAGE_SIZE);
}

void versions_spoil(struct versions *v, page_no no)
{
	u32 way;
	struct version_set *set = find(v, no, &way);

	if (set)
		set->spoiled |= (u8)(1u << way);
}

/* @to becomes @a XOR @b, either of which it may be. Returns how many of its words are not zero. */
static u32 xor_page(u8 *to, const u8 *a, const u8 *b)
{
	u32 n = 0;

	for (u32 i = 0; i < WORDS; i++) {
		u64 x, y;

		memcpy(&x, a + i * sizeof(x), sizeof(x));
		memcpy(&y, b + i * sizeof(y), sizeof(y));
		x ^= y;
		memcpy(to + i * sizeof(x), &x, sizeof(x));
		n += x != 0;
	}
	return n;
}

u32 delta_pack(const void *old, const void *page, void *room, void *out, u32 max)
{
	if (xor_page(room, old, page) > DELTA_MAX_WORDS)
		return 0;
	return codec_pack(room, out, max);
}

int delta_unpack(const void *in, u32 size, void *room, void *page)
{
	int ret = codec_unpack(in, size, room);

	if (!ret)
		xor_page(page, page, room);
	return ret;
}
