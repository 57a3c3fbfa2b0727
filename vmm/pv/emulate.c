// SPDX-License-Identifier: Apache-2.0
/*
 * Privileged instructions of a kernel that runs at CPL 3. It has hypercalls for what is frequent;
 * what is left is few and plain: rdmsr, wrmsr, moves to and from control registers, xsetbv, port
 * input and output, wbinvd, hlt, and cpuid behind the prefix by which it asks for this Xen's
 * answer.
 *
 * Sources: Intel SDM volume 2 for encodings, volume 4 for MSR numbers; Xen's xen.h for the prefix.
 */
#include "vmm/pv/emulate.h"

#include <string.h>

#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"

#define LEAF_XSAVE    0xdu
#define XSAVE_ALIGNED 2u /* in ecx: where it is compacted, the component begins at 64 bytes */

#define PIT_FIRST 0x40u
#define PIT_PORTS 4u
#define KEYBOARD  0x64u

#define INSN_MAX 15

struct insn {
	u8 bytes[INSN_MAX];
	u32 len;
	u32 at; /* of the next byte */
	bool operand16;
	u8 rex;
};

static bool fetch(struct pv_cpu *cpu, struct insn *in)
{
	u64 rip = cpu->regs.rip, in_page = PAGE_SIZE - rip % PAGE_SIZE;

	*in = (struct insn){.len = (u32)MIN(in_page, (u64)INSN_MAX)};
	if (pv_read(cpu, rip, in->bytes, in->len))
		return false;
	if (in->len < INSN_MAX &&
	    !pv_read(cpu, rip + in->len, in->bytes + in->len, INSN_MAX - in->len))
		in->len = INSN_MAX;
	return true;
}

static u8 next(struct insn *in)
{
	return in->at < in->len ? in->bytes[in->at++] : 0xf4;
}

static u64 *reg(struct kvm_regs *r, u32 n)
{
	__u64 *const regs[] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
			       &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
			       &r->r12, &r->r13, &r->r14, &r->r15};

	_Static_assert(sizeof(u64) == sizeof(__u64), "the same under two names");
	return (u64 *)(void *)regs[n & 15];
}

static void set32(__u64 *to, u64 value)
{
	*to = (u32)value;
}

/* Model-specific registers: reading one that is not known gives 0, as a Xen guest expects. */
static u64 read_msr(const struct pv_cpu *cpu, u32 index)
{
	switch (index) {
	case MSR_APIC_BASE:
		return 0xfee00800 | (cpu->id ? 0 : 0x100);
	case MSR_EFER:
		return PV_EFER;
	case MSR_PAT:
		return PAT_AT_RESET;
	case MSR_MISC_ENABLE:
		return 1;
	case MSR_FS_BASE:
		return cpu->fs_base;
	case MSR_GS_BASE:
		return cpu->gs_kernel;
	case MSR_KERNEL_GS_BASE:
		return cpu->gs_user;
	default:
		return 0;
	}
}

static void write_msr(struct pv_cpu *cpu, u32 index, u64 value)
{
	/* a base that is not canonical would fault in the monitor */
	if (!PV_CANONICAL(value))
		return;
	switch (index) {
	case MSR_FS_BASE:
		cpu->fs_base = value;
		cpu->load_fs = true;
		break;
	case MSR_GS_BASE:
		cpu->gs_kernel = value;
		cpu->load_gs = true;
		break;
	case MSR_KERNEL_GS_BASE:
		cpu->gs_user = value;
		break;
	}
}

static void emulate_wrmsr(struct pv_cpu *cpu)
{
	const struct kvm_regs *r = &cpu->regs;

	write_msr(cpu, (u32)r->rcx, r->rdx << 32 | (u32)r->rax);
}

static void emulate_rdmsr(struct pv_cpu *cpu)
{
	struct kvm_regs *r = &cpu->regs;
	u64 value = read_msr(cpu, (u32)r->rcx);

	set32(&r->rax, value);
	set32(&r->rdx, value >> 32);
}

/* A move from a control register to a general one, and one to it. */
enum cr_move { CR_FROM, CR_TO };

static bool emulate_cr(struct pv_cpu *cpu, struct insn *in, enum cr_move move)
{
	u8 modrm = next(in);
	u32 cr = (modrm >> 3 & 7) | (in->rex & 4) << 1;
	u64 *value = reg(&cpu->regs, (modrm & 7) | (in->rex & 1) << 3);

	if (move == CR_FROM) {
		*value = cr == 0   ? cpu->cr0
			 : cr == 2 ? cpu->cr2
			 : cr == 3 ? cpu->roots[SHADOW_KERNEL] << PAGE_SHIFT
			 : cr == 4 ? cpu->cr4
				   : 0;
		return cr == 0 || cr == 2 || cr == 3 || cr == 4;
	}
	if (cr == 4)
		cpu->cr4 = *value & PV_CR4_ALLOWED;
	if (cr == 0) {
		cpu->cr0 = (cpu->cr0 & ~CR0_TS) | (*value & CR0_TS);
		cpu->load_cr0 = true;
	}
	return cr == 0 || cr == 4;
}

static bool emulate_xsetbv(struct pv_cpu *cpu)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	u64 value = cpu->regs.rdx << 32 | (u32)cpu->regs.rax;

	xcrs.xcrs[0].value = value;
	if (cpu->regs.rcx || kvm_ioctl(cpu->vcpu->fd, KVM_SET_XCRS, &xcrs) < 0)
		return false;
	cpu->xcr0 = value;
	return true;
}

