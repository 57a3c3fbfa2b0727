// SPDX-License-Identifier: Apache-2.0
/*
 * Pages on their way to another host, many at a time: what is the payload of a message of pages
 * (mm/wire/wire.h). The format is in docs/FORMATS.md. A page travels as the least of
 *
 *	a pattern                     8 bytes repeated; zeros are one
 *	the same as another page      that went before on this stream, and still is there as it went
 *	a delta                       to what went before of the same page, where that is remembered
 *	a block                       packed with LZ4
 *	raw                           4096 bytes
 *	a stored block                as the sender's store has it; it stays stored at the receiver
 *
 * Order matters within a stream: "the same" and "delta" are about what the receiver has by then. A
 * page must therefore always go by the same stream, and nobody may write to the receiver's pages
 * meanwhile. Each of these two carries the checksum of the page that must come out; a receiver that
 * gets another has -EBADMSG, and the migration ends. A stored block carries its own, for whoever
 * opens it. Patterns, packed and raw pages have none, nor have page numbers: the message's checksum
 * covers them, and an intruder is TLS's to keep out.
 *
 * No locks: an encoder is one thread's at a time.
 */
#ifndef QUIRE_MM_WIRE_BATCH_H
#define QUIRE_MM_WIRE_BATCH_H

#include "mm/base/base.h"
#include "mm/codec/codec.h"
#include "mm/base/err.h"
#include "mm/base/addr.h"

/* ---- Sending ---- */

struct batch_encoder;

/* Pages in a batch. With 24 bytes for each it comes to 6 KiB more than a MiB. */
#define BATCH_MAX_PAGES 256u

enum batch_effort {
	BATCH_FAST, /* the processor is the bottleneck: patterns and the same, else raw */
	BATCH_PACK, /* the wire is: deltas and LZ4 as well */
};

struct batch_config {
	u32 nr_pages;	 /* of the guest, at least one */
	u64 delta_bytes; /* memory for versions that were sent, to make deltas to; 0: none */
};

/*
 * Besides delta_bytes an encoder takes at most 20 bytes for each page of the guest, as pages are
 * put, and a MiB. It begins with BATCH_FAST. -ENOMEM.
 */
int batch_encoder_create(struct batch_encoder **out, const struct batch_config *cfg,
			 struct err *err);
void batch_encoder_destroy(struct batch_encoder *e); /* NULL is allowed */

/* Takes effect with the next page. */
void batch_set_effort(struct batch_encoder *e, enum batch_effort effort);

/*
 * Whether pages may be sent as references (the same, a delta), which they are at first. Without
 * (@alone) each can be taken whatever became of the others: for a receiver whose guest runs. Either
 * way everything that was sent before is forgotten. Takes effect with the next page.
 */
void batch_set_alone(struct batch_encoder *e, bool alone);

/* Whether a page more is too much: finish the batch first. */
bool batch_is_full(const struct batch_encoder *e);
bool batch_is_empty(const struct batch_encoder *e);

/*
 * The page as it is now. It is not modified, and may change afterwards, even meanwhile: what goes
 * then is something between, which the receiver has until the page is sent again. Not when full.
 * 0, or -errno: nothing was added.
 */
int batch_put(struct batch_encoder *e, page_no no, const void *page);

/*
 * The page is in the store, like this: it goes as it is. Its kind is not CODEC_NONE and its size
 * one that the kind can have; whether the checksum is right is for the receiver to find.
 */
int batch_put_block(struct batch_encoder *e, page_no no, const struct codec_block *block);

/*
 * The payload, of *@size bytes; it is valid until the next page is put, into an empty batch. That
 * of an empty one is valid, too.
 */
const void *batch_finish(struct batch_encoder *e, u32 *size);

/* Forget everything that was sent: the receiver is another one, or has lost count. */
void batch_forget(struct batch_encoder *e);

struct batch_stats {
	u64 pages, patterns, same, deltas, packed, raw, stored; /* by how they went */
	u64 bytes;						/* of payloads that were finished */
};

void batch_get_stats(const struct batch_encoder *e, struct batch_stats *stats);

/* Of several encoders together. */
void batch_add_stats(struct batch_stats *to, const struct batch_stats *of);

/* ---- Receiving ---- */

/*
 * What is done with pages. Each returns 0 or -errno, which batch_apply() returns in turn, with a
 * sentence. What they are given is valid during the call, and not aligned.
 */
struct batch_sink {
	void *opaque;
	/* pages [no, no + n), @stride bytes apart */
	int (*pages)(void *opaque, page_no no, u32 n, const void *pages, size_t stride);
	/* a pattern, or contents that are to stay stored; not opened, so perhaps damaged */
	int (*block)(void *opaque, page_no no, const struct codec_block *block);
	/* what page @no is, by what pages() and block() were told before; NULL: not to be had */
	int (*look)(void *opaque, page_no no, void *page);
};

/*
 * Take a payload apart. It is untrusted: nothing outside of it is read, page numbers are below
 * @nr_pages, a page that refers to another is what it was at the sender. -EBADMSG with a sentence,
 * after which some of its pages may have been handed over. Needs 8 KiB of stack.
 */
int batch_apply(const void *data, u32 size, u32 nr_pages, const struct batch_sink *sink,
		struct err *err);

#endif
