// SPDX-License-Identifier: Apache-2.0
/* An image as a pager. Contract in image_pager.h; what may be asked of it in mm/space/pager.h. */
#include "mm/image/image_pager.h"

#include "mm/image/image.h"

static struct image *image_of(struct pager *p)
{
	return ((struct image_pager *)p)->image;
}

static int read_pages(struct pager *p, page_no no, u32 n, u8 *pages, struct err *err)
{
	return image_read(image_of(p), no, n, pages, err);
}

static int read_block(struct pager *p, page_no no, struct codec_block *block, void *room,
		      struct err *err)
{
	return image_read_block(image_of(p), no, block, room, err);
}

static bool knows_zero(struct pager *p, page_no no)
{
	return image_is_zero(image_of(p), no, NULL) == 1;
}

static bool same(struct pager *p, page_no no, const void *page)
{
	return image_same(image_of(p), no, page);
}

static const struct pager_ops ops = {
	.read = read_pages,
	.read_block = read_block,
	.knows_zero = knows_zero,
	.same = same,
	.most = 32,
	.kind = PAGER_IMAGE,
};

void image_pager_init(struct image_pager *p, struct image *image)
{
	*p = (struct image_pager){.pager = {.ops = &ops}, .image = image};
}
