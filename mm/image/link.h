// SPDX-License-Identifier: Apache-2.0
/*
 * One link file, open for reading. Private to mm/image/.
 *
 * Only the index grows after opening: a block is published when it was read and checked, and stays.
 * So everything here may be used by any number of threads.
 */
#ifndef QUIRE_MM_IMAGE_LINK_H
#define QUIRE_MM_IMAGE_LINK_H

#include <stdatomic.h>

#include "mm/image/format.h"

#define IMAGE_NAME_SIZE 32

/* "00000001.link" */
void image_link_name(char name[IMAGE_NAME_SIZE], u32 number);

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

#endif
