// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as a message of pages. The receiver takes it or there is a sentence;
 * only the message is read, which the sanitizer sees because it is exactly as large as said. What
 * the receiver has by then, as far as it can be opened, is sent on to another, who then has the
 * same: in one batch, twice over, so that there are references.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mm/wire/batch_fixture.h"

#define NR 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* Page @no goes as it is held, or open. False: it is damaged. */
static bool send_page(struct batch_encoder *e, const struct receiver *from, page_no no, bool open)
{
	u8 page[PAGE_SIZE];

	if (receiver_read(from, no, page))
		return false;
	expect(!(open ? batch_put(e, no, page) : batch_put_block(e, no, &from->held[no].block)));
	return true;
}

static void send_on(const struct receiver *from)
{
	struct batch_config cfg = {.nr_pages = NR, .delta_bytes = NR * (PAGE_SIZE + 16)};
	struct receiver *to = receiver_new(NR);
	u8 page[PAGE_SIZE], back[PAGE_SIZE];
	struct batch_encoder *e;
	const void *data;
	u32 size;

	expect(!batch_encoder_create(&e, &cfg, NULL));
	batch_set_effort(e, BATCH_PACK);
	for (u32 i = 0; i < 3 * NR; i++)
		if (send_page(e, from, i % NR, i < NR || i % 2))
			expect(!batch_is_empty(e));
	data = batch_finish(e, &size);
	expect(!receiver_apply(to, data, size, NULL));
	for (u32 i = 0; i < NR; i++)
		if (!receiver_read(from, i, page))
			expect(!receiver_read(to, i, back) && !memcmp(page, back, PAGE_SIZE));
	batch_encoder_destroy(e);
	receiver_free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct receiver *r = receiver_new(NR);
	struct err err = {.text = ""};
	int ret = receiver_apply(r, data, (u32)len, &err);

	expect(ret == 0 || (ret == -EBADMSG && err.text[0]));
	send_on(r);
	receiver_free(r);
	return 0;
}
