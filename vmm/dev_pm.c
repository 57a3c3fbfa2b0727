// SPDX-License-Identifier: Apache-2.0
/*
 * ACPI power management, the fixed hardware that the FADT of vmm/acpi.c describes:
 *
 *   ACPI_PM1_EVT_PORT      u16 status: bit 8 power button pressed; writing one clears it
 *   ACPI_PM1_EVT_PORT + 2  u16 enable: the same bits, and those of events that never happen here:
 *                          kernels check that what they enable stays enabled
 *   ACPI_PM1_CNT_PORT      u16 control: bit 0 SCI_EN, always set; SLP_TYP 10-12, SLP_EN 13
 *
 * The system control interrupt is high just while a bit is set in both status and enable.
 *
 * Source: ACPI 6.4, 4.8.3.1 PM1 Event Grouping, 4.8.3.2 PM1 Control Grouping.
 */
#include <errno.h>
#include <string.h>

#include "vmm/acpi.h"
#include "vmm/devices.h"

#define PORT_STATUS  ACPI_PM1_EVT_PORT
#define PORT_ENABLE  (ACPI_PM1_EVT_PORT + 2)
#define PORT_CONTROL ACPI_PM1_CNT_PORT

#define PM1_PWRBTN (1u << 8)
#define PM1_ENABLES \
	0x0721u /* timer, global lock, power button, sleep button, clock: can be enabled */
#define CNT_SCI_EN   (1u << 0)
#define CNT_SLP_TYP  10
#define CNT_SLP_MASK 7u
#define CNT_SLP_EN   (1u << 13)

struct pm_state {
	u16 status;
	u16 enable;
};

_Static_assert(sizeof(struct pm_state) == 4, "saved state has a fixed layout");

struct pm {
	struct device dev;
	struct pm_state s;
};

static void update_sci(struct pm *pm)
{
	bool level = (pm->s.status & pm->s.enable) != 0;

	device_irq(&pm->dev, ACPI_SCI_IRQ, level);
}

/*
 * Registers are 16 bits wide, but may be read and written by bytes as well. The register block is
 * handled as an array of bytes, and @value as the bytes from @port on.
 */
static u32 pm_in(struct device *dev, u16 port, u8 size)
{
	const struct pm *pm = container_of(dev, struct pm, dev);
	const u16 regs[4] = {pm->s.status, pm->s.enable, CNT_SCI_EN, 0};
	u32 value = 0;

	memcpy(&value, (const u8 *)regs + (port - PORT_STATUS), size);
	return value;
}

static void pm_out(struct device *dev, u16 port, u8 size, u32 value)
{
	struct pm *pm = container_of(dev, struct pm, dev);
	u16 regs[4] = {0, pm->s.enable, 0, 0};

	memcpy((u8 *)regs + (port - PORT_STATUS), &value, size);
	pm->s.status &= (u16)~regs[0];
	pm->s.enable = regs[1] & PM1_ENABLES;
	update_sci(pm);
	if ((regs[2] & CNT_SLP_EN) && (regs[2] >> CNT_SLP_TYP & CNT_SLP_MASK) == ACPI_S5_SLP_TYP)
		dev->host->end(dev->host->opaque, MACHINE_BY_GUEST_OFF, 0);
}

void dev_pm_press(struct device *dev)
{
	struct pm *pm = container_of(dev, struct pm, dev);

	pm->s.status |= PM1_PWRBTN;
	update_sci(pm);
}

static void pm_save(const struct device *dev, void *state)
{
	memcpy(state, &container_of(dev, const struct pm, dev)->s, sizeof(struct pm_state));
}

static int pm_load(struct device *dev, const void *state)
{
	struct pm *pm = container_of(dev, struct pm, dev);
	struct pm_state s;

	memcpy(&s, state, sizeof(s));
	if (s.status & ~PM1_PWRBTN || s.enable & ~PM1_ENABLES)
		return -EINVAL;
	pm->s = s;
	dev->line = LINE_UNKNOWN;
	update_sci(pm);
	return 0;
}

const struct device_ops dev_pm = {
	.name = "pm",
	.size = sizeof(struct pm),
	.ports = {{PORT_STATUS, 4}, {PORT_CONTROL, 2}},
	.in = pm_in,
	.out = pm_out,
	.version = 1,
	.state_size = sizeof(struct pm_state),
	.save = pm_save,
	.load = pm_load,
};
