// SPDX-License-Identifier: Apache-2.0
/*
 * A Xen PV guest without KVM, for tests and fuzzers: all of the VMM's part (vmm/pv/pv.h) is there,
 * and processors that do what those of a host would. They run the monitor's ways out, instruction
 * by instruction; then they walk the tables that CR3 leads to, and come back by a vector of the
 * monitor, with its frame and the registers. What the guest's code does is up to the caller.
 *
 * Tables are read through a KVM that has a copy of every entry it once saw present, and looks again
 * only where it is told to, or where the copy forbids what is tried (if the guest has touches).
 *
 * Whatever the VMM does not promise to a guest's processor ends the program: bare_fail().
 */
#ifndef QUIRE_TESTS_VMM_PV_BARE_PV_H
#define QUIRE_TESTS_VMM_PV_BARE_PV_H

#include "vmm/pv/impl.h"

#define BARE_CPUS   2u
#define BARE_SIZE   (16 * MiB)
#define BARE_FRAMES (BARE_SIZE / PAGE_SIZE)

/* The first 2 MiB are mapped here; of them these frames are in use, and tables read-only. */
#define BARE_KERNEL 0xffffffff80000000u
enum {
	BARE_ARGS = 0x10, /* 4 pages, to put the arguments of calls in */
	BARE_CONTEXT = 0x14,
	BARE_STACK = 0x18, /* two pages; it begins at the end of the second */
	BARE_CODE = 0x1c,
	BARE_CONSOLE = 0x1e,
	BARE_ROOT = 0x20, /* and tables up to, without */
	BARE_USER_ROOT = 0x27,
	BARE_SPARE = 0x28, /* zeros */
	BARE_PROCESS = 0x100,
	BARE_SHARED = BARE_FRAMES - 1, /* mapped as the last page */
};
#define BARE_AT(frame) (BARE_KERNEL + (u64)(frame)*PAGE_SIZE)
#define BARE_HANDLER   BARE_AT(BARE_CODE + 1) /* of all traps and callbacks */

/* A process's pages are here, 16 of them. */
#define BARE_USER 0x400000u

/* What a processor has while it runs the guest's code. */
struct bare_cpu {
	struct vcpu vcpu;
	struct kvm_run run;
	struct kvm_regs regs;
	u64 cr3, fs_base, gs_base;
	u16 cs;
	bool on_way; /* it has yet to run its way out */
};

struct bare {
	struct vm vm;
	struct vm_host host;
	struct bare_cpu cpus[BARE_CPUS];
	u64 (*kvm)[SHADOW_ENTRIES]; /* by page of the arena */
	u64 printed;
};

/* Processor 0 is up; the user view has a root. @pages of arena. */
struct bare *bare_new(u32 pages, bool touches);
void bare_free(struct bare *b);

bool bare_ended(struct bare *b);

/*
 * Bring a processor into the guest, with nothing that waits for it. False: it is not to run, or the
 * guest has ended. bare_start() leaves it before its way out, which it then runs at any later time.
 */
bool bare_enter(struct bare *b, u32 cpu);
bool bare_start(struct bare *b, u32 cpu);

/* It traps. */
void bare_trap(struct bare *b, u32 cpu, u32 vector, u64 error, u64 cr2);

/*
 * It reads, fetches or writes 8 bytes, aligned. False: it could not: the guest has had a fault of
 * its own, has ended, or the processor is not to run.
 */
bool bare_access(struct bare *b, u32 cpu, u64 linear, enum ptwalk_kind kind, u64 *value);

/* Its system call instruction, with these registers; then the same as a hypercall. */
void bare_syscall(struct bare *b, u32 cpu);
void bare_call(struct bare *b, u32 cpu, u64 nr, const u64 args[5]);

/* The shadow tables agree with the guest's, and lead to nothing but the guest's own memory. */
void bare_check(struct bare *b);

_Noreturn void bare_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
