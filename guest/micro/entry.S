/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the microguest that runs before and below its C code: the PVH entry, the way from
 * there to CPL 3, and the way back in when a CPU traps.
 *
 * Everything a CPU needs to get there is assembled here as constants: page tables, descriptor
 * tables, task state. Some hosts emulate CPL 0 instruction by instruction, a thousand times slower
 * than CPL 3 runs, so nothing is computed at CPL 0 that the assembler can know. Descriptors hold
 * their addresses in scattered pieces, which no relocation can express; hence the fixed addresses
 * below, which link.ld follows and checks.
 *
 *	0x100000  the beat block (guest/abi.h)
 *	0x101000  tss: one of 128 bytes for each CPU
 *	0x102000  vectors: 32 stubs of 16 bytes
 *	then      the rest, wherever the linker puts it
 *
 * All CPUs come through enter_long and take a number there: 0 for the one that booted, then each in
 * the order of arrival. CPU n uses task state n and the stacks number n.
 *
 * As a Xen PV guest the microguest begins in xen_entry.S, and uses none of this but the user stacks
 * and the two symbols for data.
 */
#include "guest/micro/regs.inc"

	.set	TSS_AT, 0x101000
	.set	VECTORS_AT, 0x102000
	.global	TSS_AT, VECTORS_AT

	.set	MAX_CPUS, 16
	.set	KERNEL_STACK, 4096	/* bytes of stack for each CPU */
	.set	USER_STACK, 8192
	.global	USER_STACK, user_stacks

	.set	PRESENT, 1
	.set	WRITE, 2
	.set	USER, 4
	.set	UNCACHED, 0x18		/* PWT and PCD */
	.set	LARGE, 0x80
	.set	LAPIC, 0xfee00000

	.set	KERNEL_CODE, 0x08
	.set	KERNEL_DATA, 0x10
	.set	KERNEL_CODE32, 0x18
	.set	USER_DATA, 0x20 | 3
	.set	USER_CODE, 0x28 | 3
	.set	TASK, 0x30

	/* Vectors that push an error code: 8, 10 to 14, 17, 21, 29, 30 (AMD APM 2, 8.2). */
	.set	WITH_ERROR_CODE, 0x60227d00

	.set	RFLAGS_USER, 2		/* interrupts off, I/O privilege level 0 */

/* Xen's ELF note 18 (XEN_ELFNOTE_PHYS32_ENTRY): where a PVH loader enters, in physical memory. */
	.section .note.pvh, "a", @note
	.align	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	pvh_entry

	.section .entry.text, "ax"
	.code32

/* PVH: 32-bit protected mode, flat segments, no paging, ebx = start_info, interrupts off. */
	.global	pvh_entry
pvh_entry:
	rdtsc
	mov	%eax, entry_tsc
	mov	%edx, entry_tsc + 4
	lgdt	gdt_pointer
	mov	%ebx, %esi
	jmp	enter_long

/* A started CPU arrives here from its trampoline, in flat 32-bit protected mode. */
trampoline_exit:
	xor	%esi, %esi

/* esi = start_info on the first CPU, 0 on the others. */
enter_long:
	mov	$USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$0x100, %eax		/* LME */
	wrmsr
	mov	$0x80000033, %eax	/* PG NE ET MP PE; caches on */
	mov	%eax, %cr0
	ljmp	$KERNEL_CODE, $long_entry

	.code64
long_entry:
	mov	$1, %edi
	lock xadd %edi, cpu_count
	cmp	$MAX_CPUS, %edi
	jae	park
	lidt	idt_pointer
	mov	%edi, %eax
	shl	$4, %eax
	add	$TASK, %eax
	ltr	%ax
	mov	%edi, %eax
	shl	$7, %eax
	mov	TSS_AT + 4(%rax), %rsp	/* rsp0 of that task state */
	mov	%edi, %eax
	inc	%eax
	imul	$USER_STACK, %eax, %eax
	add	$user_stacks - 8, %rax	/* as after a call: return address 0 */
	pushq	$USER_DATA
	push	%rax
	pushq	$RFLAGS_USER
	pushq	$USER_CODE
	pushq	$micro_start		/* (edi = CPU number, esi = start_info) */
	iretq
park:
	cli
	hlt
	jmp	park

