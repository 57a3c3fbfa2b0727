// SPDX-License-Identifier: Apache-2.0
/*
 * Inside the image library: one link file open for reading, the chain it belongs to, and pages as
 * they are kept. Private to mm/image/.
 */
#ifndef QUIRE_MM_IMAGE_LINK_H
#define QUIRE_MM_IMAGE_LINK_H

#include <stdatomic.h>

#include "mm/image/format.h"

/* ---- A link (link.c) ---- */

/*
 * Only the index grows after opening: a block is published when it was read and checked, and stays.
 * So everything here may be used by any number of threads.
 */
struct image_link {
	int fd;
	char *path; /* for sentences */
	struct image_header header;
	struct image_footer footer;
	struct image_region *root;	      /* checked: sorted, in the file, counts add up */
	_Atomic(struct image_index *) *index; /* NULL: not read yet; one for each of root */
};

/* Open link @number of a directory; -ENOENT (without a sentence): there is none. */
int image_link_open(struct image_link **out, int dirfd, const char *dir, u32 number,
		    struct err *err);
void image_link_close(struct image_link *link);

/* Read exactly @size bytes. */
int image_link_read(const struct image_link *link, u64 at, u64 size, void *to, struct err *err);

/* State, or configuration, with a NUL behind it; the caller's to free(). Checked. */
int image_link_state(const struct image_link *link, void **state, struct err *err);
int image_link_config(const struct image_link *link, char **config, struct err *err);

/* The index block of root entry @i. Every entry in it is sane and inside the file. */
int image_link_index(struct image_link *link, u32 i, const struct image_index **index,
		     struct err *err);

/* Where @region stands in the root; false: the link has no page of it. */
bool image_link_region(const struct image_link *link, u32 region, u32 *i);

/* The entry of a page; its place is 0 when the link does not have the page. */
int image_link_find(struct image_link *link, page_no no, struct image_entry *entry,
		    struct err *err);

/* ---- A chain (chain.c) ---- */

/* The links that lead to one, which comes first; the base comes last. */
struct image_chain {
	int dirfd;
	char *dir;
	u32 n;
	struct image_link **link;
};

#define IMAGE_NAME_SIZE 32

/* "00000001.link", "00000001.tmp" */
void image_link_name(char name[IMAGE_NAME_SIZE], u32 number);
void image_tmp_name(char name[IMAGE_NAME_SIZE], u32 number);

/* Call @fn for each link, or each temporary file of a writer, in no order. -errno. */
int image_each_link(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque);
int image_each_tmp(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque);

/* The highest number there is; 0: there is no link. */
int image_newest(int dirfd, u32 *number);

/* @number 0: the newest. */
int image_chain_open(struct image_chain *chain, const char *dir, u32 number, struct err *err);
void image_chain_close(struct image_chain *chain);

/* ---- Pages as they are kept (data.c) ---- */

#define IMAGE_BATCH 64

/* A page, in the link that has it; no link: zeros, as nobody has it. */
struct image_want {
	struct image_link *link;
	page_no no;
	struct image_entry entry;
};

/* Pages that are read at once. */
struct image_batch {
	u32 n;
	struct image_want want[IMAGE_BATCH];
	struct codec_block block[IMAGE_BATCH]; /* its data lies in data */
	u8 data[IMAGE_BATCH * PAGE_SIZE];
};

/* Add a page to a batch that is not full. */
void image_batch_add(struct image_batch *b, struct image_link *link, page_no no,
		     const struct image_entry *entry);

/*
 * Read what is wanted, neighbours in the file at once: fills the @n blocks. @data has room for @n
 * pages. The sum of a pattern's block is not set.
 */
int image_fetch(const struct image_want *want, u32 n, struct codec_block *block, u8 *data,
		struct err *err);

/* Unpack a block that was fetched, and check it. */
int image_unpack(const struct image_want *want, const struct codec_block *block, void *page,
		 struct err *err);

#endif
