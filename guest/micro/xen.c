// SPDX-License-Identifier: Apache-2.0
/* Calls, traps and processors of the Xen PV guest: see xen.h. */
#include <stdbool.h>
#include <stddef.h>

#include "guest/micro/memory.h"
#include "guest/micro/string.h"
#include "guest/micro/xen.h"
#include "guest/micro/xen_attempt.h"
#include "guest/work/line.h"

enum { PAGE_FAULT = 14, EVENT = 32, NR_VECTORS = 32, VECTOR_BYTES = 16 };
enum { PF_PRESENT = 1, PF_WRITE = 2 };

/* FLAT_RING3_CS64 and so on: Xen's selectors for a kernel. */
#define KERNEL_CS 0xe033
#define KERNEL_SS 0xe02b

/* entry.S and xen_entry.S; USER_STACK is a number. */
extern const char probe_load[], probe_return[], xen_vectors[], xen_cpu_entry[];
extern const char xen_attempt_failed[], user_stacks[], USER_STACK[];
extern uint64_t xen_attempt_stack;

void xen_trap(struct frame *frame);

struct xen_caught xen_caught;
uint64_t xen_events;
void (*xen_on_event)(void);

/* Xen emulates the instruction. */
static uint8_t port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

uint64_t xen_kernel_call(enum kernel_call number, uint64_t first, uint64_t second)
{
	switch (number) {
	case KERNEL_HALT:
		xen_halt(xen_own_cpu());
	case KERNEL_EXIT:
		xen_leave((uint8_t)first);
	case KERNEL_PRINT:
		xen_print((const char *)first, second);
		return 0;
	case KERNEL_INVLPG:
		xen_invlpg(first);
		return 0;
	case KERNEL_FLUSH:
		xen_flush();
		return 0;
	case KERNEL_OUT:
		xen_out((uint16_t)first, (uint8_t)second);
		return 0;
	case KERNEL_IN:
		return port_read((uint16_t)first);
	default: /* cpuid, wrmsr: for clocks that are not here */
		xen_failed("of no kind", (long)number);
	}
}

/* Traps. */

static uint64_t read_cr2(unsigned int cpu)
{
	return xen_shared()->vcpu_info[cpu].arch.cr2;
}

static _Noreturn void die(const struct frame *frame, uint64_t cr2)
{
	struct line line;

	line_start(&line);
	line_add(&line, "micro: FAIL exception %u at %x error %x cr2 %x", frame->vector, frame->rip,
		 frame->error, cr2);
	line_end(&line);
	xen_print(line.text, line.length);
	xen_leave(GUEST_EXIT_EXCEPTION);
}

static bool is_probe(const struct frame *frame)
{
	return frame->vector == PAGE_FAULT && frame->rip == (uint64_t)probe_load &&
	       !(frame->error & (PF_PRESENT | PF_WRITE));
}

/* Nothing but the first processor's timer is ever bound; it is set anew until all are told off. */
static void take_event(void)
{
	struct shared_info *shared = xen_shared();
	struct vcpu_info *info = &shared->vcpu_info[0];

	xen_events++;
	__atomic_store_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < sizeof(shared->evtchn_pending) / sizeof(uint64_t); i++)
		if (shared->evtchn_pending[i])
			__atomic_store_n(&shared->evtchn_pending[i], 0, __ATOMIC_SEQ_CST);
	if (xen_on_event)
		xen_on_event();
}

void xen_trap(struct frame *frame)
{
	uint64_t cr2 = read_cr2(xen_own_cpu());

	if (frame->vector == EVENT) {
		take_event();
	} else if (xen_attempt_stack) {
		xen_caught = (struct xen_caught){frame->vector, frame->error, cr2, frame->rip,
						 frame->rflags};
		frame->rax = frame->vector;
		frame->rip = (uint64_t)xen_attempt_failed;
		frame->rsp = xen_attempt_stack;
		frame->rflags &= ~(uint64_t)0x40500; /* TF, DF, AC */
		frame->cs = KERNEL_CS & ~3;	     /* it may have been a process */
	} else if (is_probe(frame)) {
		frame->rax = cr2;
		frame->rip = (uint64_t)probe_return;
	} else {
		die(frame, cr2);
	}
}

/* Beginnings. */

static void fill_traps(struct trap_info *traps)
{
	for (unsigned int i = 0; i < NR_VECTORS; i++)
		traps[i] = (struct trap_info){.vector = (uint8_t)i,
					      .cs = KERNEL_CS,
					      .address = (uint64_t)xen_vectors + i * VECTOR_BYTES};
	traps[3].flags = traps[4].flags = 3;
	memset(&traps[NR_VECTORS], 0, sizeof(*traps));
}

/* The context's room is free until a processor is started. */
void xen_init(void)
{
	const uint64_t shared = xen_start_info()->shared_info | PTE_PAGE | PTE_USED;
	struct trap_info *traps = (struct trap_info *)XEN_CONTEXT;

	fill_traps(traps);
	xen_must("set_trap_table", xen_call(__HYPERVISOR_set_trap_table, (uint64_t)traps, 0, 0, 0));
	xen_must("update_va_mapping", xen_call(__HYPERVISOR_update_va_mapping, XEN_SHARED, shared,
					       UVMF_INVLPG | UVMF_LOCAL, 0));
	xen_must("update_va_mapping",
		 xen_call(__HYPERVISOR_update_va_mapping, 0, 0, UVMF_INVLPG | UVMF_LOCAL, 0));
}

long xen_start_cpu(unsigned int cpu)
{
	struct vcpu_guest_context *context = (struct vcpu_guest_context *)XEN_CONTEXT;
	uint64_t rsp = (uint64_t)user_stacks + (cpu + 1) * (uint64_t)USER_STACK;
	long ret;

	memset(context, 0, sizeof(*context));
	fill_traps(context->trap_ctxt);
	context->flags = VGCF_in_kernel;
	context->user_regs.rip = (uint64_t)xen_cpu_entry;
	context->user_regs.cs = KERNEL_CS;
	context->user_regs.ss = KERNEL_SS;
	context->kernel_ss = KERNEL_SS;
	context->user_regs.rsp = context->kernel_sp = rsp;
	context->user_regs.rdi = cpu;
	context->ctrlreg[3] = (uint64_t)xen_root();
	ret = xen_call(__HYPERVISOR_vcpu_op, VCPUOP_initialise, cpu, (uint64_t)context, 0);
	return ret < 0 ? ret : xen_call(__HYPERVISOR_vcpu_op, VCPUOP_up, cpu, 0, 0);
}

volatile struct vcpu_time_info *xen_time(void)
{
	return &xen_shared()->vcpu_info[0].time;
}
