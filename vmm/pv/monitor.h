// SPDX-License-Identifier: Apache-2.0
/*
 * The monitor: the little that lives at CPL 0 in a guest whose kernel runs at CPL 3.
 *
 * It is not a program. What goes in is one instruction for each vector, what comes out is a
 * straight line that the VMM assembles for each return, for on some hosts code at CPL 0 is
 * emulated at a third of a microsecond an instruction:
 *
 *   CPL 3   exception, interrupt, or syscall by way of ud2
 *     |     the processor: IDT, stack of the interrupt stack table
 *   CPL 0   vectors + 8 * v:  out %al, $MONITOR_PORT      -> exit to the VMM, which reads registers
 *     |                                                     and the frame on the stack, and decides
 *   CPL 0   way out, of this processor:                   <- entered with the guest's registers
 *     |       [load CR3] [set FS base, GS base, CR0] [write again to changed table entries]
 *     |       [rax, rcx, rdx as the guest has them]
 *     |       iretq
 *   CPL 3   goes on
 *
 * It lives in memory of the VMM's own, which KVM has as a slot above the guest's memory and the
 * guest has no frame for. All of it is mapped, for CPL 0 alone, in one slot of every table of
 * level 4:
 *
 *   MONITOR_AT +0x0000  vectors
 *              +0x1000  syscall entry: ud2, the one page that is open to CPL 3. Some hosts enter
 *                       it at CPL 3, so that only a fault leads on; others at CPL 0, where that
 *                       does no harm.
 *              +0x2000  GDT
 *              +0x3000  IDT
 *              +0x4000  page tables of the monitor itself and of the table of frames
 *                then   for each processor: a page with its task state, its way out and its stack
 *                then   the arena of the shadow tables (mm/shadow/shadow.h)
 *
 * The table of frames (machine-to-physical, as Xen calls it) is at MONITOR_M2P, readable at CPL 3.
 *
 * Sources: Intel SDM volume 3, 6.14 (64-bit interrupts), 7.7 (TSS), volume 2 for the instructions.
 */
#ifndef QUIRE_VMM_PV_MONITOR_H
#define QUIRE_VMM_PV_MONITOR_H

#include "mm/base/err.h"
#include "mm/shadow/shadow.h"
#include "mm/space/space.h"

/* Slots 256 to 271 of level 4 are the hypervisor's by the ABI; the first is PVM's on its hosts. */
#define MONITOR_FIRST_SLOT 256
#define MONITOR_NR_SLOTS   16
#define MONITOR_M2P	   0xffff808000000000u /* slot 257 */
#define MONITOR_AT	   0xffff878000000000u /* slot 271 */

#define MONITOR_PORT 0xe9

/* Selectors of the GDT, where Linux has the same ones (and PVM has nothing else). */
#define MONITOR_CODE   0x10
#define MONITOR_DATA   0x18
#define MONITOR_CODE32 0x23 /* of the guest, in compatibility mode */
#define MONITOR_USER   0x2b
#define MONITOR_CODE64 0x33
#define MONITOR_TASK   0x40 /* of processor n: + 16 * n */

/* How the guest is made to trap when something waits for it. */
#define MONITOR_INTERRUPT 0xf0

/* What the processor pushes, below the error code if the vector has one. */
struct monitor_frame {
	u64 rip;
	u64 cs;
	u64 rflags;
	u64 rsp;
	u64 ss;
};

struct monitor {
	u8 *memory; /* of all that is described above */
	u64 size;
	u64 machine; /* where KVM has it */
	u32 nr_cpus;
	u64 cpus;  /* offset of the processors' pages */
	u64 arena; /* offset of the arena */
	u32 arena_pages;
	u64 m2p_size;
	u64 fixed[MONITOR_NR_SLOTS]; /* entries of level 4, for every root */
};

/*
 * Make the memory for a guest with @frames frames and @nr_cpus processors, at machine address
 * @machine, with @arena_pages pages of arena. -ENOMEM.
 */
int monitor_create(struct monitor *m, u64 machine, u64 frames, u32 nr_cpus, u32 arena_pages);
void monitor_destroy(struct monitor *m);

/* In the table of frames, machine frame @frame is the guest's @pfn. */
void monitor_set_frame(struct monitor *m, u64 frame, u64 pfn);

/* Linear addresses of things. */
u64 monitor_gdt(void);
u64 monitor_idt(void);
u64 monitor_task(const struct monitor *m, u32 cpu);
u64 monitor_syscall_entry(void);

/*
 * Which vector the monitor is at, from its address: of the out instruction or of the next one, as
 * KVM counts an instruction as done before the exit or after it. -1: none.
 */
int monitor_vector(u64 rip);
bool monitor_has_error_code(int vector);

/* Whether @rip is the monitor's. */
bool monitor_is_at(u64 rip);

/* Where the frame of processor @cpu is, once the monitor has been entered by a vector. */
struct monitor_frame *monitor_get_frame(struct monitor *m, u32 cpu);
u64 monitor_error_code(struct monitor *m, u32 cpu); /* if the vector has one */

/* A way out being assembled. */
struct monitor_exit {
	struct monitor *m;
	u32 cpu;
	u32 len;
	u32 instructions;
	bool uses_registers;
};

/* As many touches as one way out has room for. */
#define MONITOR_MAX_TOUCHES SHADOW_MAX_TOUCHES

void monitor_begin(struct monitor_exit *x, struct monitor *m, u32 cpu);
void monitor_load_cr3(struct monitor_exit *x, u64 cr3);
void monitor_load_cr0(struct monitor_exit *x, u64 cr0);
void monitor_write_msr(struct monitor_exit *x, u32 msr, u64 value);
void monitor_touch(struct monitor_exit *x, const struct shadow_touch *touch);

/* Finish it, but come back to the VMM before the guest goes on: there is more than has room. */
u64 monitor_pause(struct monitor_exit *x, u64 *rsp);

/*
 * Finish it: the guest goes on as @frame says, with these registers. Returns the address that rip
 * has to have, and the one for rsp in *@rsp.
 */
u64 monitor_finish(struct monitor_exit *x, const struct monitor_frame *frame, u64 rax, u64 rcx,
		   u64 rdx, u64 *rsp);

#endif
