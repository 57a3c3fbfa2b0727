// SPDX-License-Identifier: Apache-2.0
/*
 * The table of hypercalls. What is not in it answers -ENOSYS, which kernels expect of a Xen that is
 * older or built without something; each such call is counted, and told once.
 */
#include "vmm/pv/hypercall.h"

#include <errno.h>
#include <stdio.h>

#include "mm/base/clock.h"
#include "vmm/pv/console.h"
#include "vmm/pv/cpu.h"
#include "vmm/pv/deliver.h"
#include "vmm/pv/event.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/info.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/mmu.h"
#include "vmm/pv/names.h"
#include "vmm/pv/time.h"
#include "vmm/pv/vcpu.h"

/* As many operations as one hypercall may have: a processor comes out between hypercalls alone. */
#define MAX_OPERATIONS ((u64)1 << 18)

static long multicall(struct pv_cpu *cpu, const u64 args[5]);

static const pv_hypercall_fn table[PV_NR_HYPERCALLS] = {
	[__HYPERVISOR_set_trap_table] = pv_set_trap_table,
	[__HYPERVISOR_mmu_update] = pv_mmu_update,
	[__HYPERVISOR_set_gdt] = pv_set_gdt,
	[__HYPERVISOR_stack_switch] = pv_stack_switch,
	[__HYPERVISOR_set_callbacks] = pv_set_callbacks,
	[__HYPERVISOR_fpu_taskswitch] = pv_fpu_taskswitch,
	[__HYPERVISOR_set_debugreg] = pv_set_debugreg,
	[__HYPERVISOR_get_debugreg] = pv_get_debugreg,
	[__HYPERVISOR_update_descriptor] = pv_update_descriptor,
	[__HYPERVISOR_memory_op] = pv_memory_op,
	[__HYPERVISOR_multicall] = multicall,
	[__HYPERVISOR_update_va_mapping] = pv_update_va_mapping,
	[__HYPERVISOR_set_timer_op] = pv_set_timer_op,
	[__HYPERVISOR_xen_version] = pv_xen_version,
	[__HYPERVISOR_console_io] = pv_console_io,
	[__HYPERVISOR_vm_assist] = pv_vm_assist,
	[__HYPERVISOR_vcpu_op] = pv_vcpu_op,
	[__HYPERVISOR_set_segment_base] = pv_set_segment_base,
	[__HYPERVISOR_mmuext_op] = pv_mmuext_op,
	[__HYPERVISOR_sched_op] = pv_sched_op,
	[__HYPERVISOR_callback_op] = pv_callback_op,
	[__HYPERVISOR_event_channel_op] = pv_event_channel_op,
	[__HYPERVISOR_physdev_op] = pv_physdev_op,
};

static void tell_missing(struct pv_cpu *cpu, u64 nr)
{
	struct vm *vm = cpu->vcpu->vm;
	const char *name = pv_hypercall_name((u32)nr);
	char text[96];

	if (vm->pv->enosys_told[nr])
		return;
	vm->pv->enosys_told[nr] = true;
	snprintf(text, sizeof(text), "hypercall %llu (%s): not implemented, answered -ENOSYS\n",
		 (unsigned long long)nr, name ? name : "unknown");
	vm->host->log(vm->host->opaque, text);
}

static void count(struct pv *pv, u64 nr, u64 began)
{
	pv->stats.calls[nr].count++;
	pv->stats.calls[nr].ns += now_ns() - began;
}

static long timed_call(struct pv_cpu *cpu, u64 nr, const u64 args[5])
{
	u64 began = now_ns();
	long ret = table[nr](cpu, args);

	count(cpu->vcpu->vm->pv, nr, began);
	return ret;
}

long pv_call(struct pv_cpu *cpu, u64 nr, const u64 args[5])
{
	if (nr >= PV_NR_HYPERCALLS)
		return -ENOSYS;
	if (table[nr])
		return timed_call(cpu, nr, args);
	cpu->vcpu->vm->pv->stats.calls[nr].count++;
	if (nr != __HYPERVISOR_grant_table_op && nr != __HYPERVISOR_xenpmu_op)
		tell_missing(cpu, nr);
	return -ENOSYS;
}

static long multicall(struct pv_cpu *cpu, const u64 args[5])
{
	struct multicall_entry call;

	if (!pv_take_operations(cpu, args[1]))
		return -EINVAL;
	for (u64 i = 0; i < args[1]; i++) {
		u64 at = args[0] + i * sizeof(call);

		if (pv_read(cpu, at, &call, sizeof(call)))
			return -EFAULT;
		if (call.op == __HYPERVISOR_multicall)
			call.result = (xen_ulong_t)-EINVAL;
		else
			call.result = (xen_ulong_t)pv_call(cpu, call.op, call.args);
		if (pv_write(cpu, at + offsetof(struct multicall_entry, result), &call.result,
			     sizeof(call.result)))
			return -EFAULT;
		if (vm_ended(cpu->vcpu->vm, NULL))
			break;
	}
	return 0;
}

void pv_hypercall(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct kvm_regs *r = &cpu->regs;
	const u64 args[5] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8};
	u64 nr = (u32)r->rax, began = now_ns();

	cpu->operations = MAX_OPERATIONS;
	if (nr == __HYPERVISOR_iret) {
		pv_iret(cpu);
		count(pv, nr, began);
	} else {
		r->rax = (u64)pv_call(cpu, nr, args);
	}
	pv->stats.call_ns += now_ns() - began;
}
