// SPDX-License-Identifier: Apache-2.0
/*
 * What can be asked of the machine in any state: nothing here changes anything. Contract in
 * machine.h.
 */
#include <errno.h>

#include "vmm/kvm/stats.h"
#include "vmm/machine/impl.h"
#include "vmm/vm/vcpu.h"

const char *machine_name(const struct machine *m)
{
	return m->cfg.name;
}

u64 machine_memory_size(const struct machine *m)
{
	return m->vm_cfg.memory;
}

int machine_memory_resident(const struct machine *m, u64 *bytes)
{
	*bytes = 0;
	return m->vm ? space_resident(m->vm->space, bytes) : 0;
}

unsigned int machine_nr_cpus(const struct machine *m)
{
	return m->vm ? m->vm->nr_vcpus : 0;
}

pid_t machine_cpu_tid(const struct machine *m, unsigned int cpu)
{
	ASSERT(cpu < machine_nr_cpus(m));
	return atomic_load(&m->vm->vcpus[cpu]->tid);
}

int machine_mapped_pages(const struct machine *m, u64 pages[MACHINE_NR_PAGE_SIZES])
{
	struct kvm_mapped mapped;
	int ret = m->vm ? kvm_stats_mapped(m->vm->fd, &mapped) : -ENODEV;

	if (ret)
		return ret;
	pages[0] = mapped.pages_4k;
	pages[1] = mapped.pages_2m;
	pages[2] = mapped.pages_1g;
	return 0;
}

unsigned int machine_exit_counts(const struct machine *m,
				 struct machine_exit_count out[MACHINE_MAX_EXIT_KINDS])
{
	_Static_assert(VCPU_NR_EXIT_KINDS <= MACHINE_MAX_EXIT_KINDS, "room for every kind");

	for (unsigned int kind = 0; kind < VCPU_NR_EXIT_KINDS; kind++) {
		out[kind] = (struct machine_exit_count){.name = vcpu_exit_names[kind]};
		for (unsigned int i = 0; i < machine_nr_cpus(m); i++)
			out[kind].count += atomic_load_explicit(&m->vm->vcpus[i]->exits[kind],
								memory_order_relaxed);
	}
	return VCPU_NR_EXIT_KINDS;
}

bool machine_is_emulated_linux(const struct machine *m)
{
	return m->vm && m->vm->entry.linux && m->vm->kind == KVM_PVM && !m->vm->pv;
}
