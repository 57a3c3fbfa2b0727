// SPDX-License-Identifier: Apache-2.0
/*
 * Time as Xen tells it: system time, in nanoseconds since the guest began, which the guest computes
 * from its time-stamp counter by what stands in vcpu_info; the wall clock at system time 0, in the
 * shared page; one-shot timers in system time; and where a processor's time went (runstate).
 */
#include "vmm/pv/time.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "mm/base/clock.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/port.h"

#define NS_PER_S   ((u64)1000000000)
#define MEASURE_NS ((u64)20000000)
#define TSC_STABLE 1 /* XEN_PVCLOCK_TSC_STABLE_BIT: all processors may be compared */

u64 pv_system_time(const struct pv *pv)
{
	return now_ns() + (u64)pv->clock_offset;
}

/* Where KVM does not know how fast the counter is: by the clock. */
static u64 measure_khz(void)
{
	u64 began = now_ns(), ticks = __rdtsc(), ns;

	do
		ns = now_ns() - began;
	while (ns < MEASURE_NS);
	return MAX((__rdtsc() - ticks) * 1000000 / ns, (u64)1);
}

void pv_measure_tsc(struct pv *pv)
{
	u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)]
		__attribute__((aligned(_Alignof(struct kvm_msrs)))) = {0};
	struct kvm_msrs *msrs = (void *)room;
	const struct vcpu *vcpu = pv->vm->vcpus[0];

	msrs->nmsrs = 1;
	msrs->entries[0].index = MSR_TSC;
	pv->tsc_khz = vcpu_tsc_khz(vcpu);
	if (!pv->tsc_khz)
		pv->tsc_khz = measure_khz();
	pv->tsc_offset = 0;
	/* PVM's guests read the processor's own counter, whatever KVM says of an offset */
	if (pv->vm->kind != KVM_PVM && ioctl(vcpu->fd, KVM_GET_MSRS, msrs) == 1)
		pv->tsc_offset = msrs->entries[0].data - __rdtsc();
}

/* ns = ticks << shift, times mul, over 2^32 */
static void scale(u64 khz, u32 *mul, int8_t *shift)
{
	u64 hz = khz * 1000, ns = NS_PER_S;

	*shift = 0;
	while (hz > ns * 2) {
		hz >>= 1;
		--*shift;
	}
	while (hz <= ns) {
		hz <<= 1;
		++*shift;
	}
	*mul = (u32)((ns << 32) / hz);
}

/* Readers look at the version before and after: it is odd while the rest is written. */
void pv_update_time(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u64 at = cpu->vcpu_info + offsetof(struct vcpu_info, time);
	struct vcpu_time_info t;
	int8_t shift;

	if (pv_read_phys(pv, at, &t, sizeof(t)))
		return;
	t.version |= 1;
	pv_write_phys(pv, at, &t.version, sizeof(t.version));
	scale(pv->tsc_khz, &t.tsc_to_system_mul, &shift);
	t.tsc_shift = shift;
	t.flags = TSC_STABLE;
	t.tsc_timestamp = __rdtsc() + pv->tsc_offset;
	t.system_time = pv_system_time(pv);
	cpu->told_tsc = t.tsc_timestamp;
	cpu->told_time = t.system_time;
	pv_write_phys(pv, at, &t, sizeof(t));
	t.version++;
	pv_write_phys(pv, at, &t.version, sizeof(t.version));
	if (cpu->time_copy)
		pv_write_phys(pv, cpu->time_copy, &t, sizeof(t));
}

/*
 * The time-stamp counter and the host's clock drift apart: a guest that goes on elsewhere by the
 * latter would see its time go backwards.
 */
u64 pv_time_there(const struct pv *pv)
{
	const struct pv_cpu *cpu = &pv->cpus[0];
	u64 khz = pv->tsc_khz, ticks;

	if (!cpu->told_time || cpu->lost_time || !khz)
		return pv_system_time(pv);
	ticks = __rdtsc() + pv->tsc_offset - cpu->told_tsc;
	return cpu->told_time + ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
}

