// SPDX-License-Identifier: Apache-2.0
/*
 * A program for fuzz_pv, written step by step: for make_pv_corpus alone. What the steps do is in
 * fuzz_pv.c.
 */
#ifndef QUIRE_TESTS_FUZZ_PV_PROGRAM_H
#define QUIRE_TESTS_FUZZ_PV_PROGRAM_H

#include "tests/vmm/pv/bare_pv.h"
#include "tests/fuzz/pv_input.h"

/* The first byte: whether KVM wants touches, and how large the arena is. */
#define TOUCHES 128
#define ARENA	100
#define RIGHTS	(FLAG_P | FLAG_W | FLAG_A | FLAG_D)

static u8 out[16384];
static size_t nr;

static void byte(u8 value)
{
	if (nr < sizeof(out))
		out[nr++] = value;
}

static void bytes(u64 value, u32 n)
{
	for (u32 i = 0; i < n; i++)
		byte((u8)(value >> 8 * i));
}

static void value(u64 v)
{
	byte(v < 32 ? (u8)v : VALUE_64 << 5);
	bytes(v, v < 32 ? 0 : 8);
}

/* A frame among the tables, by its number. */
static void frame(u32 number)
{
	byte((u8)(VALUE_FRAME << 5 | (number - BARE_ROOT)));
}

static void entry(u32 number, u8 flags)
{
	byte((u8)(VALUE_ENTRY << 5 | (number - BARE_ROOT)));
	byte(flags);
}

static void place(u32 number, u8 word)
{
	byte((u8)(VALUE_PLACE << 5 | (number - BARE_ROOT)));
	byte(word);
}

static void kernel(u32 page, u8 word)
{
	byte((u8)(VALUE_KERNEL << 5 | (page - BARE_ARGS)));
	byte(word);
}

/* Steps. */

static void cpu(u8 which)
{
	byte(STEP_CPU);
	byte(which);
}

static void call(u8 number, u64 a, u64 b, u64 c, u64 d)
{
	const u64 args[] = {a, b, c, d, 0};

	byte(STEP_CALL);
	byte(number);
	for (u32 i = 0; i < 5; i++)
		value(args[i]);
}

/* Up to 8 words at the place for arguments. */
static void args(u8 n, const u64 *words)
{
	byte(STEP_ARGS);
	byte((u8)((n - 1) << 5));
	for (u32 i = 0; i < n; i++)
		value(words[i]);
}

#define ARGS(...) \
	args((u8)(sizeof((const u64[]){__VA_ARGS__}) / sizeof(u64)), (const u64[]){__VA_ARGS__})

#define AT BARE_AT(BARE_ARGS)

/* With what ARGS() has put there. */
static void call_at(u8 number, u64 op)
{
	call(number, op, AT, 0, 0);
}

static void access_at(u8 kind, u64 at, u64 v)
{
	byte(STEP_ACCESS);
	byte(kind);
	value(at);
	value(v);
}

static void update(u32 table, u8 word, u32 to, u8 flags)
{
	byte(STEP_UPDATE);
	byte(0);
	place(table, word);
	entry(to, flags);
}

static void extended(u8 command, u64 a, u64 b)
{
	byte(STEP_EXTENDED);
	byte(command);
	value(a);
	value(b);
}

static void trap(u8 vector, u8 error, u64 address)
{
	byte(STEP_TRAP);
	byte(vector);
	byte(error);
	value(address);
}

static void instruction(u8 how, u64 code)
{
	byte(STEP_INSTRUCTION);
	byte(how);
	bytes(code, 8);
	if (how & 4)
		bytes(0, 8);
}

static void set_register(u8 which, u64 v)
{
	byte(STEP_REGISTER);
	byte(which);
	value(v);
}

/* To the kernel (0), or to a process in 64 (1) or 32 bits (2). */
static void iret(u8 to, u64 rip, u64 rsp)
{
	byte(STEP_IRET);
	byte(to);
	value(rip);
	value(rsp);
}

static void system_call(void)
{
	byte(STEP_SYSCALL);
	value(0);
	value(0);
	byte(1);
}

/* Processor 1 comes up. */
static void start_other(void)
{
	byte(STEP_CONTEXT);
	byte(1);
	value(BARE_AT(BARE_CODE));
	value(BARE_AT(BARE_STACK + 1));
	frame(BARE_ROOT);
	frame(BARE_USER_ROOT);
}

static void begin(u8 first)
{
	nr = 0;
	byte(first);
}

#endif
