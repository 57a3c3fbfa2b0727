// SPDX-License-Identifier: Apache-2.0
/*
 * What the bytes of a message of pages mean; docs/FORMATS.md draws it. Private to mm/wire/.
 *
 *	head | record | record | ...		without gaps
 *
 * A record is its own head and a body, whose size the head has. What a body may hold goes by its
 * kind. Nothing is aligned: heads are copied in and out. Fields are little-endian, as the only
 * machines are that quire runs on: the structures are the format.
 */
#ifndef QUIRE_MM_WIRE_BATCH_FORMAT_H
#define QUIRE_MM_WIRE_BATCH_FORMAT_H

#include "mm/base/base.h"
#include "mm/wire/batch.h"
#include "mm/codec/codec.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are written as they are");

struct batch_head {
	u32 count; /* of records, at most BATCH_MAX_PAGES */
	u32 zero;
};

enum batch_kind {
	BATCH_PATTERN = 1,   /* the value, 8 bytes */
	BATCH_SAME,	     /* struct batch_same */
	BATCH_DELTA,	     /* the page's checksum, then codec_pack() of old XOR new */
	BATCH_PACKED,	     /* codec_pack() of the page */
	BATCH_RAW,	     /* the page */
	BATCH_STORED_PACKED, /* the page's checksum, then what the store has */
	BATCH_STORED_RAW,
	BATCH_NR_KINDS,
};

struct batch_record {
	u32 page;
	u16 kind;
	u16 size; /* of the body */
};

struct batch_same {
	u32 page; /* that has these contents; may be the same one */
	struct codec_sum sum;
};

_Static_assert(sizeof(struct batch_head) == 8 && sizeof(struct batch_record) == 8, "the format");
_Static_assert(sizeof(struct batch_same) == 20 && sizeof(struct codec_sum) == 16, "the format");

#define BATCH_SUM_SIZE	  ((u32)sizeof(struct codec_sum))
#define BATCH_RECORD_SIZE ((u32)sizeof(struct batch_record))
#define BATCH_MAX_BODY	  (BATCH_SUM_SIZE + (u32)PAGE_SIZE)

#define BATCH_MAX_SIZE \
	((u32)sizeof(struct batch_head) + BATCH_MAX_PAGES * (BATCH_RECORD_SIZE + BATCH_MAX_BODY))

#endif
