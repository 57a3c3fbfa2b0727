// SPDX-License-Identifier: Apache-2.0
/*
 * Page tables of the Xen PV guest: see xen.h. They begin as the loader's, and grow by tables from
 * the heap; all of them are mapped one to one, read-only. These mappings are the kernel's own,
 * without the user bit: a write by one of them may be a change of an entry.
 */
#include <stddef.h>

#include "guest/micro/memory.h"
#include "guest/micro/string.h"
#include "guest/micro/xen.h"

#define GIB   ((uint64_t)1 << 30)
#define CHUNK ((uint64_t)2 << 20)

void xen_queue_init(struct xen_queue *queue, unsigned int cpu)
{
	queue->nr = 0;
	queue->updates = (struct mmu_update *)XEN_QUEUES + cpu * XEN_QUEUE_ENTRIES;
}

void xen_queue_add(struct xen_queue *queue, volatile uint64_t *entry, uint64_t value)
{
	queue->updates[queue->nr++] = (struct mmu_update){
		.ptr = (uint64_t)entry | MMU_NORMAL_PT_UPDATE,
		.val = value,
	};
	if (queue->nr == XEN_QUEUE_ENTRIES)
		xen_queue_send(queue);
}

void xen_queue_send(struct xen_queue *queue)
{
	if (queue->nr)
		xen_must("mmu_update", xen_call(__HYPERVISOR_mmu_update, (uint64_t)queue->updates,
						queue->nr, 0, DOMID_SELF));
	queue->nr = 0;
}

void xen_queue_send_and_flush(struct xen_queue *queue)
{
	struct mmuext_op flush = {.cmd = MMUEXT_TLB_FLUSH_LOCAL};
	struct multicall_entry calls[2] = {
		{.op = __HYPERVISOR_mmu_update,
		 .args = {(uint64_t)queue->updates, queue->nr, 0, DOMID_SELF}},
		{.op = __HYPERVISOR_mmuext_op, .args = {(uint64_t)&flush, 1, 0, DOMID_SELF}},
	};

	xen_must("multicall", xen_call(__HYPERVISOR_multicall, (uint64_t)calls, 2, 0, 0));
	xen_must("mmu_update", (long)calls[0].result);
	xen_must("mmuext_op", (long)calls[1].result);
	queue->nr = 0;
}

long xen_set_entry(volatile uint64_t *entry, uint64_t value)
{
	struct mmu_update update = {.ptr = (uint64_t)entry, .val = value};

	return xen_call(__HYPERVISOR_mmu_update, (uint64_t)&update, 1, 0, DOMID_SELF);
}

static void extended(struct mmuext_op *ops, uint64_t nr)
{
	xen_must("mmuext_op", xen_call(__HYPERVISOR_mmuext_op, (uint64_t)ops, nr, 0, DOMID_SELF));
}

void xen_flush(void)
{
	struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_LOCAL};

	extended(&op, 1);
}

void xen_invlpg(uint64_t address)
{
	struct mmuext_op op = {.cmd = MMUEXT_INVLPG_LOCAL, .arg1.linear_addr = address};

	extended(&op, 1);
}

void xen_pin(unsigned int command, uint64_t frame)
{
	struct mmuext_op op = {.cmd = command, .arg1.mfn = frame};

	extended(&op, 1);
}

uint64_t *xen_root(void)
{
	return (uint64_t *)xen_start_info()->pt_base;
}

/* The entry for @address in its table of @level, if there is one. */
static volatile uint64_t *find(uint64_t address, unsigned int level)
{
	volatile uint64_t *table = xen_root();

	for (unsigned int at = 4;; at--) {
		volatile uint64_t *entry = &table[address >> (3 + 9 * at) & (TABLE_ENTRIES - 1)];

		if (at == level)
			return entry;
		if (!(*entry & PTE_PRESENT))
			return NULL;
		table = (volatile uint64_t *)(*entry & PTE_ADDRESS);
	}
}

volatile uint64_t *xen_find_entry(uint64_t address)
{
	return find(address, 1);
}

/* As many pins as have room where the queue is, which is empty. */
static void pin_all(struct mmuext_op *ops, uint64_t first, uint64_t nr, unsigned int level)
{
	const uint64_t room = XEN_QUEUE_ENTRIES * sizeof(struct mmu_update) / sizeof(*ops);

	for (uint64_t done = 0, n; done < nr; done += n) {
		n = nr - done < room ? nr - done : room;
		for (uint64_t i = 0; i < n; i++)
			ops[i] = (struct mmuext_op){.cmd = MMUEXT_PIN_L1_TABLE + level - 1,
						    .arg1.mfn = first + done + i};
		extended(ops, n);
	}
}

void xen_make_tables(uint64_t *first, uint64_t nr, unsigned int level)
{
	uint64_t address = (uint64_t)first;
	struct xen_queue queue;

	xen_queue_init(&queue, 0);
	for (uint64_t i = 0; i < nr; i++, address += GUEST_PAGE_SIZE)
		xen_queue_add(&queue, xen_find_entry(address), address | PTE_READ_ONLY | PTE_USED);
	xen_queue_send_and_flush(&queue);
	pin_all((struct mmuext_op *)queue.updates, (uint64_t)first / GUEST_PAGE_SIZE, nr, level);
}

const char *xen_map_heap(uint64_t *heap, uint64_t end)
{
	struct xen_queue queue;
	uint64_t address = 0;

	if (end > GIB)
		return "too much memory to map as a Xen PV guest";
	while (address < end && (*find(address, 2) & PTE_PRESENT))
		address += CHUNK;
	xen_queue_init(&queue, 0);
	for (; address < end; address += CHUNK) {
		uint64_t *table = (uint64_t *)*heap;

		*heap += GUEST_PAGE_SIZE;
		if (!(*xen_find_entry((uint64_t)table) & PTE_PRESENT))
			return "too much memory to map as a Xen PV guest";
		memset(table, 0, GUEST_PAGE_SIZE);
		xen_make_tables(table, 1, 1);
		for (unsigned int i = 0; i < TABLE_ENTRIES; i++)
			xen_queue_add(&queue, &table[i],
				      (address + i * GUEST_PAGE_SIZE) | PTE_PAGE | PTE_USED);
		xen_queue_send(&queue);
		xen_must("mmu_update", xen_set_entry(find(address, 2),
						     (uint64_t)table | PTE_TABLE | PTE_ACCESSED));
	}
	return NULL;
}
