// SPDX-License-Identifier: Apache-2.0
/*
 * The debug-exit port 0xf4: a guest that writes v there ends its VMM with exit status v. Tests and
 * the workload guests report through it. (QEMU's isa-debug-exit at the same port gives 2v + 1.)
 */
#include "vmm/devices/impl.h"
#include "vmm/devices/ports.h"

static u32 exit_in(struct device *dev, u16 port, u8 size)
{
	(void)dev;
	(void)port;
	(void)size;
	return 0;
}

static void exit_out(struct device *dev, u16 port, u8 size, u32 value)
{
	(void)port;
	(void)size;
	dev->host->end(dev->host->opaque, SHUTDOWN_BY_GUEST_OFF, (u8)value);
}

const struct device_ops dev_exit = {
	.name = "exit",
	.size = sizeof(struct device),
	.ports = {{EXIT_PORT, EXIT_NR_PORTS}},
	.in = exit_in,
	.out = exit_out,
};
