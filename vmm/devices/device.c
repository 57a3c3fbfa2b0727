// SPDX-License-Identifier: Apache-2.0
/* What every device does alike: its interrupt line, and which saved states it takes. */
#include "vmm/devices/device.h"

#include <errno.h>

void device_irq(struct device *dev, u32 gsi, bool level)
{
	if (dev->line == (level ? LINE_HIGH : LINE_LOW))
		return;
	dev->line = level ? LINE_HIGH : LINE_LOW;
	dev->host->irq(dev->host->opaque, gsi, level);
}

int device_load(struct device *dev, u16 version, const void *state, size_t size)
{
	const struct device_ops *ops = dev->ops;

	if (version > ops->version)
		return -EOPNOTSUPP;
	if (version == ops->version)
		return size && size == ops->state_size ? ops->load(dev, state) : -EINVAL;
	return ops->load_old ? ops->load_old(dev, version, state, size) : -EINVAL;
}
