/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The microguest's beginning and its traps as a Xen PV guest: see xen.h. There is no CPL 0 here, so
 * a handler runs on the stack of what it interrupts. On that Xen puts, from low addresses up:
 *
 *	rcx, r11, [error code], rip, cs, rflags, rsp, ss
 *
 * which becomes the struct frame (kernel.h) that a trap has otherwise; and takes, by the iret
 * hypercall, a struct iret_context: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss.
 *
 * Source: Xen, public/xen.h, public/elfnote.h, public/arch-x86/xen-x86_64.h.
 */
#include <xen/elfnote.h>
#include "guest/micro/regs.inc"

	.set	HYPERVISOR_IRET, 23
	.set	WITH_ERROR_CODE, 0x60227d00	/* as in entry.S */

	.macro	note type, kind, value:vararg
	.align	4
	.long	4, 2f - 1f, \type
	.asciz	"Xen"
1:	\kind	\value
2:	.align	4
	.endm

	.section .note.xen, "a", @note
	note	XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
	note	XEN_ELFNOTE_GUEST_OS, .asciz, "quire"
	note	XEN_ELFNOTE_LOADER, .asciz, "generic"
	note	XEN_ELFNOTE_FEATURES, .asciz, "!pae_pgdir_above_4gb"
	note	XEN_ELFNOTE_VIRT_BASE, .quad, 0
	note	XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
	note	XEN_ELFNOTE_ENTRY, .quad, xen_entry

	.section .entry.text, "ax"
	.code64

/* Long mode, CPL 3, rsi = start_info. */
	.global	xen_entry, xen_cpu_entry
xen_entry:
	rdtsc
	mov	%eax, entry_tsc
	mov	%edx, entry_tsc + 4
	mov	%rsi, xen_info
	xor	%edi, %edi

/* edi = CPU number. */
xen_cpu_entry:
	cld
	mov	%edi, %eax
	inc	%eax
	imul	$USER_STACK, %eax, %eax
	lea	user_stacks - 8(%rax), %rsp	/* as after a call */
	xor	%ebp, %ebp
	jmp	micro_start

/* 16 bytes for each vector; and the last for events, which Xen calls back for. */
	.balign	16
	.global	xen_vectors
xen_vectors:
	.set	vector, 0
	.rept	33
	.balign	16
	pop	%rcx
	pop	%r11
	.if	vector == 32 || !(WITH_ERROR_CODE >> vector & 1)
	push	$0
	.endif
	push	$vector
	jmp	xen_trap_entry
	.set	vector, vector + 1
	.endr

/* Xen aligns the stack to 16 before it pushes; the frame below is of 22 words in all. */
xen_trap_entry:
	push_registers
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	xen_trap
	mov	%rbp, %rsp
	pop_registers
	add	$16, %rsp
	push	$0
	push	%rcx
	push	%r11
	push	%rax
	mov	$HYPERVISOR_IRET, %eax
	syscall
	ud2

/*
 * uint64_t xen_attempt(const struct xen_attempt *how): call a function that may raise an exception.
 * Returns its vector, or 256. xen_trap() knows what to do while xen_attempt_stack is not 0.
 */
	.global	xen_attempt, xen_attempt_stack, xen_attempt_failed
xen_attempt:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, xen_attempt_stack
	mov	(%rdi), %rax
	mov	16(%rdi), %rsi
	mov	8(%rdi), %rdi
	call	*%rax
	mov	$256, %eax
xen_attempt_failed:		/* rsp as saved, rax = vector */
	movq	$0, xen_attempt_stack
	cld
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.data
	.balign	8
	.global	xen_info
xen_info:
	.quad	0		/* linear address of start_info; 0: this is no Xen PV guest */
xen_attempt_stack:
	.quad	0

	.section .note.GNU-stack, "", @progbits
