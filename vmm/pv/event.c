// SPDX-License-Identifier: Apache-2.0
/*
 * Hypercalls about event channels, the interrupts of this ABI, and about waiting for them. The bits
 * by which the guest learns of an event are port.c's.
 *
 * Always true: a port's number is less than PV_NR_PORTS; port 0 is never given out.
 */
#include "vmm/pv/event.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/pv_build.h"
#include "vmm/pv/console.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/port.h"
#include "vmm/pv/vcpu.h"

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
	if (!is_open(pv, port) || pv->ports[port].kind == PV_PORT_CONSOLE)
		return -EINVAL;
	pv->ports[port] = (struct pv_port){0};
	return pv_clear_port(pv, port);
}

static long unmask(struct pv *pv, u32 port)
{
	return is_open(pv, port) ? pv_unmask_port(pv, port) : -EINVAL;
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
		if (pv_port_pending(pv, port))
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
		pv_set_mask(cpu, PV_EVENTS_OPEN);
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
