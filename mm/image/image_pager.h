// SPDX-License-Identifier: Apache-2.0
/*
 * An image (mm/image/image.h) as the origin of a guest's absent pages: it has all of them, for
 * ever.
 */
#ifndef QUIRE_MM_IMAGE_IMAGE_PAGER_H
#define QUIRE_MM_IMAGE_IMAGE_PAGER_H

#include "mm/space/pager.h"

struct image;

struct image_pager {
	struct pager pager;
	struct image *image;
};

/* The image stays the caller's; both must outlive the engine. */
void image_pager_init(struct image_pager *p, struct image *image);

#endif
