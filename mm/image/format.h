// SPDX-License-Identifier: Apache-2.0
/*
 * What the bytes of a link file mean; docs/FORMATS.md draws it. Private to mm/image/.
 *
 *	header | page data | index blocks | root | state | config | footer
 *
 * Every byte is covered by a checksum, and every checksum but one is kept apart from what it
 * covers: page data by its entry, an index block by the root, root, state, config and header by the
 * footer, the footer by itself. Fields are little-endian, as the only machines are that quire runs
 * on, and naturally aligned: the structures are the format.
 */
#ifndef QUIRE_MM_IMAGE_FORMAT_H
#define QUIRE_MM_IMAGE_FORMAT_H

#include "mm/base/base.h"
#include "mm/codec/codec.h"
#include "mm/image/image.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are written as they are");

#define IMAGE_MAGIC "quirelnk"

struct image_id {
	u8 byte[16];
};

/* At offset 0. Magic and version stay where they are in all versions. */
struct image_header {
	u8 magic[8];
	u32 version;
	u32 number;
	u32 parent;   /* 0: a base */
	u32 nr_pages; /* of the guest */
	struct image_id id, parent_id;
	u64 when; /* seconds since 1970 */
};

_Static_assert(sizeof(struct image_header) == 64, "the format");

/* A region is so many pages; its index block says where they are. */
#define IMAGE_REGION_SHIFT 8
#define IMAGE_REGION_PAGES (1u << IMAGE_REGION_SHIFT)
#define IMAGE_REGION_WORDS (IMAGE_REGION_PAGES / 64)

/* A page that the link has. For a pattern, sum holds its value, then zeros. */
struct image_entry {
	u64 place;
	struct codec_sum sum;
};

/* An index block: the pages of a region that the link has, in their order. */
struct image_index {
	u64 present[IMAGE_REGION_WORDS]; /* page i of the region: bit i % 64 of word i / 64 */
	struct image_entry entry[];	 /* one for each bit */
};

_Static_assert(sizeof(struct image_entry) == 24 && sizeof(struct image_index) == 32, "the format");

/* The root is a list of these, by growing region: those that the link has pages of. */
struct image_region {
	u32 region; /* number of its first page / IMAGE_REGION_PAGES */
	u32 count;  /* entries, 1 to IMAGE_REGION_PAGES */
	u64 at;	    /* of the index block */
	u64 sum;
};

_Static_assert(sizeof(struct image_region) == 24, "the format");

/* The last bytes of the file. */
struct image_footer {
	u64 root_at, root_sum;
	u64 state_at, state_sum;
	u64 config_at, config_sum;
	u32 nr_regions; /* entries of the root */
	u32 state_size, config_size;
	u32 zero;
	u64 pages, patterns, shared, raw; /* as in struct image_written */
	u64 header_sum;
	u64 size; /* of the file */
	u64 sum;  /* of the footer up to here */
};

_Static_assert(sizeof(struct image_footer) == 120, "the format");

/*
 * A place: offset in the low 48 bits, size in the next 13, kind in the top two. A pattern has
 * neither offset nor size.
 */
#define IMAGE_OFFSET_BITS 48
#define IMAGE_SIZE_BITS	  13
#define IMAGE_KIND_SHIFT  62
#define IMAGE_MAX_OFFSET  ((u64)1 << IMAGE_OFFSET_BITS)

static inline u64 image_place(enum codec_kind kind, u64 at, u32 size)
{
	return (u64)kind << IMAGE_KIND_SHIFT | (u64)size << IMAGE_OFFSET_BITS | at;
}

static inline enum codec_kind image_place_kind(u64 place)
{
	return (enum codec_kind)(place >> IMAGE_KIND_SHIFT);
}

static inline u64 image_place_at(u64 place)
{
	return place & (IMAGE_MAX_OFFSET - 1);
}

static inline u32 image_place_size(u64 place)
{
	return (u32)(place >> IMAGE_OFFSET_BITS) & ((1u << IMAGE_SIZE_BITS) - 1);
}

static inline struct image_entry image_pattern_entry(u64 value)
{
	return (struct image_entry){
		.place = image_place(CODEC_PATTERN, 0, 0),
		.sum = {{(u32)value, (u32)(value >> 32), 0, 0}},
	};
}

static inline u64 image_entry_value(const struct image_entry *e)
{
	return e->sum.word[0] | (u64)e->sum.word[1] << 32;
}

static inline u32 image_nr_regions(u32 nr_pages)
{
	return (u32)(((u64)nr_pages + IMAGE_REGION_PAGES - 1) >> IMAGE_REGION_SHIFT);
}

static inline u64 image_index_size(u32 count)
{
	return sizeof(struct image_index) + count * sizeof(struct image_entry);
}

/* XXH3-64, of everything but pages. */
u64 image_sum(const void *data, u64 size);

#endif
