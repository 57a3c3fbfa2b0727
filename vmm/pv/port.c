// SPDX-License-Identifier: Apache-2.0
/*
 * The bits of event channels, by the two-level scheme: one for each port in the shared page
 * (pending, and masked), one for each word of those in the processor's vcpu_info, and one byte
 * there that says that something is pending. The guest reads and clears them itself. How ports come
 * about is in event.c.
 *
 * Threads: vCPUs', with pv.lock held; but the guest's other processors change the same words
 * meanwhile, so bits are set and cleared by compare-and-exchange.
 *
 * Always true: a bit of vcpu_info is set after the port's own, and its processor is kicked after
 * both: who sees the later sees the earlier.
 */
#include "vmm/pv/port.h"

#include "vmm/boot/xen.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/vcpu.h"

#define INFO(cpu, field) ((cpu)->vcpu_info + offsetof(struct vcpu_info, field))

static u64 pending_word(const struct pv *pv, u32 port)
{
	return pv->shared_info + offsetof(struct shared_info, evtchn_pending) + port / 64 * 8;
}

static u64 mask_word(const struct pv *pv, u32 port)
{
	return pv->shared_info + offsetof(struct shared_info, evtchn_mask) + port / 64 * 8;
}

static bool test_bit(struct pv *pv, u64 word, u32 port)
{
	u64 value = 0;

	pv_read_phys(pv, word, &value, sizeof(value));
	return value >> port % 64 & 1;
}

enum pv_event_mask pv_get_mask(struct pv_cpu *cpu)
{
	u8 mask = 1;

	pv_read_phys(cpu->vcpu->vm->pv, INFO(cpu, evtchn_upcall_mask), &mask, sizeof(mask));
	return mask ? PV_EVENTS_MASKED : PV_EVENTS_OPEN;
}

void pv_set_mask(struct pv_cpu *cpu, enum pv_event_mask mask)
{
	u8 value = mask == PV_EVENTS_MASKED;

	if (pv_get_mask(cpu) != mask)
		pv_write_phys(cpu->vcpu->vm->pv, INFO(cpu, evtchn_upcall_mask), &value,
			      sizeof(value));
}

static bool upcall_pending(struct pv_cpu *cpu)
{
	u8 pending = 0;

	pv_read_phys(cpu->vcpu->vm->pv, INFO(cpu, evtchn_upcall_pending), &pending,
		     sizeof(pending));
	return pending;
}

bool pv_event_pending(struct pv_cpu *cpu)
{
	return upcall_pending(cpu) && pv_get_mask(cpu) == PV_EVENTS_OPEN;
}

/* Tell a processor that @port is pending and not masked. */
static void raise_event(struct pv_cpu *cpu, u32 port)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	const u8 one = 1;
	u64 old;

	if (pv_change_phys(pv, INFO(cpu, evtchn_pending_sel), 0, (u64)1 << port / 64, &old))
		return;
	if (!upcall_pending(cpu))
		pv_write_phys(pv, INFO(cpu, evtchn_upcall_pending), &one, sizeof(one));
	pv_kick(cpu);
}

void pv_send_event(struct pv *pv, u32 port)
{
	struct pv_cpu *cpu = &pv->cpus[pv->ports[port].cpu];
	u64 old;

	if (pv_change_phys(pv, pending_word(pv, port), 0, (u64)1 << port % 64, &old))
		return;
	if (cpu->poll_port == port || cpu->poll_port == PV_POLL_ANY) {
		cpu->poll_port = 0;
		cpu->blocked = false;
		pv_kick(cpu);
	}
	if (!(old >> port % 64 & 1) && !test_bit(pv, mask_word(pv, port), port))
		raise_event(cpu, port);
}

void pv_send_virq(struct pv_cpu *cpu, u32 virq)
{
	struct pv *pv = cpu->vcpu->vm->pv;

	for (u32 i = 1; i < PV_NR_PORTS; i++)
		if (pv->ports[i].kind == PV_PORT_VIRQ && pv->ports[i].virq == virq &&
		    pv->ports[i].cpu == cpu->id)
			pv_send_event(pv, i);
}

bool pv_port_pending(struct pv *pv, u32 port)
{
	return test_bit(pv, pending_word(pv, port), port);
}

int pv_clear_port(struct pv *pv, u32 port)
{
	u64 old;

	return pv_change_phys(pv, pending_word(pv, port), (u64)1 << port % 64, 0, &old);
}

int pv_unmask_port(struct pv *pv, u32 port)
{
	u64 old;
	int ret = pv_change_phys(pv, mask_word(pv, port), (u64)1 << port % 64, 0, &old);

	if (ret)
		return ret;
	if (old >> port % 64 & 1 && pv_port_pending(pv, port))
		raise_event(&pv->cpus[pv->ports[port].cpu], port);
	return 0;
}
