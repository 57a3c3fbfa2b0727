// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a state can be that of a guest on shadow tables: what is not checked here may be
 * anything, as the guest itself could have made it so. Contract in state.h.
 */
#include <errno.h>

#include "vmm/pv/impl.h"
#include "vmm/pv/state.h"

#define NR_RUNSTATES 4u
#define GDT_MAX	     (PV_MAX_GDT * 512u)
#define PORTS_MAX    65536u

/* As in mm/space/space.h: slot 0 up to the hole, the rest behind it. */
static bool is_frame(u64 frame, u64 memory)
{
	const u64 low = MIN(memory, (u64)SPACE_HOLE_START) >> PAGE_SHIFT;
	const u64 hole = (SPACE_HOLE_END - SPACE_HOLE_START) >> PAGE_SHIFT;

	return frame < low || (frame >= low + hole && frame < (memory >> PAGE_SHIFT) + hole &&
			       memory > SPACE_HOLE_START);
}

/* Something of @size bytes that lies in one page. */
static bool is_place(u64 at, u64 size, u64 align, u64 memory)
{
	return is_frame(at >> PAGE_SHIFT, memory) && at % PAGE_SIZE <= PAGE_SIZE - size &&
	       at % align == 0;
}

static int bad(struct err *err, const char *what, u32 instance)
{
	return err_set(err, -EBADMSG, "state: %s %u cannot be (the image is damaged)", what,
		       instance);
}

static bool good_port(const struct pv_state_port *p, u32 nr_cpus)
{
	return p->kind <= PV_PORT_IPI && p->cpu < nr_cpus &&
	       p->virq < (p->kind == PV_PORT_VIRQ ? NR_VIRQS : 1);
}

int pv_state_check(const struct pv_state *s, u64 memory, u32 nr_cpus, struct err *err)
{
	if (!is_place(s->console, PAGE_SIZE, PAGE_SIZE, memory) || s->console_used > 1 ||
	    s->nr_input > PV_STATE_INPUT)
		return bad(err, "console", 0);
	for (u32 i = 0; i < PV_STATE_PORTS; i++)
		if (!good_port(&s->ports[i], nr_cpus) || (!i && s->ports[i].kind != PV_PORT_FREE))
			return bad(err, "event channel", i);
	return 0;
}

static bool good_handler(const struct pv_state_handler *h)
{
	return PV_CANONICAL(h->address) && h->masks_events <= 1 && !h->zero;
}

static bool good_handlers(const struct pv_state_cpu *s)
{
	for (u32 i = 0; i < PV_STATE_CALLBACKS; i++)
		if (!good_handler(&s->callbacks[i]) || s->callbacks[i].cs)
			return false;
	for (u32 i = 0; i < ARRAY_SIZE(s->traps); i++)
		if (!good_handler(&s->traps[i]))
			return false;
	return true;
}

/* The way back must not fault in the monitor; pv_check_rip() sees to it for rip. */
static bool good_registers(const struct pv_state_cpu *s)
{
	return PV_CANONICAL(s->kernel_sp) && PV_CANONICAL(s->fs_base) &&
	       PV_CANONICAL(s->gs_kernel) && PV_CANONICAL(s->gs_user) && s->xcr0 & 1 &&
	       !(s->cr4 & ~PV_CR4_ALLOWED);
}

static bool good_selector(u16 s)
{
	return s <= 3 || s == MONITOR_USER || s == MONITOR_CODE32 || s == MONITOR_CODE64;
}

static bool good_places(const struct pv_state_cpu *s, u64 memory)
{
	for (u32 view = 0; view < SHADOW_NR_VIEWS; view++)
		if (s->roots[view] != PV_STATE_NO_FRAME && !is_frame(s->roots[view], memory))
			return false;
	if (s->gdt_entries > GDT_MAX)
		return false;
	for (u32 i = 0; i < (s->gdt_entries + 511) / 512; i++)
		if (!is_frame(s->gdt_frames[i], memory))
			return false;
	return is_place(s->vcpu_info, sizeof(struct vcpu_info), 8, memory) &&
	       (!s->time_copy || is_place(s->time_copy, sizeof(struct vcpu_time_info), 1, memory));
}

static bool good_status(const struct pv_state_cpu *s)
{
	return !(s->flags & ~(u32)PV_STATE_FLAGS) && s->iopl <= 3 && s->io_ports <= PORTS_MAX &&
	       s->runstate < NR_RUNSTATES && !s->zero &&
	       (s->poll_port < PV_STATE_PORTS || s->poll_port == PV_POLL_ANY) &&
	       (!(s->flags & PV_STATE_UP) || s->flags & PV_STATE_INITIALISED);
}

int pv_state_check_cpu(const struct pv_state_cpu *s, u64 memory, u32 cpu, struct err *err)
{
	if (!good_registers(s) || !good_selector(s->ds) || !good_selector(s->es) ||
	    !good_selector(s->fs) || !good_selector(s->gs))
		return bad(err, "registers of vCPU", cpu);
	if (!good_handlers(s))
		return bad(err, "handlers of vCPU", cpu);
	if (!good_places(s, memory) || !good_status(s))
		return bad(err, "vCPU", cpu);
	return 0;
}

int pv_state_check_tables(const u32 *frames, u32 n, u64 memory, struct err *err)
{
	for (u32 i = 0; i < n; i++)
		if (!is_frame(frames[i], memory))
			return bad(err, "page table in frame", frames[i]);
	return 0;
}