/*
 * Exceptions, all of which enter at CPL 0 on the CPU's kernel stack. Those without an error code
 * push a zero in its place, so that struct frame (kernel.h) fits every one.
 */
	.section .vectors, "ax"
	.global	vectors
vectors:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	!(WITH_ERROR_CODE >> vector & 1)
	push	$0
	.endif
	push	$vector
	jmp	trap
	.set	vector, vector + 1
	.endr

	.section .entry.text, "ax"
trap:
	push_registers
	mov	%rsp, %rdi
	call	kernel_trap
	pop_registers
	add	$16, %rsp
	iretq

/*
 * uint64_t probe_read(const void *address): read there, and return 0, or the faulting address if
 * that raised a page fault. kernel_trap() knows the two labels.
 */
	.global	probe_read, probe_load, probe_return
probe_read:
	xor	%eax, %eax
probe_load:
	mov	(%rdi), %rdx
probe_return:
	ret

/*
 * What a CPU runs in real mode after its start-up interrupt: copied below 1 MiB, runs at any
 * segment.
 */
	.section .rodata, "a"
	.code16
	.global	trampoline, trampoline_end
trampoline:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt - trampoline
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$KERNEL_CODE32, $trampoline_exit
trampoline_gdt:
	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_end:
	.code64

/*
 * One task state for each CPU: only the stack for CPL 0 matters, and that there is no I/O bitmap.
 */
	.section .tss, "aw"
	.global	tss
tss:
	.set	cpu, 0
	.rept	MAX_CPUS
	.long	0
	.quad	kernel_stacks + (cpu + 1) * KERNEL_STACK
	.skip	90
	.word	104
	.skip	24
	.set	cpu, cpu + 1
	.endr

	.data
	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* KERNEL_CODE: 64-bit */
	.quad	0x00cf93000000ffff	/* KERNEL_DATA */
	.quad	0x00cf9b000000ffff	/* KERNEL_CODE32 */
	.quad	0x00cff3000000ffff	/* USER_DATA */
	.quad	0x00affb000000ffff	/* USER_CODE: 64-bit */
	.set	at, TSS_AT
	.rept	MAX_CPUS
	.quad	0x0000890000000067 | (at & 0xffffff) << 16 | (at >> 24) << 56
	.quad	0
	.set	at, at + 128
	.endr
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.balign	16
idt:
	.set	at, VECTORS_AT
	.rept	32
	.word	at & 0xffff, KERNEL_CODE, 0x8e00, at >> 16
	.quad	0
	.set	at, at + 16
	.endr
idt_end:
idt_pointer:
	.word	idt_end - idt - 1
	.quad	idt

	.global	cpu_count, entry_tsc
cpu_count:
	.long	0
	.balign	8
entry_tsc:
	.quad	0

/*
 * Page tables: the first 4 GiB one to one, all open to CPL 3, in pages of 2 MiB. The first 2 MiB
 * are mapped in small pages instead, so that page 0 alone can be read-only: a write through a null
 * pointer faults, but loaders may put start_info there. memory.c hangs what it builds into the free
 * slots of pml4.
 */
	.balign	4096
	.global	pml4
pml4:
	.quad	pdpt + (PRESENT | WRITE | USER)
	.skip	4096 - 8
pdpt:
	.set	i, 0
	.rept	4
	.quad	pd + i * 4096 + (PRESENT | WRITE | USER)
	.set	i, i + 1
	.endr
	.skip	4096 - 4 * 8
pd:
	.quad	pt + (PRESENT | WRITE | USER)
	.set	at, 0x200000
	.rept	2047
	.ifeq	at - (LAPIC & ~0x1fffff)
	.quad	at | PRESENT | WRITE | USER | LARGE | UNCACHED
	.else
	.quad	at | PRESENT | WRITE | USER | LARGE
	.endif
	.set	at, at + 0x200000
	.endr
pt:
	.quad	PRESENT | USER
	.set	at, 0x1000
	.rept	511
	.quad	at | PRESENT | WRITE | USER
	.set	at, at + 0x1000
	.endr

	.bss
	.balign	16
kernel_stacks:
	.skip	MAX_CPUS * KERNEL_STACK
user_stacks:
	.skip	MAX_CPUS * USER_STACK

	.section .note.GNU-stack, "", @progbits
