// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as a compressed page, and, repeated to fill one, as a page.
 *
 * As a compressed page they give either a page or -EBADMSG; only they are read, only the page is
 * written, which the sanitizer sees because both are exactly as large as said; and a page that
 * comes out survives being compressed again. As a page they come back as they were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void round_trip(const u8 *page)
{
	u8 *packed = malloc(PAGE_SIZE), *back = malloc(PAGE_SIZE), *exact;
	u32 size = codec_pack(page, packed, PAGE_SIZE);
	struct codec_sum a = codec_sum(page), b;
	u64 value;

	expect(packed && back && size <= PAGE_SIZE);
	if (size) {
		exact = malloc(size);
		expect(exact);
		memcpy(exact, packed, size);
		expect(!codec_unpack(exact, size, back) && !memcmp(page, back, PAGE_SIZE));
		b = codec_sum(back);
		expect(codec_sum_equal(&a, &b));
		expect(codec_pack(page, packed, size) == size);
		expect(codec_pack(page, packed, size - 1) == 0);
		free(exact);
	}
	if (codec_pattern(page, &value)) {
		codec_fill(back, value);
		expect(!memcmp(page, back, PAGE_SIZE));
	}
	free(packed);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	u8 *page = malloc(PAGE_SIZE), *in = malloc(len ? len : 1);
	int ret;

	expect(page && in);
	if (len > 2 * PAGE_SIZE)
		len = 2 * PAGE_SIZE;
	if (len)
		memcpy(in, data, len);
	ret = codec_unpack(in, (u32)len, page);
	expect(ret == 0 || ret == -EBADMSG);
	if (!ret)
		round_trip(page);
	for (size_t at = 0; len && at < PAGE_SIZE; at += len)
		memcpy(page + at, data, len < PAGE_SIZE - at ? len : PAGE_SIZE - at);
	if (len)
		round_trip(page);
	free(page);
	free(in);
	return 0;
}
