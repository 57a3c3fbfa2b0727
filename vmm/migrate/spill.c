// SPDX-License-Identifier: Apache-2.0
/*
 * What is missing over there, in a file. Contract in spill.h.
 *
 * The source writes it on the thread "migrate" when the guest has gone, the destination fills from
 * it on "incoming"; neither holds a lock, and both may wait for the disk.
 */
#include "vmm/migrate/spill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/image/image.h"
#include "mm/engine/copy.h"
#include "mm/engine/remote.h"

#define AT_ONCE 64

/* {"spill": "<session>"} */
#define CONFIG_SIZE 64

static void config_of(const u8 session[16], char config[CONFIG_SIZE])
{
	int at = snprintf(config, CONFIG_SIZE, "{\"spill\": \"");

	for (int i = 0; i < 16; i++)
		at += snprintf(config + at, (size_t)(CONFIG_SIZE - at), "%02x", session[i]);
	snprintf(config + at, (size_t)(CONFIG_SIZE - at), "\"}");
}

int spill_begin(struct image_writer **out, const char *dir, u32 nr_pages, struct err *err)
{
	const struct image_writer_config cfg = {.nr_pages = nr_pages};

	return image_begin(out, dir, &cfg, err);
}

static int put_page(void *opaque, page_no no, const void *page)
{
	return image_put(opaque, no, page);
}

static int put_block(void *opaque, page_no no, const struct codec_block *block)
{
	return image_put_block(opaque, no, block);
}

static int write_word(struct image_writer *w, struct mem *mem, u32 word, u64 bits, struct err *err)
{
	const struct mem_snap_sink sink = {w, put_page, put_block};
	page_no nos[64];
	u32 n = pageset_list(word, bits, nos);

	return n ? mem_export(mem, nos, n, &sink, err) : 0;
}

int spill_write(struct image_writer *w, struct mem *mem, const u64 *pages, u32 nr_pages,
		const u8 session[16], struct err *err)
{
	struct image_written written;
	char config[CONFIG_SIZE];
	int ret = 0;

	for (u32 word = 0; word < nr_pages / 64 && !ret; word++)
		ret = write_word(w, mem, word, pages[word], err);
	if (ret) {
		image_abort(w);
		return ret;
	}
	config_of(session, config);
	return image_commit(w, NULL, 0, config, &written, err);
}

int spill_open(struct image **out, const char *dir, u32 nr_pages, const u8 session[16],
	       struct err *err)
{
	char config[CONFIG_SIZE];
	int ret = image_open(out, dir, 0, err);

	if (ret)
		return ret;
	config_of(session, config);
	if (image_nr_pages(*out) == nr_pages && !strcmp(image_config(*out), config))
		return 0;
	image_close(*out);
	return err_set(err, -EINVAL, "%s: not what this migration has spilled", dir);
}

static int fill_some(struct image *image, struct remote *remote, page_no no, u32 n, u8 *pages,
		     struct err *err)
{
	int ret = image_read(image, no, n, pages, err);

	for (u32 i = 0; i < n && !ret; i++) {
		ret = remote_page(remote, no + i, pages + ((u64)i << PAGE_SHIFT));
		if (ret)
			err_set(err, ret, "page %u: %s", no + i, strerror(-ret));
	}
	return ret;
}

static u32 run_of(const u64 *bits, page_no no, u32 nr_pages)
{
	u32 n = 0;

	while (n < AT_ONCE && no + n < nr_pages && pageset_has(bits, no + n))
		n++;
	return n;
}

int spill_fill(struct image *image, struct remote *remote, u32 nr_pages, struct err *err)
{
	u64 *missing = calloc(nr_pages / 64, sizeof(u64));
	u8 *pages = aligned_alloc(PAGE_SIZE, AT_ONCE * PAGE_SIZE);
	int ret = missing && pages ? 0 : err_set(err, -ENOMEM, "out of memory");
	u32 n;

	if (!ret)
		remote_missing(remote, missing);
	for (page_no no = 0; no < nr_pages && !ret; no += MAX(n, 1u)) {
		n = run_of(missing, no, nr_pages);
		if (n)
			ret = fill_some(image, remote, no, n, pages, err);
	}
	free(missing);
	free(pages);
	return ret;
}
