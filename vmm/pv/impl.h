// SPDX-License-Identifier: Apache-2.0
/* The inside of the Xen PV guest (vmm/pv/pv.h): what its files share. For vmm/pv/ and tests. */
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
	/* Touches of its way out, which may not have been made before it traps again; see pv.c. */
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

/* memory.c: guest memory by guest-physical and by kernel-linear address. 0 or -errno. */
int pv_read_phys(struct pv *pv, u64 at, void *data, u64 len);
int pv_write_phys(struct pv *pv, u64 at, const void *data, u64 len);
/* Aligned 8 bytes: of a table, whose shadows are the caller's to see to, as mem_cmpxchg(); and of
   anything else. */
int pv_cmpxchg_phys(struct pv *pv, u64 at, u64 *expected, u64 value);
int pv_change_phys(struct pv *pv, u64 at, u64 clear, u64 set, u64 *old);
int pv_read(struct pv_cpu *cpu, u64 linear, void *data, u64 len);
int pv_write(struct pv_cpu *cpu, u64 linear, const void *data, u64 len);
/* Where [linear, linear + len), all in one page, is to be written: -EFAULT if it cannot. */
int pv_find_phys(struct pv_cpu *cpu, u64 linear, u64 len, u64 *at);
/* The place of the level 1 entry for @linear: -EFAULT if there is no table of level 1. */
int pv_find_pte(struct pv_cpu *cpu, u64 linear, u64 *at);
void pv_shadow_guest(struct pv *pv, struct shadow_guest *guest);
bool pv_is_frame(const struct pv *pv, u64 frame);

/* pv.c: what pv_create() does but for KVM's part, with @pages pages of arena; what vm->pv and its
   processors begin with, likewise, from vm->entry and vm->vcpus */
int pv_make(struct vm *vm, u32 pages, struct err *err);
void pv_init(struct vm *vm);
/* What KVM's vCPU is, once and for all, with the roots and selectors of @cpu. 0 or -errno. */
int pv_set_up_vcpu(struct pv_cpu *cpu);
bool pv_has_xsave(const struct vcpu *vcpu);
/* Have a processor look at what has changed; make all others drop what they know of tables */
void pv_kick(struct pv_cpu *cpu);
void pv_flush_others(struct pv_cpu *cpu);

/* trap.c */
void pv_trap(struct pv_cpu *cpu, int vector, u64 error);
void pv_deliver(struct pv_cpu *cpu, int vector, u64 error);
void pv_deliver_events(struct pv_cpu *cpu);
void pv_check_rip(struct pv_cpu *cpu);
void pv_enter_callback(struct pv_cpu *cpu, unsigned int type);
int pv_iret(struct pv_cpu *cpu);
/* Before each way out: the guest may be going to where no processor can. */
void pv_check_return(struct pv_cpu *cpu);
void pv_switch_to(struct pv_cpu *cpu, bool user);
void pv_guest_dies(struct pv_cpu *cpu, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* hypercall.c */
void pv_hypercall(struct pv_cpu *cpu);
long pv_call(struct pv_cpu *cpu, u64 nr, const u64 args[5]);
/* It is about to do @n more things in one hypercall. False: that is too much. */
bool pv_take_operations(struct pv_cpu *cpu, u64 n);

typedef long (*pv_hypercall_fn)(struct pv_cpu *cpu, const u64 args[5]);
/* mmu.c */
long pv_mmu_update(struct pv_cpu *cpu, const u64 args[5]);
long pv_mmuext_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_update_va_mapping(struct pv_cpu *cpu, const u64 args[5]);
void pv_set_roots(struct pv_cpu *cpu);
/* cpu.c */
long pv_set_trap_table(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_gdt(struct pv_cpu *cpu, const u64 args[5]);
long pv_stack_switch(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_callbacks(struct pv_cpu *cpu, const u64 args[5]);
long pv_callback_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_fpu_taskswitch(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_debugreg(struct pv_cpu *cpu, const u64 args[5]);
long pv_get_debugreg(struct pv_cpu *cpu, const u64 args[5]);
long pv_update_descriptor(struct pv_cpu *cpu, const u64 args[5]);
long pv_set_segment_base(struct pv_cpu *cpu, const u64 args[5]);
long pv_vcpu_op(struct pv_cpu *cpu, const u64 args[5]);
/* event.c */
long pv_event_channel_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_sched_op(struct pv_cpu *cpu, const u64 args[5]);
void pv_send_event(struct pv *pv, u32 port);
void pv_send_virq(struct pv_cpu *cpu, u32 virq);
bool pv_event_pending(struct pv_cpu *cpu); /* and not masked */
void pv_set_mask(struct pv_cpu *cpu, bool mask);
bool pv_get_mask(struct pv_cpu *cpu);
/* time.c */
long pv_set_timer_op(struct pv_cpu *cpu, const u64 args[5]);
u64 pv_system_time(const struct pv *pv);
void pv_measure_tsc(struct pv *pv);	/* while no vCPU runs */
u64 pv_time_there(const struct pv *pv); /* the same, as the guest itself computes it */
void pv_update_time(struct pv_cpu *cpu);
void pv_set_wallclock(struct pv *pv);
void pv_find_time(struct pv_cpu *cpu); /* if it has lost it */
void pv_check_timer(struct pv_cpu *cpu);
long pv_timer_op(struct pv_cpu *cpu, u32 op, u64 at);
long pv_runstate_op(struct pv_cpu *cpu, struct pv_cpu *to, u32 op, u64 at);
/* console.c */
long pv_console_io(struct pv_cpu *cpu, const u64 args[5]);
void pv_console_notified(struct pv *pv);
void pv_console_take_input(struct pv *pv); /* on a vCPU's thread */
/* info.c */
long pv_xen_version(struct pv_cpu *cpu, const u64 args[5]);
long pv_memory_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_physdev_op(struct pv_cpu *cpu, const u64 args[5]);
long pv_vm_assist(struct pv_cpu *cpu, const u64 args[5]);
/* stats.c: after a trap, if a check is due; the guest ends if it fails */
void pv_check_in_time(struct pv_cpu *cpu);
/* emulate.c: a privileged instruction at CPL 3: whether it was one, and has been carried out. */
bool pv_emulate_privileged(struct pv_cpu *cpu);
bool pv_emulate_cpuid(struct pv_cpu *cpu); /* after the prefix that forces it */

#endif
