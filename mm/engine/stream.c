// SPDX-License-Identifier: Apache-2.0
/*
 * Streams: faults that go through memory in order. A fault that continues one brings in the pages
 * behind it too, twice as many as the last time, up to MAX_AROUND; a fault elsewhere brings one
 * page. On a host where a trap costs a hundred microseconds and a decompression half of one, a
 * right guess is worth two hundred wrong ones.
 *
 * All under the engine's lock.
 */
#include "mm/engine/impl.h"
#include "mm/engine/stream.h"

/* The stream that a fault on @no belongs to; a new one in place of the least used if none. */
static struct stream *stream_of(struct mem *m, page_no no)
{
	struct stream *oldest = &m->streams.at[0];

	m->streams.nr_faults++;
	for (u32 i = 0; i < NR_STREAMS; i++) {
		struct stream *s = &m->streams.at[i];

		if (s->width && no == s->next) {
			s->width = MIN(s->width * 2, MAX_AROUND);
			s->used = m->streams.nr_faults;
			return s;
		}
		/* it skipped what was in memory already: neither a hit nor a miss */
		if (s->width > 1 && no > s->next && no - s->next < 2 * s->width) {
			s->used = m->streams.nr_faults;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){.next = no, .width = 1, .used = m->streams.nr_faults};
	return oldest;
}

u32 stream_width(struct mem *m, page_no no)
{
	u32 width = m->trace ? 1 : stream_of(m, no)->width;

	return MIN(width, m->pages.nr - no);
}

void stream_took(struct mem *m, page_no no, u32 n)
{
	for (u32 i = 0; i < NR_STREAMS; i++)
		if (m->streams.at[i].used == m->streams.nr_faults)
			m->streams.at[i].next = no + n;
}
