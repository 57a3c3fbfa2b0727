// SPDX-License-Identifier: Apache-2.0
/* The address map as a list, and as an answer; the drawing is in memmap.h. */
#include "vmm/devices/memmap.h"

unsigned int memmap_build(const struct space *space, struct memmap_entry *entries)
{
	const struct space_slot *low = space_slot(space, 0);
	unsigned int n = 0;

	entries[n++] = (struct memmap_entry){0, MEMMAP_LOW_END, MEMMAP_RAM};
	entries[n++] = (struct memmap_entry){MEMMAP_LOW_END, MEMMAP_LOW_RESERVED - MEMMAP_LOW_END,
					     MEMMAP_RESERVED};
	/* Not MEMMAP_ACPI: that kind may be reclaimed, and the FACS stays in use for ever. */
	entries[n++] = (struct memmap_entry){MEMMAP_ACPI_START, MEMMAP_ACPI_END - MEMMAP_ACPI_START,
					     MEMMAP_RESERVED};
	entries[n++] = (struct memmap_entry){MEMMAP_HIGH_START, low->size - MEMMAP_HIGH_START,
					     MEMMAP_RAM};
	entries[n++] = (struct memmap_entry){MEMMAP_KVM_IDMAP, MEMMAP_KVM_END - MEMMAP_KVM_IDMAP,
					     MEMMAP_RESERVED};
	for (unsigned int i = 1; i < space_nr_slots(space); i++) {
		const struct space_slot *slot = space_slot(space, i);

		entries[n++] = (struct memmap_entry){slot->start.v, slot->size, MEMMAP_RAM};
	}
	ASSERT(n <= MEMMAP_MAX_ENTRIES);
	return n;
}

bool memmap_is_loadable(const struct space *space, gpa_t start, u64 len)
{
	if (!space_ptr(space, start, len))
		return false;
	if (start.v >= MEMMAP_HIGH_START)
		return true;
	return start.v >= MEMMAP_BOOT_END && range_fits(start.v, len, MEMMAP_LOW_END);
}
