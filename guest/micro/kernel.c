// SPDX-License-Identifier: Apache-2.0
/*
 * All that runs at CPL 0 after entry.S. It is kept short for its own sake and because hosts may
 * emulate it slowly; it uses no instruction beyond plain integer ones.
 */
#include <stdbool.h>

#include "guest/abi.h"
#include "guest/micro/kernel.h"
#include "guest/work/line.h"

enum { GENERAL_PROTECTION = 13, PAGE_FAULT = 14 };

/*
 * Bits of a page fault's error code (Intel SDM 3A, 4.7): what a read of an unmapped page at CPL 3
 * has.
 */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4 };

#define HLT 0xf4 /* the instruction's only byte */

extern const char probe_load[], probe_return[]; /* entry.S */

static void port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static uint8_t port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

/*
 * One instruction a line, so that a hypervisor may take the bytes together; KVM exits for each of
 * them all the same. The transmitter is not asked whether it is ready: an emulated one always is,
 * and asking would double the exits.
 */
static void print(const char *text, uint64_t length)
{
	__asm__ volatile("cld; rep outsb"
			 : "+S"(text), "+c"(length)
			 : "d"((uint16_t)GUEST_SERIAL_PORT)
			 : "memory");
}

static uint64_t read_cr2(void)
{
	uint64_t address;

	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	return address;
}

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void flush(void)
{
	uint64_t root;

	__asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(root) : : "memory");
}

static void read_cpuid(struct cpuid *id)
{
	__asm__ volatile("cpuid"
			 : "=a"(id->eax), "=b"(id->ebx), "=c"(id->ecx), "=d"(id->edx)
			 : "a"(id->eax), "c"(0));
}

static void write_msr(uint64_t number, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"(value >> 32));
}

static _Noreturn void die(const struct frame *frame)
{
	struct line line;

	line_start(&line);
	line_add(&line, "micro: FAIL exception %u at %x error %x cr2 %x", frame->vector, frame->rip,
		 frame->error, read_cr2());
	line_end(&line);
	print(line.text, line.length);
	port_write(GUEST_EXIT_PORT, GUEST_EXIT_EXCEPTION);
	halt();
}

static void serve_call(struct frame *frame)
{
	switch (frame->rax) {
	case KERNEL_EXIT:
		port_write(GUEST_EXIT_PORT, (uint8_t)frame->rdi);
		halt();
	case KERNEL_HALT:
		halt();
	case KERNEL_PRINT:
		print((const char *)frame->rdi, frame->rsi);
		break;
	case KERNEL_OUT:
		port_write((uint16_t)frame->rdi, (uint8_t)frame->rsi);
		break;
	case KERNEL_IN:
		frame->rax = port_read((uint16_t)frame->rdi);
		break;
	case KERNEL_INVLPG:
		__asm__ volatile("invlpg (%0)" : : "r"(frame->rdi) : "memory");
		break;
	case KERNEL_FLUSH:
		flush();
		break;
	case KERNEL_CPUID:
		read_cpuid((struct cpuid *)frame->rdi);
		break;
	case KERNEL_WRMSR:
		write_msr(frame->rdi, frame->rsi);
		break;
	default:
		die(frame);
	}
	frame->rip++;
}

static bool is_call(const struct frame *frame)
{
	return frame->vector == GENERAL_PROTECTION && (frame->cs & 3) && !frame->error &&
	       *(const uint8_t *)frame->rip == HLT;
}

static bool is_probe(const struct frame *frame)
{
	return frame->vector == PAGE_FAULT && frame->rip == (uint64_t)probe_load &&
	       (frame->error & (PF_PRESENT | PF_WRITE | PF_USER)) == PF_USER;
}

void kernel_trap(struct frame *frame)
{
	if (is_call(frame)) {
		serve_call(frame);
	} else if (is_probe(frame)) {
		frame->rax = read_cr2();
		frame->rip = (uint64_t)probe_return;
	} else {
		die(frame);
	}
}
