// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as what a Xen PV guest does, on two processors without KVM
 * (tests/vmm/pv/bare_pv.h): hypercalls, writes to its tables, faults, instructions that trap. After
 * each few steps its shadow tables must agree with its own, and lead nowhere but to its memory;
 * each way back must be one that the monitor can take. A guest that dies of what it did is at its
 * end.
 *
 * The first byte says how large the arena is and whether KVM wants touches; each step is a byte and
 * its operands. Values come mostly from a small dictionary: get_value(). First corpus:
 * make_pv_corpus.c.
 */
#include <string.h>

#include "tests/vmm/pv/bare_pv.h"
#include "tests/fuzz/pv_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX_STEPS   400
#define CHECK_EVERY 16

struct input {
	const u8 *data;
	size_t len, at;
};

struct run {
	struct bare *b;
	struct input in;
	u32 cpu;
};

/* ---- The input ---- */

static u8 get_byte(struct input *in)
{
	return in->at < in->len ? in->data[in->at++] : 0;
}

static u64 get_bytes(struct input *in, u32 n)
{
	u64 value = 0;

	for (u32 i = 0; i < n; i++)
		value |= (u64)get_byte(in) << 8 * i;
	return value;
}

/* Frames: all tables and some of what is beside them, and what is none. */
static u64 get_frame(u32 i)
{
	static const u64 others[] = {
		BARE_ARGS,	  BARE_STACK + 1, BARE_CODE,	BARE_CONSOLE, BARE_PROCESS,
		BARE_PROCESS + 1, BARE_SHARED,	  BARE_FRAMES,	0x200,	      0x800,
		0xc0000,	  0x100000,	  (u64)1 << 28, (u64)1 << 36, (u64)1 << 40,
		~(u64)0 >> 12};

	return i < 16 ? BARE_ROOT + i : others[i % 16];
}

static u64 get_address(u32 i)
{
	static const u64 addresses[] = {
		BARE_USER,
		BARE_USER + PAGE_SIZE,
		BARE_USER + 16 * PAGE_SIZE,
		BARE_USER + PAGE_SIZE - 8,
		(u64)1 << 30,
		(u64)1 << 39,
		0x7ffffffffff8,
		0x800000000000,
		0xdeadbeef00000000,
		0xffff7ffffffffff8,
		0xffff800000000000,
		MONITOR_M2P,
		MONITOR_M2P + PAGE_SIZE,
		MONITOR_AT,
		MONITOR_AT + 0x1000,
		MONITOR_AT + 0x4000,
		MONITOR_AT + 0x40000,
		0xffff87fffffffff8,
		0xffff880000000000,
		BARE_KERNEL - 8,
		BARE_KERNEL + 512 * PAGE_SIZE,
		BARE_AT(511),
		BARE_HANDLER,
		BARE_AT(BARE_STACK + 2),
		BARE_AT(BARE_STACK + 2) - 8,
		BARE_AT(BARE_STACK),
		BARE_AT(BARE_ARGS) + 0xff8,
		BARE_AT(BARE_ARGS) + 0xffc,
		0xffffffff,
		0x100000000,
		~(u64)0,
		~(u64)7,
	};

	return addresses[i % 32];
}

/* An entry's bits: the low ones that walks look at, and NX. */
static u64 get_flags(u8 bits)
{
	static const u64 flags[] = {PTWALK_PRESENT, PTWALK_WRITABLE, PTWALK_USER,   PTWALK_ACCESSED,
				    PTWALK_DIRTY,   PTWALK_LARGE,    PTWALK_GLOBAL, PTWALK_NX};
	u64 value = 0;

	for (u32 i = 0; i < 8; i++)
		value |= bits >> i & 1 ? flags[i] : 0;
	return value;
}

static u64 get_value(struct input *in)
{
	u8 byte = get_byte(in), low = byte & 31;

	switch (byte >> 5) {
	case VALUE_SMALL:
		return low;
	case VALUE_FRAME:
		return get_frame(low);
	case VALUE_KERNEL: /* of the kernel's mapping, an aligned place */
		return BARE_AT(BARE_ARGS + low) + get_byte(in) * 8u;
	case VALUE_ADDRESS:
		return get_address(low);
	case VALUE_ENTRY:
		return get_frame(low) << PAGE_SHIFT | get_flags(get_byte(in));
	case VALUE_16:
		return get_bytes(in, 2);
	case VALUE_64:
		return get_bytes(in, 8);
	default:
		return (get_frame(low) << PAGE_SHIFT) + get_byte(in) * 8u;
	}
}

