// SPDX-License-Identifier: Apache-2.0
/*
 * A directory of links, and the chain of those that lead to one. Private to mm/image/.
 *
 * A chain does not change once it is open: its links may be merged away meanwhile, but stay
 * readable as long as they are open here.
 */
#ifndef QUIRE_MM_IMAGE_CHAIN_H
#define QUIRE_MM_IMAGE_CHAIN_H

#include "mm/image/link.h"

/* The links that lead to one, which comes first; the base comes last. */
struct image_chain {
	int dirfd;
	char *dir;
	u32 n;
	struct image_link **link;
};

/* "00000001.tmp": a link that is being written */
void image_tmp_name(char name[IMAGE_NAME_SIZE], u32 number);

/* Call @fn for each link, or each temporary file of a writer, in no order. -errno. */
int image_each_link(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque);
int image_each_tmp(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque);

/* The highest number there is; 0: there is no link. */
int image_newest(int dirfd, u32 *number);

/* @number 0: the newest. */
int image_chain_open(struct image_chain *chain, const char *dir, u32 number, struct err *err);
void image_chain_close(struct image_chain *chain);

#endif
