// SPDX-License-Identifier: Apache-2.0
/*
 * Writes what fuzz_pv starts from into a directory: small programs that between them make every
 * hypercall, and end in every way.
 *
 *	make_pv_corpus tests/fuzz/corpus/pv
 */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/pv_program.h"

/* ---- Programs ---- */

enum { L4 = BARE_SPARE, L3, L2, L1 };

/* New tables for what is at 1 << 39. */
static void hang_tables(void)
{
	update(BARE_ROOT, 1, L3, RIGHTS | FLAG_U);
	update(L3, 0, L2, RIGHTS | FLAG_U);
	update(L2, 0, L1, RIGHTS | FLAG_U);
	update(L1, 0, BARE_ROOT + 13, RIGHTS);
	update(L1, 1, BARE_ROOT + 14, RIGHTS & ~FLAG_W);
}

static const u64 there = (u64)1 << 39;

static void tables(void)
{
	begin(TOUCHES | ARENA);
	hang_tables();
	access_at(PTWALK_WRITE, there, 5);
	access_at(PTWALK_WRITE, there + PAGE_SIZE, 5);
	access_at(PTWALK_FETCH, there + PAGE_SIZE, 0);
	byte(STEP_VA_MAPPING);
	value(there);
	entry(BARE_ROOT + 15, RIGHTS | FLAG_NX);
	byte(2);
	access_at(PTWALK_FETCH, there, 0);
	access_at(PTWALK_READ, there, 0);
	update(L2, 0, 0x2f, 0);
	extended(MMUEXT_INVLPG_LOCAL, there, 0);
	access_at(PTWALK_READ, there, 0);
	ARGS(1, 2, 3, 4);
	call(__HYPERVISOR_mmu_update, AT, 2, AT + 64, DOMID_SELF);
	call(__HYPERVISOR_mmu_update, AT, 1 << 20, 0, DOMID_SELF);
}

static void tables_of_its_own(void)
{
	begin(TOUCHES | ARENA);
	extended(MMUEXT_COPY_PAGE, L4, BARE_ROOT);
	extended(MMUEXT_PIN_L4_TABLE, L4, 0);
	extended(MMUEXT_NEW_BASEPTR, L4, 0);
	update(L4, 2, L4, RIGHTS); /* itself */
	access_at(PTWALK_READ, (u64)2 << 39, 0);
	access_at(PTWALK_WRITE, (u64)2 << 39 | (u64)2 << 30 | 2 << 21 | 2 << 12, 0);
	extended(MMUEXT_NEW_USER_BASEPTR, 0, 0);
	extended(MMUEXT_NEW_USER_BASEPTR, BARE_USER_ROOT, 0);
	extended(MMUEXT_NEW_BASEPTR, BARE_FRAMES, 0);
	extended(MMUEXT_NEW_BASEPTR, BARE_ROOT, 0);
	extended(MMUEXT_UNPIN_TABLE, L4, 0);
	extended(MMUEXT_CLEAR_PAGE, L4, 0);
	extended(MMUEXT_CLEAR_PAGE, BARE_FRAMES, 0);
	access_at(PTWALK_READ, AT, 0);
}

static void every_extended(void)
{
	begin(ARENA);
	for (u8 i = 0; i < 24; i++) {
		extended(i, L1, 0);
		access_at(PTWALK_WRITE, BARE_AT(L1), 0);
	}
}

/* By read-only mappings, and by a writable one. */
static void writes_to_tables(void)
{
	begin(TOUCHES | ARENA);
	access_at(PTWALK_READ, BARE_USER, 0);
	access_at(PTWALK_WRITE, BARE_AT(0x26), 0x100063);
	access_at(PTWALK_WRITE, BARE_AT(0x26) + 8, 0);
	access_at(PTWALK_READ, BARE_USER, 0);
	extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	access_at(PTWALK_READ, BARE_USER + PAGE_SIZE, 0);
	access_at(PTWALK_WRITE, BARE_AT(0x25) + 16, 0);
	hang_tables();
	access_at(PTWALK_READ, there, 0);
	access_at(PTWALK_WRITE, BARE_AT(L1), 0);
	access_at(PTWALK_READ, there, 0);
	access_at(PTWALK_WRITE, BARE_AT(L2), 0);
	access_at(PTWALK_READ, there, 0);
}

