// SPDX-License-Identifier: Apache-2.0
/*
 * A PVH guest whose first instructions print one byte on the serial port and stop: what is timed
 * when VMMs are compared up to the first guest instruction.
 */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* name size, description size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	movw $0x3f8, %dx
	movb $'x', %al
	outb %al, %dx
1:	hlt
	jmp 1b
