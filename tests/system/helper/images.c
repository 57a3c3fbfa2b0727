// SPDX-License-Identifier: Apache-2.0
/*
 * For tests/system/checkpoint.sh: whether two images hold the same guest, and whether one is whole.
 *
 *	images same DIR DIR    every page of the newest links of both has the same contents
 *	images verify DIR      every byte of its chain is as it was written
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mm/image/image.h"

static int compare(struct image *a, struct image *b, struct err *err)
{
	static u8 pages[2][PAGE_SIZE];
	u32 nr = image_nr_pages(a), different = 0, zero = 0;
	page_no first = 0;

	if (image_nr_pages(b) != nr)
		return err_set(err, -EINVAL, "guests of different sizes");
	for (page_no no = 0; no < nr; no++) {
		if (image_read(a, no, 1, pages[0], err) || image_read(b, no, 1, pages[1], err))
			return -EIO;
		zero += !memcmp(pages[0], (u8[PAGE_SIZE]){0}, PAGE_SIZE);
		if (memcmp(pages[0], pages[1], PAGE_SIZE) && !different++)
			first = no;
	}
	printf("%u pages, %u of zeros, %u differ\n", nr, zero, different);
	return different
		       ? err_set(err, -EINVAL, "%u pages differ, the first is %u", different, first)
		       : 0;
}

static int same(const char *one, const char *other, struct err *err)
{
	struct image *a = NULL, *b = NULL;
	int ret = image_open(&a, one, 0, err);

	if (!ret)
		ret = image_open(&b, other, 0, err);
	if (!ret)
		ret = compare(a, b, err);
	image_close(a);
	image_close(b);
	return ret;
}

int main(int argc, char **argv)
{
	struct err err;
	int ret;

	if (argc == 4 && !strcmp(argv[1], "same"))
		ret = same(argv[2], argv[3], &err);
	else if (argc == 3 && !strcmp(argv[1], "verify"))
		ret = image_verify(argv[2], NULL, NULL, &err);
	else
		ret = err_set(&err, -EINVAL, "usage: images same DIR DIR | verify DIR");
	if (ret)
		fprintf(stderr, "images: %s\n", err.text);
	return ret ? 1 : 0;
}
