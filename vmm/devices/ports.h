// SPDX-License-Identifier: Apache-2.0
/*
 * Where the guest finds the devices: their ports and interrupts, in one place, as memmap.h has the
 * memory. The devices answer here, and the ACPI tables (vmm/boot/acpi.c) tell the guest so.
 *
 *   0x064         keyboard controller, for its reset pulse
 *   0x070, 0x071  clock
 *   0x0f4         debug exit
 *   0x3f8         serial port, 8 registers
 *   0x600         ACPI power management: PM1 events, PM1 control, GPE0
 *   0xcf9         reset control
 */
#ifndef QUIRE_VMM_DEVICES_PORTS_H
#define QUIRE_VMM_DEVICES_PORTS_H

#define KBD_STATUS_PORT 0x64u
#define RTC_PORT	0x70u /* index, data */
#define RTC_NR_PORTS	2u
#define EXIT_PORT	0xf4u
#define EXIT_NR_PORTS	4u
#define SERIAL_PORT	0x3f8u
#define SERIAL_NR_PORTS 8u
#define SERIAL_IRQ	4u

/* ACPI's fixed hardware, with the values that the tables promise and pm.c and reset.c keep. */
#define ACPI_PM1_EVT_PORT 0x600u /* status (u16), enable (u16) */
#define ACPI_PM1_CNT_PORT 0x604u /* u16: SCI_EN bit 0, SLP_TYP bits 10-12, SLP_EN bit 13 */
#define ACPI_GPE0_PORT	  0x608u /* status (u8), enable (u8) */
#define ACPI_GPE_VMGENID  5u	 /* its bit in both: method \_GPE._E05 */
#define ACPI_RESET_PORT	  0xcf9u
#define ACPI_RESET_VALUE  0x06u
#define ACPI_S5_SLP_TYP	  5u
#define ACPI_SCI_IRQ	  9u

#endif
