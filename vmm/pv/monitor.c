// SPDX-License-Identifier: Apache-2.0
/*
 * The monitor's memory and its ways out. Contract in monitor.h.
 *
 * Threads: made on the owner's thread before any vCPU runs; from then on its text and tables do not
 * change, and each processor's stack and way out are its own vCPU thread's to write, while it is
 * outside the guest.
 */
#include "vmm/pv/monitor.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define TEXT	0x0000u
#define SYSCALL 0x1000u
#define GDT	0x2000u
#define IDT	0x3000u
#define TABLES	0x4000u

#define VECTOR_BYTES 8

/* A processor's page: its task state, its way out, and at the end its stack. */
#define CPU_TASK  0
#define CPU_CODE  0x80
#define CPU_STACK PAGE_SIZE
#define CODE_ROOM (0xf00 - CPU_CODE)

/* Vectors that push an error code: 8, 10 to 14, 17, 21, 29, 30 (AMD APM 2, 8.2). */
#define WITH_ERROR_CODE 0x60227d00u

#define P   PTWALK_PRESENT
#define W   PTWALK_WRITABLE
#define U   PTWALK_USER
#define A   PTWALK_ACCESSED
#define D   PTWALK_DIRTY
#define BIG PTWALK_LARGE
#define NX  PTWALK_NX

#define ENTRIES	    SHADOW_ENTRIES
#define LARGE_PAGE  (2 * MiB)
#define LARGE_MASK  (LARGE_PAGE - 1)
#define NR_TOP_GATE 256

static void put(u8 *at, u64 value, size_t size)
{
	memcpy(at, &value, size);
}

static u64 entry_machine(const struct monitor *m, u64 offset)
{
	return m->machine + offset;
}

/* Tables. */

/* A bump allocator of table pages, from TABLES on. */
struct tables {
	struct monitor *m;
	u64 next;
};

static u64 *new_table(struct tables *t, u64 *offset)
{
	*offset = t->next;
	t->next += PAGE_SIZE;
	return (u64 *)(t->m->memory + *offset);
}

/* Map [offset, offset + size) of the memory from @level's table on; all of it in one slot of 4. */
static void map(struct tables *t, u64 *table, unsigned int level, u64 linear, u64 end, u64 offset,
		u64 leaf)
{
	u64 span = PAGE_SIZE << 9 * (level - 1), child;

	while (linear < end) {
		u64 *e = &table[linear >> (12 + 9 * (level - 1)) & (ENTRIES - 1)];
		u64 part = MIN(span - (linear & (span - 1)), end - linear);

		if (level == 1) {
			*e = entry_machine(t->m, offset) | leaf;
		} else {
			u64 *next = *e ? (u64 *)(t->m->memory +
						 (align_down(*e, PAGE_SIZE) - t->m->machine))
				       : new_table(t, &child);

			if (!*e)
				*e = entry_machine(t->m, child) | P | W | U | A;
			map(t, next, level - 1, linear, linear + part, offset, leaf);
		}
		linear += part;
		offset += part;
	}
}

/* How many tables of 4 KiB pages @size bytes at a place of its own take, below level 4. */
static u64 tables_for(u64 size)
{
	u64 n = 0;

	for (unsigned int shift = 21; shift <= 39; shift += 9)
		n += (size + ((u64)1 << shift) - 1) >> shift;
	return n;
}

/* What is written once. */

static void write_vectors(struct monitor *m)
{
	static const u8 ud2[] = {0x0f, 0x0b};

	for (unsigned int v = 0; v < NR_TOP_GATE; v++) {
		u8 *at = m->memory + TEXT + VECTOR_BYTES * v;

		at[0] = 0xe6; /* out %al, $imm8 */
		at[1] = MONITOR_PORT;
		memcpy(at + 2, ud2, sizeof(ud2));
	}
	memcpy(m->memory + SYSCALL, ud2, sizeof(ud2));
}

static void write_gdt(struct monitor *m)
{
	u64 *gdt = (u64 *)(m->memory + GDT);

	gdt[MONITOR_CODE / 8] = 0x00af9b000000ffff;
	gdt[MONITOR_DATA / 8] = 0x00cf93000000ffff;
	gdt[MONITOR_CODE32 / 8] = 0x00cffb000000ffff;
	gdt[MONITOR_USER / 8] = 0x00cff3000000ffff;
	gdt[MONITOR_CODE64 / 8] = 0x00affb000000ffff;
	for (u32 i = 0; i < m->nr_cpus; i++) {
		u64 base = monitor_task(m, i);
		u64 *d = &gdt[(MONITOR_TASK + 16 * i) / 8];

		d[0] = 0x0000890000000067 | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
		d[1] = base >> 32;
	}
}