/* ---- Steps ---- */

#define ARGS BARE_AT(BARE_ARGS)

static struct kvm_regs *regs(struct run *r)
{
	return &r->b->cpus[r->cpu].regs;
}

static bool store(struct run *r, u64 at, u64 value)
{
	return bare_access(r->b, r->cpu, at, PTWALK_WRITE, &value);
}

static void store_values(struct run *r, u64 at, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!store(r, at + i * 8, get_value(&r->in)))
			return;
}

static void call(struct run *r, u64 nr, u64 arg0, u64 arg1, u64 arg2)
{
	bare_call(r->b, r->cpu, nr, (const u64[]){arg0, arg1, arg2, DOMID_SELF, 0});
}

/* The others go on while this one is on its way; or not. */
static void step_cpu(struct run *r)
{
	u8 byte = get_byte(&r->in);

	if (byte & 2)
		bare_start(r->b, r->cpu);
	r->cpu = byte & 1;
	bare_enter(r->b, r->cpu);
}

static void step_call(struct run *r)
{
	u64 args[5], nr = get_byte(&r->in);

	for (u32 i = 0; i < 5; i++)
		args[i] = get_value(&r->in);
	bare_call(r->b, r->cpu, nr, args);
}

static void step_args(struct run *r)
{
	u8 byte = get_byte(&r->in);

	store_values(r, ARGS + (byte & 31) * 8, (byte >> 5) + 1);
}

static void step_access(struct run *r)
{
	enum ptwalk_kind kind = get_byte(&r->in) % 3;
	u64 at = align_down(get_value(&r->in), 8), value = get_value(&r->in);

	bare_access(r->b, r->cpu, at, kind, &value);
}

static void step_update(struct run *r)
{
	u8 n = get_byte(&r->in) % 8 + 1;

	store_values(r, ARGS, 2u * n);
	call(r, __HYPERVISOR_mmu_update, ARGS, n, 0);
}

static void step_va_mapping(struct run *r)
{
	u64 va = get_value(&r->in), entry = get_value(&r->in);

	call(r, __HYPERVISOR_update_va_mapping, va, entry, get_byte(&r->in) & 7);
}

static void step_extended(struct run *r)
{
	store(r, ARGS, get_byte(&r->in) % 24);
	store_values(r, ARGS + 8, 2);
	call(r, __HYPERVISOR_mmuext_op, ARGS, 1, 0);
}

static void step_multicall(struct run *r)
{
	u8 n = get_byte(&r->in) % 4 + 1;

	for (u32 i = 0; i < n; i++) {
		u64 at = BARE_AT(BARE_ARGS + 1) + i * sizeof(struct multicall_entry);

		store(r, at, get_byte(&r->in));
		store_values(r, at + offsetof(struct multicall_entry, args), 4);
	}
	call(r, __HYPERVISOR_multicall, BARE_AT(BARE_ARGS + 1), n, 0);
}

static void step_trap(struct run *r)
{
	u8 vector = get_byte(&r->in) % 34, error = get_byte(&r->in) & 0x17;
	u64 at = get_value(&r->in);

	if (bare_enter(r->b, r->cpu))
		bare_trap(r->b, r->cpu, vector == 33 ? MONITOR_INTERRUPT : vector,
			  vector == 13 ? error >> 4 : error, at);
}

/* An instruction that the processor refuses. */
static void step_instruction(struct run *r)
{
	u8 byte = get_byte(&r->in);
	u64 at = BARE_AT(BARE_CODE) + (byte & 2 ? 0xff8 : 0);

	store(r, at, get_bytes(&r->in, 8));
	if (byte & 4)
		store(r, at + 8, get_bytes(&r->in, 8));
	if (!bare_enter(r->b, r->cpu))
		return;
	regs(r)->rip = at + (byte & 8 ? 3 : 0);
	bare_trap(r->b, r->cpu, byte & 1 ? 6 : 13, 0, 0);
}

static void step_register(struct run *r)
{
	struct kvm_regs *regs_ = regs(r);
	__u64 *const all[] = {&regs_->rax, &regs_->rcx,	   &regs_->rdx, &regs_->rip,
			      &regs_->rsp, &regs_->rflags, &regs_->r11, &regs_->rbx};
	u8 which = get_byte(&r->in) % 8;
	u64 value = get_value(&r->in);

	if (!bare_enter(r->b, r->cpu))
		return;
	if (all[which] == &regs_->rflags)
		value = (value & 0x250dd5) | 0x202;
	if (all[which] == &regs_->rip && !PV_CANONICAL(value))
		return;
	*all[which] = value;
}

