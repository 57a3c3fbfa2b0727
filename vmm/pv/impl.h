// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of the Xen PV guest (vmm/pv/pv.h): the structures that its files share. What a file
 * does for the others is in its own header.
 *
 * Locks: pv.lock covers everything in struct pv and in every struct pv_cpu, but for what is said to
 * have another, and while no vCPU has a thread.
 */
#ifndef QUIRE_VMM_PV_IMPL_H
#define QUIRE_VMM_PV_IMPL_H

#include <pthread.h>
#include <time.h>

#include "mm/shadow/shadow.h"
#include "mm/x86/regs.h"
#include "vmm/pv/monitor.h"
#include "vmm/pv/pv.h"
#include "vmm/boot/xen.h"

#define PV_CANONICAL(linear) linear_is_canonical(linear, 48)

/* Of a page-table entry: where it leads; no bit of that is reserved. */
#define PV_MAXPHYADDR	 52
#define PV_ENTRY_ADDRESS ((u64)0x000ffffffffff000)

#define PV_POLL_ANY UINT32_MAX

#define PV_MAX_GDT	16
#define PV_NR_PORTS	1024
#define PV_NR_CALLBACKS 8
#define PV_INPUT_SIZE	64

/* CR0 as the guest sees it, but for TS; and the bits of CR4 that it may set. */
#define PV_CR0	       (CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)
#define PV_CR4_ALLOWED (CR4_OSXSAVE | CR4_OSXMMEXCPT | CR4_OSFXSR | CR4_PGE | CR4_PAE | CR4_PSE)

/* CR4, but for OSXSAVE, and EFER as they are from the first instruction on. */
#define PV_CR4	(CR4_OSXMMEXCPT | CR4_OSFXSR | CR4_PAE)
#define PV_EFER (EFER_NXE | EFER_LMA | EFER_LME | EFER_SCE)

/* Selectors that the guest believes its kernel to have (FLAT_RING3_...), and those of processes. */
#define PV_KERNEL_CS 0xe033
#define PV_KERNEL_SS 0xe02b

struct pv_trap_entry {
	u64 address;
	u16 cs;
	bool masks_events;
};

struct pv_callback {
	u64 address;
	bool masks_events;
};

/* The state of one processor. While its trap is handled, `regs` are the guest's. */
struct pv_cpu {
	u32 id;
	struct vcpu *vcpu;
	bool initialised, up;
	bool user;    /* it runs a process: SHADOW_USER, user GS base */
	bool outside; /* the state is here, not in KVM's vCPU */
	bool blocked; /* until an event comes */
	struct kvm_regs regs;
	u64 cr2, gs_now; /* as of the last trap */
	u16 cs, ss;	 /* as the guest knows them */
	u64 kernel_sp;
	u64 fs_base, gs_kernel, gs_user;
	u64 roots[SHADOW_NR_VIEWS]; /* frames of tables of level 4 */
	u64 cr0, cr4, xcr0, pkru;
	u64 dr[8];
	struct pv_trap_entry traps[256];
	struct pv_callback callbacks[PV_NR_CALLBACKS];
	u32 gdt_entries;
	u64 gdt_frames[PV_MAX_GDT];
	u64 vcpu_info; /* guest-physical address */
	u8 iopl;       /* 3: processes may use any port */
	u64 io_bitmap; /* else those with a clear bit there, in the kernel's memory */
	u32 io_ports;
	struct vcpu_runstate_info runstate;
	u64 time_copy;	 /* guest-physical address, 0: none */
	u64 runstate_at; /* linear address of the guest's copy, 0: none */
	u64 timer;	 /* system time in ns at which it fires; 0: off */
	u32 poll_port;	 /* SCHEDOP_poll: until something is pending there; 0: it does not poll */
	u64 poll_until;
	u64 operations; /* that its hypercall may still have */
	/* what the way back has to do */
	bool load_cr3, load_cr0, load_fs, load_gs;
	u64 cr3[SHADOW_NR_VIEWS];
	u64 flushed;		 /* shadow generation */
	u64 armed;		 /* the timer that the host has been told of */
	bool lost_time;		 /* it was elsewhere: its time has to be told anew */
	u64 told_tsc, told_time; /* what it computes its time from */
	u16 ds, es, fs, gs;	 /* selectors to load, as set_segments() wants them */
	/* Touches of its way out, which may not have been made before it traps again (enter.c). */
	struct shadow_touch touches[MONITOR_MAX_TOUCHES];
	u32 nr_touches;
	u64 ways_out;		   /* so far */
	u64 repeated[VM_MAX_CPUS]; /* of others: the way out whose touches were in ours, too */
};

enum pv_port_kind { PV_PORT_FREE, PV_PORT_UNBOUND, PV_PORT_CONSOLE, PV_PORT_VIRQ, PV_PORT_IPI };

struct pv_port {
	u8 kind; /* enum pv_port_kind */
	u8 cpu;
	u16 virq;
};

struct pv {
	struct vm *vm;
	pthread_mutex_t lock;
	struct monitor monitor;
	struct shadow *shadow;
	bool touches;	 /* KVM does paging in software */
	u64 nr_frames;	 /* one more than the highest guest frame */
	u64 nr_pages;	 /* the guest's own count */
	u64 shared_info; /* guest-physical address */
	u64 console;	 /* likewise, of the ring */
	bool console_used;
	/* For the ring, which only vCPUs touch: others must not wait for the guest's pages. */
	pthread_mutex_t input_lock; /* the last one that is taken */
	u8 input[PV_INPUT_SIZE];
	atomic_uint nr_input;
	struct pv_port ports[PV_NR_PORTS];
	s64 clock_offset;	 /* system time = CLOCK_MONOTONIC + this */
	u64 tsc_khz, tsc_offset; /* of the guest's counter against the host's */
	bool lost_time;		 /* the wall clock has to be told anew */
	struct pv_cpu cpus[VM_MAX_CPUS];
	struct pv_stats stats;
	u64 next_check; /* when pv_check_in_time() is next to look */
	bool enosys_told[PV_NR_HYPERCALLS];
};

#endif