static void large_pages(void)
{
	begin(TOUCHES | ARENA);
	hang_tables();
	byte(STEP_UPDATE);
	byte(1);
	place(L2, 1);
	value(0x200000 | PTWALK_LARGE | PTWALK_PRESENT | PTWALK_WRITABLE);
	place(L3, 1);
	value(PTWALK_LARGE | PTWALK_PRESENT | PTWALK_WRITABLE);
	access_at(PTWALK_READ, there + 2 * MiB, 0);
	access_at(PTWALK_WRITE, there + 2 * MiB, 0);
	access_at(PTWALK_WRITE, there + GiB + 64 * KiB, 0);
	access_at(PTWALK_WRITE, there + GiB + 20 * MiB, 0);
	access_at(PTWALK_WRITE, there + GiB + BARE_ROOT * PAGE_SIZE + 24, 0);
	extended(MMUEXT_TLB_FLUSH_ALL, 0, 0);
}

static void events(void)
{
	begin(TOUCHES | ARENA);
	ARGS(VIRQ_DEBUG, 0);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq);
	ARGS(1, 0);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi);
	ARGS(DOMID_SELF, 0);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound);
	for (u64 port = 1; port < 6; port++) {
		ARGS(DOMID_SELF | port << 32, 0, 0);
		call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_status);
		ARGS(port | (u64)1 << 32);
		call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu);
		call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask);
		call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_send);
		call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_close);
	}
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_reset);
	access_at(PTWALK_WRITE, BARE_AT(511), 1); /* pending, not masked */
	access_at(PTWALK_READ, AT, 0);
}

static void console(void)
{
	begin(ARENA);
	byte(STEP_CONSOLE);
	byte(4);
	bytes(0x6f6c6c6568, 5);
	access_at(PTWALK_WRITE, BARE_AT(BARE_CONSOLE) + 0xc00, 5);
	access_at(PTWALK_WRITE, BARE_AT(BARE_CONSOLE) + 0xc08, (u64)9 << 32 | 1);
	ARGS(1);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_send);
	access_at(PTWALK_WRITE, BARE_AT(BARE_CONSOLE) + 0xc08, (u64)1 << 32);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_send);
	call(__HYPERVISOR_console_io, CONSOLEIO_write, 30, AT, 0);
	call(__HYPERVISOR_console_io, CONSOLEIO_read, 30, AT, 0);
}

static void waiting(void)
{
	begin(ARENA);
	call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0);
	ARGS(BARE_AT(BARE_ARGS + 1), 1, 1);
	call_at(__HYPERVISOR_sched_op, SCHEDOP_poll);
	access_at(PTWALK_READ, AT, 0);
	ARGS(VIRQ_TIMER, 0);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq);
	call(__HYPERVISOR_set_timer_op, 1, 0, 0, 0);
	call(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0, 0);
	access_at(PTWALK_READ, AT, 0);
	call(__HYPERVISOR_sched_op, 6, 0, 0, 0);
}

static void shutdown_for(u64 reason)
{
	begin(ARENA);
	ARGS(reason);
	call_at(__HYPERVISOR_sched_op, SCHEDOP_shutdown);
}

static void time_of(void)
{
	begin(ARENA);
	for (u64 op = 3; op < 15; op++) {
		ARGS(BARE_AT(BARE_ARGS + 1));
		call(__HYPERVISOR_vcpu_op, op, 0, AT, 0);
	}
	ARGS(1, VCPU_SSHOTTMR_future);
	call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, AT, 0);
	ARGS(BARE_ARGS + 2, 64);
	call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, AT, 0);
	call(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0);
	call(__HYPERVISOR_vcpu_op, VCPUOP_up, 7, 0, 0);
}

