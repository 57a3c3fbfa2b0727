// SPDX-License-Identifier: Apache-2.0
/*
 * The two ways in which a PC's software restarts it: the keyboard controller's reset pulse (command
 * 0xfe to port 0x64) and the chip set's reset control register (0xcf9, which the FADT names). There
 * is no keyboard: the controller's status says that nothing is there and that it takes commands.
 */
#include "vmm/devices/impl.h"
#include "vmm/devices/ports.h"

#define KBD_RESET	  0xfe
#define RESET_FULL_OR_CPU 0x04 /* bit 2 of 0xcf9: the rising edge resets */

static u32 reset_in(struct device *dev, u16 port, u8 size)
{
	(void)dev;
	(void)size;
	(void)port;
	return 0;
}

static void reset_out(struct device *dev, u16 port, u8 size, u32 value)
{
	bool kbd = port == KBD_STATUS_PORT && (u8)value == KBD_RESET;
	bool chipset = port == ACPI_RESET_PORT && (value & RESET_FULL_OR_CPU);

	(void)size;
	if (kbd || chipset)
		dev->host->end(dev->host->opaque, SHUTDOWN_BY_GUEST_RESET, 0);
}

const struct device_ops dev_reset = {
	.name = "reset",
	.size = sizeof(struct device),
	.ports = {{KBD_STATUS_PORT, 1}, {ACPI_RESET_PORT, 1}},
	.in = reset_in,
	.out = reset_out,
};
