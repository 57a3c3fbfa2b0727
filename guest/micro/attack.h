// SPDX-License-Identifier: Apache-2.0
/*
 * job=attack: what is not the guest's. As a Xen PV guest all of it runs at CPL 3, on tables that it
 * writes itself, and its hypervisor is in its address space and carries out its calls. So it tries:
 *
 *	attack_try.c	one attempt, counted and told
 *	attack.c	the hypervisor's memory; instructions that CPL 0 alone may execute;
 *			returns and flags that lead to CPL 0; hypercalls with arguments that no
 *			kernel would give
 *	attack_tables.c	page tables that lead to what it does not own, to themselves and to
 *			each other, or have bits that must not be set
 *
 * For each attempt it is known which exceptions may end it. One that ends otherwise is told, and
 * counted as wrong; that the guest can go on to the next is part of the test.
 */
#ifndef QUIRE_GUEST_MICRO_ATTACK_H
#define QUIRE_GUEST_MICRO_ATTACK_H

#include <stdbool.h>

#include "guest/micro/memory.h"
#include "guest/micro/xen.h"
#include "guest/micro/xen_attempt.h"
#include "guest/work/platform.h"

struct attack {
	const struct work_platform *platform;
	struct memory *memory;
	uint64_t end;	  /* of memory, the shared page included */
	uint64_t machine; /* where the hypervisor has memory of its own (vmm/pv/pv.c) */
	uint64_t attempts, faults, wrong;
};

/* What may come of an attempt: any of these exceptions, none at all. */
#define EXCEPTION(vector) ((uint64_t)1 << (vector))
#define NONE		  EXCEPTION(63)

enum { VECTOR_GP = 13, VECTOR_PF = 14 };
enum { ERROR_PRESENT = 1, ERROR_WRITE = 2, ERROR_RESERVED = 8, ERROR_FETCH = 16 };

enum guest_exit attack_run(const struct work_platform *platform, struct memory *memory);

/* Returns whether it ended as @allowed says; if not, @what and @at are told. */
bool attack_try(struct attack *attack, const char *what, uint64_t at, const struct xen_attempt *how,
		uint64_t allowed);

/* @code at @at must end in a page fault, whose error code has @error's bits. */
void attack_must_fault(struct attack *attack, const char *what, uint64_t at,
		       void (*code)(uint64_t, uint64_t), uint64_t error);

/* The three kinds of access, each of which must fault; the error code has @error's bits. */
void attack_no_access(struct attack *attack, const char *what, uint64_t at, uint64_t error);

/* A read that must do, and its value. */
uint64_t attack_read(struct attack *attack, const char *what, uint64_t at);

/* Anything else that has to be true. */
void attack_check(struct attack *attack, const char *what, uint64_t at, bool is_so);

void attack_tables(struct attack *attack);

/* attack_code.S: of one byte each; code_value is what was read, or was left in a register. */
void code_read(uint64_t at, uint64_t unused);
void code_write(uint64_t at, uint64_t byte);
void code_jump(uint64_t at, uint64_t rcx);
extern uint64_t code_value;

#endif