static void write_idt(struct monitor *m)
{
	for (unsigned int v = 0; v < NR_TOP_GATE; v++) {
		u64 at = MONITOR_AT + TEXT + VECTOR_BYTES * v;
		u8 *gate = m->memory + IDT + 16 * v;
		/* breakpoint and overflow are raised by instructions of CPL 3 */
		u64 type = v == 3 || v == 4 ? 0xee : 0x8e;

		put(gate, (at & 0xffff) | MONITOR_CODE << 16 | (u64)1 << 32 | type << 40, 8);
		put(gate + 6, at >> 16, 2);
		put(gate + 8, at >> 32, 4);
	}
}

static void write_cpus(struct monitor *m)
{
	for (u32 i = 0; i < m->nr_cpus; i++) {
		u8 *task = m->memory + m->cpus + i * PAGE_SIZE + CPU_TASK;
		u64 stack = MONITOR_AT + m->cpus + i * PAGE_SIZE + CPU_STACK;

		put(task + 4, stack, 8);  /* rsp0 */
		put(task + 36, stack, 8); /* the interrupt stack table's first */
		put(task + 102, 104, 2);  /* no I/O bitmap */
	}
}

/* The page of code for entry is executable, processors' pages are both; nothing else is. */
static void write_tables(struct monitor *m)
{
	struct tables t = {m, TABLES};
	u64 top, m2p_top, m2p = m->arena + m->arena_pages * PAGE_SIZE;
	u64 *monitor = new_table(&t, &top), *frames = new_table(&t, &m2p_top);

	m->fixed[(MONITOR_AT >> 39 & 511) - MONITOR_FIRST_SLOT] = (m->machine + top) | P | W | U |
								  A;
	m->fixed[(MONITOR_M2P >> 39 & 511) - MONITOR_FIRST_SLOT] = (m->machine + m2p_top) | P | W |
								   U | A;
	map(&t, monitor, 3, MONITOR_AT, MONITOR_AT + SYSCALL, TEXT, P | A | D);
	map(&t, monitor, 3, MONITOR_AT + SYSCALL, MONITOR_AT + GDT, SYSCALL, P | U | A | D);
	map(&t, monitor, 3, MONITOR_AT + GDT, MONITOR_AT + m->cpus, GDT, P | W | A | D | NX);
	map(&t, monitor, 3, MONITOR_AT + m->cpus, MONITOR_AT + m->arena, m->cpus, P | W | A | D);
	map(&t, monitor, 3, MONITOR_AT + m->arena, MONITOR_AT + m2p, m->arena, P | W | A | D | NX);
	map(&t, frames, 3, MONITOR_M2P, MONITOR_M2P + m->m2p_size, m2p, P | U | A | D | NX);
	ASSERT(t.next <= m->cpus);
}

int monitor_create(struct monitor *m, u64 machine, u64 frames, u32 nr_cpus, u32 arena_pages)
{
	u64 arena_size = arena_pages * PAGE_SIZE, tables;

	*m = (struct monitor){.machine = machine, .nr_cpus = nr_cpus, .arena_pages = arena_pages};
	m->m2p_size = align_up(frames * sizeof(u64), PAGE_SIZE);
	tables = 2 + tables_for(arena_size + 64 * MiB) + tables_for(m->m2p_size);
	m->cpus = TABLES + tables * PAGE_SIZE;
	m->arena = m->cpus + nr_cpus * PAGE_SIZE;
	m->size = align_up(m->arena + arena_size + m->m2p_size, LARGE_PAGE);
	m->memory = mmap(NULL, m->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->memory == MAP_FAILED)
		return -errno;
	write_vectors(m);
	write_gdt(m);
	write_idt(m);
	write_cpus(m);
	write_tables(m);
	return 0;
}

void monitor_destroy(struct monitor *m)
{
	if (m->memory)
		munmap(m->memory, m->size);
	m->memory = NULL;
}

void monitor_set_frame(struct monitor *m, u64 frame, u64 pfn)
{
	u64 at = m->arena + m->arena_pages * PAGE_SIZE + frame * sizeof(u64);

	ASSERT(frame * sizeof(u64) < m->m2p_size);
	put(m->memory + at, pfn, sizeof(u64));
}

/* Where things are. */

u64 monitor_gdt(void)
{
	return MONITOR_AT + GDT;
}

u64 monitor_idt(void)
{
	return MONITOR_AT + IDT;
}

u64 monitor_task(const struct monitor *m, u32 cpu)
{
	return MONITOR_AT + m->cpus + cpu * PAGE_SIZE + CPU_TASK;
}

u64 monitor_syscall_entry(void)
{
	return MONITOR_AT + SYSCALL;
}

