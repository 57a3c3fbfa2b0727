// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's kernel as its CPL 3 code sees it: a few calls for what only CPL 0 may do. A call is a
 * hlt at CPL 3, which is not allowed there and so enters the kernel by a general-protection fault:
 * the one way in that works on every host, also where syscall and int are not what they are on
 * hardware. Ports are among the calls: not every host honours an I/O privilege level or lets CPL 3
 * use string output.
 *
 * As a Xen PV guest (xen.h) the guest has no CPL 0 of its own, and a call is a function's.
 *
 * Exceptions that nobody expects end the guest with GUEST_EXIT_EXCEPTION and a line that says
 * where.
 */
#ifndef QUIRE_GUEST_MICRO_KERNEL_H
#define QUIRE_GUEST_MICRO_KERNEL_H

#include <stdint.h>

extern uint64_t xen_info; /* xen_entry.S: not 0 in a Xen PV guest, which has no CPL 0 */

/* Call number in rax, arguments in rdi and rsi, result (if any) in rax. */
enum kernel_call {
	KERNEL_HALT,   /* stop this CPU for good */
	KERNEL_EXIT,   /* (enum guest_exit) tell the VMM that this is the end, then halt */
	KERNEL_PRINT,  /* (text, length) write to the serial port; callers take turns */
	KERNEL_OUT,    /* (port, byte) */
	KERNEL_IN,     /* (port) returns the byte */
	KERNEL_INVLPG, /* (address) forget one translation */
	KERNEL_FLUSH,  /* reload cr3: forget all translations */
	KERNEL_CPUID,  /* (struct cpuid *) as the hypervisor wants it seen */
	KERNEL_WRMSR,  /* (register, value) */
};

/* .eax is the leaf before the call; all four are the answer after it. */
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/* What entry.S leaves on the kernel stack, lowest address first. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error;
	uint64_t rip, cs, rflags, rsp, ss; /* by the CPU */
};

uint64_t xen_kernel_call(enum kernel_call number, uint64_t first, uint64_t second);

static inline uint64_t kernel_call(enum kernel_call number, uint64_t first, uint64_t second)
{
	uint64_t rax = number;

	if (xen_info)
		return xen_kernel_call(number, first, second);
	__asm__ volatile("hlt" : "+a"(rax) : "D"(first), "S"(second) : "memory");
	return rax;
}

/* Called by entry.S for every exception, on the kernel stack. */
void kernel_trap(struct frame *frame);

/* entry.S: read at @address. Returns 0, or the faulting address if that raised a page fault. */
uint64_t probe_read(const void *address);

#endif
