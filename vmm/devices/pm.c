// SPDX-License-Identifier: Apache-2.0
/*
 * ACPI power management, the fixed hardware that the FADT of vmm/boot/acpi.c describes:
 *
 *   ACPI_PM1_EVT_PORT      u16 status: bit 8 power button pressed; writing one clears it
 *   ACPI_PM1_EVT_PORT + 2  u16 enable: the same bits, and those of events that never happen here:
 *                          kernels check that what they enable stays enabled
 *   ACPI_PM1_CNT_PORT      u16 control: bit 0 SCI_EN, always set; SLP_TYP 10-12, SLP_EN 13
 *   ACPI_GPE0_PORT         u8 status: bit 5 the generation id has changed; writing one clears it
 *   ACPI_GPE0_PORT + 1     u8 enable: the same bit
 *
 * The system control interrupt is high just while a bit is set in both status and enable, of PM1 or
 * of GPE0.
 *
 * Source: ACPI 6.4, 4.8.3.1 PM1 Event Grouping, 4.8.3.2 PM1 Control Grouping, 4.8.4.1
 * General-Purpose Event Register Blocks.
 */
#include <errno.h>
#include <string.h>

#include "vmm/devices/impl.h"
#include "vmm/devices/ports.h"

#define PORT_STATUS  ACPI_PM1_EVT_PORT
#define PORT_ENABLE  (ACPI_PM1_EVT_PORT + 2)
#define PORT_CONTROL ACPI_PM1_CNT_PORT

#define PM1_PWRBTN (1u << 8)
#define PM1_ENABLES \
	0x0721u /* timer, global lock, power button, sleep button, clock: can be enabled */
#define GPE_BITS     (1u << ACPI_GPE_VMGENID)
#define CNT_SCI_EN   (1u << 0)
#define CNT_SLP_TYP  10
#define CNT_SLP_MASK 7u
#define CNT_SLP_EN   (1u << 13)

/* Version 1 ended behind the first two. */
struct pm_state {
	u16 status;
	u16 enable;
	u8 gpe_status;
	u8 gpe_enable;
};

_Static_assert(sizeof(struct pm_state) == 6, "saved state has a fixed layout");

#define STATE_SIZE_1 offsetof(struct pm_state, gpe_status)

/* The registers as they lie from PORT_STATUS on. */
struct pm_regs {
	u16 status;
	u16 enable;
	u16 control;
	u16 nothing;
	u8 gpe_status;
	u8 gpe_enable;
};

_Static_assert(offsetof(struct pm_regs, control) == PORT_CONTROL - PORT_STATUS &&
		       offsetof(struct pm_regs, gpe_status) == ACPI_GPE0_PORT - PORT_STATUS,
	       "as vmm/devices/ports.h places them");

struct pm {
	struct device dev;
	struct pm_state s;
};

static void update_sci(struct pm *pm)
{
	bool fixed = pm->s.status & pm->s.enable, gpe = pm->s.gpe_status & pm->s.gpe_enable;

	device_irq(&pm->dev, ACPI_SCI_IRQ, fixed || gpe);
}

/*
 * Registers may be read and written by bytes, and two at once. They are handled as an array of
 * bytes, and @value as the bytes from @port on.
 */
static u32 pm_in(struct device *dev, u16 port, u8 size)
{
	const struct pm *pm = container_of(dev, struct pm, dev);
	const struct pm_regs regs = {
		.status = pm->s.status,
		.enable = pm->s.enable,
		.control = CNT_SCI_EN,
		.gpe_status = pm->s.gpe_status,
		.gpe_enable = pm->s.gpe_enable,
	};
	u32 value = 0;

	memcpy(&value, (const u8 *)&regs + (port - PORT_STATUS), size);
	return value;
}

static void pm_out(struct device *dev, u16 port, u8 size, u32 value)
{
	struct pm *pm = container_of(dev, struct pm, dev);
	struct pm_regs regs = {.enable = pm->s.enable, .gpe_enable = pm->s.gpe_enable};

	memcpy((u8 *)&regs + (port - PORT_STATUS), &value, size);
	pm->s.status &= (u16)~regs.status;
	pm->s.enable = regs.enable & PM1_ENABLES;
	pm->s.gpe_status &= (u8)~regs.gpe_status;
	pm->s.gpe_enable = regs.gpe_enable & GPE_BITS;
	update_sci(pm);
	if ((regs.control & CNT_SLP_EN) &&
	    (regs.control >> CNT_SLP_TYP & CNT_SLP_MASK) == ACPI_S5_SLP_TYP)
		dev->host->end(dev->host->opaque, SHUTDOWN_BY_GUEST_OFF, 0);
}

void dev_pm_press(struct device *dev)
{
	struct pm *pm = container_of(dev, struct pm, dev);

	pm->s.status |= PM1_PWRBTN;
	update_sci(pm);
}

void dev_pm_generation_changed(struct device *dev)
{
	struct pm *pm = container_of(dev, struct pm, dev);

	pm->s.gpe_status |= 1u << ACPI_GPE_VMGENID;
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
	if ((s.gpe_status | s.gpe_enable) & ~GPE_BITS)
		return -EINVAL;
	pm->s = s;
	dev->line = LINE_UNKNOWN;
	update_sci(pm);
	return 0;
}

/* Version 1 had no general-purpose events, and its guests do not know of any. */
static int pm_load_old(struct device *dev, u16 version, const void *state, size_t size)
{
	struct pm_state s = {0};

	if (version != 1 || size != STATE_SIZE_1)
		return -EINVAL;
	memcpy(&s, state, STATE_SIZE_1);
	return pm_load(dev, &s);
}

const struct device_ops dev_pm = {
	.name = "pm",
	.size = sizeof(struct pm),
	.ports = {{PORT_STATUS, 4}, {PORT_CONTROL, 2}, {ACPI_GPE0_PORT, 2}},
	.in = pm_in,
	.out = pm_out,
	.version = 2,
	.state_size = sizeof(struct pm_state),
	.save = pm_save,
	.load = pm_load,
	.load_old = pm_load_old,
};
