// SPDX-License-Identifier: Apache-2.0
/* The input of fuzz_pv, as it and make_pv_corpus write it: what its bytes are. */
#ifndef QUIRE_TESTS_FUZZ_PV_INPUT_H
#define QUIRE_TESTS_FUZZ_PV_INPUT_H

/* A step's first byte; its operands are in fuzz_pv.c. */
enum {
	STEP_CPU,
	STEP_CALL,
	STEP_ARGS,
	STEP_ACCESS,
	STEP_UPDATE,
	STEP_VA_MAPPING,
	STEP_EXTENDED,
	STEP_MULTICALL,
	STEP_TRAP,
	STEP_INSTRUCTION,
	STEP_REGISTER,
	STEP_SYSCALL,
	STEP_IRET,
	STEP_CONSOLE,
	STEP_CONTEXT,
	NR_STEPS,
};

/* The upper three bits of a value's first byte. In the lower five: */
enum {
	VALUE_SMALL,   /* the value */
	VALUE_FRAME,   /* which frame */
	VALUE_KERNEL,  /* page of the kernel's from BARE_ARGS on; then a byte: which word */
	VALUE_ADDRESS, /* which of the addresses */
	VALUE_ENTRY,   /* which frame; then a byte of flags */
	VALUE_16,      /* nothing; then so many bits */
	VALUE_64,
	VALUE_PLACE, /* which frame; then a byte: which word */
};

/* Flags of an entry. */
enum {
	FLAG_P = 1,
	FLAG_W = 2,
	FLAG_U = 4,
	FLAG_A = 8,
	FLAG_D = 16,
	FLAG_LARGE = 32,
	FLAG_GLOBAL = 64,
	FLAG_NX = 128,
};

#endif
