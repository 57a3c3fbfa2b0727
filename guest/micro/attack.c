// SPDX-License-Identifier: Apache-2.0
/* Attempts on the hypervisor itself: see attack.h. */
#include <stddef.h>

#include "guest/micro/attack.h"
#include "guest/micro/clock.h"

/* vmm/pv/monitor.h: where it is, and what of it may be had at CPL 3. */
#define MONITOR_AT    0xffff878000000000u
#define MONITOR_ENTRY (MONITOR_AT + 0x1000) /* one ud2, by which system calls come */
#define FRAMES_AT     0xffff808000000000u   /* the table of frames: to be read */
#define MONITOR_PORT  0xe9

#define NOT_CANONICAL ((uint64_t)1 << 47)

#define RFLAGS_FIXED 2
#define RFLAGS_IOPL  0x3000
#define TIMER_NS     ((uint64_t)5000000)

#define GP EXCEPTION(VECTOR_GP)
#define UD EXCEPTION(6)

#define MSR_EFER    0xc0000080
#define MSR_STAR    0xc0000081
#define MSR_LSTAR   0xc0000082
#define MSR_SFMASK  0xc0000084
#define MSR_FS_BASE 0xc0000100

static evtchn_port_t timer_port;

/* The hypervisor's memory. */

static void attack_monitor(struct attack *attack)
{
	static const uint64_t offsets[] = {
		0,	 0x20,	   0x70,     0x2000,   0x2010,	 0x3000,    0x4000,    0x5000,
		0x6000,	 0x7000,   0x8000,   0x9000,   0xa000,	 0xc000,    0x10000,   0x20000,
		0x40000, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000, 0x4000000, 0x40000000};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		attack_no_access(attack, "the monitor", MONITOR_AT + offsets[i], 0);
	for (uint64_t slot = 256; slot < 272; slot++)
		if (slot != 257)
			attack_no_access(attack, "a slot of the hypervisor",
					 0xffff000000000000 | slot << 39 | 0x123456000, 0);
	attack_check(attack, "the page for system calls", 0,
		     (uint16_t)attack_read(attack, "the page for system calls", MONITOR_ENTRY) ==
			     0x0b0f);
	attack_must_fault(attack, "the page for system calls", MONITOR_ENTRY, code_write,
			  ERROR_WRITE | ERROR_PRESENT);
}

static void attack_frames(struct attack *attack)
{
	uint64_t pages = xen_start_info()->nr_pages;
	const uint64_t *frames = (const uint64_t *)xen_start_info()->mfn_list;

	for (uint64_t page = 0; page < pages; page += 1 + pages / 16) {
		uint64_t at = FRAMES_AT + frames[page] * sizeof(uint64_t);

		attack_check(attack, "the table of frames", page,
			     attack_read(attack, "the table of frames", at) == page);
		attack_must_fault(attack, "write to the table of frames", at, code_write,
				  ERROR_WRITE | ERROR_PRESENT);
		attack_must_fault(attack, "jump into the table of frames", at, code_jump,
				  ERROR_FETCH);
	}
	attack_no_access(attack, "beyond the table of frames", FRAMES_AT + ((uint64_t)1 << 30), 0);
}

/* By its own way in, but not by syscall: it must be the call that it would be. */
static void attack_entry(struct attack *attack)
{
	void code_back(uint64_t, uint64_t);
	const struct xen_attempt sane = {code_jump, MONITOR_ENTRY, (uint64_t)code_back};
	const struct xen_attempt wild = {code_jump, MONITOR_ENTRY, NOT_CANONICAL};
	const struct xen_attempt far = {code_jump, NOT_CANONICAL, 0};
	const struct xen_attempt read = {code_read, NOT_CANONICAL, 0};

	attack_try(attack, "a call without syscall", MONITOR_ENTRY, &sane, NONE);
	attack_try(attack, "a call that returns nowhere", MONITOR_ENTRY, &wild, GP);
	attack_try(attack, "a jump to no address", NOT_CANONICAL, &far, GP);
	attack_try(attack, "a read of no address", NOT_CANONICAL, &read, GP);
}

