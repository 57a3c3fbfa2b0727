// SPDX-License-Identifier: Apache-2.0
/*
 * Event channels, the interrupts of this ABI, by the two-level scheme: a bit for each port in the
 * shared page (pending, and masked), a bit for each word of those in the processor's vcpu_info, and
 * one byte there that says that something is pending. The guest reads and clears them itself.
 *
 * Always true: a port's number is less than PV_NR_PORTS; port 0 is never given out.
 */
#include <errno.h>
#include <string.h>

#include "vmm/boot/pv_build.h"
#include "vmm/pv/impl.h"

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

bool pv_get_mask(struct pv_cpu *cpu)
{
	u8 mask = 1;

	pv_read_phys(cpu->vcpu->vm->pv, INFO(cpu, evtchn_upcall_mask), &mask, sizeof(mask));
	return mask;
}

void pv_set_mask(struct pv_cpu *cpu, bool mask)
{
	u8 value = mask;

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
	return upcall_pending(cpu) && !pv_get_mask(cpu);
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

/* The operations. */

static bool is_open(const struct pv *pv, u32 port)
{
	return port && port < PV_NR_PORTS && pv->ports[port].kind != PV_PORT_FREE;
}

static long new_port(struct pv *pv, enum pv_port_kind kind, u32 cpu, u16 virq)
{
	for (u32 i = 1; i < PV_NR_PORTS; i++)
		if (pv->ports[i].kind == PV_PORT_FREE) {
			pv->ports[i] = (struct pv_port){(u8)kind, (u8)cpu, virq};
			return i;
		}
	return -ENOSPC;
}

static long bind_virq(struct pv_cpu *cpu, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct evtchn_bind_virq b;
	long port;

	if (pv_read(cpu, at, &b, sizeof(b)))
		return -EFAULT;
	if (b.virq >= NR_VIRQS || b.vcpu >= pv->vm->nr_vcpus)
		return -EINVAL;
	for (u32 i = 1; i < PV_NR_PORTS; i++)
		if (pv->ports[i].kind == PV_PORT_VIRQ && pv->ports[i].virq == b.virq &&
		    pv->ports[i].cpu == b.vcpu)
			return -EEXIST;
	port = new_port(pv, PV_PORT_VIRQ, b.vcpu, (u16)b.virq);
	b.port = (evtchn_port_t)port;
	return port < 0 ? port : pv_write(cpu, at, &b, sizeof(b));
}

static long bind_ipi(struct pv_cpu *cpu, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct evtchn_bind_ipi b;
	long port;

	if (pv_read(cpu, at, &b, sizeof(b)))
		return -EFAULT;
	if (b.vcpu >= pv->vm->nr_vcpus)
		return -ENOENT;
	port = new_port(pv, PV_PORT_IPI, b.vcpu, 0);
	b.port = (evtchn_port_t)port;
	return port < 0 ? port : pv_write(cpu, at, &b, sizeof(b));
}

/* There is nobody to connect with, but guests make such ports all the same. */
static long alloc_unbound(struct pv_cpu *cpu, u64 at)
{
	struct evtchn_alloc_unbound a;
	long port;

	if (pv_read(cpu, at, &a, sizeof(a)))
		return -EFAULT;
	if (a.dom != DOMID_SELF)
		return -EPERM;
	port = new_port(cpu->vcpu->vm->pv, PV_PORT_UNBOUND, 0, 0);
	a.port = (evtchn_port_t)port;
	return port < 0 ? port : pv_write(cpu, at, &a, sizeof(a));
}

static long bind_vcpu(struct pv_cpu *cpu, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct evtchn_bind_vcpu b;

	if (pv_read(cpu, at, &b, sizeof(b)))
		return -EFAULT;
	if (b.vcpu >= pv->vm->nr_vcpus)
		return -ENOENT;
	if (!is_open(pv, b.port) || pv->ports[b.port].kind == PV_PORT_IPI ||
	    pv->ports[b.port].kind == PV_PORT_VIRQ)
		return -EINVAL;
	pv->ports[b.port].cpu = (u8)b.vcpu;
	return 0;
}

static long status(struct pv_cpu *cpu, u64 at)
{
	static const u8 kinds[] = {
		[PV_PORT_FREE] = EVTCHNSTAT_closed,
		[PV_PORT_UNBOUND] = EVTCHNSTAT_unbound,
		[PV_PORT_CONSOLE] = EVTCHNSTAT_interdomain,
		[PV_PORT_VIRQ] = EVTCHNSTAT_virq,
		[PV_PORT_IPI] = EVTCHNSTAT_ipi,
	};
	struct pv *pv = cpu->vcpu->vm->pv;
	struct evtchn_status s;

	if (pv_read(cpu, at, &s, sizeof(s)))
		return -EFAULT;
	if (s.dom != DOMID_SELF || s.port >= PV_NR_PORTS)
		return -EINVAL;
	s.status = kinds[pv->ports[s.port].kind];
	s.vcpu = pv->ports[s.port].cpu;
	if (s.status == EVTCHNSTAT_virq)
		s.u.virq = pv->ports[s.port].virq;
	return pv_write(cpu, at, &s, sizeof(s));
}

static long close_port(struct pv *pv, u32 port)
{
	u64 old;

	if (!is_open(pv, port) || pv->ports[port].kind == PV_PORT_CONSOLE)
		return -EINVAL;
	pv->ports[port] = (struct pv_port){0};
	return pv_change_phys(pv, pending_word(pv, port), (u64)1 << port % 64, 0, &old);
}

static long unmask(struct pv *pv, u32 port)
{
	u64 old;
	int ret;

	if (!is_open(pv, port))
		return -EINVAL;
	ret = pv_change_phys(pv, mask_word(pv, port), (u64)1 << port % 64, 0, &old);
	if (ret)
		return ret;
	if (old >> port % 64 & 1 && test_bit(pv, pending_word(pv, port), port))
		raise_event(&pv->cpus[pv->ports[port].cpu], port);
	return 0;
}

static long send(struct pv *pv, u32 port)
{
	if (!is_open(pv, port))
		return -EINVAL;
	switch (pv->ports[port].kind) {
	case PV_PORT_IPI:
		pv_send_event(pv, port);
		return 0;
	case PV_PORT_CONSOLE:
		pv_console_notified(pv);
		return 0;
	case PV_PORT_UNBOUND: /* nobody hears it */
		return 0;
	default:
		return -EINVAL;
	}
}

long pv_event_channel_op(struct pv_cpu *cpu, const u64 args[5])
{
	struct pv *pv = cpu->vcpu->vm->pv;
	evtchn_port_t port;

	switch (args[0]) {
	case EVTCHNOP_bind_virq:
		return bind_virq(cpu, args[1]);
	case EVTCHNOP_bind_ipi:
		return bind_ipi(cpu, args[1]);
	case EVTCHNOP_alloc_unbound:
		return alloc_unbound(cpu, args[1]);
	case EVTCHNOP_bind_vcpu:
		return bind_vcpu(cpu, args[1]);
	case EVTCHNOP_status:
		return status(cpu, args[1]);
	case EVTCHNOP_close: /* these three have a structure that is, or begins with, a port */
	case EVTCHNOP_send:
	case EVTCHNOP_unmask:
		if (pv_read(cpu, args[1], &port, sizeof(port)))
			return -EFAULT;
		return args[0] == EVTCHNOP_close  ? close_port(pv, port)
		       : args[0] == EVTCHNOP_send ? send(pv, port)
						  : unmask(pv, port);
	default:
		return -ENOSYS;
	}
}

/* Waiting, and the end. */

static long poll_ports(struct pv_cpu *cpu, u64 at)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct sched_poll p;
	evtchn_port_t port = 0;
	u64 list;

	if (pv_read(cpu, at, &p, sizeof(p)))
		return -EFAULT;
	if (p.nr_ports > 128)
		return -EINVAL;
	memcpy(&list, &p.ports, sizeof(list));
	for (u32 i = 0; i < p.nr_ports; i++) {
		if (pv_read(cpu, list + i * sizeof(port), &port, sizeof(port)))
			return -EFAULT;
		if (port >= PV_NR_PORTS)
			return -EINVAL;
		if (test_bit(pv, pending_word(pv, port), port))
			return 0;
	}
	cpu->poll_port = p.nr_ports == 1 ? port : PV_POLL_ANY;
	cpu->poll_until = p.timeout;
	cpu->blocked = true;
	return 0;
}

static long shutdown(struct pv_cpu *cpu, u64 at)
{
	struct vm *vm = cpu->vcpu->vm;
	struct sched_shutdown s;

	if (pv_read(cpu, at, &s, sizeof(s)))
		return -EFAULT;
	switch (s.reason) {
	case SHUTDOWN_poweroff:
		vm_end(vm, SHUTDOWN_BY_GUEST_OFF, 0);
		return 0;
	case SHUTDOWN_reboot:
		vm_end(vm, SHUTDOWN_BY_GUEST_RESET, 0);
		return 0;
	case SHUTDOWN_crash:
		pv_guest_dies(cpu, "the guest reports a crash");
		return 0;
	default:
		return -ENOSYS;
	}
}

long pv_sched_op(struct pv_cpu *cpu, const u64 args[5])
{
	switch (args[0]) {
	case SCHEDOP_yield:
		sched_yield();
		return 0;
	case SCHEDOP_block:
		pv_set_mask(cpu, false);
		cpu->blocked = true;
		cpu->poll_port = 0;
		return 0;
	case SCHEDOP_poll:
		return poll_ports(cpu, args[1]);
	case SCHEDOP_shutdown:
		return shutdown(cpu, args[1]);
	default:
		return -ENOSYS;
	}
}