static void two_processors(void)
{
	begin(TOUCHES | ARENA);
	hang_tables();
	start_other();
	ARGS(1, 0);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi);
	call_at(__HYPERVISOR_event_channel_op, EVTCHNOP_send);
	cpu(1);
	access_at(PTWALK_WRITE, there, 3);
	cpu(0);
	update(L1, 0, L1, RIGHTS);
	cpu(3);
	access_at(PTWALK_WRITE, there, 3);
	cpu(2);
	extended(MMUEXT_TLB_FLUSH_ALL, 0, 0);
	cpu(1);
	access_at(PTWALK_WRITE, there, 3);
	call(__HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0, 0);
	cpu(0);
	access_at(PTWALK_READ, there, 3);
}

static void process(u8 how)
{
	begin(TOUCHES | ARENA);
	iret(how, BARE_USER, BARE_USER + 0x800);
	access_at(PTWALK_WRITE, BARE_USER, 7);
	system_call();
	iret(how, BARE_USER, BARE_USER + 0x800);
	access_at(PTWALK_READ, AT, 7);
	ARGS(3);
	call(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, AT, 0, 0);
	ARGS(AT, 0x400);
	call(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, AT, 0, 0);
	instruction(0, 0xec);
	iret(how, BARE_USER, BARE_USER);
	set_register(3, BARE_AT(BARE_CODE));
	trap(13, 0, 0);
	iret(how, (u64)1 << 32, 0);
	access_at(PTWALK_READ, BARE_USER, 7);
}

static void instructions(void)
{
	static const u64 codes[] = {0x300f,	0x320f,	    0xc0200f, 0xd0200f, 0xd8200f, 0xe0200f,
				    0xe0220f,	0xc0220f,   0xd1010f, 0x060f,	0x090f,	  0x80e5,
				    0x60e466,	0xef,	    0xfa,     0xfb,	0xcc,	  0x4848,
				    0xc0200f44, 0x20c0200f, 0xe9e6};

	begin(ARENA);
	for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
		instruction(i & 6, codes[i]);
	set_register(1, 0xc0000101);
	instruction(0, 0x300f);
	set_register(1, 0xc0000100);
	instruction(0, 0x300f);
	instruction(0, 0x320f);
	set_register(2, 0xdeadbeef);
	instruction(0, 0x300f);
	instruction(1, 0xa20f6e65780b0f);
	instruction(1, 0x0b0f);
	instruction(0, 0xf4); /* and waits for ever */
	access_at(PTWALK_READ, AT, 0);
}

static void exceptions(void)
{
	begin(TOUCHES | ARENA);
	for (u8 v = 0; v < 34; v++)
		if (v != 2 && v != 8 && v != 18 && v != 32)
			trap(v, 0, AT);
	trap(14, 7, 0xffff800000000000);
	trap(14, 7, MONITOR_AT);
	trap(14, 5, 0x123000);
	trap(14, 0x14, BARE_USER);
	access_at(PTWALK_WRITE, MONITOR_M2P, 0);
	access_at(PTWALK_READ, MONITOR_M2P, 0);
	access_at(PTWALK_READ, MONITOR_AT, 0);
	access_at(PTWALK_FETCH, MONITOR_AT + 0x1000, 0);
	access_at(PTWALK_READ, 0x800000000000, 0);
	trap(8, 0, 0);
}

static void no_handler(void)
{
	begin(ARENA);
	ARGS(14 | (u64)4 << 8 | (u64)0xe033 << 16, BARE_HANDLER, 0, 0);
	call(__HYPERVISOR_set_trap_table, AT, 0, 0, 0);
	call(__HYPERVISOR_set_trap_table, 0, 0, 0, 0);
	trap(3, 0, 0);
}