/* A copy for processes to read, so that asking for the time is no system call. */
static long register_time(struct pv_cpu *cpu, struct pv_cpu *to, u64 at)
{
	struct vcpu_register_time_memory_area area;
	int ret;

	if (pv_read(cpu, at, &area, sizeof(area)))
		return -EFAULT;
	to->time_copy = 0;
	if (!area.addr.p)
		return 0;
	ret = pv_find_phys(cpu, area.addr.p, sizeof(struct vcpu_time_info), &to->time_copy);
	if (!ret)
		pv_update_time(to);
	return ret;
}

void pv_set_wallclock(struct pv *pv)
{
	u64 at = pv->shared_info + offsetof(struct shared_info, wc_version);
	struct timespec now;
	u64 ns;
	struct {
		u32 version, sec, nsec, sec_hi;
	} wc;

	if (pv_read_phys(pv, at, &wc, sizeof(wc)))
		return;
	wc.version |= 1;
	pv_write_phys(pv, at, &wc.version, sizeof(wc.version));
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec - pv_system_time(pv);
	wc.sec = (u32)(ns / NS_PER_S);
	wc.nsec = (u32)(ns % NS_PER_S);
	wc.sec_hi = (u32)(ns / NS_PER_S >> 32);
	pv_write_phys(pv, at, &wc, sizeof(wc));
	wc.version++;
	pv_write_phys(pv, at, &wc.version, sizeof(wc.version));
}

/*
 * On the vCPU's own thread, before it goes on: memory may be on its way here until then, and no
 * other thread is to wait for it.
 */
void pv_find_time(struct pv_cpu *cpu)
{
	struct pv *pv = cpu->vcpu->vm->pv;

	if (pv->lost_time)
		pv_set_wallclock(pv);
	pv->lost_time = false;
	if (cpu->lost_time && cpu->up)
		pv_update_time(cpu);
	cpu->lost_time = false;
}

/* Timers. */

void pv_check_timer(struct pv_cpu *cpu)
{
	u64 now;

	if (!cpu->timer && !(cpu->blocked && cpu->poll_until))
		return;
	now = pv_system_time(cpu->vcpu->vm->pv);
	if (cpu->timer && now >= cpu->timer) {
		cpu->timer = 0;
		pv_send_virq(cpu, VIRQ_TIMER);
	}
	if (cpu->blocked && cpu->poll_until && now >= cpu->poll_until) {
		cpu->blocked = false;
		cpu->poll_until = 0;
	}
}

long pv_set_timer_op(struct pv_cpu *cpu, const u64 args[5])
{
	cpu->timer = args[0];
	return 0;
}

long pv_timer_op(struct pv_cpu *cpu, u32 op, u64 at)
{
	struct vcpu_set_singleshot_timer t;

	switch (op) {
	case VCPUOP_stop_periodic_timer:
		return 0;
	case VCPUOP_stop_singleshot_timer:
		cpu->timer = 0;
		return 0;
	case VCPUOP_set_singleshot_timer:
		break;
	default:
		return -ENOSYS;
	}
	if (pv_read(cpu, at, &t, sizeof(t)))
		return -EFAULT;
	if (t.flags & VCPU_SSHOTTMR_future && t.timeout_abs_ns < pv_system_time(cpu->vcpu->vm->pv))
		return -ETIME;
	cpu->timer = MAX(t.timeout_abs_ns, (u64)1);
	return 0;
}

/* Where the time went: guests learn from it what was stolen from them, here always nothing. */

static long tell_runstate(struct pv_cpu *cpu, struct pv_cpu *to, u64 at)
{
	struct vcpu_runstate_info info = to->runstate;
	u64 now = pv_system_time(cpu->vcpu->vm->pv);

	info.time[info.state] += now - MIN(now, info.state_entry_time);
	info.state_entry_time = now;
	return pv_write(cpu, at, &info, sizeof(info)) ? -EFAULT : 0;
}

long pv_runstate_op(struct pv_cpu *cpu, struct pv_cpu *to, u32 op, u64 at)
{
	struct vcpu_register_runstate_memory_area area;

	if (op == VCPUOP_get_runstate_info)
		return tell_runstate(cpu, to, at);
	if (op == VCPUOP_register_vcpu_time_memory_area)
		return register_time(cpu, to, at);
	if (pv_read(cpu, at, &area, sizeof(area)))
		return -EFAULT;
	to->runstate_at = area.addr.p;
	return to->runstate_at ? tell_runstate(cpu, to, to->runstate_at) : 0;
}