int monitor_vector(u64 rip)
{
	u64 at = rip - MONITOR_AT - TEXT;

	return at < (u64)VECTOR_BYTES * NR_TOP_GATE ? (int)(at / VECTOR_BYTES) : -1;
}

bool monitor_has_error_code(int vector)
{
	return vector < 32 && WITH_ERROR_CODE >> vector & 1;
}

bool monitor_is_at(u64 rip)
{
	return rip - MONITOR_AT < (u64)1 << 39;
}

struct monitor_frame *monitor_get_frame(struct monitor *m, u32 cpu)
{
	return (struct monitor_frame *)(m->memory + m->cpus + cpu * PAGE_SIZE + CPU_STACK -
					sizeof(struct monitor_frame));
}

u64 monitor_error_code(struct monitor *m, u32 cpu)
{
	return ((u64 *)monitor_get_frame(m, cpu))[-1];
}

/* Ways out. */

static void emit(struct monitor_exit *x, const u8 *code, u32 len)
{
	ASSERT(x->len + len <= CODE_ROOM);
	memcpy(x->m->memory + x->m->cpus + x->cpu * PAGE_SIZE + CPU_CODE + x->len, code, len);
	x->len += len;
	x->instructions++;
}

/* mov $value, %rax or another of the first eight */
static void emit_load(struct monitor_exit *x, u8 reg, u64 value)
{
	u8 code[10] = {0x48, (u8)(0xb8 + reg)};

	put(code + 2, value, 8);
	emit(x, code, sizeof(code));
	x->uses_registers = true;
}

/* mov $value, %eax or another */
static void emit_load32(struct monitor_exit *x, u8 reg, u32 value)
{
	u8 code[5] = {(u8)(0xb8 + reg)};

	put(code + 1, value, 4);
	emit(x, code, sizeof(code));
	x->uses_registers = true;
}

enum { RAX, RCX, RDX };

void monitor_begin(struct monitor_exit *x, struct monitor *m, u32 cpu)
{
	*x = (struct monitor_exit){.m = m, .cpu = cpu};
}

void monitor_load_cr3(struct monitor_exit *x, u64 cr3)
{
	static const u8 code[] = {0x0f, 0x22, 0xd8};

	emit_load(x, RAX, cr3);
	emit(x, code, sizeof(code));
}

void monitor_load_cr0(struct monitor_exit *x, u64 cr0)
{
	static const u8 code[] = {0x0f, 0x22, 0xc0};

	emit_load(x, RAX, cr0);
	emit(x, code, sizeof(code));
}

void monitor_write_msr(struct monitor_exit *x, u32 msr, u64 value)
{
	static const u8 code[] = {0x0f, 0x30};

	emit_load32(x, RCX, msr);
	emit_load32(x, RAX, (u32)value);
	emit_load32(x, RDX, (u32)(value >> 32));
	emit(x, code, sizeof(code));
}

/* Writes that change nothing. One of two bytes makes KVM drop what it knows of the whole table. */
void monitor_touch(struct monitor_exit *x, const struct shadow_touch *touch)
{
	static const u8 entry[] = {0xf0, 0x80, 0x08, 0x00};	  /* lock orb $0, (%rax) */
	static const u8 table[] = {0x66, 0xf0, 0x83, 0x08, 0x00}; /* lock orw $0, (%rax) */
	bool whole = touch->index == SHADOW_ENTRIES;

	emit_load(x, RAX,
		  MONITOR_AT + x->m->arena + touch->page * PAGE_SIZE +
			  (whole ? 0 : touch->index * sizeof(u64)));
	if (whole)
		emit(x, table, sizeof(table));
	else
		emit(x, entry, sizeof(entry));
}

static u64 finish(struct monitor_exit *x, u64 *rsp)
{
	u64 page = MONITOR_AT + x->m->cpus + x->cpu * PAGE_SIZE;

	*rsp = page + CPU_STACK - sizeof(struct monitor_frame);
	return page + CPU_CODE;
}

u64 monitor_pause(struct monitor_exit *x, u64 *rsp)
{
	static const u8 code[] = {0xe6, MONITOR_PORT, 0x0f, 0x0b};

	emit(x, code, sizeof(code));
	return finish(x, rsp);
}

u64 monitor_finish(struct monitor_exit *x, const struct monitor_frame *frame, u64 rax, u64 rcx,
		   u64 rdx, u64 *rsp)
{
	static const u8 iretq[] = {0x48, 0xcf};

	if (x->uses_registers) {
		emit_load(x, RAX, rax);
		emit_load(x, RCX, rcx);
		emit_load(x, RDX, rdx);
	}
	emit(x, iretq, sizeof(iretq));
	*monitor_get_frame(x->m, x->cpu) = *frame;
	return finish(x, rsp);
}
