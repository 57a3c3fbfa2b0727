// SPDX-License-Identifier: Apache-2.0
/* States with fixed contents; see state_fixture.h. */
#include "tests/vmm/state/state_fixture.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct state_buf *buf;
	const struct fixture_change *change;
};

u8 fixture_byte(u32 tag, u32 instance, u32 k)
{
	return (u8)(tag >> 8 ^ tag ^ (instance * 31 + k * 7 + 1));
}

static void *add(const struct fixture *f, u32 tag, u32 instance, u16 version, u32 size)
{
	void *data = state_add(f->buf, tag, instance, version, size);

	if (!data)
		abort();
	for (u32 k = 0; k < size; k++)
		((u8 *)data)[k] = fixture_byte(tag, instance, k);
	return data;
}

/* One section, of which @head are its first bytes; the rest is filled. */
static void put(const struct fixture *f, u32 tag, u32 instance, u32 size, const void *head,
		u32 head_size)
{
	static const struct fixture_change none;
	const struct fixture_change *c = f->change;
	u16 version = 1;
	u32 shown = instance;

	if (!c || c->tag != tag || c->instance != instance)
		c = &none;
	if (c->drop)
		return;
	if (c->version)
		version = c->version;
	if (c->new_instance)
		shown = c->new_instance;
	if (c->extra_tag)
		add(f, c->extra_tag, 0, 1, 8);
	for (int i = 0; i <= c->twice; i++) {
		u32 n = (u32)((int)size + c->grow);
		void *data = add(f, tag, shown, version, n);

		if (head_size)
			memcpy(data, head, MIN(n, head_size));
	}
}

static void put_plain(const struct fixture *f, u32 tag, u32 instance, u32 size)
{
	put(f, tag, instance, size, NULL, 0);
}

static void put_cpuid(const struct fixture *f, u32 cpu)
{
	struct {
		u32 nent, padding;
		struct kvm_cpuid_entry2 entries[FIXTURE_NR_CPUID];
	} c = {.nent = FIXTURE_NR_CPUID};

	for (u32 i = 0; i < FIXTURE_NR_CPUID; i++)
		c.entries[i] = (struct kvm_cpuid_entry2){
			.function = i,
			.eax = 0x1000 + i,
			.ebx = 0x2000 + i,
			.ecx = 0x3000 + i,
			.edx = 0x4000 + i,
		};
	put(f, STATE_CPUID, cpu, sizeof(c), &c, sizeof(c));
}

static void put_msrs(const struct fixture *f, u32 cpu)
{
	struct {
		u32 nmsrs, pad;
		struct kvm_msr_entry entries[FIXTURE_NR_MSRS];
	} m = {.nmsrs = FIXTURE_NR_MSRS};

	for (u32 i = 0; i < FIXTURE_NR_MSRS; i++)
		m.entries[i] = (struct kvm_msr_entry){.index = 0x10 + i, .data = 0x100 * i + cpu};
	put(f, STATE_MSRS, cpu, sizeof(m), &m, sizeof(m));
}

static void put_cpu(const struct fixture *f, u32 cpu)
{
	put_cpuid(f, cpu);
	put_plain(f, STATE_SREGS, cpu, sizeof(struct kvm_sregs));
	put_plain(f, STATE_REGS, cpu, sizeof(struct kvm_regs));
	put_plain(f, STATE_XSAVE, cpu, sizeof(struct kvm_xsave));
	put_plain(f, STATE_XCRS, cpu, sizeof(struct kvm_xcrs));
	put_plain(f, STATE_DEBUG, cpu, sizeof(struct kvm_debugregs));
	put_plain(f, STATE_LAPIC, cpu, sizeof(struct kvm_lapic_state));
	put_msrs(f, cpu);
	put_plain(f, STATE_EVENTS, cpu, sizeof(struct kvm_vcpu_events));
	put_plain(f, STATE_MP, cpu, sizeof(struct kvm_mp_state));
}

