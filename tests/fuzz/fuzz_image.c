// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as the newest link of an image, above a base that is whole. It is
 * opened, read in every way, listed, verified and flattened; each is refused with a sentence, or
 * what comes agrees. Checksums would keep nearly all inputs out, so those of the parts that can be
 * found are made right first, unless the first byte says otherwise.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NR	300
#define BASE_ID 7

static char dir[64], flat[80], link_path[96], base_path[96], flat_path[112], lock_path[96];

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void remove_all(void)
{
	unlink(link_path);
	unlink(base_path);
	unlink(lock_path);
	rmdir(dir);
}

/* Give the base an identity that inputs can name. */
static void set_base_id(void)
{
	struct image_header h;
	struct image_footer f;
	int fd = open(base_path, O_RDWR);
	off_t at = lseek(fd, -(off_t)sizeof(f), SEEK_END);

	expect(pread(fd, &h, sizeof(h), 0) == sizeof(h) &&
	       pread(fd, &f, sizeof(f), at) == sizeof(f));
	memset(&h.id, BASE_ID, sizeof(h.id));
	f.header_sum = image_sum(&h, sizeof(h));
	f.sum = image_sum(&f, offsetof(struct image_footer, sum));
	expect(pwrite(fd, &h, sizeof(h), 0) == sizeof(h) &&
	       pwrite(fd, &f, sizeof(f), at) == sizeof(f));
	close(fd);
}

static void make_base(void)
{
	const struct image_writer_config cfg = {.nr_pages = NR, .no_sync = true};
	const char *shm = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	struct image_writer *w;
	u8 page[PAGE_SIZE];

	snprintf(dir, sizeof(dir), "%s/quire-fuzz-image-XXXXXX", shm);
	expect(mkdtemp(dir) != NULL);
	snprintf(flat, sizeof(flat), "%s.flat", dir);
	snprintf(base_path, sizeof(base_path), "%s/00000001.link", dir);
	snprintf(link_path, sizeof(link_path), "%s/00000002.link", dir);
	snprintf(lock_path, sizeof(lock_path), "%s/merge.lock", dir);
	snprintf(flat_path, sizeof(flat_path), "%s/00000002.link", flat);
	atexit(remove_all);
	expect(!image_begin(&w, dir, &cfg, NULL));
	for (u32 no = 0; no < NR; no += 7) {
		memset(page, (int)no, PAGE_SIZE);
		page[no] = 1;
		image_put(w, no, page);
	}
	expect(!image_commit(w, "s", 1, "{}", NULL, NULL));
	set_base_id();
}

/* ---- Making checksums right ---- */

static void fix_index(u8 *bytes, const struct image_footer *f, u32 i)
{
	struct image_region r;
	u8 *at = bytes + f->root_at + (u64)i * sizeof(r);

	memcpy(&r, at, sizeof(r));
	if (r.count <= IMAGE_REGION_PAGES && range_fits(r.at, image_index_size(r.count), f->size))
		r.sum = image_sum(bytes + r.at, image_index_size(r.count));
	memcpy(at, &r, sizeof(r));
}

static void fix_sums(u8 *bytes, u64 len)
{
	struct image_footer f;
	struct image_header h;
	u64 root_size;

	if (len < sizeof(f) + sizeof(h))
		return;
	memcpy(&h, bytes, sizeof(h));
	memcpy(h.magic, IMAGE_MAGIC, sizeof(h.magic));
	memset(&h.parent_id, BASE_ID, sizeof(h.parent_id));
	memcpy(bytes, &h, sizeof(h));
	memcpy(&f, bytes + len - sizeof(f), sizeof(f));
	f.size = len;
	f.header_sum = image_sum(&h, sizeof(h));
	root_size = (u64)f.nr_regions * sizeof(struct image_region);
	if (range_fits(f.root_at, root_size, len)) {
		for (u32 i = 0; i < f.nr_regions; i++)
			fix_index(bytes, &f, i);
		f.root_sum = image_sum(bytes + f.root_at, root_size);
	}
	if (range_fits(f.state_at, f.state_size, len))
		f.state_sum = image_sum(bytes + f.state_at, f.state_size);
	if (range_fits(f.config_at, f.config_size, len))
		f.config_sum = image_sum(bytes + f.config_at, f.config_size);
	f.sum = image_sum(&f, offsetof(struct image_footer, sum));
	memcpy(bytes + len - sizeof(f), &f, sizeof(f));
}

/* ---- Looking at it ---- */

static void check_sentence(const struct err *err)
{
	expect(!strncmp(err->text, dir, strlen(dir)));
}

/* A page read alone, with others, and as it is kept, is the same. Returns whether it can be had. */
static bool check_page(struct image *image, page_no no)
{
	static u8 one[PAGE_SIZE], many[3 * PAGE_SIZE], room[PAGE_SIZE], zeros[PAGE_SIZE];
	u32 n = MIN(3u, image_nr_pages(image) - no);
	struct codec_block b;
	struct err err = {.text = ""};
	int zero = image_is_zero(image, no, &err);

	if (image_read(image, no, 1, one, &err)) {
		check_sentence(&err);
		return false;
	}
	expect(image_same(image, no, one));
	if (zero == 1)
		expect(!memcmp(one, zeros, PAGE_SIZE));
	if (!image_read(image, no, n, many, &err))
		expect(!memcmp(one, many, PAGE_SIZE));
	expect(!image_read_block(image, no, &b, room, &err));
	expect(!codec_open(&b, many));
	expect(!memcmp(one, many, PAGE_SIZE));
	return true;
}

static void check_flat(struct image *image)
{
	static u8 one[PAGE_SIZE], other[PAGE_SIZE];
	struct image *copy;

	expect(!image_open(&copy, flat, 0, NULL));
	expect(image_number(copy) == image_number(image));
	for (u32 no = 0; no < NR; no++) {
		int ret = image_read(image, no, 1, one, NULL);

		expect(!image_read(copy, no, 1, other, NULL) == !ret);
		if (!ret)
			expect(!memcmp(one, other, PAGE_SIZE));
	}
	image_close(copy);
}

static void look(void)
{
	struct image_link_info info[4];
	struct err err = {.text = ""};
	struct image *image;
	bool all = true;
	u32 size;
	int ret = image_open(&image, dir, 0, &err);

	if (ret) {
		check_sentence(&err);
		expect(image_verify(dir, NULL, NULL, &err) < 0);
		expect(image_flatten(dir, 0, flat, NULL, NULL, &err) < 0);
		return;
	}
	expect(image_state(image, &size) != NULL && image_config(image) != NULL);
	/* above the base, or, with no parent, of any size and alone */
	for (u32 no = 0; no < MIN(image_nr_pages(image), NR); no++)
		all = check_page(image, no) && all;
	ret = image_verify(dir, NULL, NULL, &err);
	expect(all || ret);
	if (image_list(dir, info, 4, &err) == 2 && !image_flatten(dir, 0, flat, NULL, NULL, &err)) {
		check_flat(image);
		unlink(flat_path);
		rmdir(flat);
	}
	image_close(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	u8 *bytes;
	int fd;

	if (!dir[0])
		make_base();
	if (!len)
		return 0;
	bytes = malloc(len);
	memcpy(bytes, data + 1, len - 1);
	if (data[0] != '!')
		fix_sums(bytes, len - 1);
	fd = open(link_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	expect(fd >= 0 && write(fd, bytes, len - 1) == (ssize_t)len - 1);
	close(fd);
	free(bytes);
	look();
	return 0;
}
