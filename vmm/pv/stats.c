// SPDX-License-Identifier: Apache-2.0
/*
 * The numbers of a Xen PV guest, and the check of its shadow tables against its own. Contract in
 * pv.h and stats.h.
 *
 * Threads: the owner's asks (pv_get_stats(), pv_check()) and takes pv.lock for it; the check that
 * is due while the guest runs is the vCPU's that comes by, with the lock held.
 *
 * What always holds: counters only grow, under pv.lock; a check sees no processor in the guest with
 * rights that its tables do not give any more.
 */
#include "vmm/pv/stats.h"

#include "mm/base/clock.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/vcpu.h"

/* Between two checks of a guest that is to be checked while it runs. */
#define CHECK_NS ((u64)1000 * 1000 * 1000)

void pv_get_stats(struct pv *pv, struct mmu_stats *stats)
{
	pthread_mutex_lock(&pv->lock);
	stats->shadow = true;
	stats->pv = pv->stats;
	shadow_get_stats(pv->shadow, &stats->tables);
	stats->arena_pages = pv->monitor.arena_pages;
	pthread_mutex_unlock(&pv->lock);
}

static void check(const struct pv *pv, struct mmu_check *c)
{
	*c = (struct mmu_check){.wrong = 0};
	c->wrong = shadow_self_check(pv->shadow, &c->seen, c->why);
}

void pv_check(struct pv *pv, struct mmu_check *c)
{
	pthread_mutex_lock(&pv->lock);
	check(pv, c);
	pthread_mutex_unlock(&pv->lock);
}

/*
 * No processor may be in the guest with rights that its tables do not give any more: what it writes
 * by them is the check's to find, but not before it is done.
 */
void pv_check_in_time(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct mmu_check c;

	if (!pv->vm->cfg.check_mmu || now_ns() < pv->next_check)
		return;
	pv_flush_others(cpu);
	check(pv, &c);
	pv->next_check = now_ns() + CHECK_NS;
	if (c.wrong)
		vm_fail(pv->vm, SHUTDOWN_BY_ERROR, PV_CHECK_FAILED, (unsigned long long)c.wrong,
			c.why);
}