/* Instructions. */

struct instruction {
	const char *name;
	void (*code)(uint64_t, uint64_t);
	uint64_t first, second;
	uint64_t allowed;
};

#define CODES(X)                                   \
	X(cli, 0, 0, NONE)                         \
	X(sti, 0, 0, NONE)                         \
	X(lgdt, 0, 0, GP)                          \
	X(lidt, 0, 0, GP)                          \
	X(lldt, 0x40, 0, GP)                       \
	X(ltr, 0x40, 0, GP)                        \
	X(lmsw, 0, 0, GP)                          \
	X(clts, 0, 0, NONE)                        \
	X(invd, 0, 0, NONE)                        \
	X(wbinvd, 0, 0, NONE)                      \
	X(invlpg, MONITOR_AT, 0, GP)               \
	X(swapgs, 0, 0, GP)                        \
	X(sysretq, 0, 0, GP)                       \
	X(sysexit, 0, 0, GP | UD)                  \
	X(sysenter, 0, 0, GP | UD)                 \
	X(write_cr0, 0, 0, NONE)                   \
	X(write_cr3, 0, 0, GP)                     \
	X(write_cr4, 0, 0, NONE)                   \
	X(write_cr4, ~(uint64_t)0, 0, NONE)        \
	X(write_cr8, 0, 0, GP | UD)                \
	X(read_dr, 0, 0, GP)                       \
	X(write_dr, 0, 0, GP)                      \
	X(rsm, 0, 0, UD | GP)                      \
	X(ud2, 0, 0, UD)                           \
	X(int3, 0, 0, EXCEPTION(3))                \
	X(icebp, 0, 0, EXCEPTION(1) | UD)          \
	X(int_14, 0, 0, GP | UD)                   \
	X(int_128, 0, 0, GP | UD)                  \
	X(int_240, 0, 0, GP | UD)                  \
	X(monitor, 0, 0, UD | GP | NONE)           \
	X(mwait, 0, 0, UD | GP | NONE)             \
	X(rdpmc, 0, 0, GP)                         \
	X(sgdt, 0, 0, GP | NONE)                   \
	X(rdmsr, MSR_EFER, 0, NONE)                \
	X(wrmsr, MSR_EFER, 0, NONE)                \
	X(wrmsr, MSR_STAR, 0, NONE)                \
	X(wrmsr, MSR_LSTAR, 0x100000, NONE)        \
	X(wrmsr, MSR_SFMASK, 0, NONE)              \
	X(wrmsr, MSR_FS_BASE, NOT_CANONICAL, NONE) \
	X(wrmsr, MSR_FS_BASE, MONITOR_AT, NONE)    \
	X(wrmsr, MSR_FS_BASE, 0, NONE)             \
	X(xsetbv, 0, 0, GP | UD)                   \
	X(xsetbv, 7, 1, GP | UD)                   \
	X(out, MONITOR_PORT, 0, NONE)              \
	X(out, MONITOR_PORT, 0xff, NONE)           \
	X(outsb, MONITOR_PORT, 0, GP)              \
	X(in, MONITOR_PORT, 0, NONE)               \
	X(load_ss, 0x10, 0, GP)                    \
	X(load_ss, 0x18, 0, GP)                    \
	X(load_ds, 0x18, 0, GP)                    \
	X(load_ds, 0x40, 0, GP)                    \
	X(far_return, 0x10, 0, GP)                 \
	X(iretq, 0x10, 0x18, GP)                   \
	X(iretq, 0x13, 0x1b, GP)                   \
	X(align, 0, 0, EXCEPTION(17) | NONE)       \
	X(popf, 0x102, 0, EXCEPTION(1))            \
	X(popf, RFLAGS_IOPL | 0x202, 0, NONE)

