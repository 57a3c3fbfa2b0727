// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine's front: birth, limits, orders, death. Contract in mem.h, the inside in impl.h.
 *
 * An engine goes through four stages, each at its own time and none twice:
 *
 *	created    nothing but the configuration: a guest without a limit pays nothing
 *	prepared   userfaultfd, descriptors, policy and store exist               (prepare)
 *	started    the manager and the evictor run; the guest is watched          (mem_start)
 *	in charge  guest memory is registered, every page has a state             (charge_take)
 *
 * Birth is under birth_lock, whoever asks for it and on whatever thread; orders change the limits
 * and the policy under the engine's lock and wake whom they concern. Death is the owner's, when no
 * vCPU runs: threads are stopped from above to below, then everything is freed.
 */
#include "mm/engine/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mm/engine/access_impl.h"
#include "mm/engine/age.h"
#include "mm/engine/charge.h"
#include "mm/engine/evict.h"
#include "mm/engine/export.h"
#include "mm/engine/fault.h"
#include "mm/engine/impl.h"
#include "mm/engine/manager.h"
#include "mm/engine/prefetch.h"
#include "mm/engine/stats.h"
#include "mm/engine/trace.h"
#include "mm/engine/tune.h"
#include "mm/swap/swapfile.h"

/* ---- Birth ---- */

static bool evicts(const struct mem_config *cfg)
{
	return cfg->limit || cfg->proactive != MEM_PROACTIVE_OFF;
}

static bool is_wanted(const struct mem_config *cfg)
{
	return evicts(cfg) || cfg->origin || cfg->trace;
}

static int check_limit(u64 limit, u64 limit_min, struct err *err)
{
	if (limit && limit < MEM_MIN_LIMIT)
		return err_set(err, -EINVAL,
			       "limit: %llu KiB is too little to run at all (give %llu M or more)",
			       (unsigned long long)(limit / KiB),
			       (unsigned long long)(MEM_MIN_LIMIT / MiB));
	if (limit_min && (limit_min < MEM_MIN_LIMIT || limit_min > limit))
		return err_set(err, -EINVAL,
			       "limit: the minimum must lie between %llu M and the limit",
			       (unsigned long long)(MEM_MIN_LIMIT / MiB));
	return 0;
}

static void init_locks(struct mem *m)
{
	pthread_mutex_init(&m->birth_lock, NULL);
	pthread_mutex_init(&m->evict_lock, NULL);
	pthread_mutex_init(&m->lock, NULL);
	thread_cond_init(&m->room);
	thread_cond_init(&m->filled);
	thread_cond_init(&m->wanted);
	thread_cond_init(&m->tick);
	thread_cond_init(&m->snap_room);
}

/* The limit and what follows from it. Under lock, or before there are threads. */
static void apply_limit(struct mem *m, u64 limit, u64 limit_min)
{
	m->limit = limit;
	m->limit_min = limit_min;
	m->store_limit = m->cfg.store_limit ? m->cfg.store_limit : limit / 2;
	tune_limits(m);
}

static int create_store(struct mem *m, struct err *err)
{
	const struct store_config cfg = {.refuse_raw = m->cfg.no_swap};

	return store_create(&m->store, &cfg, err);
}

/* Before anything can be evicted; a guest that is only restored or copied goes without. */
static int create_tier(struct mem *m, struct err *err)
{
	struct swapfile_config swap = {.path = m->cfg.swap};
	int ret;

	if (m->tier || m->cfg.no_swap)
		return 0;
	ret = swapfile_create(&m->tier, &swap, err);
	if (!ret)
		store_set_tier(m->store, m->tier);
	return ret;
}

static int create_tables(struct mem *m, struct err *err)
{
	u32 nr = (u32)(space_size(m->space) >> PAGE_SHIFT);
	u32 frames = m->limit ? (u32)(m->limit >> PAGE_SHIFT) : nr;
	int ret = pages_init(&m->pages, nr, m->cfg.check);

	if (!ret)
		ret = policy_create(&m->policy, &m->choice, nr, frames);
	if (!ret)
		ret = age_init(m);
	if (!ret)
		ret = evict_init(m);
	if (!ret)
		ret = access_init(m);
	return ret ? err_set(err, ret, "memory engine: out of memory") : 0;
}

