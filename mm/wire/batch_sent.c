// SPDX-License-Identifier: Apache-2.0
/*
 * Checksums of what was sent. Contract in batch_sent.h.
 *
 * The table has as many places as there are pages, in groups of four: a group is 16 bytes of one
 * cache line, and the four checksums that it leads to are read at the same time.
 */
#include "mm/wire/batch_sent.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define GROUP 4u

/* Zeros that take memory only where they are written. */
static void *map_zeros(u64 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static u64 sums_size(const struct batch_sent *s)
{
	return (u64)s->nr_pages * sizeof(s->sums[0]);
}

static u64 table_size(const struct batch_sent *s)
{
	return (u64)s->nr_groups * GROUP * sizeof(s->table[0]);
}

int batch_sent_init(struct batch_sent *s, u32 nr_pages)
{
	ASSERT(nr_pages && nr_pages < PAGE_NONE);
	*s = (struct batch_sent){.nr_pages = nr_pages, .nr_groups = (nr_pages - 1) / GROUP + 1};
	s->sums = map_zeros(sums_size(s));
	s->table = map_zeros(table_size(s));
	if (s->sums && s->table)
		return 0;
	batch_sent_fini(s);
	return -ENOMEM;
}

void batch_sent_fini(struct batch_sent *s)
{
	if (s->sums)
		munmap(s->sums, sums_size(s));
	if (s->table)
		munmap(s->table, table_size(s));
	*s = (struct batch_sent){.sums = NULL};
}

void batch_sent_clear(struct batch_sent *s)
{
	/*
	 * Private memory without a file: what is dropped reads as zeros. Locked memory cannot be
	 * dropped.
	 */
	if (madvise(s->sums, sums_size(s), MADV_DONTNEED))
		memset(s->sums, 0, sums_size(s));
	if (madvise(s->table, table_size(s), MADV_DONTNEED))
		memset(s->table, 0, table_size(s));
}

static bool is_none(const struct codec_sum *sum)
{
	return !(sum->word[0] | sum->word[1] | sum->word[2] | sum->word[3]);
}

static u32 *group_of(const struct batch_sent *s, const struct codec_sum *sum)
{
	return s->table + (((u64)sum->word[0] * s->nr_groups) >> 32) * GROUP;
}

page_no batch_sent_find(const struct batch_sent *s, page_no no, const struct codec_sum *sum)
{
	const u32 *group = group_of(s, sum);

	if (is_none(sum))
		return PAGE_NONE;
	if (codec_sum_equal(&s->sums[no], sum))
		return no;
	for (u32 i = 0; i < GROUP; i++)
		if (group[i] && codec_sum_equal(&s->sums[group[i] - 1], sum))
			return group[i] - 1;
	return PAGE_NONE;
}

bool batch_sent_has(const struct batch_sent *s, page_no no)
{
	return !is_none(&s->sums[no]);
}

/*
 * The place in the group for a page: one that is free or leads nowhere any more, since its page was
 * sent again with other contents; else any.
 */
static u32 *place_for(const struct batch_sent *s, const struct codec_sum *sum)
{
	u32 *group = group_of(s, sum);

	for (u32 i = 0; i < GROUP; i++)
		if (!group[i] || group_of(s, &s->sums[group[i] - 1]) != group)
			return &group[i];
	return &group[sum->word[1] % GROUP];
}

void batch_sent_add(struct batch_sent *s, page_no no, const struct codec_sum *sum, bool hint)
{
	/* first of all: the page's own old place then is one that leads nowhere */
	batch_sent_forget(s, no);
	if (hint && !is_none(sum))
		*place_for(s, sum) = no + 1;
	s->sums[no] = *sum;
}

void batch_sent_forget(struct batch_sent *s, page_no no)
{
	s->sums[no] = (struct codec_sum){.word = {0}};
}