static void no_stack(void)
{
	begin(ARENA);
	set_register(4, 0);
	trap(3, 0, 0);
}

static void no_frame(void)
{
	begin(ARENA);
	byte(STEP_IRET);
	byte(8);
	value(0);
	value(0);
	value(0x123000);
}

static void returns(void)
{
	begin(ARENA);
	iret(0, 0x800000000000, AT);
	iret(4, BARE_AT(BARE_CODE), 0xdeadbeef00000000);
	byte(STEP_IRET);
	byte(4);
	value(BARE_AT(BARE_CODE));
	bytes(0xffffffff, 4);
	value(AT + 0x1000);
	byte(STEP_SYSCALL);
	value(0x800000000000);
	value(~(u64)0);
	byte(0);
	access_at(PTWALK_READ, AT, 0);
}

static void others(void)
{
	begin(ARENA);
	ARGS(BARE_ARGS, BARE_ARGS + 1, 0);
	call(__HYPERVISOR_set_gdt, AT, 1024, 0, 0);
	call(__HYPERVISOR_set_gdt, AT, 16 * 512, 0, 0);
	call(__HYPERVISOR_stack_switch, 0, BARE_AT(BARE_STACK + 2), 0, 0);
	call(__HYPERVISOR_stack_switch, 0, 0x800000000000, 0, 0);
	call(__HYPERVISOR_set_callbacks, BARE_HANDLER, BARE_HANDLER, BARE_HANDLER, 0);
	ARGS(CALLBACKTYPE_syscall, BARE_HANDLER);
	call_at(__HYPERVISOR_callback_op, CALLBACKOP_register);
	call_at(__HYPERVISOR_callback_op, CALLBACKOP_unregister);
	call(__HYPERVISOR_fpu_taskswitch, 1, 0, 0, 0);
	trap(7, 0, 0);
	call(__HYPERVISOR_set_debugreg, 3, 77, 0, 0);
	call(__HYPERVISOR_get_debugreg, 3, 0, 0, 0);
	call(__HYPERVISOR_update_descriptor, BARE_ARGS << PAGE_SHIFT, 5, 0, 0);
	for (u64 i = 0; i < 5; i++)
		call(__HYPERVISOR_set_segment_base, i, i & 1 ? BARE_USER : BARE_AT(0), 0, 0);
	for (u64 i = 0; i < 5; i++)
		call(__HYPERVISOR_set_segment_base, i, 0x800000000000, 0, 0);
	for (u64 i = 0; i < 13; i++)
		call_at(__HYPERVISOR_xen_version, i);
	for (u64 i = 0; i < 13; i++)
		call_at(__HYPERVISOR_memory_op, i);
	for (u64 i = 0; i < 6; i++)
		call(__HYPERVISOR_vm_assist, 0, i, 0, 0);
	for (u8 i = 34; i < 58; i++)
		call(i, 0, 0, 0, 0);
	call(__HYPERVISOR_grant_table_op, 0, 0, 0, 0);
}

/* Each of the first 16 entries of the step's byte is a call, then its four arguments. */
static void multicalls(void)
{
	begin(TOUCHES | ARENA);
	byte(STEP_ARGS);
	byte(1 << 5);
	place(BARE_ROOT, 1);
	entry(L3, RIGHTS);
	byte(STEP_MULTICALL);
	byte(3);
	byte(__HYPERVISOR_mmu_update);
	kernel(BARE_ARGS, 0);
	bytes(1, 3);
	byte(__HYPERVISOR_multicall);
	bytes(0, 4);
	byte(__HYPERVISOR_iret);
	bytes(0, 4);
	byte(__HYPERVISOR_stack_switch);
	bytes(0, 4);
	call(__HYPERVISOR_multicall, BARE_AT(BARE_ARGS + 1), 4, 0, 0);
	call(__HYPERVISOR_multicall, 0x123000, 4, 0, 0);
	call(__HYPERVISOR_multicall, BARE_AT(BARE_ARGS + 1), ~(u64)0, 0, 0);
}

