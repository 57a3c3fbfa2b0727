// SPDX-License-Identifier: Apache-2.0
/* Changing entries: see change.h. */
#include "guest/micro/change.h"

void changes_init(struct changes *changes, const struct work_options *options, unsigned int cpu)
{
	*changes = (struct changes){
		.batch = options->batch,
		.write = options->how == WORK_WRITE,
	};
	xen_queue_init(&changes->queue, cpu);
}

/* Xen finds a write to a table, which is mapped read-only, by its fault. */
static void write_entry(volatile uint64_t *entry, uint64_t value)
{
	__atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST);
}

void changes_entry(struct changes *changes, volatile uint64_t *entry, uint64_t address,
		   uint64_t value)
{
	changes->made++;
	if (!xen_info) {
		*entry = value;
		kernel_call(KERNEL_INVLPG, address, 0);
		return;
	}
	if (!changes->write && changes->batch == 1) {
		xen_must("update_va_mapping", xen_call(__HYPERVISOR_update_va_mapping, address,
						       value, UVMF_INVLPG | UVMF_LOCAL, 0));
		return;
	}
	changes->waiting++;
	if (changes->write)
		write_entry(entry, value);
	else
		changes->queue.updates[changes->queue.nr++] =
			(struct mmu_update){.ptr = (uint64_t)entry, .val = value};
	if (changes->waiting == changes->batch)
		changes_settle(changes);
}

void changes_settle(struct changes *changes)
{
	if (!changes->waiting)
		return;
	changes->waiting = 0;
	if (changes->write)
		xen_flush();
	else
		xen_queue_send_and_flush(&changes->queue);
}
