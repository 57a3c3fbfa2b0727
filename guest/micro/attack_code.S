/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of job=attack. Each function is called through xen_attempt() (xen_entry.S) with
 * rdi and rsi, and returns if nothing stops it.
 */
	.text
	.code64

	.macro	code name
	.global	code_\name
code_\name:
	.endm

	/* one instruction, or a few between semicolons */
	.macro	plain name, insn:vararg
	code	\name
	\insn
	ret
	.endm

	/* accesses */
	code	read
	movzbl	(%rdi), %eax
	mov	%rax, code_value
	ret
	plain	write, mov %sil, (%rdi)
	code	jump
	mov	%rsi, %rcx
	mov	$-1, %eax
	jmp	*%rdi
	code	read_word
	mov	(%rdi), %rax
	mov	%rax, code_value
	ret

	/* privileged ones */
	plain	cli, cli
	plain	sti, sti
	plain	hlt, hlt
	plain	lgdt, lgdt nothing
	plain	lidt, lidt nothing
	plain	lldt, lldt %di
	plain	ltr, ltr %di
	plain	lmsw, lmsw %di
	plain	clts, clts
	plain	invd, invd
	plain	wbinvd, wbinvd
	plain	invlpg, invlpg (%rdi)
	plain	swapgs, swapgs
	plain	sysretq, sysretq
	plain	sysexit, sysexitl
	plain	sysenter, sysenter
	plain	write_cr0, mov %rdi, %cr0
	plain	write_cr3, mov %rdi, %cr3
	plain	write_cr4, mov %rdi, %cr4
	plain	write_cr8, mov %rdi, %cr8
	plain	read_dr, mov %dr7, %rax
	plain	write_dr, mov %rdi, %dr7
	plain	rsm, rsm
	plain	ud2, ud2
	plain	int3, int3
	plain	icebp, .byte 0xf1
	plain	int_14, int $14
	plain	int_128, int $0x80
	plain	int_240, int $0xf0
	plain	monitor, monitor
	plain	mwait, mwait
	plain	rdpmc, rdpmc
	plain	sgdt, sgdt nothing

	code	rdmsr
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, code_value
	ret
	code	wrmsr
	mov	%edi, %ecx
	mov	%esi, %eax
	shr	$32, %rsi
	mov	%esi, %edx
	wrmsr
	ret
	code	xsetbv
	mov	%edi, %ecx
	mov	%esi, %eax
	xor	%edx, %edx
	xsetbv
	ret
	code	out
	mov	%edi, %edx
	mov	%esi, %eax
	out	%al, %dx
	ret
	code	outsb
	mov	%edi, %edx
	mov	$nothing, %esi
	outsb
	ret
	code	in
	mov	%edi, %edx
	in	%dx, %al
	mov	%rax, code_value
	ret

	/* selectors of CPL 0 */
	code	load_ss
	mov	%edi, %eax
	mov	%eax, %ss
	ret
	code	load_ds
	mov	%edi, %eax
	mov	%eax, %ds
	ret
	code	far_return
	push	%rdi
	push	$1f
	rex.W lret
1:	ret
	code	iretq
	mov	%rsp, %rax
	push	%rsi
	push	%rax
	pushf
	push	%rdi
	push	$1f
	iretq
1:	ret

	/* flags: rdi is set, what comes of it is left */
	code	popf
	push	%rdi
	popf
	pushf
	pop	%rax
	push	$2
	popf
	mov	%rax, code_value
	ret
	/* a misaligned access with AC set */
	code	align
	pushf
	orl	$0x40000, (%rsp)
	popf
	mov	nothing + 1, %rax
	push	$2
	popf
	ret

	/* the iret hypercall: rdi = a struct iret_context, whose rsp becomes ours */
	code	hyper_iret
	mov	%rsp, 56(%rdi)
	mov	%rdi, %rsp
	mov	$23, %eax
	syscall
	code	back
	pushf
	pop	%rax
	mov	%rax, code_value
	ret

	.data
	.balign	16
	.global	code_value
nothing:
	.quad	0, 0, 0
code_value:
	.quad	0

	.section .note.GNU-stack, "", @progbits