static void put_devices(const struct fixture *f)
{
	put(f, STATE_DEVICE, 0, 16 + 5, "one\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	put(f, STATE_DEVICE, 3, 16 + 8, "another\0\0\0\0\0\0\0\0", 16);
}

void fixture_make(struct state_buf *buf, unsigned int nr_cpus, const struct fixture_change *change)
{
	const struct fixture f = {.buf = buf, .change = change};
	const struct state_machine m = {
		.memory = FIXTURE_MEMORY,
		.wall_ns = FIXTURE_WALL_NS,
		.nr_cpus = nr_cpus,
		.tsc_khz = FIXTURE_TSC_KHZ,
		.kvm = 1, /* KVM_INTEL, for ever */
	};

	if (state_begin(buf))
		abort();
	put(&f, STATE_MACHINE, 0, sizeof(m), &m, sizeof(m));
	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		put_cpu(&f, cpu);
	for (u32 chip = 0; chip < 3; chip++)
		put_plain(&f, STATE_IRQCHIP, chip, sizeof(struct kvm_irqchip));
	put_plain(&f, STATE_PIT, 0, sizeof(struct kvm_pit_state2));
	put_plain(&f, STATE_CLOCK, 0, sizeof(struct kvm_clock_data));
	put_devices(&f);
	state_end(buf);
}

/* ---- A guest on shadow tables ---- */

#define KERNEL_AT 0xffffffff81000000u

void fixture_pv_cpu(struct pv_state_cpu *s, u32 cpu)
{
	u64 *regs = (u64 *)(void *)&s->regs;

	*s = (struct pv_state_cpu){
		.kernel_sp = 0xffffc90000004000 + cpu,
		.cr2 = 0x7f0012345678,
		.cr4 = 0x40620,
		.xcr0 = 7,
		.fs_base = 0x7f0000001000 + cpu,
		.gs_kernel = 0xffff888003c00000 + cpu,
		.gs_user = 0x1000 + cpu,
		.roots = {0x300 + cpu, cpu % 2 ? PV_STATE_NO_FRAME : 0x400 + cpu},
		.vcpu_info = 0x123040 + 0x1000 * cpu,
		.time_copy = 0x200fe0,
		.runstate_at = 0xffff888003c01000,
		.io_bitmap = 0xffff888003c02000,
		.io_ports = 1024,
		.iopl = 3,
		.timer = 5000000000,
		.runstate_entered = 17,
		.runstate_time = {1, 2, 3, 4},
		.dr = {[6] = 0xffff0ff0, [7] = 0x400},
		.gdt_frames = {0x55},
		.flags = PV_STATE_INITIALISED | PV_STATE_UP | (cpu % 2 ? 0 : PV_STATE_USER),
		.poll_port = cpu,
		.gdt_entries = 16,
		.cs = 0x33,
		.ss = 0x2b,
		.fs = cpu % 2 ? 0 : 0x2b,
	};
	for (u32 i = 0; i < sizeof(s->regs) / sizeof(u64); i++)
		regs[i] = 0x1000 * (i + 1) + cpu;
	for (u32 i = 0; i < 32; i++)
		s->traps[i] = (struct pv_state_handler){KERNEL_AT + 16 * i, 0xe033, i % 2, 0};
	for (u32 i = 0; i < 3; i++)
		s->callbacks[i] = (struct pv_state_handler){KERNEL_AT + 4096 * i, 0, !i, 0};
}

void fixture_pv(struct pv_state *s)
{
	*s = (struct pv_state){
		.system_time = 4000000000,
		.console = 0x124000,
		.console_used = 1,
		.nr_input = 3,
		.input = "abc",
		.ports = {[1] = {2, 0, 0}, [2] = {3, 0, 23}, [3] = {4, 0, 0}, [1023] = {1, 0, 0}},
	};
}

static void put_tables(const struct fixture *f)
{
	static const u32 frames[FIXTURE_NR_TABLES] = {0, 1, 0x300, 0x400,
						      FIXTURE_MEMORY / 4096 - 1};

	put(f, STATE_PV_TABLES, 0, 3 * sizeof(u32), frames, 3 * sizeof(u32));
	put(f, STATE_PV_TABLES, 1, 2 * sizeof(u32), frames + 3, 2 * sizeof(u32));
}

void fixture_make_pv(struct state_buf *buf, unsigned int nr_cpus, u64 memory,
		     const struct fixture_change *change)
{
	const struct fixture f = {.buf = buf, .change = change};
	const struct state_machine m = {
		.memory = memory ? memory : FIXTURE_MEMORY,
		.wall_ns = FIXTURE_WALL_NS,
		.nr_cpus = nr_cpus,
		.tsc_khz = FIXTURE_TSC_KHZ,
		.kvm = 3,
	};
	struct pv_state pv;

	if (state_begin(buf))
		abort();
	put(&f, STATE_MACHINE, 0, sizeof(m), &m, sizeof(m));
	for (u32 i = 0; i < nr_cpus; i++) {
		struct pv_state_cpu cpu;

		fixture_pv_cpu(&cpu, i);
		put_cpuid(&f, i);
		put_plain(&f, STATE_XSAVE, i, sizeof(struct kvm_xsave));
		put(&f, STATE_PV_CPU, i, sizeof(cpu), &cpu, sizeof(cpu));
	}
	fixture_pv(&pv);
	put(&f, STATE_PV, 0, sizeof(pv), &pv, sizeof(pv));
	put_tables(&f);
	put_devices(&f);
	state_end(buf);
}
