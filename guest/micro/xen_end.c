// SPDX-License-Identifier: Apache-2.0
/*
 * How a Xen PV guest says something and ends: what every other file of it may need when a call has
 * failed. It knows no tables and no traps. On any processor.
 */
#include <stddef.h>

#include "guest/micro/xen.h"
#include "guest/work/line.h"

/* entry.S; USER_STACK is a number. */
extern const char user_stacks[], USER_STACK[];

void xen_print(const char *text, uint64_t length)
{
	xen_call(__HYPERVISOR_console_io, CONSOLEIO_write, length, (uint64_t)text, 0);
}

_Noreturn void xen_halt(unsigned int cpu)
{
	for (;;)
		xen_call(__HYPERVISOR_vcpu_op, VCPUOP_down, cpu, 0, 0);
}

/* Each processor is on its own stack. */
unsigned int xen_own_cpu(void)
{
	uint64_t at = (uint64_t)__builtin_frame_address(0);

	return (unsigned int)((at - (uint64_t)user_stacks) / (uint64_t)USER_STACK);
}

/* Xen emulates the instruction. */
void xen_out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

_Noreturn void xen_leave(uint8_t value)
{
	xen_out(GUEST_EXIT_PORT, value);
	xen_halt(xen_own_cpu());
}

_Noreturn void xen_failed(const char *what, long result)
{
	struct line line;

	line_start(&line);
	line_text(&line, "micro: FAIL hypercall ");
	line_text(&line, what);
	line_add(&line, ": error %u", (uint64_t)-result);
	line_end(&line);
	xen_print(line.text, line.length);
	xen_leave(GUEST_EXIT_EXCEPTION);
}