#define DECLARE(name, first, second, allowed) void code_##name(uint64_t, uint64_t);
#define ROW(name, first, second, allowed)     {#name, code_##name, first, second, allowed},

CODES(DECLARE)

static void attack_instructions(struct attack *attack)
{
	static const struct instruction list[] = {CODES(ROW)};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const struct xen_attempt how = {list[i].code, list[i].first, list[i].second};

		attack_try(attack, list[i].name, list[i].first, &how, list[i].allowed);
	}
	attack_check(attack, "flags of I/O privilege", code_value, !(code_value & RFLAGS_IOPL));
	attack_try(attack, "rdmsr", MSR_EFER, &(struct xen_attempt){code_rdmsr, MSR_EFER, 0}, NONE);
	attack_check(attack, "EFER", code_value, (code_value & 0x500) == 0x500);
}

/* hlt: to be woken by the timer. */

static void set_timer(void)
{
	volatile const struct vcpu_time_info *time = xen_time();
	uint64_t ticks = clock_ticks() - time->tsc_timestamp;
	int shift = time->tsc_shift;
	uint64_t scaled = shift < 0 ? ticks >> -shift : ticks << shift;
	uint64_t since = (uint64_t)(((unsigned __int128)scaled * time->tsc_to_system_mul) >> 32);
	struct vcpu_set_singleshot_timer timer = {
		.timeout_abs_ns = time->system_time + since + TIMER_NS,
	};

	xen_call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uint64_t)&timer, 0);
}

static void attack_hlt(struct attack *attack)
{
	extern const char xen_vectors[];
	void code_hlt(uint64_t, uint64_t);
	struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER};
	struct evtchn_unmask unmask;
	uint64_t before = xen_events;

	xen_must("bind_virq", xen_call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq,
				       (uint64_t)&bind, 0, 0));
	timer_port = bind.port;
	unmask.port = bind.port;
	xen_must("set_callbacks",
		 xen_call(__HYPERVISOR_set_callbacks, (uint64_t)xen_vectors + 32 * 16, 0, 0, 0));
	xen_must("unmask",
		 xen_call(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (uint64_t)&unmask, 0, 0));
	/* an event may come before the hlt: the timer is set again until it was enough */
	xen_on_event = set_timer;
	set_timer();
	__atomic_store_n(&xen_shared()->vcpu_info[0].evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
	attack_try(attack, "hlt", 0, &(struct xen_attempt){code_hlt, 0, 0}, NONE);
	__atomic_store_n(&xen_shared()->vcpu_info[0].evtchn_upcall_mask, 1, __ATOMIC_SEQ_CST);
	xen_on_event = NULL;
	attack_check(attack, "an event ended hlt", xen_events, xen_events > before);
}

/* Returns from handlers. */

static void try_iret(struct attack *attack, const char *what, struct iret_context frame,
		     uint64_t allowed)
{
	void code_hyper_iret(uint64_t, uint64_t);
	const struct xen_attempt how = {code_hyper_iret, (uint64_t)&frame, 0};

	attack_try(attack, what, frame.rip, &how, allowed);
}

