// SPDX-License-Identifier: Apache-2.0
/*
 * Images of guests. An image is a directory that holds a chain of links; a link is one file, and
 * holds the machine's state at one instant and the pages that differ from the link before it (from
 * nothing but zeros, for a base). Any link of the chain can be restored.
 *
 *	DIR/00000001.link	the base
 *	DIR/00000002.link	what changed since, and so on: numbers grow, and may have gaps
 *	DIR/working-set		the order in which a restored guest touched its pages (optional)
 *	DIR/merge.lock		held while links are merged
 *	DIR/NNNNNNNN.tmp	being written, or left by a writer that died: nobody reads them
 *
 * A link is written under a temporary name, synced, and renamed: under its own name it is whole,
 * and never changes. Whoever has it open can go on reading it after it was replaced or removed. The
 * layout is in docs/FORMATS.md.
 *
 * A page is found without reading anything else of the file: the root says where the index block of
 * each 256 pages is (one step where the link has all of them, else a binary search), the index
 * block where the page is. A page that a link does not have is looked for in its parent.
 *
 * Always true of what a reader returns: every byte it depends on was covered by a checksum that
 * matched. An image is untrusted: lengths and places are checked before use, whatever is wrong is
 * -EBADMSG (or another -errno from the file) with file, page and offset in the sentence.
 *
 * A writer belongs to one thread. A reader may be used by any number of threads at once.
 *
 * The face of mm/image/, which owns checkpoints in files. It uses mm/base, mm/codec, and the
 * interface of a pager (mm/space/pager.h). Begin here and with format.h. From below to above:
 *
 *	link.c			one link open for reading: its checks, its index
 *	chain.c, data.c		the links that lead to one; pages as they are kept
 *	out.c			the file behind a writer
 *	put.c, write.c		a page into a link; a link's beginning and end
 *	read.c, verify.c	a guest's pages; every byte of every link
 *	merge.c			several links become one
 *	record.c		the working set beside an image
 *	image_pager.c		an image as the origin of a guest's absent pages
 */
#ifndef QUIRE_MM_IMAGE_IMAGE_H
#define QUIRE_MM_IMAGE_IMAGE_H

#include "mm/base/base.h"
#include "mm/codec/codec.h"
#include "mm/base/err.h"
#include "mm/base/addr.h"

/* The first version of the format. A reader takes this one and all before it. */
#define IMAGE_VERSION 1

/* State and configuration are no larger, so that an image cannot have all memory taken for them. */
#define IMAGE_MAX_STATE	 ((u32)(256 * MiB))
#define IMAGE_MAX_CONFIG ((u32)MiB)

/* ---- Writing ---- */

struct image_writer;

struct image_writer_config {
	u32 nr_pages;	  /* of the guest; the same in all links of a chain */
	bool incremental; /* add to the chain that is there; else there must be none yet */
	u32 parent;	  /* a link that the caller knows, and must be the newest; 0: any */
	bool no_sync;	  /* for continuous mode: the caller syncs now and then (image_sync()) */
};

/* What was written. */
struct image_written {
	u32 number;	      /* of the link */
	u64 pages;	      /* that it has */
	u64 patterns, shared; /* of them, without data of their own */
	u64 raw;	      /* of them, as they are */
	u64 bytes;	      /* of the file */
};

/*
 * Begin a link in @dir, which is created if need be. Leftovers of dead writers are removed. -EBUSY:
 * another writer is at it (flock on the directory). -EEXIST, -ENOENT: there is a chain already, or
 * none to add to. -EINVAL: the chain is of a guest of another size. -ESTALE: its newest link is not
 * the one that was asked for. A process with a limit to the size of its files ignores SIGXFSZ.
 */
int image_begin(struct image_writer **out, const char *dir, const struct image_writer_config *cfg,
		struct err *err);

/*
 * Add a page: in any order, each at most once. image_put() compresses it; image_put_block() takes
 * it as it is kept elsewhere. Contents that were added before take no space again: they are found
 * by checksum and compared. In a base, zeros are left out. The page must not change meanwhile: it
 * would not match its checksum. The first failure is kept: nothing more is written then, and
 * image_commit() returns it.
 */
int image_put(struct image_writer *w, page_no no, const void *page);
int image_put_block(struct image_writer *w, page_no no, const struct codec_block *block);

