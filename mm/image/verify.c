// SPDX-License-Identifier: Apache-2.0
/*
 * Looking at a whole chain: what links it has, and whether every byte of them is as written.
 *
 * Opening a link checks its header, footer and root, reading an index block checks that; what is
 * left are the pages themselves, state and configuration. Each page is unpacked and its checksum
 * compared, also of those that a newer link hides: the link is a checkpoint of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/image/chain.h"
#include "mm/image/data.h"

/* ---- The list ---- */

static int describe_link(const struct image_link *link, struct image_link_info *info,
			 struct err *err)
{
	const struct image_footer *f = &link->footer;
	char *config;
	int ret = image_link_config(link, &config, err);

	if (ret)
		return ret;
	*info = (struct image_link_info){
		.number = link->header.number,
		.parent = link->header.parent,
		.nr_pages = link->header.nr_pages,
		.bytes = f->size,
		.pages = f->pages,
		.patterns = f->patterns,
		.shared = f->shared,
		.raw = f->raw,
		.when = link->header.when,
		.version = link->header.version,
	};
	strncat(info->config, config, sizeof(info->config) - 1);
	free(config);
	return 0;
}

int image_list(const char *dir, struct image_link_info *links, u32 max, struct err *err)
{
	struct image_chain chain;
	u32 n;
	int ret = image_chain_open(&chain, dir, 0, err);

	if (ret)
		return ret;
	n = MIN(MIN(chain.n, max), (u32)INT32_MAX);
	for (u32 i = 0; i < n && !ret; i++)
		ret = describe_link(chain.link[chain.n - 1 - i], &links[i], err);
	image_chain_close(&chain);
	return ret ? ret : (int)n;
}

/* ---- Verification ---- */

struct verify {
	image_progress_fn progress;
	void *opaque;
	u64 done, all; /* bytes of files; done: of links that are through */
	struct image_batch *batch;
	struct err *err;
};

static int verify_batch(struct verify *v)
{
	struct image_batch *b = v->batch;
	u8 page[PAGE_SIZE];
	int ret = image_fetch(b->want, b->n, b->block, b->data, v->err);

	for (u32 i = 0; i < b->n && !ret; i++)
		ret = image_unpack(&b->want[i], &b->block[i], page, v->err);
	b->n = 0;
	return ret;
}

/* All pages that the index block of root entry @i has. */
static int verify_region(struct verify *v, struct image_link *link, u32 i)
{
	const struct image_index *index;
	page_no first = link->root[i].region << IMAGE_REGION_SHIFT;
	u32 rank = 0;
	int ret = image_link_index(link, i, &index, v->err);

	for (u32 bit = 0; bit < IMAGE_REGION_PAGES && !ret; bit++) {
		if (!(index->present[bit / 64] >> bit % 64 & 1))
			continue;
		image_batch_add(v->batch, link, first + bit, &index->entry[rank++]);
		if (v->batch->n == IMAGE_BATCH)
			ret = verify_batch(v);
	}
	return ret ? ret : verify_batch(v);
}

static int verify_link(struct verify *v, struct image_link *link)
{
	u32 n = link->footer.nr_regions;
	void *state;
	char *config;
	int ret = image_link_state(link, &state, v->err);

	if (ret)
		return ret;
	free(state);
	ret = image_link_config(link, &config, v->err);
	if (ret)
		return ret;
	free(config);
	for (u32 i = 0; i < n && !ret; i++) {
		ret = verify_region(v, link, i);
		if (v->progress)
			v->progress(v->opaque, v->done + link->footer.size / n * (i + 1), v->all);
	}
	v->done += link->footer.size;
	return ret;
}

int image_verify(const char *dir, image_progress_fn progress, void *opaque, struct err *err)
{
	struct verify v = {.progress = progress, .opaque = opaque, .err = err};
	struct image_chain chain;
	int ret = image_chain_open(&chain, dir, 0, err);

	if (ret)
		return ret;
	v.batch = malloc(sizeof(*v.batch));
	if (!v.batch)
		ret = err_set(err, -ENOMEM, "%s: out of memory", dir);
	else
		v.batch->n = 0;
	for (u32 i = 0; i < chain.n; i++)
		v.all += chain.link[i]->footer.size;
	/* oldest first: it is what all the others rest on */
	for (u32 i = chain.n; i-- && !ret;)
		ret = verify_link(&v, chain.link[i]);
	free(v.batch);
	image_chain_close(&chain);
	return ret;
}