/* Devices that are not there should look so: what a kernel waits for costs it a trap each time. */
static u32 without_device(u16 port, u32 value)
{
	if (port - PIT_FIRST < PIT_PORTS)
		return 0; /* a counter that stands still */
	if (port == KEYBOARD)
		return UINT32_MAX; /* nobody on the bus, where else only the reset line is */
	return value;
}

/* Whether the kernel, or what it grants to this process, may use [port, port + size). */
static bool may_use(struct pv_cpu *cpu, u16 port, u8 size)
{
	u8 bits[2] = {0xff, 0xff};

	if (!cpu->user || cpu->iopl == 3)
		return true;
	if ((u32)port + size > cpu->io_ports ||
	    pv_read(cpu, cpu->io_bitmap + port / 8, bits, port % 8 + size > 8 ? 2 : 1))
		return false;
	return !((u32)(bits[0] | bits[1] << 8) >> port % 8 & ((1u << size) - 1));
}

static bool emulate_port(struct pv_cpu *cpu, u8 opcode, u16 port, bool operand16)
{
	struct devices *devices = cpu->vcpu->vm->devices;
	u8 size = !(opcode & 1) ? 1 : operand16 ? 2 : 4;
	u32 value = (u32)cpu->regs.rax;

	if (!may_use(cpu, port, size))
		return false;
	if (opcode & 2) {
		devices_out(devices, port, size, 1, &value);
		return true;
	}
	devices_in(devices, port, size, 1, &value);
	value = without_device(port, value);
	if (size == 4)
		set32(&cpu->regs.rax, value);
	else
		memcpy(&cpu->regs.rax, &value, size);
	return true;
}

static bool two_bytes(struct pv_cpu *cpu, struct insn *in)
{
	switch (next(in)) {
	case 0x01:
		return next(in) == 0xd1 && emulate_xsetbv(cpu);
	case 0x06: /* clts */
		cpu->cr0 &= ~CR0_TS;
		cpu->load_cr0 = true;
		return true;
	case 0x08: /* invd */
	case 0x09: /* wbinvd */
		return true;
	case 0x20:
		return emulate_cr(cpu, in, CR_FROM);
	case 0x22:
		return emulate_cr(cpu, in, CR_TO);
	case 0x30:
		emulate_wrmsr(cpu);
		return true;
	case 0x32:
		emulate_rdmsr(cpu);
		return true;
	default:
		return false;
	}
}

static bool one_byte(struct pv_cpu *cpu, struct insn *in, u8 opcode)
{
	switch (opcode) {
	case 0xe4: /* in, out, with the port in the instruction */
	case 0xe5:
	case 0xe6:
	case 0xe7:
		return emulate_port(cpu, opcode, next(in), in->operand16);
	case 0xec: /* and in dx */
	case 0xed:
	case 0xee:
	case 0xef:
		return emulate_port(cpu, opcode, (u16)cpu->regs.rdx, in->operand16);
	}
	if (cpu->user)
		return false;
	switch (opcode) {
	case 0xf4: /* hlt: wait as SCHEDOP_block does, but with the mask as it is */
		cpu->blocked = true;
		return true;
	case 0xfa: /* cli and sti do nothing: the mask is in memory */
	case 0xfb:
		return true;
	default:
		return false;
	}
}

bool pv_emulate_privileged(struct pv_cpu *cpu)
{
	struct insn in;
	u8 opcode;
	bool done;

	if (!fetch(cpu, &in))
		return false;
	opcode = next(&in);
	for (; opcode == 0x66 || (opcode & 0xf0) == 0x40; opcode = next(&in)) {
		in.operand16 |= opcode == 0x66;
		in.rex = opcode == 0x66 ? 0 : opcode;
	}
	if (opcode == 0x0f)
		done = !cpu->user && two_bytes(cpu, &in);
	else
		done = one_byte(cpu, &in, opcode);
	if (done)
		cpu->regs.rip += in.at;
	return done;
}

static const struct kvm_cpuid_entry2 *find_leaf(const struct kvm_cpuid2 *table, u32 leaf,
						u32 subleaf)
{
	for (u32 i = 0; table && i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

/* The size of the area that XSAVE fills as XCR0 is now: of the legacy part and header at least. */
static u32 xsave_size(const struct pv_cpu *cpu, const struct kvm_cpuid_entry2 *leaf)
{
	u32 size = 576;

	if (leaf->index > 1)
		return leaf->ebx; /* where a component begins */
	for (u32 i = 2; i < 63; i++) {
		const struct kvm_cpuid_entry2 *e;

		if (!(cpu->xcr0 >> i & 1))
			continue;
		e = find_leaf(cpu->vcpu->cpuid, LEAF_XSAVE, i);
		if (!e)
			continue;
		if (leaf->index == 0)
			size = MAX(size, e->ebx + e->eax);
		else
			size = (e->ecx & XSAVE_ALIGNED ? (u32)align_up(size, 64) : size) + e->eax;
	}
	return size;
}

bool pv_emulate_cpuid(struct pv_cpu *cpu)
{
	static const u8 wanted[] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};
	struct kvm_regs *r = &cpu->regs;
	const struct kvm_cpuid_entry2 *e;
	u8 code[sizeof(wanted)];

	if (pv_read(cpu, r->rip, code, sizeof(code)) || memcmp(code, wanted, sizeof(code)))
		return false;
	e = find_leaf(cpu->vcpu->cpuid, (u32)r->rax, (u32)r->rcx);
	set32(&r->rbx, !e ? 0 : e->function == LEAF_XSAVE ? xsave_size(cpu, e) : e->ebx);
	set32(&r->rax, e ? e->eax : 0);
	set32(&r->rcx, e ? e->ecx : 0);
	set32(&r->rdx, e ? e->edx : 0);
	r->rip += sizeof(wanted);
	return true;
}