/* Everything that can fail for a reason the user should hear at once. */
static int prepare(struct mem *m, struct err *err)
{
	int ret;

	if (m->prepared)
		return 0;
	ret = uffd_open(&m->uffd, err);
	if (!ret && m->cfg.clean == MEM_CLEAN_PROTECT && !m->uffd.can_protect)
		ret = err_set(err, -EOPNOTSUPP,
			      "--clean protect: this kernel cannot write-protect shared memory "
			      "(use --clean compare)");
	if (!ret)
		ret = create_store(m, err);
	if (!ret && evicts(&m->cfg))
		ret = create_tier(m, err);
	if (!ret)
		ret = create_tables(m, err);
	if (!ret)
		ret = trace_init(m, err);
	m->prepared = !ret;
	return ret;
}

int mem_create(struct mem **out, struct space *space, const struct mem_config *cfg,
	       const struct mem_host *host, struct err *err)
{
	struct mem *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_set(err, -ENOMEM, "out of memory");
	m->cfg = *cfg;
	m->cfg.nr_cpus = MAX(cfg->nr_cpus, 1u);
	m->host = *host;
	m->space = space;
	m->uffd.fd = m->uffd.self = -1;
	init_locks(m);
	tune_init(m);
	m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = m->stop_fd < 0 ? err_set(err, -errno, "eventfd: %s", strerror(errno)) : 0;
	if (!ret)
		ret = policy_parse(cfg->policy ? cfg->policy : "clock+idle", &m->choice, err);
	if (!ret)
		ret = check_limit(cfg->limit, cfg->limit_min, err);
	if (!ret)
		apply_limit(m, cfg->limit, cfg->limit_min);
	if (!ret && is_wanted(cfg))
		ret = prepare(m, err);
	if (ret) {
		mem_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

static int start_threads(struct mem *m, struct err *err)
{
	int ret = 0;

	if (m->prepared)
		ret = manager_start(m, err);
	/* what is absent must not be taken for zeros, not even once */
	if (!ret && m->cfg.origin)
		ret = charge_take(m, err);
	return ret ? ret : prefetch_start(m, err);
}

int mem_start(struct mem *m, struct err *err)
{
	int ret = start_threads(m, err);

	/* now, before the guest runs: the manager's thread may get a processor later than it */
	if (!ret && m->prepared && manager_is_due(m))
		ret = charge_take(m, err);
	return ret;
}

enum able { TO_WATCH, TO_EVICT };

/* From whatever stage to being watched, and able to evict if that is asked for. */
static int watch_it(struct mem *m, enum able able, struct err *err)
{
	int ret;

	pthread_mutex_lock(&m->birth_lock);
	ret = prepare(m, err);
	if (!ret && able == TO_EVICT)
		ret = create_tier(m, err);
	if (!ret)
		ret = start_threads(m, err);
	pthread_mutex_unlock(&m->birth_lock);
	return ret;
}

int mem_take_charge(struct mem *m, struct err *err)
{
	int ret = watch_it(m, TO_WATCH, err);

	return ret ? ret : charge_take(m, err);
}

static int come_up(struct mem *m, struct err *err)
{
	int ret = watch_it(m, TO_EVICT, err);

	return ret ? ret : charge_take(m, err);
}

/* ---- Death ---- */

static void stop_threads(struct mem *m)
{
	u64 one = 1;

	pthread_mutex_lock(&m->lock);
	atomic_store(&m->stopping, true);
	pthread_cond_broadcast(&m->room);
	pthread_cond_broadcast(&m->wanted);
	pthread_cond_broadcast(&m->tick);
	pthread_mutex_unlock(&m->lock);
	pager_cut(m->cfg.origin);
	/* it stays readable: every handler sees it */
	ASSERT(m->stop_fd < 0 || write(m->stop_fd, &one, sizeof(one)) == sizeof(one));
	prefetch_stop(m);
	manager_stop(m);
	fault_stop(m);
}

void mem_destroy(struct mem *m)
{
	if (!m)
		return;
	stop_threads(m);
	trace_fini(m);
	access_fini(m);
	export_fini(m);
	evict_fini(m);
	age_fini(m);
	policy_destroy(m->policy);
	pages_fini(&m->pages);
	store_destroy(m->store);
	if (m->tier)
		m->tier->ops->destroy(m->tier);
	uffd_close(&m->uffd);
	if (m->stop_fd >= 0)
		close(m->stop_fd);
	pthread_cond_destroy(&m->room);
	pthread_cond_destroy(&m->filled);
	pthread_cond_destroy(&m->wanted);
	pthread_cond_destroy(&m->tick);
	pthread_cond_destroy(&m->snap_room);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->evict_lock);
	pthread_mutex_destroy(&m->birth_lock);
	free(m);
}

/* ---- Orders ---- */

int mem_set_limit(struct mem *m, u64 limit, u64 limit_min, struct err *err)
{
	int ret = check_limit(limit, limit_min, err);

	if (!ret && limit)
		ret = watch_it(m, TO_EVICT, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	apply_limit(m, limit, limit_min);
	if (m->policy)
		policy_resize(m->policy, limit ? (u32)(limit >> PAGE_SHIFT) : m->pages.nr);
	pthread_cond_broadcast(&m->room);
	pthread_cond_broadcast(&m->wanted);
	pthread_cond_broadcast(&m->tick);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* All pages in memory get to know the new policy, but those that wait for their second chance. */
static void relist(struct mem *m)
{
	for (page_no no = 0; no < m->pages.nr; no++) {
		struct page *p = &m->pages.page[no];
		bool waits = p->state == PAGE_IDLE && m->choice.idle && !(p->flags & PAGE_F_LISTED);

		if (p->state != PAGE_RESIDENT && (p->state != PAGE_IDLE || waits))
			continue;
		p->flags |= PAGE_F_LISTED;
		policy_loaded(m->policy, no);
	}
}

int mem_set_policy(struct mem *m, const char *name, struct err *err)
{
	u32 frames = m->limit ? (u32)(m->limit >> PAGE_SHIFT) : m->pages.nr;
	struct policy_choice choice;
	struct policy *policy = NULL;
	int ret = policy_parse(name, &choice, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->birth_lock);
	if (m->prepared)
		ret = policy_create(&policy, &choice, m->pages.nr, frames);
	pthread_mutex_lock(&m->lock);
	if (!ret)
		m->choice = choice;
	if (policy) {
		policy_destroy(m->policy);
		m->policy = policy;
		relist(m);
	}
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&m->birth_lock);
	return ret ? err_set(err, ret, "out of memory") : 0;
}

int mem_set_proactive(struct mem *m, enum mem_proactive mode, struct err *err)
{
	int ret = mode == MEM_PROACTIVE_OFF ? 0 : come_up(m, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	m->cfg.proactive = mode;
	tune_proactive(m);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

s64 mem_reclaim(struct mem *m, u64 bytes, struct err *err)
{
	u64 pages = MIN(bytes >> PAGE_SHIFT, (u64)UINT32_MAX), went = 0;
	int ret = come_up(m, err);

	if (ret)
		return ret;
	went = evict_pages(m, (u32)pages, 0);
	return (s64)(went << PAGE_SHIFT);
}

void mem_hurry(struct mem *m, enum mem_hurry hurry)
{
	atomic_fetch_add(&m->hurry, hurry == MEM_HURRY_BEGIN ? 1 : -1);
	pthread_mutex_lock(&m->lock);
	pthread_cond_broadcast(&m->room);
	pthread_mutex_unlock(&m->lock);
}

bool mem_in_hurry(struct mem *m)
{
	return atomic_load(&m->hurry) > 0;
}
