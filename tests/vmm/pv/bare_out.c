// SPDX-License-Identifier: Apache-2.0
/*
 * The monitor's ways out, run as a processor runs them: a straight line of the few instructions
 * there are, which ends at CPL 3 or in a pause. Contract in bare_pv.h.
 */
#include "tests/vmm/pv/bare_impl.h"

/* Arithmetic, TF, IF, DF, OF, RF, AC, ID, and the bit that is always set. */
#define RFLAGS_MAY 0x250fd7u

struct line {
	struct bare *b;
	u32 cpu;
	const u8 *code;
	u32 at, end;
	u64 r[3]; /* rax, rcx, rdx */
};

static bool is_next(struct line *l, const char *code, u32 len)
{
	if (l->at + len > l->end || memcmp(l->code + l->at, code, len))
		return false;
	l->at += len;
	return true;
}

static u64 immediate(struct line *l, u32 size)
{
	u64 value = 0;

	if (l->at + size > l->end)
		bare_fail("a way out beyond its end");
	memcpy(&value, l->code + l->at, size);
	l->at += size;
	return value;
}

static bool run_load(struct line *l)
{
	static const char loads[] = "\xb8\xb9\xba";

	for (u32 i = 0; i < 3; i++) {
		const char wide[] = {0x48, loads[i]};

		if (is_next(l, wide, 2)) {
			l->r[i] = immediate(l, 8);
			return true;
		}
		if (is_next(l, loads + i, 1)) {
			l->r[i] = immediate(l, 4);
			return true;
		}
	}
	return false;
}

static void load_cr3(struct line *l)
{
	const struct monitor *m = &l->b->vm.pv->monitor;
	u64 cr3 = l->r[0];
	u32 page;

	if (cr3 % PAGE_SIZE || !bare_is_arena(l->b, cr3, &page))
		bare_fail("CR3 %#lx", cr3);
	l->b->cpus[l->cpu].cr3 = cr3;
	if (memcmp(&bare_arena(l->b, page)[MONITOR_FIRST_SLOT], m->fixed, sizeof(m->fixed)))
		bare_fail("the root at %#lx is without the monitor", cr3);
}

static void write_msr(struct line *l)
{
	u64 value = l->r[2] << 32 | l->r[0];

	if (l->r[0] > UINT32_MAX || l->r[2] > UINT32_MAX || !PV_CANONICAL(value))
		bare_fail("a base of %#lx", value);
	if (l->r[1] == MSR_FS_BASE)
		l->b->cpus[l->cpu].fs_base = value;
	else if (l->r[1] == MSR_GS_BASE)
		l->b->cpus[l->cpu].gs_base = value;
	else
		bare_fail("MSR %#lx", l->r[1]);
}

static void touch(struct line *l, bool whole)
{
	const struct monitor *m = &l->b->vm.pv->monitor;
	u64 at = l->r[0] - MONITOR_AT - m->arena;
	u32 page = (u32)(at / PAGE_SIZE), index = (u32)(at % PAGE_SIZE / sizeof(u64));

	if (at >= m->arena_pages * PAGE_SIZE || at % sizeof(u64) || (whole && index))
		bare_fail("a touch of %#lx", l->r[0]);
	if (whole)
		memset(l->b->kvm[page], 0, PAGE_SIZE);
	else
		l->b->kvm[page][index] = bare_arena(l->b, page)[index];
}

/* Any but the last. */
static bool run_instruction(struct line *l)
{
	if (is_next(l, "\x0f\x22\xd8", 3))
		load_cr3(l);
	else if (is_next(l, "\x0f\x30", 2))
		write_msr(l);
	else if (is_next(l, "\xf0\x80\x08\0", 4))
		touch(l, false);
	else if (is_next(l, "\x66\xf0\x83\x08\0", 5))
		touch(l, true);
	else if (!is_next(l, "\x0f\x22\xc0", 3))
		return run_load(l);
	else if ((l->r[0] & ~CR0_TS) != PV_CR0)
		bare_fail("CR0 %#lx", l->r[0]);
	return true;
}

/* iretq: to CPL 3, with interrupts and no rights to ports. */
static void finish(struct line *l)
{
	const struct monitor_frame *f = monitor_get_frame(&l->b->vm.pv->monitor, l->cpu);
	struct bare_cpu *c = &l->b->cpus[l->cpu];
	const struct pv_cpu *cpu = &l->b->vm.pv->cpus[l->cpu];

	if (!PV_CANONICAL(f->rip) || f->ss != MONITOR_USER || (f->rflags & ~(u64)RFLAGS_MAY) ||
	    !(f->rflags & RFLAGS_IF) || (f->cs != MONITOR_CODE32 && f->cs != MONITOR_CODE64) ||
	    (f->cs == MONITOR_CODE32 && f->rip > UINT32_MAX))
		bare_fail("a frame with rip %#lx, cs %#lx, rflags %#lx, ss %#lx", f->rip, f->cs,
			  f->rflags, f->ss);
	c->regs = c->run.s.regs.regs;
	if (l->r[0] != cpu->regs.rax || l->r[1] != cpu->regs.rcx || l->r[2] != cpu->regs.rdx)
		bare_fail("registers are not as they were");
	c->regs.rax = l->r[0];
	c->regs.rcx = l->r[1];
	c->regs.rdx = l->r[2];
	c->regs.rip = f->rip;
	c->regs.rsp = f->rsp;
	c->regs.rflags = f->rflags;
	c->cs = (u16)f->cs;
}

/* KVM has been told of all that has changed. */
void bare_check_copies(struct bare *b)
{
	u32 pages = b->vm.pv->touches ? b->vm.pv->monitor.arena_pages : 0;

	for (u32 page = 0; page < pages; page++) {
		const u64 *copy = b->kvm[page], *real = bare_arena(b, page);

		if (bare_is_zero(copy) || !memcmp(copy, real, PAGE_SIZE))
			continue;
		for (u32 i = 0; i < SHADOW_ENTRIES; i++)
			if ((copy[i] & PTWALK_PRESENT) && copy[i] != real[i])
				bare_fail("KVM has %#lx for entry %u of page %u, %#lx", copy[i], i,
					  page, real[i]);
	}
}

void bare_run_way_out(struct bare *b, u32 cpu)
{
	struct bare_cpu *c = &b->cpus[cpu];
	const struct kvm_regs *r = &c->run.s.regs.regs;
	const struct monitor *m = &b->vm.pv->monitor;
	u64 in_page = r->rip - MONITOR_AT - m->cpus - cpu * PAGE_SIZE;
	struct line l = {b, cpu, m->memory + (r->rip - MONITOR_AT), 0, 0, {r->rax, r->rcx, r->rdx}};

	if (in_page >= PAGE_SIZE || r->rsp != align_down(r->rip, PAGE_SIZE) + PAGE_SIZE - 40)
		bare_fail("a way out at %#llx, rsp %#llx", r->rip, r->rsp);
	/* a vector pushes six words below the stack's end */
	l.end = (u32)(PAGE_SIZE - 48 - in_page);
	c->on_way = false;
	while (!is_next(&l, "\x48\xcf", 2)) {
		if (is_next(&l, "\xe6\xe9", 2)) {
			bare_leave_by(b, cpu, r->rip + l.at);
			return;
		}
		if (!run_instruction(&l))
			bare_fail("no instruction of a way out: %#x at %#x", l.code[l.at], l.at);
	}
	finish(&l);
}
