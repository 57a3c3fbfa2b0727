// SPDX-License-Identifier: Apache-2.0
/*
 * The VMM's own accesses to guest memory while the guest runs (mem_read(), mem_write() and their
 * like in access.h): pages are brought in as for a fault, and nothing that is written goes
 * unnoticed, neither by the evictor nor by a copy under way nor by who wants to know what has
 * changed. It owns the set of pages that were written.
 *
 * Any thread. Before the engine is in charge an access goes to the space directly; from then on a
 * page is looked at and copied under the engine's lock, so it cannot go meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/pageset.h"
#include "mm/engine/access.h"
#include "mm/engine/access_impl.h"
#include "mm/engine/evict.h"
#include "mm/engine/fill.h"
#include "mm/engine/impl.h"
#include "mm/engine/snap_marks.h"

enum access { ACCESS_READ, ACCESS_WRITE };

/*
 * The page, in memory and not about to go, so that [at, at + len) of it can be copied under the
 * lock. NULL: it reads as zeros. Under lock, which may be let go of meanwhile.
 */
static int hold(struct mem *m, page_no no, enum access access, u8 **at)
{
	struct page *p = &m->pages.page[no];
	bool write = access == ACCESS_WRITE;
	int ret = 0;

	while (!ret && (!page_in_memory(p) || (write && !snap_ready(m, 1)))) {
		if (page_in_memory(p))
			continue;
		if (p->state == PAGE_ABSENT && !write && !in_origin(m, no))
			break;
		if (p->state == PAGE_FILLING)
			pthread_cond_wait(&m->filled, &m->lock);
		else
			ret = fill_in(m, no, write);
	}
	if (ret)
		return ret;
	if (write) {
		snap_before_change(m, no);
		evict_call_off(m, no);
	}
	*at = page_in_memory(p) ? space_page(m->space, no) : NULL;
	return 0;
}

/* The part of an access that lies in one page. Under lock. */
static int access_page(struct mem *m, u64 file_at, u8 *data, u64 len, enum access access)
{
	u8 *page;
	int ret = hold(m, (page_no)(file_at >> PAGE_SHIFT), access, &page);

	if (ret)
		return ret;
	if (access == ACCESS_WRITE)
		memcpy(page + file_at % PAGE_SIZE, data, len);
	else if (page)
		memcpy(data, page + file_at % PAGE_SIZE, len);
	else
		memset(data, 0, len);
	return 0;
}

static int access_all(struct mem *m, gpa_t start, u8 *data, u64 len, enum access access)
{
	u64 page, at;
	int ret = 0;

	if (!space_page_of(m->space, start, len, &page))
		return -EFAULT;
	at = (page << PAGE_SHIFT) + start.v % PAGE_SIZE;
	pthread_mutex_lock(&m->lock);
	while (len && !ret) {
		u64 some = MIN(len, PAGE_SIZE - at % PAGE_SIZE);

		ret = access_page(m, at, data, some, access);
		at += some;
		data += some;
		len -= some;
	}
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int mem_read(struct mem *m, gpa_t start, void *data, u64 len)
{
	ASSERT(!m->cfg.origin || atomic_load(&m->in_charge)); /* or absent would mean zeros */
	if (!atomic_load(&m->in_charge))
		return space_read(m->space, start, data, len);
	return access_all(m, start, data, len, ACCESS_READ);
}

/* For mem_take_written(): before the write, so that no harvest comes in between. */
static void note_written(struct mem *m, gpa_t start, u64 len)
{
	u64 page;

	if (!len || !space_page_of(m->space, start, len, &page))
		return;
	pthread_mutex_lock(&m->lock);
	for (u64 no = page; m->written && no <= page + (start.v % PAGE_SIZE + len - 1) / PAGE_SIZE;
	     no++)
		m->written[no / 64] |= (u64)1 << no % 64;
	pthread_mutex_unlock(&m->lock);
}

int access_init(struct mem *m)
{
	if (!m->cfg.origin)
		return 0;
	m->written = calloc(m->pages.nr / 64, sizeof(u64));
	return m->written ? 0 : -ENOMEM;
}

void access_fini(struct mem *m)
{
	free(m->written);
}

int mem_take_written(struct mem *m, u64 *pages)
{
	u32 words = (u32)(space_size(m->space) >> PAGE_SHIFT) / 64;
	int ret = 0;

	pthread_mutex_lock(&m->lock);
	if (!m->written)
		m->written = calloc(words, sizeof(u64));
	if (!m->written)
		ret = -ENOMEM;
	if (!ret) {
		pageset_add(pages, m->written, words);
		memset(m->written, 0, words * sizeof(u64));
	}
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int mem_write(struct mem *m, gpa_t start, const void *data, u64 len)
{
	ASSERT(!m->cfg.origin || atomic_load(&m->in_charge));
	note_written(m, start, len);
	if (!atomic_load(&m->in_charge))
		return space_write(m->space, start, data, len);
	return access_all(m, start, (u8 *)(uintptr_t)data, len, ACCESS_WRITE);
}

int mem_cmpxchg(struct mem *m, gpa_t at, u64 *expected, u64 value)
{
	u64 no, *word;
	u8 *page;
	int ret = 0;

	if (at.v % sizeof(*word) || !space_page_of(m->space, at, sizeof(*word), &no))
		return -EFAULT;
	note_written(m, at, sizeof(*word));
	if (!atomic_load(&m->in_charge)) {
		page = space_page(m->space, no);
		word = (u64 *)(page + at.v % PAGE_SIZE);
		return !__atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST);
	}
	pthread_mutex_lock(&m->lock);
	ret = hold(m, (page_no)no, ACCESS_WRITE, &page);
	if (!ret) {
		word = (u64 *)(page + at.v % PAGE_SIZE);
		ret = !__atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&m->lock);
	return ret;
}
