// SPDX-License-Identifier: Apache-2.0
/*
 * The ACPI tables of this machine, built from nothing: RSDP, XSDT, FADT, MADT, FACS and DSDT, laid
 * out from MEMMAP_ACPI_START (vmm/devices/memmap.h). They say just what the devices do: a PM1 event
 * block with a power button, a PM1 control block whose S5 sleep type powers off, a general-purpose
 * event that says that the generation id has changed, a reset register, processors and interrupt
 * controllers, the serial port and the clock.
 */
#ifndef QUIRE_VMM_BOOT_ACPI_H
#define QUIRE_VMM_BOOT_ACPI_H

#include "mm/base/addr.h"
#include "mm/base/err.h"
#include "mm/space/space.h"

/*
 * Write the tables for @nr_cpus processors (1 to 255, APIC ids 0 to nr_cpus - 1) into @space and
 * set *rsdp. -E2BIG when they do not fit below MEMMAP_VMGENID.
 */
int acpi_build(struct space *space, unsigned int nr_cpus, gpa_t *rsdp, struct err *err);

#endif
