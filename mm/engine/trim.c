// SPDX-License-Identifier: Apache-2.0
/*
 * The store's own limit. What lies in it is memory too: beyond its share it first gives up what is
 * only there to save work (kept copies of pages in memory), then moves what has been there longest
 * down to the tier below. Without a tier its limit is final, and pages stay where they are.
 *
 * It works beside faults: under evict_lock, with the engine's lock for a piece of the walk only.
 */
#include <errno.h>

#include "mm/engine/impl.h"
#include "mm/engine/note.h"
#include "mm/engine/owner.h"
#include "mm/engine/trim.h"

/* Descriptors looked at in one search for kept copies to drop. */
#define SHED_SCAN 4096

/* So many raw pages in the store are worth a write to the tier below. */
#define RAWS_AT_ONCE 64

bool trim_is_full(struct mem *m)
{
	return !m->tier && m->store_limit && store_bytes(m->store) >= m->store_limit;
}

/* What one entry of the pool takes, about. */
static u64 mean_entry(const struct store_stats *stats)
{
	return stats->payload_bytes / MAX(stats->blocks + stats->raw, 1) + 1;
}

/*
 * Drop about @n kept copies of pages in memory. They are counted, not weighed: what a drop leaves
 * is a hole, and the store shrinks only when it is compacted.
 */
static void shed_kept(struct mem *m, u64 n)
{
	for (u64 seen = 0; seen < m->pages.nr && n; seen += SHED_SCAN) {
		pthread_mutex_lock(&m->lock);
		for (u32 i = 0; i < SHED_SCAN && n && m->pages.kept; i++) {
			page_no no = m->trim.hand++ % m->pages.nr;
			struct page *p = &m->pages.page[no];

			if (!p->stored || !page_in_memory(p) || store_is_below(m->store, p->stored))
				continue;
			note_drop_copy(m, no);
			n--;
		}
		pthread_mutex_unlock(&m->lock);
	}
}

/* Move @bytes down. What the tier cannot take stays, and the owner is told once. */
static void demote(struct mem *m, u64 bytes)
{
	s64 ret = store_demote(m->store, bytes);
	bool told;

	pthread_mutex_lock(&m->lock);
	told = m->trim.told;
	m->trim.told = ret < 0;
	pthread_mutex_unlock(&m->lock);
	if (ret < 0 && !told)
		owner_tell(m, ret == -ENOSPC ? MEM_EV_SWAP_FULL : MEM_EV_SWAP_ERROR);
}

/*
 * Pages that did not compress gain nothing in memory: they go down at once. Beyond its limit the
 * store first gives up what is only there to save work, then what has been there longest.
 */
void trim_store(struct mem *m)
{
	struct store_stats stats;
	u64 bytes = store_bytes(m->store);

	store_get_stats(m->store, &stats);
	if (m->tier && stats.raw >= RAWS_AT_ONCE)
		demote(m, stats.raw << PAGE_SHIFT);
	if (!m->store_limit || bytes <= m->store_limit)
		return;
	shed_kept(m, (bytes - m->store_limit) / mean_entry(&stats));
	store_compact(m->store);
	bytes = store_bytes(m->store);
	if (m->tier && bytes > m->store_limit)
		demote(m, bytes - m->store_limit + m->store_limit / 64);
}

void trim_and_compact(struct mem *m)
{
	pthread_mutex_lock(&m->evict_lock);
	trim_store(m);
	store_compact(m->store);
	pthread_mutex_unlock(&m->evict_lock);
}
