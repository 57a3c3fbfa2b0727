// SPDX-License-Identifier: Apache-2.0
/*
 * Questions about how the guest's addresses are translated. Contract in machine.h.
 *
 * On the main thread. A check freezes the vCPUs by itself (vm_freeze()), so that a guest may be
 * looked at in any state, and thaws them before it returns.
 */
#include <errno.h>

#include "vmm/machine/impl.h"
#include "vmm/pv/pv.h"

int machine_mmu_stats(struct machine *m, struct mmu_stats *stats, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (ret)
		return ret;
	*stats = (struct mmu_stats){.shadow = false};
	if (m->vm->pv)
		pv_get_stats(m->vm->pv, stats);
	return 0;
}

static void check(struct vm *vm, struct mmu_check *c)
{
	vm_freeze(vm);
	pv_check(vm->pv, c);
	vm_thaw(vm);
}

int machine_check_mmu(struct machine *m, struct mmu_check *c, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (ret)
		return ret;
	if (!m->vm->pv)
		return err_set(err, -EOPNOTSUPP,
			       "guest %s: has no shadow tables of ours to check (run it with --mmu "
			       "shadow)",
			       m->cfg.name);
	check(m->vm, c);
	return 0;
}

int machine_check_at_end(struct machine *m, struct err *err)
{
	struct mmu_check c;

	if (m->state != MACHINE_RUNNING && m->state != MACHINE_PAUSED)
		return 0;
	if (!m->vm || !m->vm->pv || !m->vm->cfg.check_mmu)
		return 0;
	check(m->vm, &c);
	return c.wrong ? err_set(err, -EIO, PV_CHECK_FAILED, (unsigned long long)c.wrong, c.why)
		       : 0;
}