static void attack_iret(struct attack *attack)
{
	void code_back(uint64_t, uint64_t);
	extern char user_stacks[];
	const uint64_t back = (uint64_t)code_back;
	struct iret_context f = {.rip = back, .rflags = RFLAGS_FIXED, .cs = 0xe030, .ss = 0xe02b};

	try_iret(attack, "iret", f, NONE);
	f.rflags = ~(uint64_t)0x40700; /* without TF, IF, DF, AC */
	try_iret(attack, "iret with all flags", f, NONE);
	attack_check(attack, "its flags", code_value, !(code_value & (RFLAGS_IOPL | 0x4000)));
	f.rflags = RFLAGS_FIXED;
	f.cs = f.ss = 0x10;
	try_iret(attack, "iret to a selector of CPL 0", f, NONE);
	f.rip = NOT_CANONICAL;
	try_iret(attack, "iret to no address", f, GP);
	f.rip = MONITOR_AT;
	try_iret(attack, "iret into the monitor", f, EXCEPTION(VECTOR_PF));

	/* a process, where none has tables; traps come to the far end of this CPU's stack */
	xen_must("stack_switch",
		 xen_call(__HYPERVISOR_stack_switch, f.ss, (uint64_t)user_stacks + 3072, 0, 0));
	f.cs = 0xe033;
	f.ss = 0xe02b;
	f.rip = back;
	try_iret(attack, "iret to a process", f, EXCEPTION(VECTOR_PF));
	f.rip = NOT_CANONICAL;
	try_iret(attack, "iret to a process at no address", f, GP);
	f.cs = 0x23;
	f.rip = (uint64_t)1 << 32;
	try_iret(attack, "iret to a process of 32 bits, too high", f, GP | EXCEPTION(VECTOR_PF));
}

/* Hypercalls that must fail. */

struct call {
	const char *name;
	uint64_t number, a, b, c, d;
};

#define BAD_FRAME    ((uint64_t)1 << 50)
#define OTHER_FRAME  ((uint64_t)0xfee00) /* in the hole below 4 GiB */
#define NO_PROCESSOR 99
#define MANY	     ((uint64_t)1 << 60)

static void make_calls(struct attack *attack, const struct call *calls, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct call *c = &calls[i];
		long ret = xen_call(c->number, c->a, c->b, c->c, c->d);

		attack_check(attack, c->name, (uint64_t)ret, ret < 0);
	}
}

#define CALL(name)	   __HYPERVISOR_##name
#define MAKE(attack, list) make_calls(attack, list, sizeof(list) / sizeof((list)[0]))

static void attack_table_calls(struct attack *attack)
{
	struct mmu_update update = {.ptr = BAD_FRAME << 12};
	struct mmu_update hole = {.ptr = OTHER_FRAME << 12};
	struct mmuext_op root = {.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = OTHER_FRAME};
	struct mmuext_op pin = {.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = BAD_FRAME};
	struct mmuext_op clear = {.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = OTHER_FRAME};
	struct mmuext_op copy = {
		.cmd = MMUEXT_COPY_PAGE, .arg1.mfn = 1, .arg2.src_mfn = attack->machine >> 12};
	const struct call list[] = {
		{"mmu_update beyond memory", CALL(mmu_update), (uint64_t)&update, 1, 0, DOMID_SELF},
		{"mmu_update in a hole", CALL(mmu_update), (uint64_t)&hole, 1, 0, DOMID_SELF},
		{"mmu_update from the monitor", CALL(mmu_update), MONITOR_AT, 1, 0, DOMID_SELF},
		{"mmu_update of very many", CALL(mmu_update), 0x2000, MANY, 0, DOMID_SELF},
		{"mapping in the monitor", CALL(update_va_mapping), MONITOR_AT, 0, 0, 0},
		{"mapping at no address", CALL(update_va_mapping), NOT_CANONICAL, 0, 0, 0},
		{"a root in a hole", CALL(mmuext_op), (uint64_t)&root, 1, 0, DOMID_SELF},
		{"a pin beyond memory", CALL(mmuext_op), (uint64_t)&pin, 1, 0, DOMID_SELF},
		{"clear_page in a hole", CALL(mmuext_op), (uint64_t)&clear, 1, 0, DOMID_SELF},
		{"copy_page of the monitor", CALL(mmuext_op), (uint64_t)&copy, 1, 0, DOMID_SELF},
		{"mmuext_op of very many", CALL(mmuext_op), 0x2000, MANY, 0, DOMID_SELF},
	};

	MAKE(attack, list);
}

