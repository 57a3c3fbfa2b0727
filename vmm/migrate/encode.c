// SPDX-License-Identifier: Apache-2.0
/* Between the engine and an encoder; on whichever thread calls. Contract in encode.h. */
#include "vmm/migrate/encode.h"

#include "mm/engine/copy.h"
#include "mm/wire/batch.h"

static int make_room(const struct encode_to *to)
{
	return to->make_room ? to->make_room(to->opaque) : 0;
}

static int put_page(void *opaque, page_no no, const void *page)
{
	const struct encode_to *to = opaque;
	int ret = make_room(to);

	return ret ? ret : batch_put(to->encoder, no, page);
}

static int put_block(void *opaque, page_no no, const struct codec_block *block)
{
	const struct encode_to *to = opaque;
	int ret = make_room(to);

	return ret ? ret : batch_put_block(to->encoder, no, block);
}

int encode_pages(struct mem *mem, const page_no *nos, u32 n, const struct encode_to *to,
		 struct err *err)
{
	struct encode_to own = *to;
	const struct mem_snap_sink sink = {&own, put_page, put_block};

	return mem_export(mem, nos, n, &sink, err);
}
