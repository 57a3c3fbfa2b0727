// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest on shadow tables (vmm/pv/pv.h) is besides its memory, as it stands in a state
 * (vmm/state/state.h, docs/FORMATS.md). It is ours alone: nothing of it is KVM's, so any kind of
 * KVM can go on with it. The monitor and the shadow tables are no part of it, for they are made
 * anew.
 */
#ifndef QUIRE_VMM_PV_STATE_H
#define QUIRE_VMM_PV_STATE_H

#include <linux/kvm.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

struct vm;
struct pv_cpu;

#define PV_STATE_PORTS	   1024
#define PV_STATE_INPUT	   64
#define PV_STATE_CALLBACKS 8
#define PV_STATE_NO_FRAME  (~(u64)0)

/* Section "PVVM". Addresses are guest-physical where nothing else is said, times in ns. */
struct pv_state {
	u64 system_time;
	u64 console; /* its ring's page */
	u32 console_used;
	u32 nr_input; /* bytes that wait for room in the ring */
	u8 input[PV_STATE_INPUT];
	struct pv_state_port {
		u8 kind; /* 0 free, 1 unbound, 2 console, 3 virq, 4 ipi */
		u8 cpu;
		u16 virq;
	} ports[PV_STATE_PORTS];
};

enum pv_state_flag {
	PV_STATE_INITIALISED = 1 << 0,
	PV_STATE_UP = 1 << 1,
	PV_STATE_USER = 1 << 2, /* it runs a process */
	PV_STATE_BLOCKED = 1 << 3,
	PV_STATE_TS = 1 << 4, /* in CR0 */
	PV_STATE_FLAGS = (1 << 5) - 1,
};

struct pv_state_handler {
	u64 address;
	u16 cs;
	u16 masks_events; /* 0 or 1 */
	u32 zero;
};

/* Section "PVCP", for each processor. */
struct pv_state_cpu {
	struct kvm_regs regs; /* rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15, rip, rflags */
	u64 kernel_sp;
	u64 cr2, cr4, xcr0;
	u64 fs_base, gs_kernel, gs_user;
	u64 roots[2]; /* frames, of the kernel's table and of the processes'; all ones: none */
	u64 vcpu_info;
	u64 time_copy;	       /* 0: none */
	u64 runstate_at;       /* linear; 0: none */
	u64 io_bitmap;	       /* linear: of the ports that processes may use */
	u64 timer, poll_until; /* system time; 0: none */
	u64 runstate_entered, runstate_time[4];
	u64 dr[8];
	u64 gdt_frames[16];
	u32 flags; /* enum pv_state_flag */
	u32 runstate;
	u32 poll_port; /* all ones: any */
	u32 gdt_entries;
	u32 io_ports; /* that the bitmap is of */
	u32 iopl;
	u16 cs, ss; /* as the guest's kernel sees them */
	u16 ds, es, fs, gs;
	u32 zero;
	struct pv_state_handler callbacks[PV_STATE_CALLBACKS];
	struct pv_state_handler traps[256];
};

/* Section "PVTB", as many as it takes: frames that are tables (mm/shadow/shadow.h), u32 each. */
#define PV_STATE_TABLES_EACH 16384u
#define PV_STATE_TABLES_MAX  48u

/*
 * Whether they can be of a machine with @memory bytes and @nr_cpus processors: every number that
 * something is found by. -EBADMSG and a sentence.
 */
int pv_state_check(const struct pv_state *s, u64 memory, u32 nr_cpus, struct err *err);
int pv_state_check_cpu(const struct pv_state_cpu *s, u64 memory, u32 cpu, struct err *err);
int pv_state_check_tables(const u32 *frames, u32 n, u64 memory, struct err *err);

/*
 * Save and load, with the vCPUs parked or not started. To load: pv_load() first, then each
 * processor (which has its CPUID), then the tables. System time goes on @jump ns later. Guest
 * memory is not touched: it may not be here yet. -errno.
 */
void pv_save(struct vm *vm, struct pv_state *s);
int pv_save_cpu(struct vm *vm, u32 cpu, struct pv_state_cpu *s);
bool pv_next_table(struct vm *vm, u64 *frame); /* as shadow_next_table() */

void pv_load(struct vm *vm, const struct pv_state *s, u64 jump);
int pv_load_cpu(struct vm *vm, u32 cpu, const struct pv_state_cpu *s);
void pv_load_tables(struct vm *vm, const u32 *frames, u32 n);

#endif
