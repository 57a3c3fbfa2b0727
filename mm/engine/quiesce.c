// SPDX-License-Identifier: Apache-2.0
/*
 * No page leaves or enters guest memory by the engine's own will, for a while: contract in copy.h.
 * Who would move one looks at mem.quiesced under the engine's lock: the evictor when it chooses,
 * the scan and the sample; prefetching looks at no_prefetch, which a copy sets for its instant too.
 */
#include "mm/engine/copy.h"
#include "mm/engine/impl.h"

/*
 * With the evictors' lock no batch is under way; choose() makes no new one. A fill that has begun
 * ends by itself. An engine that takes charge meanwhile moves nothing by that.
 */
void mem_quiesce(struct mem *m)
{
	pthread_mutex_lock(&m->evict_lock);
	pthread_mutex_lock(&m->lock);
	ASSERT(!m->quiesced);
	m->quiesced = m->no_prefetch = true;
	while (m->pages.count[PAGE_FILLING] && !atomic_load(&m->cut))
		pthread_cond_wait(&m->filled, &m->lock);
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&m->evict_lock);
}

void mem_resume(struct mem *m)
{
	pthread_mutex_lock(&m->lock);
	m->quiesced = m->no_prefetch = false;
	pthread_cond_broadcast(&m->room);
	pthread_cond_broadcast(&m->wanted);
	pthread_mutex_unlock(&m->lock);
}
