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

/* Ports and values that the tables promise and vmm/devices/pm.c and vmm/devices/reset.c keep. */
#define ACPI_PM1_EVT_PORT 0x600u /* status (u16), enable (u16) */
#define ACPI_PM1_CNT_PORT 0x604u /* u16: SCI_EN bit 0, SLP_TYP bits 10-12, SLP_EN bit 13 */
#define ACPI_GPE0_PORT	  0x608u /* status (u8), enable (u8) */
#define ACPI_GPE_VMGENID  5u	 /* its bit in both: method \_GPE._E05 */
#define ACPI_RESET_PORT	  0xcf9u
#define ACPI_RESET_VALUE  0x06u
#define ACPI_S5_SLP_TYP	  5u
#define ACPI_SCI_IRQ	  9u

/*
 * Write the tables for @nr_cpus processors (1 to 255, APIC ids 0 to nr_cpus - 1) into @space and
 * set *rsdp. -E2BIG when they do not fit below MEMMAP_VMGENID.
 */
int acpi_build(struct space *space, unsigned int nr_cpus, gpa_t *rsdp, struct err *err);

#endif
