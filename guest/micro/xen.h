// SPDX-License-Identifier: Apache-2.0
/*
 * The microguest as a Xen PV guest (quire run --mmu shadow): all of it runs at CPL 3, what would be
 * its CPL 0 included, and what only CPL 0 may do is asked for by hypercalls.
 *
 *	xen_entry.S	from the first instruction on; traps, and the way back from them
 *	xen.c		what kernel.c is otherwise: calls, traps; and further processors
 *	xen_boot.c	start_info
 *	xen_mmu.c	page tables, which only hypercalls may change
 *
 *   virtual    0             nothing, so that null pointers fault
 *              XEN_SHARED    the shared page, in place of what was there
 *              XEN_CONTEXT   room for a struct vcpu_guest_context
 *              XEN_QUEUES    room for 512 struct mmu_update, for each processor
 *              1 MiB ...     the image, what the loader left, the heap: physical = virtual
 *
 * Structures and numbers are those of Xen's public headers (Debian's libxen-dev).
 */
#ifndef QUIRE_GUEST_MICRO_XEN_H
#define QUIRE_GUEST_MICRO_XEN_H

#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#include "guest/abi.h"
#include "guest/micro/kernel.h"

#define XEN_SHARED  0x1000
#define XEN_CONTEXT 0x2000
#define XEN_QUEUES  0x10000

#define XEN_QUEUE_ENTRIES 512

static inline long xen_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
			 : "a"(number)
			 : "rcx", "r11", "r8", "memory");
	return ret;
}

/* xen_end.c: bytes to the console; to a port; this processor's number, and its end; the guest's. */
void xen_print(const char *text, uint64_t length);
void xen_out(uint16_t port, uint8_t value);
unsigned int xen_own_cpu(void);
_Noreturn void xen_halt(unsigned int cpu);
_Noreturn void xen_leave(uint8_t value);

/* A hypercall that failed where none may: tell which, and end the guest. */
_Noreturn void xen_failed(const char *what, long result);

static inline void xen_must(const char *what, long result)
{
	if (result < 0)
		xen_failed(what, result);
}

/* Once, on the first CPU, before anything that may fault. */
void xen_init(void);

/* Have processor @cpu run micro_start(@cpu, 0). Returns what the hypercalls do. */
long xen_start_cpu(unsigned int cpu);

/* The time page of the first processor. */
volatile struct vcpu_time_info *xen_time(void);

static inline const struct start_info *xen_start_info(void)
{
	return (const struct start_info *)xen_info;
}

static inline struct shared_info *xen_shared(void)
{
	return (struct shared_info *)XEN_SHARED;
}

/* Page tables. Entries are named by their address, which in tables is physical = virtual. */

/* Changes that wait to be made; .updates is the processor's room in XEN_QUEUES. */
struct xen_queue {
	unsigned int nr;
	struct mmu_update *updates;
};

void xen_queue_init(struct xen_queue *queue, unsigned int cpu);
/* A full queue is sent by itself. */
void xen_queue_add(struct xen_queue *queue, volatile uint64_t *entry, uint64_t value);
/* Make the changes; and forget all translations, by the same trap. */
void xen_queue_send(struct xen_queue *queue);
void xen_queue_send_and_flush(struct xen_queue *queue);

/* One entry, of any level, at once; no flush. Xen's answer. */
long xen_set_entry(volatile uint64_t *entry, uint64_t value);
void xen_flush(void);
void xen_invlpg(uint64_t address);

uint64_t *xen_root(void);
/* The entry of level 1 for @address in the tables that are there, or NULL. */
volatile uint64_t *xen_find_entry(uint64_t address);

/*
 * Pages of zeros that the guest has mapped one to one become tables of @level, empty: read-only,
 * and pinned.
 */
void xen_make_tables(uint64_t *first, uint64_t nr, unsigned int level);
void xen_pin(unsigned int command, uint64_t frame);

/* @end: how far memory has to be mapped one to one. @heap: where tables for that are; moves on. */
const char *xen_map_heap(uint64_t *heap, uint64_t end);

#endif