static void step_syscall(struct run *r)
{
	u64 rcx = get_value(&r->in), r11 = get_value(&r->in);
	u8 straight = get_byte(&r->in);

	if (!bare_enter(r->b, r->cpu))
		return;
	if (straight & 1) {
		bare_syscall(r->b, r->cpu);
		return;
	}
	/* by a jump to where it leads */
	regs(r)->rcx = rcx;
	regs(r)->r11 = r11;
	regs(r)->rip = monitor_syscall_entry();
	bare_trap(r->b, r->cpu, 6, 0, 0);
}

static void step_iret(struct run *r)
{
	static const u16 selectors[] = {PV_KERNEL_CS, MONITOR_CODE64, MONITOR_CODE32, 0};
	const u64 at = BARE_AT(BARE_STACK);
	u8 byte = get_byte(&r->in);

	for (u32 i = 0; i < 4; i++) /* rax, r11, rcx, flags */
		store(r, at + i * 8, byte & 0xf0 ? get_byte(&r->in) : 0);
	store(r, at + 32, get_value(&r->in)); /* rip */
	store(r, at + 40, selectors[byte & 3]);
	store(r, at + 48, byte & 4 ? get_bytes(&r->in, 4) : 0x202);
	store(r, at + 56, get_value(&r->in)); /* rsp */
	store(r, at + 64, PV_KERNEL_SS);
	if (!bare_enter(r->b, r->cpu))
		return;
	regs(r)->rsp = byte & 8 ? get_value(&r->in) : at;
	call(r, __HYPERVISOR_iret, 0, 0, 0);
}

static void step_console(struct run *r)
{
	u8 bytes[16];
	u32 n = get_byte(&r->in) % 16 + 1;

	for (u32 i = 0; i < n; i++)
		bytes[i] = get_byte(&r->in);
	pv_console_input(r->b->vm.pv, bytes, n);
}

static void step_context(struct run *r)
{
	const u64 at = BARE_AT(BARE_CONTEXT);
	u8 byte = get_byte(&r->in);

#define PUT(field, value) store(r, at + offsetof(struct vcpu_guest_context, field), value)
	PUT(flags, VGCF_in_kernel);
	PUT(user_regs.rip, get_value(&r->in));
	PUT(user_regs.rsp, get_value(&r->in));
	PUT(ctrlreg[3], get_value(&r->in) << PAGE_SHIFT);
	PUT(ctrlreg[1], byte & 1 ? get_value(&r->in) << PAGE_SHIFT : 0);
	PUT(kernel_sp, BARE_AT(BARE_STACK + 1));
	PUT(event_callback_eip, byte & 2 ? get_value(&r->in) : BARE_HANDLER);
	PUT(trap_ctxt[0].address, byte & 4 ? get_value(&r->in) : 0);
	PUT(gs_base_kernel, byte & 8 ? get_value(&r->in) : 0);
#undef PUT
	call(r, __HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, at);
	call(r, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0);
}

static void (*const steps[NR_STEPS])(struct run *) = {
	[STEP_CPU] = step_cpu,		 [STEP_CALL] = step_call,
	[STEP_ARGS] = step_args,	 [STEP_ACCESS] = step_access,
	[STEP_UPDATE] = step_update,	 [STEP_VA_MAPPING] = step_va_mapping,
	[STEP_EXTENDED] = step_extended, [STEP_MULTICALL] = step_multicall,
	[STEP_TRAP] = step_trap,	 [STEP_INSTRUCTION] = step_instruction,
	[STEP_REGISTER] = step_register, [STEP_SYSCALL] = step_syscall,
	[STEP_IRET] = step_iret,	 [STEP_CONSOLE] = step_console,
	[STEP_CONTEXT] = step_context,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct run r = {.in = {data, len, 0}};
	u8 first = get_byte(&r.in);

	/* a timer's kick, or libFuzzer would take it for its own */
	vcpu_init_signal();
	r.b = bare_new(BARE_CPUS * 6 + 16 + (first & 127), first & 128);
	for (u32 i = 0; i < MAX_STEPS && r.in.at < len && !bare_ended(r.b); i++) {
		steps[get_byte(&r.in) % NR_STEPS](&r);
		if (i % CHECK_EVERY == CHECK_EVERY - 1)
			bare_check(r.b);
	}
	bare_check(r.b);
	bare_free(r.b);
	return 0;
}
