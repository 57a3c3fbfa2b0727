// SPDX-License-Identifier: Apache-2.0
/*
 * A PVH guest that writes a word into each page of its memory below 4 GiB (from 2 MiB on, each page
 * another word) and then prints one byte after the other on the serial port, for ever. A guest that
 * is restored from a checkpoint of it prints at once: what is timed when a restore is compared with
 * a start (first.S) up to the first guest instruction.
 */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* name size, description size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:					/* ebx: struct hvm_start_info */
	movl 40(%ebx), %esi		/* its memory map, of entries of 24 bytes */
	movl 48(%ebx), %ecx
1:	cmpl $1, 16(%esi)		/* RAM */
	jne 2f
	cmpl $0, 4(%esi)		/* below 4 GiB */
	jne 2f
	movl (%esi), %edi
	movl 8(%esi), %edx
	addl %edi, %edx			/* its end */
	cmpl $0x200000, %edx
	ja 3f
2:	addl $24, %esi
	loop 1b
	jmp 5f
3:	movl $0x200000, %edi
4:	movl %edi, 64(%edi)
	addl $0x1000, %edi
	cmpl %edx, %edi
	jb 4b
5:	movw $0x3f8, %dx
	movb $'x', %al
6:	outb %al, %dx
	jmp 6b
