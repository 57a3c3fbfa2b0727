// SPDX-License-Identifier: Apache-2.0
/* Contract in bare_pv.h. */
#include "tests/vmm/pv/bare_impl.h"
#include "vmm/pv/init.h"
#include "vmm/pv/time.h"
#include "vmm/pv/vcpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot/pv_tables.h"

#define USER_TABLES 0x24
#define LEAF	    (PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_ACCESSED | PTWALK_DIRTY)

#define MANY_TRIES 300

_Noreturn void bare_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static struct pv_cpu *pv_cpu(struct bare *b, u32 cpu)
{
	return &b->vm.pv->cpus[cpu];
}

/* ---- Birth ---- */

static void serial_out(void *opaque, u8 byte)
{
	struct bare *b = opaque;

	b->printed += !!byte;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void no_log(void *opaque, const char *text)
{
	(void)opaque;
	(void)text;
}

static void no_irq(void *opaque, u32 gsi, bool level)
{
	(void)opaque;
	(void)gsi;
	(void)level;
}

static void device_end(void *opaque, enum shutdown_cause cause, int status)
{
	struct bare *b = opaque;

	vm_end(&b->vm, cause, status);
}

static u64 *entry_of(struct space *space, u64 frame, u64 index)
{
	u64 *table = space_ptr_mut(space, gpa(frame << PAGE_SHIFT), PAGE_SIZE);

	ASSERT(table);
	return &table[index];
}

static void write_tables(struct space *space)
{
	struct pv_tables t = {.va = BARE_KERNEL,
			      .nr = 512,
			      .root = BARE_ROOT,
			      .tables = BARE_ROOT + 1,
			      .ro_pfn = BARE_ROOT,
			      .ro_nr = BARE_SPARE - BARE_ROOT};

	pv_tables_write(space, &t);
	*entry_of(space, BARE_ROOT + 3, 511) = (u64)BARE_SHARED << PAGE_SHIFT | LEAF;
	t = (struct pv_tables){.va = BARE_USER,
			       .nr = 16,
			       .pfn = BARE_PROCESS,
			       .root = BARE_ROOT,
			       .tables = USER_TABLES};
	pv_tables_write(space, &t);
	for (u64 i = 0; i < 16; i++)
		*entry_of(space, USER_TABLES + 2, i) |= PTWALK_USER;
	*entry_of(space, BARE_USER_ROOT, 0) = *entry_of(space, BARE_ROOT, 0);
}

static void make_cpus(struct bare *b)
{
	for (u32 i = 0; i < BARE_CPUS; i++) {
		struct vcpu *vcpu = &b->cpus[i].vcpu;

		vcpu->vm = &b->vm;
		vcpu->id = i;
		vcpu->fd = -1;
		vcpu->run = &b->cpus[i].run;
		vcpu->cpuid = calloc(1, sizeof(struct kvm_cpuid2));
		ASSERT(vcpu->cpuid);
		b->vm.vcpus[i] = vcpu;
	}
	b->vm.nr_vcpus = BARE_CPUS;
}

/* What a kernel does in its first milliseconds, and the first steps of its KVM. */
static void boot(struct bare *b)
{
	struct pv *pv = b->vm.pv;

	b->vm.entry.pv = (struct pv_boot){.rip = BARE_AT(BARE_CODE),
					  .rsp = BARE_AT(BARE_STACK + 2),
					  .root = {BARE_ROOT},
					  .shared_info = pv_shared_info_frame(b->vm.space),
					  .console = {BARE_CONSOLE},
					  .nr_pages = pv_nr_pages(b->vm.space)};
	pv_init(&b->vm);
	pv->tsc_khz = 2000000;
	for (u32 i = 0; i < BARE_CPUS; i++) {
		struct pv_cpu *cpu = &pv->cpus[i];

		for (u32 v = 0; v < 32; v++)
			cpu->traps[v].address = BARE_HANDLER;
		for (u32 v = 0; v < PV_NR_CALLBACKS; v++)
			cpu->callbacks[v] = (struct pv_callback){BARE_HANDLER, true};
		cpu->kernel_sp = BARE_AT(BARE_STACK + 2);
		cpu->load_fs = cpu->load_gs = true;
		if (!i)
			cpu->roots[SHADOW_USER] = BARE_USER_ROOT;
		pv_set_roots(cpu);
		b->cpus[i].cr3 = cpu->cr3[SHADOW_KERNEL];
	}
	pv_set_wallclock(pv);
	pv_update_time(&pv->cpus[0]);
}

struct bare *bare_new(u32 pages, bool touches)
{
	struct bare *b = calloc(1, sizeof(*b));
	struct vm *vm = &b->vm;
	struct err err;

	ASSERT(b);
	b->host = (struct vm_host){.opaque = b,
				   .ended = nothing,
				   .serial_out = serial_out,
				   .serial_ready = nothing,
				   .log = no_log};
	vm->device_host = (struct device_host){b, no_irq, device_end, serial_out, nothing};
	vm->host = &b->host;
	vm->fd = vm->kvm_fd = -1;
	vm->kind = KVM_PVM;
	vm->cfg.nr_cpus = BARE_CPUS;
	pthread_mutex_init(&vm->lock, NULL);
	if (space_create(&vm->space, BARE_SIZE, SPACE_ANON))
		bare_fail("no memory for the guest");
	write_tables(vm->space);
	make_cpus(b);
	vm->devices = devices_create(&vm->device_host);
	if (!vm->devices || pv_make(vm, pages, &err))
		bare_fail("the guest cannot be made");
	vm->pv->touches = touches;
	b->kvm = calloc(pages, PAGE_SIZE);
	ASSERT(b->kvm);
	boot(b);
	return b;
}

void bare_free(struct bare *b)
{
	for (u32 i = 0; i < BARE_CPUS; i++) {
		for (u32 t = 0; t < VCPU_NR_TIMERS; t++)
			if (b->cpus[i].vcpu.has_timer[t])
				timer_delete(b->cpus[i].vcpu.timers[t]);
		free(b->cpus[i].vcpu.cpuid);
	}
	free(b->kvm);
	devices_destroy(b->vm.devices);
	pv_destroy(b->vm.pv);
	space_destroy(b->vm.space);
	pthread_mutex_destroy(&b->vm.lock);
	free(b);
}

bool bare_ended(struct bare *b)
{
	struct vm_end end;

	if (!vm_ended(&b->vm, &end))
		return false;
	if (end.cause == SHUTDOWN_BY_ERROR)
		bare_fail("the VMM has failed: %s", end.why.text);
	return true;
}

/* ---- Tables as a processor finds them ---- */

struct found {
	u64 machine;
	bool writable, user, executable, ours; /* ours: by an entry of the VMM's own */
};

static u64 read_entry(struct bare *b, u64 table, u32 index, bool copies)
{
	const struct monitor *m = &b->vm.pv->monitor;
	u32 page;

	if (!bare_is_arena(b, table, &page)) {
		if (table - m->machine >= m->arena)
			bare_fail("a table at %#lx", table);
		return ((u64 *)(m->memory + (table - m->machine)))[index];
	}
	if (!copies || !(b->kvm[page][index] & PTWALK_PRESENT))
		b->kvm[page][index] = bare_arena(b, page)[index];
	return b->kvm[page][index];
}

static bool walk(struct bare *b, u64 cr3, u64 linear, bool copies, struct found *f)
{
	u64 table = cr3;

	*f = (struct found){0, true, true, true, false};
	f->ours = (linear >> 39 & 511) - MONITOR_FIRST_SLOT < MONITOR_NR_SLOTS;
	for (u32 level = 4; level; level--) {
		u32 shift = PAGE_SHIFT + 9 * (level - 1);
		u64 entry = read_entry(b, table, linear >> shift & 511, copies);

		if (!(entry & PTWALK_PRESENT))
			return false;
		f->writable &= !!(entry & PTWALK_WRITABLE);
		f->user &= !!(entry & PTWALK_USER);
		f->executable &= !(entry & PTWALK_NX);
		table = entry & PV_ENTRY_ADDRESS;
		if (level == 1 || (entry & PTWALK_LARGE)) {
			u64 in_page = linear & (((u64)1 << shift) - 1);

			f->machine = align_down(table, (u64)1 << shift) + in_page;
			return true;
		}
	}
	return false;
}

static bool allows(const struct found *f, enum ptwalk_kind kind)
{
	return f->user && (kind != PTWALK_WRITE || f->writable) &&
	       (kind != PTWALK_FETCH || f->executable);
}

/* What is at the end of a walk that the guest's own code may make. */
static void reach(struct bare *b, const struct found *f, enum ptwalk_kind kind, u64 *value)
{
	const struct monitor *m = &b->vm.pv->monitor;
	u64 *word = space_ptr_mut(b->vm.space, gpa(f->machine), sizeof(*word));
	u64 at = f->machine - m->machine;

	if (word && !f->ours) {
		if (kind == PTWALK_WRITE)
			*word = *value;
		else
			*value = *word;
		return;
	}
	if (!f->ours || kind == PTWALK_WRITE || at >= m->size ||
	    (at - PAGE_SIZE >= PAGE_SIZE && at < m->arena + m->arena_pages * PAGE_SIZE))
		bare_fail("the guest reaches %#lx on the machine", f->machine);
}

/* ---- Processors ---- */

void bare_leave_by(struct bare *b, u32 cpu, u64 rip)
{
	struct kvm_run *run = &b->cpus[cpu].run;

	run->s.regs.regs.rip = rip;
	run->exit_reason = KVM_EXIT_IO;
	run->io.port = MONITOR_PORT;
	if (!pv_exit(&b->cpus[cpu].vcpu))
		bare_fail("an exit of the monitor's is none");
}

bool bare_start(struct bare *b, u32 cpu)
{
	struct bare_cpu *c = &b->cpus[cpu];
	bool outside = pv_cpu(b, cpu)->outside, enters;

	if (bare_ended(b))
		return false;
	if (c->on_way)
		return true;
	c->run.immediate_exit = 1; /* or it would wait until it is kicked */
	enters = pv_enter(&c->vcpu);
	c->run.immediate_exit = 0;
	if (!enters || bare_ended(b))
		return false;
	atomic_store(&c->vcpu.in_guest, false);
	c->on_way = outside;
	return true;
}

bool bare_enter(struct bare *b, u32 cpu)
{
	struct bare_cpu *c = &b->cpus[cpu];

	for (u32 tries = 0; tries < MANY_TRIES; tries++) {
		bool was_on_way = c->on_way;

		if (!bare_start(b, cpu))
			return false;
		if (c->on_way) {
			bare_run_way_out(b, cpu);
			if (!was_on_way && !pv_cpu(b, cpu)->outside)
				bare_check_copies(b);
		} else if (c->run.request_interrupt_window) {
			bare_trap(b, cpu, MONITOR_INTERRUPT, 0, 0);
		} else {
			return true;
		}
	}
	bare_fail("processor %u does not get into the guest", cpu);
}

void bare_trap(struct bare *b, u32 cpu, u32 vector, u64 error, u64 cr2)
{
	struct bare_cpu *c = &b->cpus[cpu];
	struct monitor_frame *f = monitor_get_frame(&b->vm.pv->monitor, cpu);

	ASSERT(!pv_cpu(b, cpu)->outside && !c->on_way);
	*f = (struct monitor_frame){c->regs.rip, c->cs, c->regs.rflags, c->regs.rsp, MONITOR_USER};
	if (monitor_has_error_code((int)vector))
		((u64 *)f)[-1] = error;
	c->run.s.regs.regs = c->regs;
	c->run.s.regs.sregs.cr2 = cr2;
	c->run.s.regs.sregs.fs.base = c->fs_base;
	c->run.s.regs.sregs.gs.base = c->gs_base;
	bare_leave_by(b, cpu, MONITOR_AT + 8 * vector + 2);
}

static bool has_moved(const struct pv_cpu *cpu, const struct kvm_regs *before)
{
	return cpu->regs.rip != before->rip || cpu->regs.rsp != before->rsp;
}

static u32 error_code(enum ptwalk_kind kind, bool found)
{
	return PTWALK_ERROR_USER | (kind == PTWALK_WRITE ? PTWALK_ERROR_WRITE : 0) |
	       (kind == PTWALK_FETCH ? PTWALK_ERROR_FETCH : 0) | (found ? PTWALK_ERROR_PRESENT : 0);
}

bool bare_access(struct bare *b, u32 cpu, u64 linear, enum ptwalk_kind kind, u64 *value)
{
	struct bare_cpu *c = &b->cpus[cpu];
	struct found f;
	bool found;

	for (u32 tries = 0; tries < MANY_TRIES; tries++) {
		struct kvm_regs before;

		if (!bare_enter(b, cpu))
			return false;
		before = c->regs;
		if (!PV_CANONICAL(linear)) {
			bare_trap(b, cpu, 13, 0, 0);
			return false;
		}
		found = walk(b, c->cr3, linear, b->vm.pv->touches, &f);
		if (!found || !allows(&f, kind))
			found = walk(b, c->cr3, linear, false, &f);
		if (found && allows(&f, kind)) {
			reach(b, &f, kind, value);
			return true;
		}
		bare_trap(b, cpu, 14, error_code(kind, found), linear);
		if (bare_ended(b) || has_moved(pv_cpu(b, cpu), &before))
			return false;
		/* whom it has kicked comes by */
		if (c[cpu ? -1 : 1].run.immediate_exit)
			bare_enter(b, !cpu);
	}
	bare_fail("no end of faults at %#lx, kind %u", linear, kind);
}

void bare_syscall(struct bare *b, u32 cpu)
{
	struct kvm_regs *r = &b->cpus[cpu].regs;

	r->rcx = r->rip;
	r->r11 = r->rflags;
	r->rip = monitor_syscall_entry();
	bare_trap(b, cpu, 6, 0, 0);
}

void bare_call(struct bare *b, u32 cpu, u64 nr, const u64 args[5])
{
	struct kvm_regs *r = &b->cpus[cpu].regs;

	if (!bare_enter(b, cpu))
		return;
	r->rax = nr;
	r->rdi = args[0];
	r->rsi = args[1];
	r->rdx = args[2];
	r->r10 = args[3];
	r->r8 = args[4];
	bare_syscall(b, cpu);
}