/* Tables of level 1, each for a page that is then written. */
static void many_tables(u32 n)
{
	hang_tables();
	for (u32 i = 0; i < n; i++) {
		const u64 table = (0x200 + i) * PAGE_SIZE, bits = PTWALK_PRESENT | PTWALK_WRITABLE;

		byte(STEP_UPDATE);
		byte(1);
		value(L2 * PAGE_SIZE + i * 8);
		value(table | bits);
		value(table);
		value(BARE_PROCESS * PAGE_SIZE | bits);
		access_at(PTWALK_WRITE, there + i * 2 * MiB, i);
	}
}

/* More than a small arena has room for, with another processor in the guest. */
static void small_arena(void)
{
	begin(TOUCHES);
	start_other();
	cpu(1);
	access_at(PTWALK_READ, BARE_USER, 0);
	cpu(0);
	many_tables(24);
	cpu(1);
	access_at(PTWALK_READ, BARE_USER, 0);
}

/* So many go in one call that a way out has no room for all touches. */
static void many_touches(void)
{
	begin(TOUCHES | 127);
	many_tables(70);
	for (u64 i = 0; i < 70; i++) {
		access_at(PTWALK_WRITE, AT + i * 24, MMUEXT_UNPIN_TABLE);
		access_at(PTWALK_WRITE, AT + i * 24 + 8, 0x200 + i);
	}
	call(__HYPERVISOR_mmuext_op, AT, 70, 0, DOMID_SELF);
	access_at(PTWALK_READ, there, 0);
}

/* What the VMM writes by itself lies in tables. */
static void tables_as_data(void)
{
	begin(TOUCHES | ARENA);
	hang_tables();
	access_at(PTWALK_READ, there, 0);
	ARGS(L1, 64);
	call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, AT, 0);
	call(__HYPERVISOR_update_descriptor, (L1 << PAGE_SHIFT) + 8, 0, 0, 0);
	extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
	access_at(PTWALK_READ, there, 0);
	call_at(__HYPERVISOR_xen_version, XENVER_capabilities);
	set_register(4, BARE_AT(L1) + 64);
	trap(3, 0, 0);
	access_at(PTWALK_READ, there, 0);
}

/* ---- Files ---- */

static int save(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;
	int bad;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		return 1;
	}
	bad = fwrite(out, nr, 1, f) != 1;
	bad |= fclose(f) != 0;
	if (bad)
		perror(path);
	return bad;
}

static int save_programs(const char *dir)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} programs[] = {
		{"tables", tables},
		{"tables-of-its-own", tables_of_its_own},
		{"every-extended", every_extended},
		{"writes-to-tables", writes_to_tables},
		{"large-pages", large_pages},
		{"tables-as-data", tables_as_data},
		{"small-arena", small_arena},
		{"many-touches", many_touches},
		{"events", events},
		{"console", console},
		{"waiting", waiting},
		{"time", time_of},
		{"two-processors", two_processors},
		{"instructions", instructions},
		{"exceptions", exceptions},
		{"no-handler", no_handler},
		{"no-stack", no_stack},
		{"no-frame", no_frame},
		{"returns", returns},
		{"others", others},
		{"multicalls", multicalls},
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		programs[i].make();
		bad |= save(dir, programs[i].name);
	}
	return bad;
}

int main(int argc, char **argv)
{
	int bad;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	bad = save_programs(argv[1]);
	process(1);
	bad |= save(argv[1], "process");
	process(2);
	bad |= save(argv[1], "process-32");
	shutdown_for(SHUTDOWN_poweroff);
	bad |= save(argv[1], "shutdown");
	shutdown_for(SHUTDOWN_crash);
	return bad | save(argv[1], "crash");
}