static void attack_other_calls(struct attack *attack)
{
	uint64_t frames[16] = {OTHER_FRAME};
	struct vcpu_register_vcpu_info info = {.mfn = OTHER_FRAME};
	struct evtchn_send port = {.port = 1u << 20};
	struct trap_info traps[2] = {{.vector = 14, .address = NOT_CANONICAL}};
	const struct call list[] = {
		{"text from the monitor", CALL(console_io), CONSOLEIO_write, 16, MONITOR_AT, 0},
		{"set_gdt of very many", CALL(set_gdt), (uint64_t)frames, MANY, 0, 0},
		{"set_gdt in a hole", CALL(set_gdt), (uint64_t)frames, 512, 0, 0},
		{"handlers at no address", CALL(set_trap_table), (uint64_t)traps, 0, 0, 0},
		{"handlers from the monitor", CALL(set_trap_table), MONITOR_AT, 0, 0, 0},
		{"a stack at no address", CALL(stack_switch), 0, NOT_CANONICAL, 0, 0},
		{"callbacks at no address", CALL(set_callbacks), NOT_CANONICAL, 0, 0, 0},
		{"a base of no address", CALL(set_segment_base), SEGBASE_FS, NOT_CANONICAL, 0, 0},
		{"a descriptor in a hole", CALL(update_descriptor), OTHER_FRAME << 12, 0, 0, 0},
		{"multicall from the monitor", CALL(multicall), MONITOR_AT, 1, 0, 0},
		{"multicall of very many", CALL(multicall), MONITOR_AT, ~(uint64_t)0, 0, 0},
		{"no processor", CALL(vcpu_op), VCPUOP_up, NO_PROCESSOR, 0, 0},
		{"vcpu_info in a hole", CALL(vcpu_op), VCPUOP_register_vcpu_info, 0,
		 (uint64_t)&info, 0},
		{"runstate in the monitor", CALL(vcpu_op), VCPUOP_get_runstate_info, 0, MONITOR_AT,
		 0},
		{"no port", CALL(event_channel_op), EVTCHNOP_send, (uint64_t)&port, 0, 0},
		{"a port from the monitor", CALL(event_channel_op), EVTCHNOP_send, MONITOR_AT, 0,
		 0},
		{"no call", 5000, 0, 0, 0, 0},
		{"a call that is not there", CALL(arch_7), 0, 0, 0, 0},
	};

	MAKE(attack, list);
}

static void find_ends(struct attack *attack)
{
	const uint64_t gib = (uint64_t)1 << 30;

	attack->end = xen_start_info()->shared_info + GUEST_PAGE_SIZE;
	attack->machine = attack->end > 4 * gib ? attack->end : 4 * gib;
	attack->machine = (attack->machine + gib - 1) / gib * gib;
}

enum guest_exit attack_run(const struct work_platform *platform, struct memory *memory)
{
	struct attack attack = {.platform = platform, .memory = memory};
	struct line line;

	if (!xen_info)
		return work_verdict(platform, GUEST_EXIT_OPTIONS,
				    "job=attack is for a guest on shadow tables (--mmu shadow)");
	find_ends(&attack);
	attack_monitor(&attack);
	attack_frames(&attack);
	attack_entry(&attack);
	attack_instructions(&attack);
	attack_hlt(&attack);
	attack_iret(&attack);
	attack_table_calls(&attack);
	attack_other_calls(&attack);
	attack_tables(&attack);
	line_start(&line);
	line_add(&line, "attack %u attempts, %u page faults, %u wrong", attack.attempts,
		 attack.faults, attack.wrong);
	work_print(platform, &line);
	line_start(&line);
	line_text(&line, attack.wrong ? "attack: FAIL" : "attack: pass");
	work_print(platform, &line);
	if (attack.wrong)
		return work_verdict(platform, GUEST_EXIT_ATTACK, "not all attempts were refused");
	return work_verdict(platform, GUEST_EXIT_PASS, NULL);
}