/* Bytes written to the file so far, for progress and for whoever limits the rate. */
u64 image_writer_bytes(const struct image_writer *w);

/*
 * Make it visible: @state and @config (opaque to the image; the machine's state and a JSON text, no
 * larger than the limits above) become part of it. On failure, as after image_abort(), the chain is
 * as it was before image_begin(). Either way @w is gone.
 */
int image_commit(struct image_writer *w, const void *state, u32 state_size, const char *config,
		 struct image_written *written, struct err *err);
void image_abort(struct image_writer *w);

/*
 * Have the device keep all links of @dir, as image_commit() does unless no_sync. What was not
 * synced may be damaged when the machine stops; older links are not.
 */
int image_sync(const char *dir, struct err *err);

/* ---- Reading ---- */

struct image;

/* Open a chain up to link @number, or up to its newest (0). */
int image_open(struct image **out, const char *dir, u32 number, struct err *err);
void image_close(struct image *image); /* NULL is allowed */

u32 image_nr_pages(const struct image *image);
u32 image_number(const struct image *image);

/* State and configuration of the link that was opened; they live as long as the image is open. */
const void *image_state(const struct image *image, u32 *size);
const char *image_config(const struct image *image);

/*
 * Whether page @no is all zeros, as far as can be told from the index (a page that is kept as a
 * pattern of zeros, or that no link has). May read an index block. -errno with a sentence.
 */
int image_is_zero(struct image *image, page_no no, struct err *err);

/* The contents of @n pages from @no on, into n * 4096 bytes; neighbours in the file in one read. */
int image_read(struct image *image, page_no no, u32 n, void *pages, struct err *err);

/*
 * The same as it is kept, not unpacked; its checksum is not verified. @room has 4096 bytes, where
 * @block->data may point. A page that no link has is a pattern of zeros.
 */
int image_read_block(struct image *image, page_no no, struct codec_block *block, void *room,
		     struct err *err);

/* Whether the page that was opened as @no has exactly these contents (by its 128-bit checksum). */
bool image_same(struct image *image, page_no no, const void *page);

/* ---- Whole chains ---- */

struct image_link_info {
	u32 number, parent; /* parent 0: a base */
	u32 nr_pages;	    /* of the guest */
	u64 bytes, pages, patterns, shared, raw;
	u64 when; /* seconds since 1970 */
	u32 version;
	char config[1024]; /* cut off if need be */
};

/* The first @max links, oldest first; returns how many that are, or -errno. */
int image_list(const char *dir, struct image_link_info *links, u32 max, struct err *err);

/*
 * Read everything and check every checksum, also of pages that a newer link hides. Stops at the
 * first damage. @progress may be NULL; it gets bytes done and in all (image_flatten(): of guest
 * memory).
 */
typedef void (*image_progress_fn)(void *opaque, u64 done, u64 all);
int image_verify(const char *dir, image_progress_fn progress, void *opaque, struct err *err);

/*
 * Merge links: all up to @number (0: the newest) become one base, which keeps the number, the state
 * and the configuration of the newest of them; the others are removed once it is in place. Pages
 * are copied as they are kept. @to NULL: in @dir itself; else the merged link becomes the only one
 * of a new image there, and nothing in @dir changes.
 */
int image_flatten(const char *dir, u32 number, const char *to, image_progress_fn progress,
		  void *opaque, struct err *err);

/*
 * For a chain that grows for ever: merge neighbouring links so that at most @max remain (2 or
 * more), the newest untouched. It merges small ones with small ones, so that a page is copied as
 * often as the logarithm of the number of links. May run while a writer adds to the chain, and
 * while readers have it open. -EBUSY: somebody else is merging it. Returns links that went.
 */
int image_merge(const char *dir, u32 max, struct err *err);

/* ---- The working set of a restored guest ---- */

/* Keep @n page numbers, in the order of their first touch, beside the image; replaces what is
 * there. */
int image_record(const char *dir, const page_no *nos, u32 n, struct err *err);

/*
 * What was kept. *@nos is malloc()ed; none there is no error (*@n is 0), nor is a damaged one: it
 * is only advice.
 */
int image_recorded(const char *dir, u32 nr_pages, page_no **nos, u32 *n);

#endif
